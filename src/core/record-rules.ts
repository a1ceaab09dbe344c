import { printable } from './text.ts';

/** One rule of `replace` or `replace_sub`: `keyword/pattern/text`. */
export interface Replacement {
  readonly keyword: string;
  readonly pattern: string;
  readonly text: string;
}

/** What /etc/resolvconf.conf may say about records (openresolv's resolvconf.conf(5)); patterns are those of the shell. */
export interface ResolvconfRules {
  /** `resolvconf=NO`: records are kept, and nobody uses them. */
  readonly enabled: boolean;
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  readonly order: readonly string[];
  readonly dynamicOrder: readonly string[];
  /** Debian's order, in its own patterns; where there is one, `order` and `dynamicOrder` do not count. */
  readonly interfaceOrder: readonly string[];
  readonly inclusive: readonly string[];
  readonly exclusive: readonly string[];
  readonly private: readonly string[];
  readonly nosearch: readonly string[];
  readonly public: readonly string[];
  readonly domainBlacklist: readonly string[];
  readonly serverBlacklist: readonly string[];
  readonly localServers: readonly string[];
  readonly replace: readonly Replacement[];
  readonly replaceWord: readonly Replacement[];
  readonly options: readonly string[];
  readonly sortlist: readonly string[];
  /** A local name server that has a record answers for everything. */
  readonly localOnly: boolean;
  readonly first: { readonly servers: readonly string[]; readonly searches: readonly string[] };
  readonly last: { readonly servers: readonly string[]; readonly searches: readonly string[] };
}

/** Something in a file of rules that is not done. */
export interface RulesProblem {
  /** /etc/resolvconf.conf where there is none. */
  readonly file?: string;
  readonly line: number;
  /**
   * `shell`: no literal assignment, so nobody can tell what it means; `setting`: not one that we carry out; `subscriber`: one
   * for the files of another name server; `pattern`: a pattern too long to be meant; `rest`: records that no line names.
   */
  readonly kind: 'shell' | 'setting' | 'subscriber' | 'pattern' | 'rest';
  readonly got: string;
}

/**
 * Read /etc/resolvconf.conf. openresolv has the shell execute it; here only assignments of plain text count, and nothing
 * is executed. What else is in it is told as a problem.
 */
export function readRules(text: string): {
  readonly rules: ResolvconfRules;
  readonly problems: readonly RulesProblem[];
} {
  const { values, problems } = readAssignments(text.slice(0, MOST_RULES_BYTES));
  const unknown = [...values]
    .filter(([name, { value }]) => !isDone(name, value))
    .map(([name, { line }]) => {
      const kind = SUBSCRIBER.test(name) ? 'subscriber' : 'setting';
      return { line, kind, got: printable(name, 60) } as const;
    });
  const all = [...problems, ...unknown].toSorted((a, b) => a.line - b.line);
  return { rules: rulesOf(values), problems: all.slice(0, MOST_PROBLEMS) };
}

const MOST_RULES_BYTES = 65_536;
const MOST_PROBLEMS = 16;

/** A setting and its older spellings. */
const NAMES = {
  enabled: ['resolvconf'],
  allow: ['allow_keys', 'allow_interfaces'],
  deny: ['deny_keys', 'deny_interfaces'],
  order: ['key_order', 'interface_order'],
  dynamicOrder: ['dynamic_order'],
  inclusive: ['inclusive_keys', 'inclusive_interfaces'],
  exclusive: ['exclusive_keys', 'exclusive_interfaces'],
  private: ['private_keys', 'private_interfaces'],
  nosearch: ['nosearch_keys', 'nosearch_interfaces'],
  public: ['public_keys', 'public_interfaces'],
  domainBlacklist: ['domain_blacklist'],
  serverBlacklist: ['name_server_blacklist'],
  localServers: ['local_nameservers'],
  replace: ['replace'],
  replaceWord: ['replace_sub'],
  options: ['resolv_conf_options'],
  sortlist: ['resolv_conf_sortlist'],
  localOnly: ['resolv_conf_local_only'],
  firstServers: ['name_servers'],
  prepended: ['prepend_nameservers'],
  firstSearches: ['search_domains'],
  prependedSearches: ['prepend_search'],
  lastServers: ['name_servers_append'],
  appended: ['append_nameservers'],
  lastSearches: ['search_domains_append'],
  appendedSearches: ['append_search'],
} as const;

/** Settings that need no word while they say what is done anyway. */
const SILENT: Readonly<Record<string, string>> = { resolv_conf: '/etc/resolv.conf' };

