import type { KernelRoute } from '../core/snapshot.ts';
import type { KernelNetwork } from '../system/netlink.ts';
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

/** The kernel as a source: it names no server, but tells which links have default routes. */
export function kernelSource(
  network: Pick<KernelNetwork, 'byIndex' | 'defaultRoutes' | 'onLink' | 'onRoutes' | 'problem'>,
): Source {
  const held: (() => void)[] = [];
  let told: string | undefined;
  return {
    name: 'kernel',
    start(tell, signal) {
      const speak = (cause: string): void => {
        const routes = routesOf(network);
        const text = JSON.stringify(routes);
        if (text === told || signal.aborted) return;
        told = text;
        tell({ source: 'kernel', kind: 'state', cause, state: { links: [], routes } });
      };
      if (network.problem !== undefined) {
        const detail = 'it does not tell its routes here';
        tell({ source: 'kernel', kind: 'health', health: { state: 'absent', detail } });
        return;
      }
      const detail = 'it tells links and default routes';
      tell({ source: 'kernel', kind: 'health', health: { state: 'running', detail } });
      held.push(
        network.onRoutes(() => speak('the default routes changed')),
        network.onLink(({ before, after }) => {
          if (before !== undefined && after !== undefined && before.name !== after.name)
            speak(`the link ${before.name} is called ${after.name} now`);
        }),
      );
      speak('dnskeeperd started');
    },
    async close() {
      for (const letGo of held) letGo();
    },
  };
}

/** Default routes by the names of their links. */
const routesOf = (network: Pick<KernelNetwork, 'byIndex' | 'defaultRoutes'>): readonly KernelRoute[] =>
  network.defaultRoutes().flatMap(({ ifindex, ...route }) => {
    const name = network.byIndex(ifindex)?.name;
    return name === undefined ? [] : [{ interface: name, ...route }];
  });
