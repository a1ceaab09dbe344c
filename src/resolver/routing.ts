import { type Domain, ROOT } from '../core/domain.ts';
import type { NameRoute, Plan, PlanLink } from '../core/plan.ts';
import { formatServer, type Server } from '../core/server.ts';
import type { Knob } from '../core/snapshot.ts';
import type { QueryWish } from './query.ts';
import { encodeName, TYPE } from './wire.ts';

/** One link that may be asked for a name. */
export interface RouteLink {
  /** `key` of its PlanLink; `fallback` for the configuration's fallback servers. */
  readonly key: string;
  /** Kernel name of the link, so that its servers are asked through it. */
  readonly interface?: string;
  /** In the order of the plan; never empty. */
  readonly servers: readonly Server[];
  readonly dnsOverTls: Knob;
  /** Its network lets nobody out before somebody has logged in. */
  readonly behindPortal?: boolean;
  /** Which network it leads to, as far as the source tells: two may have the same link and server addresses. */
  readonly network: string;
}

/** Where a name goes: all its links are asked together. */
export interface Route {
  /** The same links give the same key, so the cache keeps answers apart by it. */
  readonly key: string;
  readonly links: readonly RouteLink[];
  /** The domain that decided; `.` when nothing longer matched. */
  readonly domain: Domain;
}

/** `nobody`: no link may be asked; `not here`: a name that DNS servers are not asked for (RFC 6762, RFC 7686, single labels). */
export type Routed = Route | 'nobody' | 'not here';

/** The routes of a plan, ready to be looked up. */
export interface Routing {
  /** `name` in wire form and lower case, because a name with odd bytes must not slip past a route either. */
  routeOf(name: Buffer, type: number, wish?: QueryWish): Routed;
  /** Every link that is asked for anything. */
  readonly links: readonly RouteLink[];
  /** The key of every route, and of every link by itself, because a program may want one alone. */
  readonly keys: readonly string[];
  /** Whether every network says that its servers validate and that the way to them is safe (`trust-ad`). */
  readonly trustAd: boolean;
  /** Every domain that leads anywhere. */
  readonly routes: readonly Route[];
  /** Which way each domain goes: while it is the same, so is every name's. */
  readonly table: string;
}

/** The key of the configuration's fallback servers as a link. */
const FALLBACK = 'fallback';

/**
 * Make the routes of a plan ready. The longest domain decides (systemd-resolved's rule, dns_scope_good_domain() there); links with equal
 * domains are asked together; what nobody claims goes to the catch-all, and without one to nobody. With a back end that
 * knows these routes itself it is asked in place of every link's servers, but for a program that wants one link alone.
 */
export function makeRouting(plan: Plan, singleLabels: boolean, backEnd?: Server): Routing {
  const links = new Map(plan.links.map((link) => [link.key, routeLink(link)]));
  const claims = allowed(plan.routes);
  const everybody = routeTable(claims, backEnd === undefined ? links : through(backEnd, links));
  const fallback = everybody.routes.size === 0 ? fallbackRoute(plan, backEnd) : undefined;
  if (fallback !== undefined) everybody.routes.set(wireText(ROOT), fallback);
  const routes = [...everybody.routes.values()];
  const asked = unique(routes.flatMap((route) => route.links));
  const alone = new Map<string, RouteTable>();
  const onlyBy = (link: string): RouteTable => {
    const known = alone.get(link);
    if (known !== undefined) return known;
    const table = routeTable(
      claims.filter((claim) => claim.link === link),
      links,
    );
    if (links.has(link)) alone.set(link, table);
    return table;
  };
  return {
    routeOf(name, type, wish) {
      const table = wish?.link === undefined ? everybody : onlyBy(wish.link);
      return routed(name, type, table, singleLabels || wish?.singleLabels === true);
    },
    links: asked,
    routes,
    trustAd: plan.options.some((choice) => choice.value.name === 'trust-ad'),
    keys: [...new Set([...routes, ...asked].map(({ key }) => key))],
    table: routes.map(({ domain, key }) => `${domain} ${key}`).join('\n'),
  };
}

/** Routes by their domain in wire form. */
interface RouteTable {
  readonly routes: Map<string, Route>;
  /** Bytes of the longest domain. */
  readonly deepest: number;
}

function routeTable(
  claims: readonly NameRoute[],
  links: ReadonlyMap<string, RouteLink | undefined>,
): RouteTable {
  const routes = new Map<string, Route>();
  for (const [domain, equals] of Map.groupBy(claims, (route) => route.domain)) {
    const asked = unique(equals.map((claim) => links.get(claim.link)));
    if (asked.length > 0) routes.set(wireText(domain), makeRoute(domain, asked));
  }
  return { routes, deepest: Math.max(1, ...[...routes.keys()].map((domain) => domain.length)) };
}

