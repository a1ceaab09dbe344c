import { type Prefix, parsePrefix } from './address.ts';
import type { Config } from './config.ts';
import { type Domain, parseDomain, ROOT } from './domain.ts';
import { FALLBACK_PRIORITY } from './fallback.ts';
import type { Parsed } from './parsed.ts';
import type { LeftOut, Origin } from './plan.ts';
import { parseOption, type ResolvOption } from './resolv-option.ts';
import { formatServer, isLocalStub, parseServer, type Server } from './server.ts';
import {
  type Connectivity,
  DEFAULT_PROTOCOLS,
  type GlobalDns,
  type LinkDns,
  type Protocols,
  type Snapshot,
  type SourceName,
} from './snapshot.ts';
import { MOST_SORTLIST, parseSortlistPair } from './sortlist.ts';
import { ascii, compareText, printable } from './text.ts';

/** One link and family (or the configuration) with every string parsed: what the policy works on. */
export interface Entry extends Protocols {
  readonly origin: Origin;
  readonly family: 4 | 6;
  readonly servers: readonly Server[];
  /** Searched and routed; in the order given. */
  readonly searches: readonly Domain[];
  /** Routed only; `.` is an explicit catch-all. */
  readonly routing: readonly Domain[];
  readonly options: readonly ResolvOption[];
  /** Pairs of a `sortlist`, where there is one. */
  readonly sortlist?: readonly string[];
  /** Address ranges of the link, for reverse zones; no default routes. */
  readonly ranges: readonly Prefix[];
  readonly gateway?: string;
  /** Files of the configuration by the servers, as `formatServer` writes them, that they name. */
  readonly files?: Config['from'];
  readonly defaultRoute: boolean;
  readonly metric: number;
  readonly neverDefault: boolean;
  readonly connectivity: Connectivity;
  readonly ssid?: string;
}

/** Entries and what was dropped on the way to them. */
export interface Reading {
  readonly entries: readonly Entry[];
  readonly dropped: readonly LeftOut[];
}

/** Bounds on what one source may bring; nobody comes near them. */
const MOST = { entries: 1024, servers: 256, domains: 1024, options: 64, ranges: 256 };

/** Parse all that the sources say. Whatever is no valid value is dropped with a reason; nothing raw goes further. */
export function readEntries(snapshot: Snapshot): Reading {
  const dropped: LeftOut[] = [];
  const entries: Entry[] = [];
  const names = (Object.keys(snapshot) as SourceName[]).sort(compareText);
  for (const name of names) {
    const links = snapshot[name]?.links ?? [];
    for (const link of links.slice(0, MOST.entries)) entries.push(readLink(name, link, dropped));
  }
  return { entries, dropped };
}

/** The configuration's own servers and domains as an entry; undefined when it names none. */
export function configurationEntry(config: Config): Entry | undefined {
  if (config.servers.length === 0 && config.search.length === 0 && config.options.length === 0)
    return undefined;
  return {
    ...machineWide('configuration', config.priority),
    servers: config.servers,
    searches: config.search.filter((entry) => !entry.routingOnly).map((entry) => entry.domain),
    routing: config.search.filter((entry) => entry.routingOnly).map((entry) => entry.domain),
    options: config.options,
    files: config.from,
  };
}

/** The configuration's fallback servers as an entry. */
export const fallbackEntry = (config: Config): Entry => ({
  ...machineWide('configuration', FALLBACK_PRIORITY),
  servers: config.fallback,
  searches: config.fallbackSearch,
  files: config.from,
});

/** Where a server of an entry came from. */
export function originOf({ origin, files }: Entry, server: Server): Origin {
  const file = files?.[formatServer(server)];
  return file === undefined ? origin : { ...origin, file };
}

/** NetworkManager's [global-dns] as an entry; its servers are those of the `*` section. */
export function globalEntry(global: GlobalDns, dropped: LeftOut[]): Entry {
  const base = machineWide('networkmanager', 100);
  const reader = new Reader(base.origin, dropped);
  return {
    ...base,
    servers: reader.servers(global.domains['*'] ?? [], undefined),
    ...reader.domains(global.searches ?? []),
    options: reader.options(global.options ?? []),
  };
}

function machineWide(source: SourceName, priority: number): Entry {
  return {
    origin: { source, vpn: false, priority },
    family: 4,
    servers: [],
    searches: [],
    routing: [],
    options: [],
    ranges: [],
    defaultRoute: true,
    metric: 0,
    neverDefault: false,
    ...DEFAULT_PROTOCOLS,
    connectivity: 'unknown',
  };
}

