import type { KernelRoute, LinkDns, Snapshot } from './snapshot.ts';

/**
 * What programs say of a link over resolvconf(8) or systemd-resolved's interface tells nothing of its routes: the kernel
 * does, so that the link of the machine's default route comes first. The others still take every name, unless they are
 * told not to: a full tunnel may have two halves of a default route instead of one.
 */
export function withRoutes(snapshot: Snapshot): Snapshot {
  const routes = snapshot.kernel?.routes;
  if (routes === undefined) return snapshot;
  const byLink = Map.groupBy(routes, (route) => route.interface);
  const told = Object.fromEntries(
    UNTOLD.flatMap((source) => {
      const state = snapshot[source];
      return state === undefined
        ? []
        : [[source, { ...state, links: state.links.map((link) => routed(link, byLink)) }]];
    }),
  );
  return { ...snapshot, ...told };
}

/** Sources that know no routes. */
const UNTOLD = ['records', 'pushed-links'] as const;

/** The metric of a link without a default route: behind every metric that a route can have. */
export const NO_ROUTE = 2 ** 32;

function routed(link: LinkDns, byLink: ReadonlyMap<string, readonly KernelRoute[]>): LinkDns {
  if (link.interface === undefined || link.metric !== undefined) return link;
  const own = byLink.get(link.interface) ?? [];
  const best = own.reduce<KernelRoute | undefined>(
    (first, route) => (first === undefined || route.metric < first.metric ? route : first),
    undefined,
  );
  if (best === undefined) return { ...link, metric: NO_ROUTE };
  return {
    ...link,
    metric: best.metric,
    ...(best.gateway === undefined || link.gateway !== undefined ? {} : { gateway: best.gateway }),
  };
}
