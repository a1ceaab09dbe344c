import type { Config } from './config.ts';
import { parseRecordType, type SearchEntry } from './config-values.ts';
import { parseDomain, ROOT } from './domain.ts';
import { type ListenPlace, parseListenPlace } from './listen-place.ts';
import { type Parsed, parsed, refused } from './parsed.ts';
import { formatServer, isLocalStub, type Server } from './server.ts';
import type { ConfigProblem, Finding } from './status.ts';
import {
  type Assignment,
  readSystemdIni,
  systemdBoolean,
  systemdSeconds,
  systemdWords,
} from './systemd-ini.ts';
import { parseSystemdServer } from './systemd-server.ts';
import { ascii } from './text.ts';

/** One file of systemd-resolved's configuration. */
export interface ResolvedConfFile {
  readonly file: string;
  readonly text: string;
}

/** What the files say: settings beneath our own configuration, and what is to be told of the rest. */
export interface ResolvedConf {
  readonly settings: Partial<Config>;
  /** Lines that say nothing valid; each is left out by itself. */
  readonly problems: readonly ConfigProblem[];
  /** What is said and not done here. */
  readonly unsupported: readonly Finding[];
}

/**
 * Read resolved.conf(5) and its drop-ins, the main file first, later ones over earlier ones. Lists grow from file to file,
 * and an empty assignment empties them.
 */
export function readResolvedConf(files: readonly ResolvedConfFile[]): ResolvedConf {
  const reader = new Reader();
  for (const { file, text } of files) reader.take(file, text);
  return reader.end();
}

/** Bounds of systemd-resolved, which nobody comes near. */
const MOST = { servers: 256, domains: 1024, places: 8, types: 64, problems: 64 };

/** The priority of connections without one: systemd-resolved asks its own servers together with those of links. */
const SAME_AS_LINKS = 100;

/** Longer than this no answer is of any use (`resolver.stale`). */
const MOST_STALE_MS = 7 * 86_400_000;

class Reader {
  readonly #settings: { -readonly [K in keyof Config]?: Config[K] } = {};
  readonly #from = new Map<string, string>();
  readonly #problems: ConfigProblem[] = [];
  readonly #unsupported = new Map<string, Finding>();
  #file = '';

  take(file: string, text: string): void {
    this.#file = file;
    const { assignments, bad } = readSystemdIni(text);
    for (const { line, wanted, got } of bad) this.#problems.push({ file, line, wanted, got });
    const foreign = new Set<string>();
    for (const assignment of assignments) {
      const { section, line } = assignment;
      if (section === 'Resolve') this.#assign(assignment);
      else if (!section.startsWith('X-') && !foreign.has(section)) {
        foreign.add(section);
        this.#problems.push({ file, line, wanted: 'the section [Resolve]', got: `[${ascii(section, 60)}]` });
      }
    }
  }

