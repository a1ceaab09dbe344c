import { type Domain, isWithin, labelCount } from './domain.ts';
import type { Outlook } from './outlook.ts';
import type { NameRoute, Plan, PlanLink } from './plan.ts';
import { routesFor } from './routes.ts';
import { formatHost, formatServer } from './server.ts';
import { type FileMode, isInForce, type LinkStatus } from './status.ts';

/** Which servers a name goes to, and every rule that had a say. */
export interface Explanation {
  readonly name: Domain;
  readonly servers: readonly { readonly server: string; readonly link?: string; readonly reason: string }[];
  readonly rules: readonly { readonly rule: string; readonly matched: boolean; readonly reason: string }[];
  /** How the plain file carries it out, one or two sentences. */
  readonly file: string;
  /** What a question would meet at this moment; absent while the local resolver answers nobody. */
  readonly live?: Outlook;
}

/**
 * Explain one name. While the plain file is in force libc asks its servers in order for every name, whatever the
 * routes say; the rules tell both, so that the difference is seen.
 */
export function explain(
  name: Domain,
  plan: Plan,
  link: Pick<LinkStatus, 'state' | 'inCharge'>,
  mode: FileMode = 'file',
): Explanation {
  if (mode === 'stub') return explainStub(name, plan);
  const decisive = routesFor(name, plan.routes);
  return {
    name,
    servers: plan.nameservers.map((choice) => ({
      server: formatHost(choice.value),
      ...(choice.origin.interface === undefined ? {} : { link: choice.origin.interface }),
      reason: choice.reason,
    })),
    rules: [...localRules(name), ...searchRules(name, plan), ...routeRules(name, plan, decisive)],
    file: isInForce(link.state) ? fileOutcome(plan) : notInForce(link.inCharge),
  };
}

function fileOutcome({ nameservers }: Plan): string {
  const [first, ...rest] = nameservers.map((choice) => formatHost(choice.value));
  if (first === undefined)
    return 'The file lists no server, so libc would ask 127.0.0.1, where nothing of ours answers.';
  return `libc asks ${first} first${rest.length > 0 ? `, and ${rest.join(', ')} only when it does not answer` : ''}.`;
}

const notInForce = (inCharge: string): string =>
  `Not in force: ${inCharge} is in charge of /etc/resolv.conf and goes by its own rules. This is what dnskeeper would do.`;

/** With our resolver in the file every program follows the routes. */
function explainStub(name: Domain, plan: Plan): Explanation {
  const decisive = routesFor(name, plan.routes);
  const asked = new Set(decisive.map((route) => route.link));
  const links = plan.links.filter((link) => asked.has(link.key));
  const all = links.flatMap((link) => link.servers.map((choice) => ({ choice, link })));
  return {
    name,
    servers: all.map(({ choice, link }) => ({
      server: formatServer(choice.value),
      link: link.key,
      reason: choice.reason,
    })),
    rules: [...localRules(name), ...searchRules(name, plan), ...routeRules(name, plan, decisive, true)],
    file: `The file lists our resolver, which ${stubOutcome(name, links)}.`,
  };
}

function stubOutcome(name: Domain, links: readonly PlanLink[]): string {
  if (localRules(name).length > 0) return 'answers this name itself';
  if (links.length === 0) return 'has no servers for this name and refuses it';
  return `asks ${links.map((link) => link.key).join(' and ')}`;
}

type Rule = Explanation['rules'][number];

function localRules(name: Domain): readonly Rule[] {
  const localhost = /(^|\.)localhost$/.test(name);
  return localhost
    ? [{ rule: 'localhost', matched: true, reason: 'libc answers localhost itself (RFC 6761).' }]
    : [];
}

function searchRules(name: Domain, plan: Plan): readonly Rule[] {
  if (labelCount(name) !== 1 || plan.search.length === 0) return [];
  const tried = plan.search.map((choice) => `${name}.${choice.value}`).join(', ');
  return [
    {
      rule: `search ${plan.search.map((c) => c.value).join(' ')}`,
      matched: true,
      reason: `A single label is tried as ${tried} first.`,
    },
  ];
}

function routeRules(
  name: Domain,
  plan: Plan,
  decisive: readonly NameRoute[],
  followed = false,
): readonly Rule[] {
  const shown = plan.routes
    .filter((route) => route.kind !== 'reverse' || isWithin(name, route.domain))
    .slice(0, 64);
  return shown.map((route) => ({
    rule: `${route.kind === 'catch-all' ? 'every name' : `names under ${route.domain}`} to ${route.link}${serversOf(route, plan)}`,
    matched: decisive.includes(route),
    reason: outcome(name, route, decisive, plan, followed),
  }));
}

function outcome(
  name: Domain,
  route: NameRoute,
  decisive: readonly NameRoute[],
  plan: Plan,
  stub: boolean,
): string {
  if (!isWithin(name, route.domain)) return `${route.reason} ${name} is not under it.`;
  if (!decisive.includes(route)) return `${route.reason} A longer domain decides.`;
  const [first] = plan.nameservers;
  const followed =
    stub || first === undefined || (first.origin.interface ?? first.origin.source) === route.link;
  return followed
    ? `${route.reason} It decides.`
    : `${route.reason} It should decide, but a plain file asks its first server for every name.`;
}

function serversOf(route: NameRoute, plan: Plan): string {
  const link = plan.links.find((candidate) => candidate.key === route.link);
  const servers = link?.servers.map((choice) => formatServer(choice.value)).join(', ') ?? '';
  return servers === '' ? '' : ` (${servers})`;
}
