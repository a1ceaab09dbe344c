import { type Address, parseAddress } from './address.ts';
import type { DaemonPresence, ListenerFacts, MachineFacts } from './machine-facts.ts';
import type { Finding } from './status.ts';
import { printable } from './text.ts';
import { writerOfTarget, writerOfText } from './writer.ts';

const NAME = '/etc/resolv.conf';

/**
 * Judge what doctor saw: what is wrong or notable, worst first, each with the command that mends it. `reported` is what
 * a running daemon found about itself.
 */
export function judgeMachine(facts: MachineFacts, reported: readonly Finding[] = []): readonly Finding[] {
  const lines = resolvConfLines(facts.resolvConf.content ?? '');
  return [
    ...reported.map(withoutDoctor),
    ...fileFindings(facts),
    ...resolvedFindings(facts, lines),
    ...contentFindings(facts, lines),
    ...serverFindings(facts, lines),
    ...nsswitchFindings(facts),
    ...portFindings(facts),
    ...writerFindings(facts),
    ...surroundingFindings(facts),
    ...facts.unseen.map((text) => note('unseen', text)),
  ].sort((a, b) => SEVERITY.indexOf(a.severity) - SEVERITY.indexOf(b.severity));
}

/** What the lines of a resolv.conf(5) say, as glibc reads them. */
export interface ResolvConfLines {
  readonly nameservers: readonly string[];
  /** Every search or domain line; the last one counts. */
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** Read the lines that libc reads: the keyword in the first column, then a blank. */
export function resolvConfLines(text: string): ResolvConfLines {
  const lines = text.slice(0, 65_536).split('\n');
  const having = (pattern: RegExp): string[] => lines.filter((line) => pattern.test(line));
  return {
    nameservers: having(/^nameserver[ \t]/).map((line) =>
      printable(line.trim().split(/[ \t]+/)[1] ?? '', 60),
    ),
    search: having(/^(search|domain)[ \t]/),
    options: having(/^options[ \t]/),
  };
}

const SEVERITY: readonly Finding['severity'][] = ['error', 'warning', 'note'];

const finding =
  (severity: Finding['severity']) =>
  (id: string, text: string, mend?: string): Finding =>
    mend === undefined ? { severity, id, text } : { severity, id, text, mend };
const error = finding('error');
const warning = finding('warning');
const note = finding('note');

const START = 'systemctl enable --now dnskeeper';
const TAKEOVER = 'dnsctl takeover';

/** The daemon sends people to doctor; here they are. */
function withoutDoctor({ severity, id, text, mend }: Finding): Finding {
  return mend === undefined || mend === 'dnsctl doctor'
    ? { severity, id, text }
    : { severity, id, text, mend };
}

const mendOf = (daemon: DaemonPresence): string => (daemon === 'absent' ? START : TAKEOVER);

function fileFindings({ resolvConf, ourFile, daemon }: MachineFacts): Finding[] {
  const mend = mendOf(daemon);
  const { kind, linkText, target, content } = resolvConf;
  const found: Finding[] = [];
  if (daemon === 'absent')
    found.push(
      warning('not-running', 'dnskeeperd does not run, so nothing keeps the file up to date.', START),
    );
  if (kind === 'missing')
    found.push(error('missing', `${NAME} does not exist, so libc asks 127.0.0.1.`, mend));
  if (kind === 'other')
    found.push(error('no-file', `${NAME} is neither a file nor a link.`, `rm -r ${NAME}; ${mend}`));
  if (kind === 'link' && target === undefined)
    found.push(
      error(
        'dangling',
        `${NAME} links to ${shown(linkText)}, where there is nothing, so libc asks 127.0.0.1.`,
        mend,
      ),
    );
  else if (kind !== 'missing' && kind !== 'other' && content === undefined)
    found.push(error('unreadable', `${NAME} cannot be read.`, `ls -lL ${NAME}`));
  if (resolvConf.immutable === true)
    found.push(
      warning(
        'immutable',
        `${NAME} carries the immutable flag, so no program can keep it up to date.`,
        `chattr -i ${NAME}`,
      ),
    );
  if (resolvConf.bindMount)
    found.push(
      note(
        'bind-mount',
        `${NAME} is a mount point (a container or "ip netns exec"); it can only be written in place.`,
      ),
    );
  if (resolvConf.readOnlyFolder)
    found.push(
      note('read-only', '/etc is on a read-only file system; the link has to be part of the image.'),
    );
  if (kind === 'link' && target === ourFile && daemon === 'absent')
    found.push(warning('stale', `${NAME} links to dnskeeper's file, which nobody updates.`, START));
  return found;
}

/** The classic failure: the file says systemd-resolved, and systemd-resolved is not there. */
function resolvedFindings(
  { resolvConf, listeners, daemon }: MachineFacts,
  lines: ResolvConfLines,
): Finding[] {
  const { linkText = '', target, content } = resolvConf;
  const byLink = resolvConf.kind === 'link' ? writerOfTarget(target ?? linkText) : undefined;
  const byHeader = content === undefined ? undefined : writerOfText(content).program;
  const found: Finding[] = [];
  const stub = lines.nameservers.includes('127.0.0.53');
  if ((stub || byLink === 'systemd-resolved') && stub && !isServed('127.0.0.53', listeners))
    found.push(
      error(
        'resolved-gone',
        `${NAME} sends every name to 127.0.0.53, systemd-resolved's address, but nothing listens there.`,
        daemon !== 'absent' ? TAKEOVER : `systemctl start systemd-resolved, or: ${START}`,
      ),
    );
  if (byLink !== undefined && byHeader !== undefined && byLink !== byHeader)
    found.push(
      warning(
        'header-differs',
        `The header of ${NAME} says ${byHeader}, but the link leads to the folder of ${byLink}: two programs write it, and others guess wrong who is in charge.`,
        mendOf(daemon),
      ),
    );
  return found;
}

function contentFindings({ resolvConf, ourFile, daemon }: MachineFacts, lines: ResolvConfLines): Finding[] {
  if (resolvConf.content === undefined) return [];
  const ours = resolvConf.target === ourFile;
  const mend = ours ? 'dnsctl status' : mendOf(daemon);
  const found: Finding[] = [];
  const { nameservers, search, options } = lines;
  if (nameservers.length === 0)
    found.push(error('no-nameserver', `${NAME} names no server, so libc asks 127.0.0.1.`, mend));
  if (nameservers.length > 3)
    found.push(
      warning('too-many', `${NAME} names ${nameservers.length} servers; libc uses the first three.`, mend),
    );
  for (const text of nameservers.filter((each) => addressOf(each) === undefined))
    found.push(
      error('bad-nameserver', `${NAME} names "${text}", which is no address; libc drops the line.`, mend),
    );
  const last = search.at(-1) ?? '';
  if (last.length > 255)
    found.push(
      warning(
        'search-long',
        `The search line of ${NAME} has ${last.length} bytes; musl drops lines over 255 and old glibc cuts them.`,
        mend,
      ),
    );
  if (search.length > 1)
    found.push(
      warning(
        'search-twice',
        `${NAME} has ${search.length} search or domain lines; only the last one counts.`,
        mend,
      ),
    );
  if (options.length > 1)
    found.push(
      note(
        'options-twice',
        `${NAME} has ${options.length} options lines; glibc adds them up, others take the last one.`,
      ),
    );
  return found;
}

function serverFindings({ probes, listeners }: MachineFacts, { nameservers }: ResolvConfLines): Finding[] {
  const deaf = (text: string): boolean => addressOf(text)?.kind === 'loopback' && !isServed(text, listeners);
  const found: Finding[] = [];
  for (const text of nameservers) {
    if (text !== '127.0.0.53' && deaf(text))
      found.push(
        error(
          'deaf-loopback',
          `${NAME} names ${text}, but nothing listens there on port 53.`,
          `ss -lunp 'sport = :53'`,
        ),
      );
  }
  const dead = (probes ?? []).filter(({ server, outcome }) => outcome !== 'answered' && !deaf(server));
  const all = probes !== undefined && probes.length > 0 && dead.length === probes.length;
  for (const { server, outcome, detail } of dead) {
    const text = `${server} ${OUTCOMES[outcome]} (${printable(detail, 60)})${all ? '' : '; each lookup waits for it before the next server is asked'}.`;
    found.push((all ? error : warning)('dead-server', text, `ping ${server}`));
  }
  return found;
}

const OUTCOMES = {
  answered: 'answered',
  refused: 'refuses to answer',
  timeout: 'does not answer',
  unreachable: 'cannot be reached',
} as const;

function nsswitchFindings({ nsswitchHosts, listeners, daemon }: MachineFacts): Finding[] {
  if (nsswitchHosts === undefined)
    return [
      note('nsswitch-missing', 'nsswitch.conf has no hosts line; glibc then looks into files and dns.'),
    ];
  const words = nsswitchHosts.replace(/\[[^\]]*\]/g, ' ').split(/[ \t]+/);
  const dns = words.indexOf('dns');
  const resolve = words.indexOf('resolve');
  const shownLine = `"hosts: ${printable(nsswitchHosts.trim(), 80)}"`;
  const found: Finding[] = [];
  if (dns < 0)
    found.push(
      (resolve < 0 ? error : warning)(
        'nsswitch-dns',
        resolve < 0
          ? `nsswitch.conf says ${shownLine}: no dns, so libc never asks a DNS server.`
          : `nsswitch.conf says ${shownLine}: no dns, so no name resolves while systemd-resolved is not there.`,
        "sed -i 's/^hosts:.*/& dns/' /etc/nsswitch.conf",
      ),
    );
  const resolvedRuns = isServed('127.0.0.53', listeners);
  if (resolve >= 0 && (dns < 0 || resolve < dns) && resolvedRuns && daemon !== 'absent')
    found.push(
      note(
        'nsswitch-resolve',
        `nsswitch.conf says ${shownLine}: while systemd-resolved runs, names go to it and ${NAME} is not read.`,
      ),
    );
  if (words[0] !== 'files' && !words.includes('files'))
    found.push(
      warning(
        'nsswitch-files',
        `nsswitch.conf says ${shownLine}: no files, so /etc/hosts is ignored.`,
        "sed -i 's/^hosts:/hosts: files/' /etc/nsswitch.conf",
      ),
    );
  return found;
}