  end(): ResolvedConf {
    const from = this.#from.size === 0 ? {} : { from: Object.fromEntries(this.#from) };
    const priority = (this.#settings.servers ?? []).length === 0 ? {} : { priority: SAME_AS_LINKS };
    return {
      settings: { ...this.#settings, ...from, ...priority },
      problems: this.#problems.slice(0, MOST.problems),
      unsupported: [...this.#unsupported.values()],
    };
  }

  #assign(assignment: Assignment): void {
    const { key } = assignment;
    const setting = SETTINGS.get(key);
    if (setting !== undefined) setting(this, assignment);
    else if (UNSUPPORTED.has(key)) this.#notSupported(assignment);
    else if (!key.startsWith('X-')) this.wrong(assignment, 'a key of resolved.conf(5)', 'an unknown one');
  }

  /** A single value; an empty one takes back what was said before. */
  set<K extends keyof Config>(
    assignment: Assignment,
    field: K,
    wanted: string,
    read: (text: string) => Config[K] | undefined,
  ): void {
    if (assignment.value === '') {
      delete this.#settings[field];
      return;
    }
    const value = read(assignment.value);
    if (value === undefined) this.wrong(assignment, wanted, `"${ascii(assignment.value, 60)}"`);
    else this.#settings[field] = value;
  }

  /** A list that grows; what is in it already stays where it is. */
  add<T>(
    assignment: Assignment,
    field: 'servers' | 'fallback' | 'search' | 'listenAlso' | 'refuseRecordTypes',
    list: { readonly wanted: string; readonly most: number; readonly read: (word: string) => Parsed<T> },
  ): void {
    if (assignment.value === '') {
      this.#put(field, []);
      return;
    }
    const values = [...((this.#settings[field] ?? []) as readonly T[])];
    const known = new Set(values.map((value) => JSON.stringify(value)));
    for (const word of systemdWords(assignment.value)) {
      const one = list.read(word);
      if (!one.ok) this.wrong(assignment, list.wanted, `"${ascii(word, 60)}" (${one.reason})`);
      else if (known.has(JSON.stringify(one.value))) continue;
      else if (values.length >= list.most)
        this.wrong(assignment, `at most ${list.most} in all`, `one more, "${ascii(word, 60)}"`);
      else {
        values.push(one.value);
        known.add(JSON.stringify(one.value));
        if (field === 'servers' || field === 'fallback')
          this.#from.set(formatServer(one.value as Server), this.#file);
      }
    }
    this.#put(field, values);
  }

  #put(field: keyof Config, values: readonly unknown[]): void {
    Object.assign(this.#settings, { [field]: values });
  }

  wrong({ line, key }: Assignment, wanted: string, got: string): void {
    this.#problems.push({ file: this.#file, line, key: ascii(key, 60), wanted, got });
  }

  #notSupported({ key, value, line }: Assignment): void {
    const found = UNSUPPORTED.get(key)?.(value);
    if (found === undefined) {
      this.#unsupported.delete(key);
      return;
    }
    const [severity, why] = found;
    const text = `${this.#file}:${line}: ${key}=${ascii(value, 60)}: ${why}`;
    this.#unsupported.set(key, { severity, id: 'resolved-conf', text });
  }
}

type Setting = (reader: Reader, assignment: Assignment) => void;

const servers = { wanted: 'address[:port][%link][#name]', most: MOST.servers, read: readServer };

const SETTINGS: ReadonlyMap<string, Setting> = new Map(
  Object.entries<Setting>({
    DNS: (reader, given) => reader.add(given, 'servers', servers),
    FallbackDNS: (reader, given) => reader.add(given, 'fallback', servers),
    Domains: (reader, given) =>
      reader.add(given, 'search', { wanted: 'a domain or ~domain', most: MOST.domains, read: readDomain }),
    DNSOverTLS: (reader, given) =>
      reader.set(given, 'dnsOverTls', 'yes, opportunistic or no', wordOr('opportunistic')),
    Cache: (reader, given) => reader.set(given, 'cache', 'yes, no-negative or no', wordOr('no-negative')),
    CacheFromLocalhost: flag('cacheFromLocalhost'),
    DNSStubListener: (reader, given) =>
      reader.set(given, 'stub', 'yes, udp, tcp or no', (text) => wordOr('udp')(text) ?? wordOr('tcp')(text)),
    DNSStubListenerExtra: (reader, given) =>
      reader.add<ListenPlace>(given, 'listenAlso', {
        wanted: '[udp:|tcp:]address[:port]',
        most: MOST.places,
        read: parseListenPlace,
      }),
    ReadEtcHosts: flag('hosts'),
    ResolveUnicastSingleLabel: flag('singleLabels'),
    StaleRetentionSec: (reader, given) => reader.set(given, 'staleMs', 'a time span', readStale),
    RefuseRecordTypes: (reader, given) =>
      reader.add(given, 'refuseRecordTypes', {
        wanted: 'a record type',
        most: MOST.types,
        read: parseRecordType,
      }),
  }),
);

/** The keys of resolved.conf(5) that are obeyed; dnskeeper.toml(5) lists them. */
export const RESOLVED_CONF_KEYS: readonly string[] = [...SETTINGS.keys()];

function flag(field: 'cacheFromLocalhost' | 'hosts' | 'singleLabels'): Setting {
  return (reader, given) => reader.set(given, field, 'yes or no', systemdBoolean);
}

/** A truth value, or one word beside. */
function wordOr<const T extends string>(word: T): (text: string) => 'yes' | 'no' | T | undefined {
  return (text) => {
    if (text === word) return word;
    const value = systemdBoolean(text);
    return value === undefined ? undefined : value ? 'yes' : 'no';
  };
}

function readServer(text: string): Parsed<Server> {
  const read = parseSystemdServer(text);
  if (!read.ok) return read;
  const { address, port, link, name } = read.value;
  if (address.kind === 'unspecified' || address.kind === 'multicast')
    return refused('an address that no server has');
  if (address.family === 6 && address.kind === 'link-local' && link === undefined)
    return refused('a link-local address without the link it lives on');
  // 53 and 853 say no more than the protocol says by itself.
  const own = port === 0 || port === 853 ? 53 : port;
  const server: Server = {
    address,
    port: own,
    protocol: 'udp',
    ...(link === undefined ? {} : { zone: link }),
    ...(name === undefined ? {} : { name }),
  };
  return isLocalStub(server)
    ? refused('the address of a local stub, which would only ask itself')
    : parsed(server);
}

/** The root is routed and never searched, whether it is written `~.`, `.` or `*`. */
function readDomain(text: string): Parsed<SearchEntry> {
  const routing = text.startsWith('~');
  const name = routing ? text.slice(1) : text;
  const domain = parseDomain(name === '*' ? '.' : name);
  if (!domain.ok) return domain;
  return parsed({ domain: domain.value, routingOnly: routing || domain.value === ROOT });
}

function readStale(text: string): number | undefined {
  const seconds = text.length > 64 ? undefined : systemdSeconds(text);
  return seconds === undefined ? undefined : Math.min(Math.round(seconds * 1000), MOST_STALE_MS);
}

type Unsupported = (value: string) => readonly [Finding['severity'], string] | undefined;

const multicast: Unsupported = (value) =>
  value === '' || systemdBoolean(value) === false
    ? undefined
    : ['note', 'dnskeeper asks DNS servers alone; names that need multicast do not resolve through it.'];

const ownSize: Unsupported = () => ['note', 'the cache of dnskeeper has a size of its own.'];

/** Keys that are known and not obeyed, by what their value asks for. */
const UNSUPPORTED: ReadonlyMap<string, Unsupported> = new Map(
  Object.entries<Unsupported>({
    DNSSEC(value) {
      if (value === '' || systemdBoolean(value) === false) return undefined;
      return value === 'allow-downgrade'
        ? ['note', 'dnskeeper does not validate; it passes on what servers say of it.']
        : [
            'warning',
            'dnskeeper does not validate, so answers are as trustworthy as the servers that give them.',
          ];
    },
    MulticastDNS: multicast,
    LLMNR: multicast,
    ReadStaticRecords: (value) =>
      systemdBoolean(value) === true
        ? ['note', 'dnskeeper reads no static records; /etc/hosts is read.']
        : undefined,
    DNSCacheSize: ownSize,
    MulticastDNSCacheSize: ownSize,
    LLMNRCacheSize: ownSize,
  }),
);
