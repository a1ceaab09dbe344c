import type { Config } from './config.ts';
import { type Domain, parseDomain, ROOT } from './domain.ts';
import {
  configurationEntry,
  type Entry,
  fallbackEntry,
  globalEntry,
  originOf,
  readEntries,
} from './entries.ts';
import { withRoutes } from './kernel-routes.ts';
import { withoutDoubles } from './one-voice.ts';
import { describeOrigin, orderReasons, sortEntries } from './order.ts';
import type { Choice, LeftOut, NameRoute, Plan } from './plan.ts';
import { planLinks } from './plan-links.ts';
import { applyProfiles } from './profiles.ts';
import { withPushed } from './pushed-links.ts';
import { formatOption, type ResolvOption } from './resolv-option.ts';
import { claimRoutes } from './routes.ts';
import { formatHost, formatServer, isPlain, linkToAsk, type Server } from './server.ts';
import type { GlobalDns, Host, Snapshot } from './snapshot.ts';
import { MOST_SORTLIST } from './sortlist.ts';
import { ascii, compareText } from './text.ts';

/** libc reads no more nameserver lines than this (MAXNS, resolv.conf(5)). */
const MAX_NAMESERVERS = 3;

/** musl drops a search line longer than this whole, its newline included; older glibc cuts it. */
export const MAX_SEARCH_LINE = 255;

const MAX_LEFT_OUT = 64;

/**
 * The decision: from what the sources say and the configuration to what is written and routed.
 * NetworkManager's rules where it has them (facts: networkmanager.md 1.4 to 1.10), better where its users are hurt.
 * `profileByHand` is the one that somebody chose. Pure: the same input in any order gives the same plan.
 */
export function makePlan(snapshot: Snapshot, config: Config, profileByHand?: string): Plan {
  const dropped: LeftOut[] = [];
  const reading = readEntries(withPushed(withRoutes(withoutDoubles(snapshot, dropped))));
  dropped.push(...reading.dropped);
  const { entries, uses } = applyProfiles(reading.entries, config.profiles, profileByHand, dropped);
  const global = globalInForce(snapshot.networkmanager?.global, dropped);
  const pool = withGlobalServers(entries, global, config, dropped);
  const sorted = sortEntries(pool);
  const { inForce, unused } = chooseInForce(sorted, config);
  const chosen = [...inForce, ...fallbackIfNeeded(inForce, config)];
  const upstream = chooseServers(chosen, dropped);
  const nameservers = firstThree(upstream, dropped);
  const speaking = global?.section ? [global.entry, ...chosen.filter(isConfigured)] : chosen;
  const search = chooseSearch(speaking, snapshot.host?.host, dropped);
  const options = chooseOptions(speaking, dropped);
  const sortlist = chooseSortlist(speaking, dropped);
  const routes = claimRoutes(
    sorted.filter((entry) => entry.servers.length > 0),
    (entry) => isExclusive(entry, config),
  );
  const leftOut = sortLeftOut([...dropped, ...unusedServers(sorted, unused)]);
  return {
    nameservers,
    upstream,
    search,
    options,
    ...(sortlist.length === 0 ? {} : { sortlist }),
    leftOut: leftOut.slice(0, MAX_LEFT_OUT),
    leftOutMore: Math.max(0, leftOut.length - MAX_LEFT_OUT),
    links: planLinks(sorted, routes, unused),
    routes,
    inexpressible: inexpressible(sorted, upstream, routes),
    profiles: uses,
  };
}

interface GlobalInForce {
  readonly entry: Entry;
  /** Its searches and options replace those of the connections. */
  readonly section: boolean;
}

