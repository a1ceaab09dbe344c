import type { DefaultRoute } from '../core/link-state.ts';
import type { KernelRoute } from '../core/snapshot.ts';
import type { Clock } from '../system/clock.ts';
import type { KernelNetwork } from '../system/netlink.ts';
import { advertisedDns } from './advertised-dns.ts';
import type { PushedLinks } from './pushed-links.ts';
import type { Source } from './source.ts';

/**
 * What was pushed for a link goes when the link goes, also when another link comes by its number or name, and stays when
 * the link is renamed; until the returned function is called.
 */
export function dropWithLinks(
  network: Pick<KernelNetwork, 'onLink'>,
  pushed: Pick<PushedLinks, 'drop' | 'rename'>,
): () => void {
  return network.onLink(({ before, after }) => {
    if (before === undefined) return;
    if (after === undefined) pushed.drop(before.ifindex);
    else if (after.name !== before.name) pushed.rename(after.ifindex, after.name);
  });
}

/**
 * The kernel as a source: it tells which links have default routes, and what routers advertise of DNS on links whose
 * advertisements it reads itself, which are those that no program manages.
 */
export function kernelSource(network: KernelNetwork, clock: Pick<Clock, 'elapsed' | 'after'>): Source {
  const held: (() => void)[] = [];
  let told: string | undefined;
  return {
    name: 'kernel',
    start(tell, signal) {
      if (network.problem !== undefined) {
        const detail = 'it does not tell its routes here';
        tell({ source: 'kernel', kind: 'health', health: { state: 'absent', detail } });
        return;
      }
      const advertised = advertisedDns(clock, () => speak('a router advertised DNS, or it has run out'));
      const speak = (cause: string): void => {
        const routes = network.defaultRoutes();
        const links = advertised.links(network.links(), routes);
        const state = { links, routes: routesOf(routes, network) };
        const text = JSON.stringify(state);
        if (text === told || signal.aborted) return;
        told = text;
        tell({ source: 'kernel', kind: 'state', cause, state });
      };
      const detail = 'it tells links, default routes and what routers advertise';
      tell({ source: 'kernel', kind: 'health', health: { state: 'running', detail } });
      held.push(
        () => advertised.close(),
        network.onRoutes(() => speak('the default routes changed')),
        network.onRouterOption((message) => advertised.take(message)),
        network.onLink(({ before, after }) => {
          if (before === undefined) return;
          // Without a carrier, it may come back in another network.
          if (after === undefined || (before.running && !after.running)) advertised.forget(before.ifindex);
          else if (before.name !== after.name) speak(`the link ${before.name} is called ${after.name} now`);
          // Of what routers advertise, its addresses: they are usable a second after the advertisement.
          else speak(`the link ${after.name} changed`);
        }),
      );
      speak('dnskeeperd started');
      // What they advertised before our start was told to nobody, and they may be silent for half an hour.
      for (const ifindex of new Set(routersOn(network))) network.solicit(ifindex);
    },
    async close() {
      for (const letGo of held) letGo();
    },
  };
}

/** Links with a router that speaks IPv6. */
const routersOn = (network: KernelNetwork): readonly number[] =>
  network
    .defaultRoutes()
    .filter(({ family, gateway }) => family === 6 && gateway !== undefined)
    .map(({ ifindex }) => ifindex)
    .slice(0, MOST_SOLICITED);

const MOST_SOLICITED = 16;

/** Default routes by the names of their links. */
const routesOf = (
  routes: readonly DefaultRoute[],
  network: Pick<KernelNetwork, 'byIndex'>,
): readonly KernelRoute[] =>
  routes.flatMap(({ ifindex, ...route }) => {
    const name = network.byIndex(ifindex)?.name;
    return name === undefined ? [] : [{ interface: name, ...route }];
  });