function routed(name: Buffer, type: number, { routes, deepest }: RouteTable, singleLabels: boolean): Routed {
  for (let at = 0; at < name.length; at += (name[at] ?? 0) + 1) {
    if (name.length - at > deepest) continue;
    const route = routes.get(at === name.length - 1 ? ROOT_TEXT : name.toString('latin1', at));
    if (route === undefined) continue;
    return route.domain === ROOT && !isForEverybody(name, type, singleLabels) ? 'not here' : route;
  }
  return isForEverybody(name, type, singleLabels) ? 'nobody' : 'not here';
}

/** Whether servers that claim no domain for a name may be asked for it. */
function isForEverybody(name: Buffer, type: number, singleLabels: boolean): boolean {
  // Other types of a single label are wanted: DS and NS of a top-level domain.
  if ((name[0] ?? 0) + 2 >= name.length && !singleLabels) return type !== TYPE.A && type !== TYPE.AAAA;
  for (let at = 0; at < name.length; at += (name[at] ?? 0) + 1)
    for (const suffix of OF_NO_SERVER)
      if (name.length - at === suffix.length && suffix.compare(name, at) === 0) return false;
  return true;
}

/**
 * Names that belong to the link itself (RFC 6762 sections 3 and 4, RFC 3927), and those of Tor, which would tell a
 * network's servers what somebody visits there (RFC 7686 section 2); unless a domain is configured for them.
 */
const OF_NO_SERVER: readonly Buffer[] = [
  'local',
  'onion',
  '254.169.in-addr.arpa',
  ...['8', '9', 'a', 'b'].map((digit) => `${digit}.e.f.ip6.arpa`),
].map((domain) => encodeName(domain as Domain));

/**
 * Reverse zones that lie below a domain which another link owns alone are no routes: the owner of every name owns
 * the addresses' names too. Other kinds were settled when the plan was made (core/routes).
 */
function allowed(routes: readonly NameRoute[]): readonly NameRoute[] {
  const owned = routes.filter((route) => route.exclusive);
  if (owned.length === 0) return routes;
  return routes.filter(
    (route) =>
      route.kind !== 'reverse' ||
      route.exclusive ||
      !owned.some((owner) => owner.link !== route.link && isBelow(route.domain, owner.domain)),
  );
}

const isBelow = (name: Domain, domain: Domain): boolean =>
  domain === ROOT || name === domain || name.endsWith(`.${domain}`);

function routeLink(link: PlanLink): RouteLink | undefined {
  if (link.servers.length === 0) return undefined;
  const { interface: name } = link.origin;
  return {
    key: link.key,
    ...(name === undefined ? {} : { interface: name }),
    servers: uniqueServers(link.servers.map((choice) => choice.value)),
    dnsOverTls: link.dnsOverTls,
    behindPortal: link.connectivity === 'portal',
    network: networkOf(link),
  };
}

/** The same links, and another resolver on this machine that is asked instead of their servers. */
const through = (
  backEnd: Server,
  links: ReadonlyMap<string, RouteLink | undefined>,
): ReadonlyMap<string, RouteLink | undefined> =>
  new Map([...links].map(([key, link]) => [key, link && insteadOf(link, backEnd)]));

const insteadOf = ({ key, network }: RouteLink, backEnd: Server): RouteLink => ({
  key,
  servers: [backEnd],
  dnsOverTls: 'no',
  network,
});

/** Profile, activation, Wi-Fi name and gateways: what differs between two networks that look alike. */
const networkOf = ({ origin: { connection }, ssid, gateways }: PlanLink): string =>
  JSON.stringify([connection?.uuid, connection?.activation, ssid, gateways]);

function fallbackRoute(plan: Plan, backEnd: Server | undefined): Route | undefined {
  const servers = uniqueServers(plan.upstream.map((choice) => choice.value));
  if (servers.length === 0) return undefined;
  const link: RouteLink = { key: FALLBACK, servers, dnsOverTls: 'default', network: '' };
  return makeRoute(ROOT, [backEnd === undefined ? link : insteadOf(link, backEnd)]);
}

const makeRoute = (domain: Domain, links: readonly RouteLink[]): Route => ({
  key: links.map((link) => link.key).join('+'),
  links,
  domain,
});

const uniqueServers = (servers: readonly Server[]): readonly Server[] => [
  ...new Map(servers.map((server) => [formatServer(server), server])).values(),
];

const unique = (links: readonly (RouteLink | undefined)[]): readonly RouteLink[] => [
  ...new Set(links.filter((link) => link !== undefined)),
];

/** The root as `wireText` has it. */
const ROOT_TEXT = '\0';

/** A domain as the bytes of its wire form, one character each. */
function wireText(domain: Domain): string {
  if (domain === ROOT) return ROOT_TEXT;
  const labels = domain.split('.').map((label) => String.fromCharCode(label.length) + label);
  return `${labels.join('')}\0`;
}
