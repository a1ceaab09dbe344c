import { matchesPattern } from './glob.ts';
import { type RecordSet, type StoredRecord, shownKey } from './record.ts';
import { exclusiveRecord, isNosearch, isPrivate, orderRecords, whyDenied } from './record-order.ts';
import type { ResolvconfRules } from './record-rules.ts';
import { domainOf, isAddressText, readRecord, recordLines } from './record-text.ts';

/** What a listing prints, and how it ends. */
export interface Listing {
  /** One character for each byte, as records have it: a comment in another script comes out as it came in. */
  readonly text: string;
  /** For standard error. */
  readonly complaint: string;
  readonly exit: 0 | 1 | 2;
}

/** What `resolvconf -i`, `-l`, `-L`, `-Li`, `-p`, `-pp` and `-x` print; patterns are keys or patterns of the shell. */
export function listRecords(
  how: 'i' | 'l' | 'L' | 'Li' | 'p' | 'pp' | 'x',
  patterns: readonly string[],
  force: boolean,
  set: RecordSet,
  rules: ResolvconfRules,
): Listing {
  const candidates = candidatesOf(how, set, rules);
  const chosen = choose(candidates, patterns);
  const complaint = force
    ? ''
    : chosen.missing.map((key) => `No resolv.conf for key ${shownKey(key)}\n`).join('');
  const exit = complaint === '' ? 0 : 2;
  if (how === 'l' || how === 'L') {
    const dumps = chosen.records.map((record) => dump(record, how, rules));
    return { text: dumps.join(''), complaint, exit };
  }
  const keys = chosen.records.map(({ key }) => bytesOf(key));
  return { text: keys.length === 0 ? '' : `${keys.join(' ')}\n`, complaint, exit };
}

/**
 * What `resolvconf -v` prints for scripts to evaluate: variables of the shell. Only addresses and names that are such get
 * into it, so that nothing in a record can be executed.
 */
export function listVariables(patterns: readonly string[], set: RecordSet, rules: ResolvconfRules): string {
  const known = new Set(inForce(set, rules).map(({ key }) => key));
  const ordered = orderRecords(set, rules).map(({ record }) => record);
  const records = choose(
    ordered.filter(({ key }) => patterns.length > 0 || known.has(key)),
    patterns,
  ).records;
  const contents = [
    { ...NOTHING, ...split(rules.first.servers, rules), searches: names(rules.first.searches, rules) },
    ...records.map((record) => contentOf(record, rules)),
    { ...NOTHING, ...split(rules.last.servers, rules), searches: names(rules.last.searches, rules) },
  ];
  const domain = contents.map((each) => each.domain).find((each) => each !== undefined) ?? '';
  const all = (pick: (content: Content) => readonly string[]): string =>
    [...new Set(contents.flatMap(pick))].join(' ');
  return [
    `DOMAIN='${domain}'`,
    `SEARCH='${all((each) => (each.nosearch ? [] : each.searches))}'`,
    `NAMESERVERS='${all((each) => (each.private ? [] : each.remote))}'`,
    `LOCALNAMESERVERS='${all((each) => each.local)}'`,
    `DOMAINS='${serversOfDomains(contents)}'`,
    '',
  ].join('\n');
}

/** The records that count: not denied, and the exclusive one alone where there is one. In processing order. */
export function inForce(set: RecordSet, rules: ResolvconfRules): readonly StoredRecord[] {
  const allowed = { ...set, records: set.records.filter((record) => whyDenied(record, rules) === undefined) };
  const alone = exclusiveRecord(allowed, rules);
  return alone === undefined ? orderRecords(allowed, rules).map(({ record }) => record) : [alone];
}

interface Content {
  readonly domain?: string;
  readonly searches: readonly string[];
  readonly remote: readonly string[];
  readonly local: readonly string[];
  readonly private: boolean;
  readonly nosearch: boolean;
}

const NOTHING: Content = { searches: [], remote: [], local: [], private: false, nosearch: false };

function candidatesOf(how: string, set: RecordSet, rules: ResolvconfRules): readonly StoredRecord[] {
  if (how === 'L' || how === 'Li') return inForce(set, rules);
  if (how === 'p') return set.records.filter((record) => isPrivate(record, rules));
  if (how === 'pp') return set.records.filter((record) => isNosearch(record, rules));
  if (how !== 'x') return set.records;
  const alone = exclusiveRecord(set, rules);
  return alone === undefined ? [] : [alone];
}

function choose(
  records: readonly StoredRecord[],
  patterns: readonly string[],
): { readonly records: readonly StoredRecord[]; readonly missing: readonly string[] } {
  if (patterns.length === 0) return { records, missing: [] };
  const words = patterns.flatMap((pattern) => pattern.split(/\s+/)).filter((word) => word !== '');
  const chosen = new Set<StoredRecord>();
  const missing: string[] = [];
  for (const word of words) {
    const found = records.filter(({ key }) => matchesPattern(word, key));
    if (found.length === 0) missing.push(word);
    for (const record of found) chosen.add(record);
  }
  return { records: [...chosen], missing };
}

/** Blank lines part records, so those within one go. */
function dump({ key, text }: StoredRecord, how: 'l' | 'L', rules: ResolvconfRules): string {
  const lines =
    how === 'l'
      ? text.split('\n').filter((line) => line.trim() !== '')
      : recordLines(text, rules).map(({ keyword, words }) => [keyword, ...words].join(' '));
  return [`# resolv.conf from ${bytesOf(key)}`, ...lines, '', ''].join('\n');
}

const bytesOf = (key: string): string => Buffer.from(key).toString('latin1');

function contentOf(record: StoredRecord, rules: ResolvconfRules): Content {
  const { nameservers, searches, domain } = readRecord(record.text, rules);
  const [own] = domain === undefined ? [] : names([domain], rules);
  return {
    ...split(nameservers, rules),
    searches: names(searches, rules),
    private: isPrivate(record, rules),
    nosearch: isNosearch(record, rules),
    ...(own === undefined ? {} : { domain: own }),
  };
}

function split(
  words: readonly string[],
  rules: ResolvconfRules,
): { readonly remote: readonly string[]; readonly local: readonly string[] } {
  const good = words.filter((word) => isAddressText(word) && !isAmong(rules.serverBlacklist, word));
  const isLocal = (word: string): boolean => isAmong(rules.localServers, word);
  return { remote: good.filter((word) => !isLocal(word)), local: good.filter(isLocal) };
}

const names = (words: readonly string[], rules: ResolvconfRules): readonly string[] =>
  words
    .map((word) => domainOf(word))
    .filter((name) => name !== undefined)
    .filter((name) => !isAmong(rules.domainBlacklist, name));

const isAmong = (patterns: readonly string[], word: string): boolean =>
  patterns.some((pattern) => matchesPattern(pattern, word));

/** `example.org:192.0.2.1,192.0.2.2 example.net:192.0.2.1` */
function serversOfDomains(contents: readonly Content[]): string {
  const servers = new Map<string, Set<string>>();
  for (const { searches, remote } of contents)
    for (const name of remote.length === 0 ? [] : searches)
      servers.set(name, new Set([...(servers.get(name) ?? []), ...remote]));
  return [...servers].map(([name, of]) => `${name}:${[...of].join(',')}`).join(' ');
}