function globalInForce(global: GlobalDns | undefined, dropped: LeftOut[]): GlobalInForce | undefined {
  if (global === undefined) return undefined;
  const sections = Object.keys(global.domains);
  const entry = globalEntry(global, dropped);
  if (sections.length > 0 && !sections.includes('*')) {
    const reason = 'NetworkManager ignores [global-dns-domain-*] sections when none of them is for "*".';
    dropped.push({ what: 'server', text: 'global DNS', origin: entry.origin, reason });
    return undefined;
  }
  for (const domain of sections.filter((name) => name !== '*')) {
    const reason = 'A resolv.conf cannot name servers for one domain.';
    dropped.push({ what: 'route', text: ascii(domain, 60), origin: entry.origin, reason });
  }
  return {
    entry,
    section: entry.servers.length > 0 || global.searches !== undefined || global.options !== undefined,
  };
}

function withGlobalServers(
  entries: readonly Entry[],
  global: GlobalInForce | undefined,
  config: Config,
  dropped: LeftOut[],
): readonly Entry[] {
  const own = configurationEntry(config);
  const replaces = global !== undefined && global.entry.servers.length > 0;
  if (replaces) {
    for (const entry of entries)
      leaveOut(entry, "NetworkManager's global DNS replaces the servers of its connections.", dropped);
  }
  return [...(replaces ? [global.entry] : entries), ...(own === undefined ? [] : [own])];
}

/** Which entries count, and why the others do not. */
function chooseInForce(
  sorted: readonly Entry[],
  config: Config,
): { readonly inForce: readonly Entry[]; readonly unused: ReadonlyMap<Entry, string> } {
  const unused = new Map<Entry, string>();
  const first = sorted.find((entry) => entry.servers.length + entry.searches.length > 0);
  const tunnel = sorted.find((entry) => entry.servers.length > 0 && isExclusiveTunnel(entry, config));
  for (const entry of sorted) {
    if (first !== undefined && first.origin.priority < 0 && entry.origin.priority !== first.origin.priority) {
      const reason = `Only priority ${first.origin.priority} is used, because ${describeOrigin(first.origin)} made it exclusive with a negative number.`;
      unused.set(entry, reason);
    } else if (
      tunnel !== undefined &&
      first !== undefined &&
      first.origin.priority >= 0 &&
      !entry.origin.vpn
    ) {
      unused.set(
        entry,
        `vpn = "exclusive" is configured and ${describeOrigin(tunnel.origin)} carries all traffic.`,
      );
    }
  }
  return { inForce: sorted.filter((entry) => !unused.has(entry)), unused };
}

const isExclusiveTunnel = (entry: Entry, config: Config): boolean =>
  config.vpn === 'exclusive' && entry.origin.vpn && entry.defaultRoute;

const isExclusive = (entry: Entry, config: Config): boolean =>
  entry.origin.priority < 0 || isExclusiveTunnel(entry, config);

const isConfigured = (entry: Entry): boolean => entry.origin.source === 'configuration';

function fallbackIfNeeded(inForce: readonly Entry[], config: Config): readonly Entry[] {
  if (config.fallback.length === 0 || inForce.some((entry) => entry.servers.length > 0)) return [];
  return [fallbackEntry(config)];
}

/** Every server once, in order. */
function chooseServers(entries: readonly Entry[], dropped: LeftOut[]): readonly Choice<Server>[] {
  const chosen = new Map<string, Choice<Server>>();
  for (const [entry, reason] of orderReasons(entries)) {
    for (const server of entry.servers) {
      const key = isPlain(server) ? formatHost(server) : formatServer(server);
      const held = chosen.get(key);
      if (held === undefined) chosen.set(key, { value: server, origin: originOf(entry, server), reason });
      else
        dropped.push(
          serverLeftOut(server, entry, `It is already listed, from ${describeOrigin(held.origin)}.`),
        );
    }
  }
  return [...chosen.values()];
}

function firstThree(upstream: readonly Choice<Server>[], dropped: LeftOut[]): readonly Choice<Server>[] {
  const chosen: Choice<Server>[] = [];
  for (const choice of upstream) {
    const leave = (reason: string): void => {
      dropped.push({ what: 'server', text: formatServer(choice.value), origin: choice.origin, reason });
    };
    if (!isPlain(choice.value))
      leave(
        linkToAsk(choice.value) === undefined
          ? 'A resolv.conf can say neither a port nor encryption.'
          : 'A resolv.conf cannot say through which link a server is to be asked.',
      );
    else if (chosen.length < MAX_NAMESERVERS) chosen.push(choice);
    else
      leave(
        `libc reads only ${MAX_NAMESERVERS} nameservers, and ${MAX_NAMESERVERS} with better priority stand before it.`,
      );
  }
  return chosen;
}

