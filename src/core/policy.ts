import type { Config } from './config.ts';
import { configurationEntry, type Entry, fallbackEntry, globalEntry, readEntries } from './entries.ts';
import { chooseOptions, chooseSearch, chooseServers, chooseSortlist, firstThree } from './file-lines.ts';
import { inexpressible } from './inexpressible.ts';
import { withRoutes } from './kernel-routes.ts';
import { leaveOut, sortLeftOut } from './left-out.ts';
import { withoutDoubles } from './one-voice.ts';
import { describeOrigin, sortEntries } from './order.ts';
import type { LeftOut, Plan } from './plan.ts';
import { planLinks } from './plan-links.ts';
import { applyProfiles } from './profiles.ts';
import { withPushed } from './pushed-links.ts';
import { claimRoutes } from './routes.ts';
import type { GlobalDns, Snapshot } from './snapshot.ts';
import { ascii } from './text.ts';

const MAX_LEFT_OUT = 64;

/**
 * The decision: from what the sources say and the configuration to what is written and routed.
 * NetworkManager's rules where it has them (nm-settings(5), nm-dns-manager.c), better where its users are hurt.
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
  const leftOut = sortLeftOut([...dropped, ...ofUnused(sorted, unused)]);
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

function ofUnused(sorted: readonly Entry[], unused: ReadonlyMap<Entry, string>): readonly LeftOut[] {
  const leftOut: LeftOut[] = [];
  for (const entry of sorted) {
    const reason = unused.get(entry);
    if (reason !== undefined) leaveOut(entry, reason, leftOut);
  }
  return leftOut;
}
