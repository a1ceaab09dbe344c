import { RECORD_TYPES } from '../core/dns-parameters.ts';
import type { Domain } from '../core/domain.ts';
import { type Outlook, rankServers } from '../core/outlook.ts';
import type { Plan } from '../core/plan.ts';
import { formatServer } from '../core/server.ts';
import type { Cache } from './cache.ts';
import { readResponse } from './message-read.ts';
import type { Answerer, Stage } from './query.ts';
import { clientQuery } from './query-report.ts';
import { recordDataText } from './record-text.ts';
import type { Resolver } from './resolver.ts';
import type { Route, Routing } from './routing.ts';
import type { ChoicePolicy, ServerChoice } from './server-choice.ts';
import { TYPE } from './wire.ts';

/** What a look ahead goes by. */
export interface OutlookNeeds {
  readonly local: Stage;
  readonly hosts: Stage;
  readonly routing: Routing;
  readonly choice: ServerChoice;
  readonly policy: ChoicePolicy;
  readonly plan: Plan | undefined;
}

/** What a question for a name would meet now, but for the cache. No server is asked. */
export async function lookAhead(name: Domain, needs: OutlookNeeds): Promise<Omit<Outlook, 'cached'>> {
  const query = clientQuery(name, TYPE.A);
  const own = await ownAnswer(name, needs);
  if (own !== undefined) return { own, exclusive: false, servers: [] };
  const route = needs.routing.routeOf(query.name, query.type);
  if (route === 'nobody') return { own: 'No link has servers for it.', exclusive: false, servers: [] };
  if (route === 'not here') return { own: NOT_HERE, exclusive: false, servers: [] };
  return {
    route: route.key,
    exclusive: isExclusive(route, needs.plan),
    servers: route.links.flatMap(({ key, servers }) =>
      rankServers(needs.choice.ranking(key, servers), servers.map(formatServer), needs.policy),
    ),
  };
}

/**
 * What is remembered for the very name, as `Outlook.cached` tells it. Each type and route is looked up by itself: going
 * through a full cache would hold everything up for as long as a server takes to answer.
 */
export function cachedFor(
  name: Domain,
  cache: Pick<Cache, 'held'>,
  resolver: Pick<Resolver, 'routeKeyOf' | 'routeKeys'>,
): Outlook['cached'] {
  return USUAL_TYPES.flatMap((type) => {
    const query = clientQuery(name, type);
    const now = resolver.routeKeyOf(query);
    return resolver.routeKeys().flatMap((route) => {
      const entry = cache.held(query, route);
      if (entry === undefined) return [];
      const { rcode, secondsLeft } = entry;
      return [{ type: entry.type, rcode, secondsLeft, route, used: route === now }];
    });
  });
}

/** What programs ask for a name. */
const USUAL_TYPES = [
  'A',
  'AAAA',
  'HTTPS',
  'SVCB',
  'CNAME',
  'MX',
  'TXT',
  'SRV',
  'PTR',
  'NS',
  'SOA',
  'CAA',
  'DS',
  'TLSA',
].map((type) => RECORD_TYPES[type] ?? 0);

const NOT_HERE = 'DNS servers are not asked for such a name unless a link has it as a domain.';

/** The stages that come before servers are tried with one that only says that it was reached. */
async function ownAnswer(name: Domain, { local, hosts }: OutlookNeeds): Promise<string | undefined> {
  const reached: Answerer = async () => ({
    wire: Buffer.alloc(0),
    origin: { kind: 'failure', route: undefined },
  });
  const answer = local(hosts(reached));
  const datas: string[] = [];
  let kind = '';
  for (const type of [TYPE.A, TYPE.AAAA]) {
    const { wire, origin } = await answer(clientQuery(name, type), AbortSignal.timeout(1000));
    if (origin.kind === 'failure') return undefined;
    kind = origin.kind;
    const read = readResponse(wire);
    if (read.ok)
      for (const record of read.value.records)
        if (record.section === 'answer' && record.type === type) datas.push(recordDataText(wire, record));
  }
  const says = datas.length === 0 ? 'without an address' : `with ${datas.slice(0, 8).join(', ')}`;
  if (kind === 'hosts') return `The hosts file answers ${says}; no server is asked.`;
  if (kind === 'refused') return 'The resolver refuses such questions; no server is asked.';
  return `The resolver knows this name itself and answers ${says}; no server is asked.`;
}

const isExclusive = (route: Route, plan: Plan | undefined): boolean =>
  plan?.routes.some(
    ({ domain, exclusive, link }) =>
      exclusive && domain === route.domain && route.links.some(({ key }) => key === link),
  ) ?? false;