function chooseSearch(
  entries: readonly Entry[],
  host: Host | undefined,
  dropped: LeftOut[],
): readonly Choice<Domain>[] {
  const chosen = new Map<Domain, Choice<Domain>>();
  let bytes = 'search'.length + 1;
  const offer = (choice: Choice<Domain>): void => {
    if (chosen.has(choice.value)) return;
    if (bytes + choice.value.length + 1 > MAX_SEARCH_LINE) {
      const reason = `The search line would pass ${MAX_SEARCH_LINE} bytes, and musl would then ignore all of it.`;
      dropped.push({ what: 'search', text: choice.value, origin: choice.origin, reason });
      return;
    }
    bytes += choice.value.length + 1;
    chosen.set(choice.value, choice);
  };
  for (const entry of entries) {
    const reason = `A search domain of ${describeOrigin(entry.origin)}.`;
    for (const value of entry.searches) offer({ value, origin: entry.origin, reason });
  }
  const own = hostDomain(host);
  if (own !== undefined) offer(own);
  return [...chosen.values()];
}

/** The domain of the machine's own name, NetworkManager's rule: not a public suffix, no addresses, no localhost. */
function hostDomain(host: Host | undefined): Choice<Domain> | undefined {
  const name = host === undefined ? undefined : parseDomain(host.name);
  if (host === undefined || name === undefined || !name.ok || !name.value.includes('.')) return undefined;
  if (/(^|\.)(in-addr\.arpa|ip6\.arpa|localhost|localdomain)$|^[0-9.]+$/.test(name.value)) return undefined;
  const parent = name.value.slice(name.value.indexOf('.') + 1);
  const value = (host.parentIsPublicSuffix ? name.value : parent) as Domain;
  const origin = { source: 'host', vpn: false, priority: 2 ** 31 - 1 } as const;
  return { value, origin, reason: `The domain of this machine's own name, ${name.value}.` };
}

/** The first value of each option wins; trust-ad holds only when every entry that has servers sets it. */
function chooseOptions(entries: readonly Entry[], dropped: LeftOut[]): readonly Choice<ResolvOption>[] {
  const chosen = new Map<string, Choice<ResolvOption>>();
  const allTrust = entries.every(
    (entry) => entry.servers.length === 0 || entry.options.some((o) => o.name === 'trust-ad'),
  );
  for (const entry of entries) {
    for (const value of entry.options) {
      const leave = (reason: string): void => {
        dropped.push({ what: 'option', text: formatOption(value), origin: entry.origin, reason });
      };
      const held = chosen.get(value.name);
      if (value.name === 'trust-ad' && !allTrust)
        leave('trust-ad holds only when every connection with servers asks for it.');
      else if (held === undefined) {
        chosen.set(value.name, {
          value,
          origin: entry.origin,
          reason: `An option of ${describeOrigin(entry.origin)}.`,
        });
      } else if (held.value.value !== value.value)
        leave(`${describeOrigin(held.origin)} comes first and sets ${formatOption(held.value)}.`);
    }
  }
  return [...chosen.values()];
}

/** Each pair once, and no more than glibc reads. */
function chooseSortlist(entries: readonly Entry[], dropped: LeftOut[]): readonly Choice<string>[] {
  const chosen = new Map<string, Choice<string>>();
  for (const { origin, sortlist = [] } of entries) {
    for (const value of sortlist) {
      if (chosen.has(value)) continue;
      if (chosen.size < MOST_SORTLIST)
        chosen.set(value, { value, origin, reason: `From the sortlist of ${describeOrigin(origin)}.` });
      else
        dropped.push({ what: 'sortlist', text: value, origin, reason: `libc reads ${MOST_SORTLIST} of them.` });
    }
  }
  return [...chosen.values()];
}

