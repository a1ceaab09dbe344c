import { CONFIG_KEYS, type ConfigKey, type ConfigValue } from './config-keys.ts';
import type { Domain } from './domain.ts';
import { REASSERT_ALL } from './foreign.ts';
import type { Profile } from './profile-keys.ts';
import { type ProfileProblem, readProfile } from './read-profile.ts';
import { formatServer } from './server.ts';
import type { ConfigProblem } from './status.ts';
import { ascii, compareText, editDistance } from './text.ts';

/** The configuration after parsing, defaults filled in; another type than what stands in the files. */
export interface Config {
  readonly takeover: ConfigValue<'link.takeover'>;
  /** What to do about other writers of /etc/resolv.conf. */
  readonly foreign: ConfigValue<'link.foreign'>;
  /** Network namespaces whose resolv.conf is kept. */
  readonly netns: ConfigValue<'link.netns'>;
  readonly mode: ConfigValue<'resolver.mode'>;
  /** Who asks the networks' servers. */
  readonly backEnd: ConfigValue<'resolver.backend'>;
  readonly choice: ConfigValue<'resolver.choice'>;
  /** For links that leave it open. */
  readonly dnsOverTls: ConfigValue<'resolver.dns-over-tls'>;
  readonly portal: ConfigValue<'resolver.portal'>;
  readonly dnssec: ConfigValue<'resolver.dnssec'>;
  readonly singleLabels: ConfigValue<'resolver.single-labels'>;
  readonly threads: ConfigValue<'resolver.threads'>;
  readonly listen: ConfigValue<'resolver.listen'>;
  readonly stub: ConfigValue<'resolver.stub'>;
  readonly listenAlso: ConfigValue<'resolver.listen-also'>;
  readonly cache: ConfigValue<'resolver.cache'>;
  readonly cacheFromLocalhost: ConfigValue<'resolver.cache-from-localhost'>;
  /** Milliseconds. */
  readonly staleMs: ConfigValue<'resolver.stale'>;
  readonly hosts: ConfigValue<'resolver.hosts'>;
  readonly refuseRecordTypes: ConfigValue<'resolver.refuse-record-types'>;
  readonly vpn: ConfigValue<'policy.vpn'>;
  /** Milliseconds that the last good servers stay over a gap. */
  readonly graceMs: ConfigValue<'policy.grace'>;
  readonly servers: ConfigValue<'dns.servers'>;
  readonly priority: ConfigValue<'dns.priority'>;
  readonly search: ConfigValue<'dns.search'>;
  readonly options: ConfigValue<'dns.options'>;
  readonly fallback: ConfigValue<'dns.fallback'>;
  /** Domains that are searched while fallback servers are in use; no key has them, a resolv.conf of before us may. */
  readonly fallbackSearch: readonly Domain[];
  /** Whether the fallback is what a resolv.conf of before us said (core/earlier-conf.ts), and nobody's setting. */
  readonly fallbackIsEarlier: boolean;
  /** Files by the servers, as `formatServer` writes them, that they name. */
  readonly from: Readonly<Record<string, string>>;
  readonly networkmanager: ConfigValue<'networkmanager.enabled'>;
  readonly logLevel: ConfigValue<'log.level'>;
  /** Rules per network, in the order in which they are tried. */
  readonly profiles: readonly Profile[];
}

/** One configuration file, its TOML already read into plain values. */
export interface ConfigDocument {
  readonly file: string;
  readonly text: string;
  readonly values: Readonly<Record<string, unknown>>;
}

/** The configuration of a machine without any file. */
export const DEFAULT_CONFIG: Config = {
  takeover: 'auto',
  foreign: REASSERT_ALL,
  netns: [],
  mode: 'auto',
  backEnd: 'builtin',
  choice: 'strict',
  dnsOverTls: 'no',
  portal: 'strict',
  dnssec: 'no',
  singleLabels: false,
  threads: 1,
  listen: [],
  stub: 'yes',
  listenAlso: [],
  cache: 'yes',
  cacheFromLocalhost: true,
  staleMs: 86_400_000,
  hosts: true,
  refuseRecordTypes: [],
  vpn: 'prefer',
  graceMs: 2000,
  servers: [],
  priority: 75,
  search: [],
  options: [],
  fallback: [],
  fallbackSearch: [],
  fallbackIsEarlier: false,
  from: {},
  networkmanager: true,
  logLevel: 'info',
  profiles: [],
};

