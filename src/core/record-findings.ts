import { shownKey } from './record.ts';
import type { LeftRecord } from './record-links.ts';
import type { RulesProblem } from './record-rules.ts';
import type { Finding } from './status.ts';
import { printable } from './text.ts';

/** What is wrong around records. */
export interface RecordTroubles {
  readonly left: readonly LeftRecord[];
  readonly problems: readonly RulesProblem[];
  /** Programs in Debian's /etc/resolvconf/update.d, which would tell name servers of this machine where to ask. */
  readonly updateScripts: readonly string[];
  /** Keys of all records. */
  readonly keys: readonly string[];
}

/** What status says of records and of the files that say what becomes of them. */
export function recordFindings({ left, problems, updateScripts, keys }: RecordTroubles): readonly Finding[] {
  const subscribers = problems.filter(({ kind }) => kind === 'subscriber');
  return [
    ...leftFindings(left),
    ...problems.filter(({ kind }) => kind !== 'subscriber').map(problemFinding),
    ...subscriberFindings(subscribers.map(({ got }) => got)),
    ...scriptFindings(updateScripts, keys),
  ];
}

const MOST_SHOWN = 8;

function leftFindings(left: readonly LeftRecord[]): readonly Finding[] {
  const notes = left
    .slice(0, MOST_SHOWN)
    .map(({ key, reason }) =>
      note('record-left-out', `The resolvconf(8) record ${shownKey(key)} is not used: ${reason}.`),
    );
  const more = left.length - MOST_SHOWN;
  return more > 0
    ? [...notes, note('record-left-out', `${more} more resolvconf(8) records are not used.`)]
    : notes;
}

function problemFinding({ file = '/etc/resolvconf.conf', line, kind, got }: RulesProblem): Finding {
  const where = `${file}, line ${line}`;
  if (kind === 'shell')
    return {
      severity: 'warning',
      id: 'resolvconf-conf',
      text: `${where}: wanted name="plain text", got \`${got}\`; nothing in this file is executed, so the line counts for nothing.`,
    };
  if (kind === 'pattern')
    return note('interface-order', `${where}: wanted a pattern of at most 256 characters, got ${got}`);
  if (kind === 'rest')
    return note(
      'interface-order',
      `${where}: wanted * as the last pattern; records that no line names come last, where Debian's resolvconf left them out.`,
    );
  return note('resolvconf-conf', `${where}: dnskeeper does not do ${got}.`);
}

/** Where a name server of this machine finds what openresolv or Debian's resolvconf would have told it. */
const instead = (who: string): string =>
  `the servers in force are in /run/dnskeeper/upstream.conf, which ${who} can read`;

function subscriberFindings(settings: readonly string[]): readonly Finding[] {
  if (settings.length === 0) return [];
  const text = `/etc/resolvconf.conf has ${listed(settings)}: dnskeeper writes no files of other name servers; ${instead('they')}.`;
  return [note('resolvconf-subscriber', text)];
}

/**
 * Packages bring these programs whether or not their name server is used here; where it is, it has told its address. One
 * that only passes questions on has nobody to pass them to then.
 */
function scriptFindings(scripts: readonly string[], keys: readonly string[]): readonly Finding[] {
  const used = scripts.filter((name) =>
    keys.some((key) => key === `lo.${name}` || key.startsWith(`lo.${name}.`)),
  );
  return used.map((name) => ({
    severity: FORWARDERS.has(name) ? 'warning' : 'note',
    id: 'resolvconf-update-script',
    text: `${printable(name, 40)} in /etc/resolvconf/update.d is not run, so dnskeeper tells that name server nothing; ${instead('it')}.`,
  }));
}

const FORWARDERS: ReadonlySet<string> = new Set(['dnsmasq', 'pdnsd']);

function listed(names: readonly string[]): string {
  const shown = names.slice(0, MOST_SHOWN).map((name) => printable(name, 40));
  const more = names.length - shown.length;
  return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

const note = (id: string, text: string): Finding => ({ severity: 'note', id, text });