/** What the plain file cannot say, one sentence each (DESIGN.md section 3). */
function inexpressible(
  entries: readonly Entry[],
  upstream: readonly Choice<Server>[],
  routes: readonly NameRoute[],
): readonly string[] {
  const reasons: string[] = [];
  const routing = routes.find((route) => route.kind === 'routing');
  if (routing !== undefined)
    reasons.push(`Names under ${routing.domain} belong to ${routing.link} alone (split DNS).`);
  const split = entries.find(isSplitTunnel);
  if (split !== undefined)
    reasons.push(`${describeOrigin(split.origin)} is a VPN for its own domains only (split DNS).`);
  const odd = upstream.find((choice) => !isPlain(choice.value));
  if (odd !== undefined)
    reasons.push(
      `${formatServer(odd.value)} needs ${linkToAsk(odd.value) === undefined ? 'a port or encryption' : 'a link'}.`,
    );
  const encrypted = entries.find(
    (entry) => entry.servers.length > 0 && /^(yes|opportunistic)$/.test(entry.dnsOverTls),
  );
  if (encrypted !== undefined) reasons.push(`${describeOrigin(encrypted.origin)} asks for DNS over TLS.`);
  const shared = sharedServer(entries);
  if (shared !== undefined) reasons.push(`${shared} is the address of a server on two links.`);
  if (upstream.length > MAX_NAMESERVERS)
    reasons.push(`There are ${upstream.length} servers, and libc reads ${MAX_NAMESERVERS}.`);
  return reasons;
}

const isSplitTunnel = (entry: Entry): boolean =>
  entry.origin.vpn &&
  !entry.defaultRoute &&
  entry.servers.length > 0 &&
  entry.searches.length > 0 &&
  !entry.routing.includes(ROOT);

function sharedServer(entries: readonly Entry[]): string | undefined {
  const links = new Map<string, string>();
  for (const entry of entries) {
    const link = entry.origin.interface;
    if (link === undefined) continue;
    for (const server of entry.servers) {
      const host = formatHost(server);
      const other = links.get(host);
      if (other !== undefined && other !== link) return host;
      links.set(host, link);
    }
  }
  return undefined;
}

function unusedServers(sorted: readonly Entry[], unused: ReadonlyMap<Entry, string>): readonly LeftOut[] {
  const leftOut: LeftOut[] = [];
  for (const entry of sorted) {
    const reason = unused.get(entry);
    if (reason !== undefined) leaveOut(entry, reason, leftOut);
  }
  return leftOut;
}

function leaveOut(entry: Entry, reason: string, into: LeftOut[]): void {
  for (const server of entry.servers) into.push(serverLeftOut(server, entry, reason));
  for (const domain of entry.searches)
    into.push({ what: 'search', text: domain, origin: entry.origin, reason });
  for (const option of entry.options)
    into.push({ what: 'option', text: formatOption(option), origin: entry.origin, reason });
  for (const text of entry.sortlist ?? []) into.push({ what: 'sortlist', text, origin: entry.origin, reason });
}

const serverLeftOut = (server: Server, entry: Entry, reason: string): LeftOut => ({
  what: 'server',
  text: formatServer(server),
  origin: entry.origin,
  reason,
});

const KIND_ORDER: Readonly<Record<LeftOut['what'], number>> = { server: 0, search: 1, option: 2, sortlist: 3, route: 4 };

function sortLeftOut(leftOut: readonly LeftOut[]): readonly LeftOut[] {
  const described = leftOut.map((one) => ({ one, from: describeOrigin(one.origin) }));
  described.sort(
    (a, b) =>
      KIND_ORDER[a.one.what] - KIND_ORDER[b.one.what] ||
      a.one.origin.priority - b.one.origin.priority ||
      compareText(a.from, b.from) ||
      compareText(a.one.text, b.one.text) ||
      compareText(a.one.reason, b.one.reason),
  );
  return described.map(({ one }) => one);
}