function readLink(source: SourceName, link: LinkDns, dropped: LeftOut[]): Entry {
  const origin = readOrigin(source, link);
  const reader = new Reader(origin, dropped);
  // NetworkManager: domains stand in for missing searches, and stand beside them when there are several.
  const names =
    link.searches.length === 0 || link.domains.length > 1
      ? [...link.searches, ...link.domains]
      : link.searches;
  const destinations = link.routes.map((route) => route.destination);
  return {
    origin,
    family: link.family,
    servers: reader.servers(link.servers, origin.interface),
    ...reader.domains(names),
    options: reader.options(link.options),
    ...(link.sortlist === undefined ? {} : { sortlist: reader.sortlist(link.sortlist) }),
    ranges: reader.ranges([...link.addresses, ...destinations]),
    defaultRoute: link.defaultRoute,
    metric: link.metric ?? 0,
    neverDefault: link.neverDefault,
    mdns: link.mdns,
    llmnr: link.llmnr,
    dnsOverTls: link.dnsOverTls,
    dnssec: link.dnssec,
    connectivity: link.connectivity,
    ...(link.gateway === undefined ? {} : { gateway: ascii(link.gateway, 45) }),
    ...(link.ssid === undefined ? {} : { ssid: printable(link.ssid, 32) }),
  };
}

function readOrigin(source: SourceName, link: LinkDns): Origin {
  const name = link.interface;
  const known = name !== undefined && /^[^\s/\p{C}]{1,15}$/u.test(name);
  return {
    source,
    vpn: link.vpn,
    priority: Number.isInteger(link.priority) ? link.priority : 100,
    ...(known ? { interface: ascii(name, 15) } : {}),
    ...(link.ifindex === undefined ? {} : { ifindex: link.ifindex }),
    ...(link.connection === undefined
      ? {}
      : {
          connection: {
            id: printable(link.connection.id, 60),
            uuid: ascii(link.connection.uuid, 36),
            type: ascii(link.connection.type, 32),
            ...(link.connection.activation === undefined
              ? {}
              : { activation: ascii(link.connection.activation, 80) }),
          },
        }),
  };
}

/** Parses the lists of one origin and notes what it drops. */
class Reader {
  readonly #origin: Origin;
  readonly #dropped: LeftOut[];

  constructor(origin: Origin, dropped: LeftOut[]) {
    this.#origin = origin;
    this.#dropped = dropped;
  }

  servers(texts: readonly string[], link: string | undefined): readonly Server[] {
    return this.#each('server', texts, MOST.servers, (text) => {
      const server = parseServer(text, link);
      return server.ok && isLocalStub(server.value)
        ? { ok: false, reason: 'the address of a local stub, which would only ask us or itself again' }
        : server;
    });
  }

  domains(texts: readonly string[]): { searches: readonly Domain[]; routing: readonly Domain[] } {
    const read = this.#each('search', texts, MOST.domains, (text) => {
      const routingOnly = text.startsWith('~');
      const domain = parseDomain(text === '~' ? '.' : routingOnly ? text.slice(1) : text);
      if (!domain.ok) return domain;
      // The root as a search domain says nothing that libc does not do anyway; as a routing domain it is the catch-all.
      if (domain.value === ROOT && !routingOnly)
        return { ok: false, reason: 'the root, which is searched anyway' };
      return { ok: true, value: { domain: domain.value, routingOnly } };
    });
    return {
      searches: read.filter((entry) => !entry.routingOnly).map((entry) => entry.domain),
      routing: read.filter((entry) => entry.routingOnly).map((entry) => entry.domain),
    };
  }

  options(texts: readonly string[]): readonly ResolvOption[] {
    // NetworkManager's internal options start with an underscore and mean nothing to libc.
    return this.#each(
      'option',
      texts.filter((text) => !text.startsWith('_')),
      MOST.options,
      parseOption,
    );
  }

  sortlist(texts: readonly string[]): readonly string[] {
    return this.#each('sortlist', texts, MOST_SORTLIST, parseSortlistPair);
  }

  ranges(texts: readonly string[]): readonly Prefix[] {
    const ranges = this.#each('route', texts, MOST.ranges, parsePrefix);
    return ranges.filter((range) => range.length > 0);
  }

  #each<T>(
    what: LeftOut['what'],
    texts: readonly string[],
    most: number,
    parse: (text: string) => Parsed<T>,
  ): readonly T[] {
    const values: T[] = [];
    for (const text of texts.slice(0, most)) {
      const one = parse(text);
      if (one.ok) values.push(one.value);
      else this.#drop(what, text, `It is not valid: ${one.reason}.`);
    }
    if (texts.length > most)
      this.#drop(what, `${texts.length - most} more`, `At most ${most} are taken from one link.`);
    return values;
  }

  #drop(what: LeftOut['what'], text: string, reason: string): void {
    this.#dropped.push({ what, text: ascii(text, 60), origin: this.#origin, reason });
  }
}
