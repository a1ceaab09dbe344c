import { BACK_END, type Zone } from '../core/back-end.ts';
import type { Domain } from '../core/domain.ts';
import type { Outlook } from '../core/outlook.ts';
import type { Plan } from '../core/plan.ts';
import { formatServer, type Server } from '../core/server.ts';
import type { PortalReport, ServerReport } from '../core/status.ts';
import type { Clock } from '../system/clock.ts';
import { circles } from './circles.ts';
import { type Encryption, encryptionOf, isCutOff, type PortalPolicy } from './encryption.ts';
import { forwarder, type UnderWay } from './forward.ts';
import { type Hosts, hostsFile } from './hosts.ts';
import { type LocalFacts, localNames } from './local.ts';
import { lookAhead } from './outlook.ts';
import type { Answer, Answerer, Query, Stage } from './query.ts';
import { Queue } from './queue.ts';
import { makeRouting, type Route, type RouteLink, type Routing } from './routing.ts';
import { type ChoicePolicy, ServerChoice } from './server-choice.ts';
import { stack } from './stages.ts';
import { Upstream, type UpstreamNeeds } from './upstream.ts';

/** The settings that the resolver follows; read anew for every query. */
export interface ResolverSettings {
  readonly choice: ChoicePolicy;
  readonly dnsOverTls: Encryption;
  /** Whether strict encryption gives way to a captive portal. */
  readonly portal: PortalPolicy;
  /** Whether single labels are asked for of servers that claim no such domain. */
  readonly singleLabels: boolean;
  /** Whether the hosts file counts; it does where left out. */
  readonly hosts?: boolean;
  /** Types of records that every question for is refused; none where left out. */
  readonly refuseRecordTypes?: readonly number[];
}

/** What a resolver is made of. */
export interface ResolverNeeds extends Omit<UpstreamNeeds, 'dnsOverTls' | 'portal'> {
  readonly clock: Clock;
  readonly settings: () => ResolverSettings;
  /** What the machine itself knows, under the plan in force. */
  readonly local: (plan: Plan | undefined) => LocalFacts;
  readonly hosts: () => Hosts;
  /** Our name as a server (RFC 5001). */
  readonly nsid?: Buffer;
  readonly cache: Stage;
  readonly coalesce: Stage;
  /** What came by a route is not true any more. */
  readonly dropRoute: (route: string) => void;
  /** The back end left a question unanswered. */
  readonly backEndUnanswered?: () => void;
  /** Names go other ways: aliases that were followed by the old ones may lead elsewhere now. */
  readonly dropAliases: () => void;
}

/** The resolver without its sockets. */
export interface Resolver {
  readonly answer: Answerer;
  /** The same past what is remembered. */
  readonly answerAnew: Answerer;
  /** What this machine knows by itself; undefined where servers would have to be asked. */
  answerAlone(query: Query, signal: AbortSignal): Promise<Answer | undefined>;
  /** The same, and what is remembered. */
  answerHere(query: Query, signal: AbortSignal): Promise<Answer | undefined>;
  /** Follow another plan from the next query on; with a back end that carries it out, that one is asked. */
  apply(plan: Plan, backEnd?: Server): void;
  /** The domains of a plan and whom each leads to, for a back end. */
  zonesOf(plan: Plan): readonly Zone[];
  /** The key of the route that a query goes by now. */
  routeKeyOf(query: Query): string;
  /** The links that anything is asked of. */
  linkKeys(): readonly string[];
  /** The keys of all routes of the plan. */
  routeKeys(): readonly string[];
  servers(): readonly ServerReport[];
  /** Links behind a captive portal that lets nothing through to their servers but what is not encrypted. */
  portal(): PortalReport;
  /** What a question for a name would meet now, but for the cache. */
  outlook(name: Domain): Promise<Omit<Outlook, 'cached'>>;
  /** The machine woke up, or its network changed in ways that the plan does not tell. */
  forgive(): void;
  close(): void;
}

