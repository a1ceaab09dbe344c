import { error, isServed, NAME, note, TAKEOVER, warning } from './finding.ts';
import type { MachineFacts } from './machine-facts.ts';
import { addressOf, resolvConfLines } from './resolv-conf-lines.ts';
import type { Finding } from './status.ts';
import { printable } from './text.ts';
import { writerOfTarget, writerOfText } from './writer.ts';

/** Judge what stands around the file: nsswitch, port 53, other writers, NetworkManager, AppArmor, containers. */
export const findingsAround = (facts: MachineFacts): readonly Finding[] => [
  ...nsswitchFindings(facts),
  ...portFindings(facts),
  ...writerFindings(facts),
  ...surroundingFindings(facts),
];

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

function portFindings({ listeners, resolver }: MachineFacts): Finding[] {
  if (resolver?.status.state === 'failed') return []; // then it is a fault, and said there
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