function portFindings({ listeners }: MachineFacts): Finding[] {
  const holders = new Map<string, Set<string>>();
  for (const { address, process } of listeners) {
    if (!['127.0.0.53', '0.0.0.0', '::'].includes(address)) continue;
    const name = process ?? 'a program that only root may see';
    if (name === 'systemd-resolve' || name === 'dnskeeperd') continue;
    holders.set(name, (holders.get(name) ?? new Set()).add(address));
  }
  return [...holders].map(([name, addresses]) => {
    const where = [...addresses].join(' and ');
    const text = `${printable(name, 40)} listens on port 53 of ${where}, so no other local resolver can use 127.0.0.53.`;
    return note('port-53', text, `ss -lunp 'sport = :53'`);
  });
}

function writerFindings({ resolvConf, writers, ourFile, daemon }: MachineFacts): Finding[] {
  const ours =
    resolvConf.target === ourFile || writerOfText(resolvConf.content ?? '').program === 'dnskeeper';
  const owner =
    (resolvConf.kind === 'link'
      ? writerOfTarget(resolvConf.target ?? resolvConf.linkText ?? '')
      : undefined) ?? writerOfText(resolvConf.content ?? '').program;
  // NetworkManager leaves a link of ours alone, and systemd-resolved never writes the file.
  const others = writers.filter((name) => name !== 'NetworkManager' && name !== 'systemd-resolved');
  const found: Finding[] = [];
  if (daemon === 'holding' && !ours && resolvConf.content !== undefined && owner !== 'systemd-resolved')
    found.push(
      warning(
        'foreign',
        `${NAME} is ${owner === undefined ? 'not ours, and nothing in it says whose it is' : `kept by ${owner}`}.`,
        TAKEOVER,
      ),
    );
  if (ours && others.length > 0)
    found.push(
      note('other-writers', `These programs run and are known to write ${NAME}: ${others.join(', ')}.`),
    );
  return found;
}

