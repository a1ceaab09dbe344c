import { error, isServed, mendOf, NAME, note, START, TAKEOVER, warning } from './finding.ts';
import { findingsAround } from './findings-around.ts';
import { resolverFindings } from './findings-resolver.ts';
import type { MachineFacts } from './machine-facts.ts';
import { addressOf, type ResolvConfLines, resolvConfLines } from './resolv-conf-lines.ts';
import type { Finding } from './status.ts';
import { printable } from './text.ts';
import { writerOfTarget, writerOfText } from './writer.ts';

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
    ...resolverFindings(facts),
    ...findingsAround(facts),
    ...facts.unseen.map((text) => note('unseen', text)),
  ].sort((a, b) => SEVERITY.indexOf(a.severity) - SEVERITY.indexOf(b.severity));
}

const SEVERITY: readonly Finding['severity'][] = ['error', 'warning', 'note'];

/** The daemon sends people to doctor; here they are. */
function withoutDoctor({ severity, id, text, mend }: Finding): Finding {
  return mend === undefined || mend === 'dnsctl doctor'
    ? { severity, id, text }
    : { severity, id, text, mend };
}

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
  // Our files have systemd-resolved's names too while we stand in for it.
  const standingIn = byLink === 'systemd-resolved' && byHeader === 'dnskeeper';
  if (byLink !== undefined && byHeader !== undefined && byLink !== byHeader && !standingIn)
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

const shown = (text: string | undefined): string => printable(text ?? '', 120);
