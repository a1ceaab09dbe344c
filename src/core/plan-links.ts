import { type Domain, ROOT } from './domain.ts';
import { type Entry, originOf } from './entries.ts';
import { orderReasons } from './order.ts';
import type { NameRoute, PlanLink } from './plan.ts';
import { linkKey } from './routes.ts';
import type { Connectivity, Knob } from './snapshot.ts';

/** The plan as seen from each link, its families together; in the order in which the links are asked. */
export function planLinks(
  sorted: readonly Entry[],
  routes: readonly NameRoute[],
  unused: ReadonlyMap<Entry, string>,
): readonly PlanLink[] {
  const groups = Map.groupBy(sorted, linkKey);
  const routesOf = Map.groupBy(routes, (route) => route.link);
  const reasons = orderReasons(sorted);
  return [...groups].map(([key, entries]) =>
    planLink(key, entries, reasons, routesOf.get(key) ?? [], unused),
  );
}

function planLink(
  key: string,
  entries: readonly Entry[],
  reasons: ReadonlyMap<Entry, string>,
  routes: readonly NameRoute[],
  unused: ReadonlyMap<Entry, string>,
): PlanLink {
  const [first] = entries as [Entry];
  const why = entries.every((entry) => unused.has(entry)) ? unused.get(first) : undefined;
  const named = entries.find((entry) => entry.ssid !== undefined);
  return {
    key,
    origin: first.origin,
    servers: entries.flatMap((entry) =>
      entry.servers.map((value) => ({
        value,
        origin: originOf(entry, value),
        reason: reasons.get(entry) ?? '',
      })),
    ),
    searches: uniqueDomains(entries.flatMap((entry) => entry.searches)),
    routing: uniqueDomains(entries.flatMap((entry) => entry.routing)),
    reverse: routes.filter((route) => route.kind === 'reverse').map((route) => route.domain),
    defaultRoute: routes.some((route) => route.domain === ROOT),
    exclusive: routes.some((route) => route.exclusive),
    ...(why === undefined ? {} : { unused: why }),
    mdns: firstKnob(entries.map((entry) => entry.mdns)),
    llmnr: firstKnob(entries.map((entry) => entry.llmnr)),
    dnsOverTls: firstKnob(entries.map((entry) => entry.dnsOverTls)),
    dnssec: firstKnob(entries.map((entry) => entry.dnssec)),
    connectivity: bestConnectivity(entries.map((entry) => entry.connectivity)),
    ...(named?.ssid === undefined ? {} : { ssid: named.ssid }),
    gateways: entries.flatMap((entry) => (entry.gateway === undefined ? [] : [entry.gateway])),
  };
}

const uniqueDomains = (domains: readonly Domain[]): readonly Domain[] => [...new Set(domains)];

const firstKnob = (knobs: readonly Knob[]): Knob => knobs.find((knob) => knob !== 'default') ?? 'default';

const CONNECTIVITY: readonly Connectivity[] = ['unknown', 'none', 'limited', 'portal', 'full'];

function bestConnectivity(values: readonly Connectivity[]): Connectivity {
  return values.reduce((a, b) => (CONNECTIVITY.indexOf(b) > CONNECTIVITY.indexOf(a) ? b : a), 'unknown');
}