function surroundingFindings(facts: MachineFacts): Finding[] {
  const { networkManager, appArmor, docker, wsl, resolvConf, ourFile } = facts;
  const ours = resolvConf.target === ourFile;
  const found: Finding[] = [];
  const { rcManager = '', dns = '' } = networkManager;
  if (rcManager === 'file' || rcManager === 'symlink' || rcManager === 'netconfig')
    found.push(
      note(
        'nm-rc-manager',
        `NetworkManager is set to rc-manager=${rcManager}; it leaves our link alone, but writes ${NAME} as soon as that is a plain file.`,
      ),
    );
  if (rcManager === 'resolvconf')
    found.push(
      note(
        'nm-resolvconf',
        'NetworkManager is set to rc-manager=resolvconf: it hands DNS to resolvconf(8) instead of writing files.',
      ),
    );
  if (dns === 'dnsmasq' || dns === 'dnsconfd')
    found.push(
      warning(
        'nm-dns',
        `NetworkManager is set to dns=${dns} and runs a resolver of its own beside ours.`,
        'remove dns= from NetworkManager.conf, then: systemctl reload NetworkManager',
      ),
    );
  if (appArmor.enabled && !appArmor.dropIn && ours)
    found.push(
      warning(
        'apparmor',
        `AppArmor is on, but the rules that let confined programs read ${ourFile} are missing.`,
        'apt-get install --reinstall dnskeeper; systemctl reload apparmor',
      ),
    );
  if (
    docker &&
    resolvConfLines(resolvConf.content ?? '').nameservers.every(
      (each) => addressOf(each)?.kind === 'loopback',
    )
  )
    found.push(
      note(
        'docker',
        'Containers cannot use a loopback server; Docker gives them public servers instead unless the only one is 127.0.0.53.',
        'set "dns" in /etc/docker/daemon.json',
      ),
    );
  if (wsl?.generates === true)
    found.push(
      warning(
        'wsl',
        `WSL writes ${NAME} at every start.`,
        'add generateResolvConf=false under [network] in /etc/wsl.conf',
      ),
    );
  return found;
}

const shown = (text: string | undefined): string => printable(text ?? '', 120);

/** An address as resolv.conf has it, where a zone may follow. */
function addressOf(text: string): Address | undefined {
  const address = parseAddress(text.split('%', 1)[0] ?? '');
  return address.ok ? address.value : undefined;
}

/** Whether something listens on this address, itself or through a wildcard. */
function isServed(address: string, listeners: readonly ListenerFacts[]): boolean {
  return listeners.some(
    (each) =>
      each.protocol === 'udp' &&
      (each.address === address ||
        each.address === '::' ||
        (each.address === '0.0.0.0' && !address.includes(':'))),
  );
}