/** openresolv writes the files of these name servers; `unbound=NO` says that it shall not. */
const SUBSCRIBER =
  /^(dnsmasq|named|unbound|pdnsd|pdns_recursor|pdns|systemd_resolved|resolvectl)(_[a-z_]+)?$/;

function isDone(name: string, value: string): boolean {
  if (Object.hasOwn(SILENT, name)) return SILENT[name] === value;
  return ALL_NAMES.has(name) || (SUBSCRIBER.test(name) && /^(no|false|off|0|)$/i.test(value));
}

const ALL_NAMES: ReadonlySet<string> = new Set(Object.values(NAMES).flat());

interface Assignment {
  readonly line: number;
  readonly value: string;
}

function rulesOf(values: ReadonlyMap<string, Assignment>): ResolvconfRules {
  const text = (key: keyof typeof NAMES): string | undefined =>
    NAMES[key].map((name) => values.get(name)?.value).find((value) => value !== undefined);
  const words = (key: keyof typeof NAMES, standard = ''): readonly string[] =>
    (text(key) ?? standard)
      .split(/\s+/)
      .filter((word) => word !== '')
      .slice(0, MOST_WORDS);
  return {
    enabled: !isNo(text('enabled')),
    allow: words('allow'),
    deny: words('deny'),
    order: words('order', 'lo lo[0-9]*'),
    dynamicOrder: words('dynamicOrder', 'tap[0-9]* tun[0-9]* vpn vpn[0-9]* wg[0-9]* ppp[0-9]* ippp[0-9]*'),
    interfaceOrder: [],
    inclusive: words('inclusive'),
    exclusive: words('exclusive'),
    private: words('private'),
    nosearch: words('nosearch'),
    public: words('public'),
    domainBlacklist: words('domainBlacklist'),
    serverBlacklist: words('serverBlacklist', '0.0.0.0'),
    localServers: words('localServers', '127.* 0.0.0.0 255.255.255.255 ::1'),
    replace: words('replace').map(replacement),
    replaceWord: words('replaceWord').map(replacement),
    options: words('options'),
    sortlist: words('sortlist'),
    localOnly: isYes(text('localOnly')),
    first: {
      servers: [...words('prepended'), ...words('firstServers')],
      searches: [...words('prependedSearches'), ...words('firstSearches')],
    },
    last: {
      servers: [...words('lastServers'), ...words('appended')],
      searches: [...words('lastSearches'), ...words('appendedSearches')],
    },
  };
}

const MOST_WORDS = 256;

const isYes = (text: string | undefined): boolean => /^(yes|true|on|1)$/i.test(text ?? '');
const isNo = (text: string | undefined): boolean => text !== undefined && !isYes(text);

function replacement(word: string): Replacement {
  const [keyword = '', pattern = '', text = ''] = word.split('/');
  return { keyword, pattern, text };
}

/** A name and a value in single quotes, in double quotes without anything the shell would replace, or bare. */
const ASSIGNMENT =
  /^[ \t]*([A-Za-z_][A-Za-z0-9_]*)=(?:'([^']*)'|"([^"$`\\]*)"|([^\s'"$`\\;&|<>(){}~#!]*))[ \t]*(?:[ \t]#.*|;[ \t]*)?$/;

function readAssignments(text: string): {
  readonly values: ReadonlyMap<string, Assignment>;
  readonly problems: readonly RulesProblem[];
} {
  const values = new Map<string, Assignment>();
  const problems: RulesProblem[] = [];
  const lines = text.split('\n');
  for (let index = 0; index < lines.length; index++) {
    const line = index + 1;
    let statement = lines[index] ?? '';
    if (/^[ \t]*(#.*)?$/.test(statement)) continue;
    // A value in quotes may go on over lines.
    const quote = /^[ \t]*[A-Za-z_][A-Za-z0-9_]*=(['"])/.exec(statement)?.[1];
    while (quote !== undefined && statement.split(quote).length === 2 && index + 1 < lines.length)
      statement += `\n${lines[++index]}`;
    const match = ASSIGNMENT.exec(statement);
    if (match === null) problems.push({ line, kind: 'shell', got: printable(statement.trim(), 60) });
    else values.set(match[1] ?? '', { line, value: match[2] ?? match[3] ?? match[4] ?? '' });
  }
  return { values, problems };
}

/** The rules where there is no file; last, because all above is used for it. */
export const DEFAULT_RULES: ResolvconfRules = rulesOf(new Map());
