import { parseAddress } from './address.ts';
import { type Domain, parseDomain, ROOT } from './domain.ts';
import { matchesPattern } from './glob.ts';
import type { ResolvconfRules } from './record-rules.ts';

/** What the text of a record says; words as they are, nothing judged. */
export interface RecordContent {
  readonly nameservers: readonly string[];
  /** What `search` lines say; what the `domain` line says where there is none. */
  readonly searches: readonly string[];
  /** The first `domain` line. */
  readonly domain?: string;
  readonly options: readonly string[];
  readonly sortlist: readonly string[];
}

/**
 * Read the text of a record with the rules of /etc/resolvconf.conf. Every `search` line counts, as Debian's resolvconf has
 * it: iwd(8) writes one for each domain, where libc and openresolv would take the last alone.
 */
export function readRecord(text: string, rules: ResolvconfRules): RecordContent {
  const lines = recordLines(text, rules);
  const words = (keyword: string): readonly string[] =>
    lines.filter((line) => line.keyword === keyword).flatMap((line) => line.words);
  const [domain] = words('domain');
  const searches = words('search');
  return {
    nameservers: words('nameserver'),
    searches: searches.length > 0 ? searches : words('domain'),
    options: words('options'),
    sortlist: words('sortlist'),
    ...(domain === undefined ? {} : { domain }),
  };
}

/**
 * The rules with what an administrator wrote for every resolv.conf: openresolv and Debian's resolvconf copy these files into
 * theirs, before and behind what they learn.
 */
export function withFragments(
  rules: ResolvconfRules,
  { head, tail }: { readonly head: readonly string[]; readonly tail: readonly string[] },
): ResolvconfRules {
  const read = (texts: readonly string[]): readonly RecordContent[] =>
    texts.map((text) => readRecord(text, rules));
  const joined = (
    contents: readonly RecordContent[],
    before: ResolvconfRules['first'],
  ): ResolvconfRules['first'] => ({
    servers: [...before.servers, ...contents.flatMap(({ nameservers }) => nameservers)],
    searches: [...before.searches, ...contents.flatMap(({ searches }) => searches)],
  });
  const [first, last] = [read(head), read(tail)];
  return {
    ...rules,
    first: joined(first, rules.first),
    last: joined(last, rules.last),
    // In a file libc takes the last value of an option; here the first counts.
    options: [
      ...last.toReversed().flatMap(({ options }) => options),
      ...rules.options,
      ...first.flatMap(({ options }) => options),
    ],
    sortlist: [...rules.sortlist, ...[...first, ...last].flatMap(({ sortlist }) => sortlist)],
  };
}

/** One line of a record after `replace` and `replace_sub`. */
export interface RecordLine {
  readonly keyword: string;
  readonly words: readonly string[];
}

/** The lines that say something: comments go, names become lower case and lose the dots around them. */
export function recordLines(text: string, rules: ResolvconfRules): readonly RecordLine[] {
  return text.split('\n').flatMap((line) => {
    const [keyword = '', ...rest] = line.trim().split(/\s+/);
    if (keyword === '' || /^[#;]/.test(keyword)) return [];
    const cut = rest.findIndex((word) => word.startsWith('#'));
    const words = replaceWords({ keyword, words: cut < 0 ? rest : rest.slice(0, cut) }, rules);
    return [
      { keyword, words: NAMES.has(keyword) ? words.map(plainName).filter((word) => word !== '') : words },
    ];
  });
}

/** A nameserver that is an address, in the text it came in, and therefore safe in a shell script. */
export const isAddressText = (word: string): boolean =>
  /^[0-9a-fA-F:.]+(%[A-Za-z0-9_.-]{1,15})?$/.test(word) && parseAddress(word.split('%', 1)[0] ?? '').ok;

/** A word as a domain, if it is one. */
export function domainOf(word: string): Domain | undefined {
  const domain = parseDomain(word);
  return domain.ok && domain.value !== ROOT ? domain.value : undefined;
}

const NAMES: ReadonlySet<string> = new Set(['domain', 'search']);

/** `~.` keeps its dot: it is every name. Only ASCII has a lower case here, for a character of the text is a byte. */
const plainName = (word: string): string =>
  word === '~.' || word === '~'
    ? word
    : word.replace(/[A-Z]/g, (letter) => letter.toLowerCase()).replace(/^\.+|\.+$/g, '');

function replaceWords({ keyword, words }: RecordLine, rules: ResolvconfRules): readonly string[] {
  const applies = (rule: { readonly keyword: string }): boolean => matchesPattern(rule.keyword, keyword);
  const value = words.join(' ');
  const whole = rules.replace.filter(applies).findLast((rule) => matchesPattern(rule.pattern, value));
  const after = whole === undefined ? words : whole.text.split(' ').filter((word) => word !== '');
  return after.flatMap((word) => {
    const part = rules.replaceWord.filter(applies).findLast((rule) => matchesPattern(rule.pattern, word));
    return part === undefined ? [word] : part.text === '' ? [] : [part.text];
  });
}