/** A resolver that follows no plan yet: it answers local names and refuses the rest. */
export function makeResolver(needs: ResolverNeeds): Resolver {
  const upstream = new Upstream({
    ...needs,
    dnsOverTls: () => needs.settings().dnsOverTls,
    portal: () => needs.settings().portal,
  });
  const choice = new ServerChoice(needs.clock, () => needs.settings().choice);
  const mixed = new Map<string, Set<string>>();
  const underWay = new Queue<UnderWay>();
  let routing: Routing = {
    routeOf: () => 'nobody',
    links: [],
    routes: [],
    keys: [],
    trustAd: false,
    table: '',
  };
  const forward = forwarder({
    routing: () => routing,
    choice,
    upstream,
    own: (next) => local(hosts(next)),
    underWay,
    unanswered(link) {
      if (link.servers.includes(BACK_END)) needs.backEndUnanswered?.();
    },
    mixed(route, other) {
      const others = mixed.get(route) ?? new Set();
      mixed.set(route, others.add(other));
    },
  });
  const { cache, coalesce } = needs;
  let plan: Plan | undefined;
  let links: ReadonlyMap<string, string> = new Map();
  let facts = needs.local(plan);
  const refuses = (type: number): boolean => needs.settings().refuseRecordTypes?.includes(type) ?? false;
  const local = localNames(() => facts, needs.nsid, refuses, needs.hosts);
  const hosts = hostsFile(needs.hosts, needs.nsid);
  const stages = { local, hosts, circles: circles((query) => upstream.cameBack(query)), coalesce, forward };
  const routeKeyOf = (query: Query): string => {
    const route = routing.routeOf(query.name, query.type, query.wish);
    return typeof route === 'string' ? route : route.key;
  };
  const answer = stack({ ...stages, cache });
  const alone = local(hosts(noServer));
  const here = local(hosts(cache(noServer)));
  return {
    answer,
    answerAnew: stack({ ...stages, cache: (next) => next }),
    answerAlone: (query, signal) => withoutServers(alone, query, signal),
    answerHere: (query, signal) =>
      withoutServers(here, { ...query, wish: { ...query.wish, fresh: true } }, signal),
    apply(next, backEnd) {
      const before = routing;
      const { singleLabels } = needs.settings();
      plan = next;
      facts = needs.local(plan);
      routing = makeRouting(next, singleLabels, backEnd);
      const linksBefore = links;
      links = describeLinks(routing.links, needs.settings());
      const changed = changedLinks(linksBefore, links);
      if (changed.size > 0) upstream.forget();
      const stale = staleRoutes(before, routing, mixed, changed);
      for (const route of stale) {
        needs.dropRoute(route);
        mixed.delete(route);
      }
      if (before.table !== routing.table) needs.dropAliases();
      if (changed.size > 0) choice.forgive();
      for (const noted of underWay.items())
        if (stale.has(noted.route) || routeKeyOf(noted.query) !== noted.route) noted.end();
    },
    zonesOf: (wanted) => zonesOf(makeRouting(wanted, true).routes, needs.settings()),
    routeKeyOf,
    linkKeys: () => routing.links.map(({ key }) => key),
    routeKeys: () => routing.keys,
    servers() {
      return choice.report(routing.links).map((report) => {
        const trouble = upstream.troubleOf(report.link, report.server);
        return trouble === undefined ? report : { ...report, trouble };
      });
    },
    portal() {
      const { portal, dnsOverTls } = needs.settings();
      const links = routing.links.filter((link) => isCutOff(link, dnsOverTls)).map(({ key }) => key);
      return { links, relaxed: portal === 'relax' };
    },
    outlook: (name) =>
      lookAhead(name, { local, hosts, routing, choice, policy: needs.settings().choice, plan }),
    forgive() {
      choice.forgive();
      upstream.forget();
    },
    close: () => upstream.close(),
  };
}

/** Thrown where servers would be asked, so that nothing is remembered of it. */
class NoServer extends Error {
  override readonly name = 'NoServer';
}

const noServer: Answerer = () => Promise.reject(new NoServer('no server may be asked'));

async function withoutServers(
  answerer: Answerer,
  query: Query,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  try {
    return await answerer(query, signal);
  } catch (error) {
    if (error instanceof NoServer) return undefined;
    throw error;
  }
}

/** Routes as another resolver is to carry them out. */
function zonesOf(
  routes: readonly Route[],
  { dnsOverTls, portal }: Pick<ResolverSettings, 'dnsOverTls' | 'portal'>,
): readonly Zone[] {
  return routes.map(({ domain, links }) => ({
    domain,
    behindPortal: links.some((link) => link.behindPortal === true),
    servers: links.flatMap((link) =>
      link.servers.map((server) => ({
        server,
        ...(link.interface === undefined ? {} : { link: link.interface }),
        encryption: encryptionOf(server, link, dnsOverTls, portal),
      })),
    ),
  }));
}

/** What makes answers of a link others than before, by its key: its network, whom it asks, and how safely. */
function describeLinks(
  links: readonly RouteLink[],
  { dnsOverTls, portal }: ResolverSettings,
): ReadonlyMap<string, string> {
  return new Map(
    links.map((link) => {
      const servers = link.servers.map(
        (server) => `${formatServer(server)} ${encryptionOf(server, link, dnsOverTls, portal)}`,
      );
      return [link.key, [link.interface, link.network, ...servers].join(' ')];
    }),
  );
}

/** Keys of links that came, went, or are others now. */
function changedLinks(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): ReadonlySet<string> {
  const keys = [...before.keys(), ...after.keys()];
  return new Set(keys.filter((key) => before.get(key) !== after.get(key)));
}

/**
 * Routes over those links, and routes whose answers hold what came over them; those that are gone, because nobody would
 * see their links change until they come back; and all of them when the AD bit counts for something else than before.
 */
function staleRoutes(
  before: Routing,
  after: Routing,
  mixed: ReadonlyMap<string, ReadonlySet<string>>,
  changed: ReadonlySet<string>,
): ReadonlySet<string> {
  if (before.trustAd !== after.trustAd) return new Set(before.keys);
  const left = new Set(after.keys);
  // A link's own name may hold a plus.
  const over = (route: string): boolean => [...changed].some((link) => `+${route}+`.includes(`+${link}+`));
  return new Set(
    before.keys.filter((key) => !left.has(key) || over(key) || [...(mixed.get(key) ?? [])].some(over)),
  );
}