const FIELD: Readonly<Record<string, keyof Config>> = {
  'link.takeover': 'takeover',
  'link.foreign': 'foreign',
  'link.netns': 'netns',
  'resolver.mode': 'mode',
  'resolver.backend': 'backEnd',
  'resolver.choice': 'choice',
  'resolver.dns-over-tls': 'dnsOverTls',
  'resolver.portal': 'portal',
  'resolver.dnssec': 'dnssec',
  'resolver.single-labels': 'singleLabels',
  'resolver.threads': 'threads',
  'resolver.listen': 'listen',
  'resolver.stub': 'stub',
  'resolver.listen-also': 'listenAlso',
  'resolver.cache': 'cache',
  'resolver.cache-from-localhost': 'cacheFromLocalhost',
  'resolver.stale': 'staleMs',
  'resolver.hosts': 'hosts',
  'resolver.refuse-record-types': 'refuseRecordTypes',
  'policy.vpn': 'vpn',
  'policy.grace': 'graceMs',
  'dns.servers': 'servers',
  'dns.priority': 'priority',
  'dns.search': 'search',
  'dns.options': 'options',
  'dns.fallback': 'fallback',
  'networkmanager.enabled': 'networkmanager',
  'log.level': 'logLevel',
};

/**
 * Merge the documents, later ones over earlier ones, key by key; any problem makes the whole unfit for use. `beneath` is
 * what holds where no document says otherwise.
 */
export function readConfig(
  documents: readonly ConfigDocument[],
  beneath: Partial<Config> = {},
): {
  readonly config: Config;
  readonly problems: readonly ConfigProblem[];
} {
  const values: Partial<Record<keyof Config, unknown>> = {};
  const from: Record<string, string> = { ...beneath.from };
  const problems: ConfigProblem[] = [];
  const profiles = new Map<string, Profile>();
  for (const document of documents) {
    readProfiles(document, profiles, problems);
    for (const [key, value] of flatten(document.values)) {
      if (key === 'profile') continue;
      const known: ConfigKey | undefined = CONFIG_KEYS.find((entry) => entry.key === key);
      const result = known?.parse(value);
      const field = FIELD[key];
      if (result?.ok && field !== undefined) {
        values[field] = result.value;
        if (field === 'servers' || field === 'fallback')
          for (const server of result.value as Config['servers']) from[formatServer(server)] = document.file;
      } else if (problems.length < MOST_PROBLEMS)
        problems.push(
          problemOf(document, key, value, known, result?.ok === false ? result.reason : undefined),
        );
    }
  }
  // A priority beneath belongs to the servers there, and so do domains.
  const priority = 'servers' in values ? { priority: DEFAULT_CONFIG.priority } : {};
  const fallback = 'fallback' in values ? { fallbackSearch: [], fallbackIsEarlier: false } : {};
  const config = {
    ...DEFAULT_CONFIG,
    ...beneath,
    ...priority,
    ...fallback,
    ...values,
    from,
    profiles: [...profiles.values()],
  } as Config;
  return { config, problems: problems.slice(0, MOST_PROBLEMS) };
}

/** More than this nobody reads, and the place of each is found by a walk through the text. */
const MOST_PROBLEMS = 64;

/** More than this nobody writes by hand. */
const MOST_PROFILES = 64;

function readProfiles(
  document: ConfigDocument,
  profiles: Map<string, Profile>,
  problems: ConfigProblem[],
): void {
  const tables = document.values['profile'] ?? [];
  const { file } = document;
  if (!Array.isArray(tables) || !tables.every(isTable) || tables.length > MOST_PROFILES) {
    const got = Array.isArray(tables) ? `${tables.length} entries` : describe(tables);
    const line = lineOf(document.text, 'profile');
    const wanted = `at most ${MOST_PROFILES} tables, each [[profile]]`;
    problems.push({ file, ...(line === undefined ? {} : { line }), key: 'profile', wanted, got });
    return;
  }
  const names = new Set<string>();
  for (const [index, table] of tables.entries()) {
    const { profile, problems: found } = readProfile(table);
    const isCopy = profile !== undefined && names.has(profile.name);
    const wrong = isCopy ? [...found, sameName(profile.name)] : found;
    if (profile !== undefined) {
      names.add(profile.name);
      profiles.set(profile.name, profile);
    }
    for (const { key, value, wanted, reason } of wrong) {
      if (problems.length >= MOST_PROBLEMS) return;
      const line = lineInProfile(document.text, index, key);
      const name = ascii(`profile[${index + 1}].${key}`, 60);
      const got =
        reason === undefined ? 'an unknown key' : `${describe(value)}${reason === '' ? '' : ` (${reason})`}`;
      problems.push({ file, ...(line === undefined ? {} : { line }), key: name, wanted, got });
    }
  }
}

/** Only a later file replaces; within one it is a copy whose name was forgotten, and the first would vanish. */
const sameName = (name: string): ProfileProblem => ({
  key: 'name',
  value: name,
  wanted: 'a name that no profile before it in this file has',
  reason: '',
});

/** The line of a key in one of several `[[profile]]` tables, or of the table where the key stands nowhere by itself. */
function lineInProfile(text: string, index: number, key: string): number | undefined {
  let table = -1;
  let start: number | undefined;
  let below = '';
  for (const [number, line] of text.split('\n').entries()) {
    const header = /^\s*\[+\s*([^\]]*?)\s*\]/.exec(line)?.[1];
    if (header === 'profile') {
      table++;
      below = '';
      if (table === index) start = number + 1;
    } else if (header?.startsWith('profile.')) below = `${header.slice('profile.'.length)}.`;
    else if (header !== undefined) below = '\0';
    const name = /^\s*([A-Za-z0-9_.-]+|"[^"]*")\s*=/.exec(line)?.[1]?.replaceAll('"', '');
    if (table !== index || name === undefined) continue;
    if (`${below}${name}` === key || key.startsWith(`${below}${name}.`)) return number + 1;
  }
  return start;
}

function problemOf(
  document: ConfigDocument,
  key: string,
  value: unknown,
  known: ConfigKey | undefined,
  reason: string | undefined,
): ConfigProblem {
  const line = lineOf(document.text, key);
  return {
    file: document.file,
    ...(line === undefined ? {} : { line }),
    key: ascii(key),
    wanted: known?.type ?? `a known key${suggestionFor(key)}`,
    got:
      known === undefined
        ? 'an unknown key'
        : `${describe(value)}${reason === undefined ? '' : ` (${reason})`}`,
  };
}

/** Keys one level deep, `table.key`; a value outside any table stands under its own name. */
function flatten(values: Readonly<Record<string, unknown>>): [string, unknown][] {
  return Object.entries(values).flatMap(([name, value]): [string, unknown][] =>
    isTable(value) && CONFIG_KEYS.some((entry) => entry.key.startsWith(`${name}.`))
      ? Object.entries(value).map(([key, inner]) => [`${name}.${key}`, inner])
      : [[name, value]],
  );
}

const isTable = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);

function suggestionFor(key: string): string {
  const last = key.split('.').at(-1) ?? key;
  if (editDistance(key.slice(0, 64), 'profile') <= 2) return '; did you mean [[profile]]?';
  const ranked = CONFIG_KEYS.map((entry) => ({
    key: entry.key,
    distance: Math.min(
      editDistance(key.slice(0, 64), entry.key),
      editDistance(last.slice(0, 64), entry.key.split('.')[1] ?? ''),
    ),
  })).sort((a, b) => a.distance - b.distance || compareText(a.key, b.key));
  const best = ranked[0];
  // Of three letters any three others are no misspelling.
  return best !== undefined && best.distance <= Math.min(3, last.length / 2)
    ? `; did you mean ${best.key}?`
    : ` (see dnskeeper.toml(5))`;
}

/** The line where a key is set, found in the text because the TOML reader gives no positions. */
function lineOf(text: string, key: string): number | undefined {
  let table = '';
  for (const [index, line] of text.split('\n').entries()) {
    table = /^\s*\[+\s*([^\]]*?)\s*\]/.exec(line)?.[1] ?? table;
    const name = /^\s*([A-Za-z0-9_.-]+|"[^"]*")\s*=/.exec(line)?.[1]?.replaceAll('"', '');
    const here = name === undefined ? table : table === '' ? name : `${table}.${name}`;
    if (here === key) return index + 1;
  }
  return undefined;
}

function describe(value: unknown): string {
  const text = JSON.stringify(value, (_key, each) => (typeof each === 'bigint' ? Number(each) : each));
  return ascii(text ?? String(value), 60);
}
