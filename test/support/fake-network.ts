import { parseAddress } from '../../src/core/address.ts';
import { type DefaultRoute, type LinkState, sameLink } from '../../src/core/link-state.ts';
import type { KernelNetwork } from '../../src/system/netlink.ts';
import type { RouterOptionMessage } from '../../src/system/netlink-messages.ts';
import type { LinkChange } from '../../src/system/network-state.ts';
import { must } from './sample-status.ts';

/** A link that runs and has an address; tests say only what matters to them. */
export function linkState(own: Partial<LinkState> & Pick<LinkState, 'ifindex' | 'name'>): LinkState {
  return {
    loopback: false,
    tunnel: false,
    up: true,
    running: true,
    mtu: 1500,
    addresses: [{ address: must(parseAddress('192.0.2.7')), prefixLength: 24, global: true }],
    ...own,
  };
}

/** A kernel of the test's own: what is put into it is heard at once. */
export interface FakeNetwork extends KernelNetwork {
  /** A link comes, or is another way now. */
  put(link: LinkState): void;
  remove(ifindex: number): void;
  /** These are the default routes now. */
  route(routes: readonly DefaultRoute[]): void;
  advertise(option: RouterOptionMessage): void;
  /** Links whose routers were asked, in order. */
  readonly solicited: readonly number[];
}

/** A kernel with these links. */
export function fakeNetwork(first: readonly LinkState[] = []): FakeNetwork {
  const links = new Map(first.map((link) => [link.ifindex, link]));
  const heard = {
    link: new Set<(change: LinkChange) => void>(),
    routes: new Set<() => void>(),
    options: new Set<(option: RouterOptionMessage) => void>(),
  };
  const solicited: number[] = [];
  let routes: readonly DefaultRoute[] = [];
  let closed = false;
  const listen = <T>(listeners: Set<T>, listener: T): (() => void) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };
  const tell = (change: LinkChange): void => {
    if (!closed) for (const listener of heard.link) listener(change);
  };
  function route(now: readonly DefaultRoute[]): void {
    const sorted = now.toSorted(
      (a, b) => a.metric - b.metric || a.family - b.family || a.ifindex - b.ifindex,
    );
    if (JSON.stringify(sorted) === JSON.stringify(routes)) return;
    routes = sorted;
    if (!closed) for (const listener of heard.routes) listener();
  }
  /** The kernel takes routes away with their link. */
  const routesWithout = (ifindex: number) => routes.filter((each) => each.ifindex !== ifindex);
  return {
    links: () => [...links.values()].sort((a, b) => a.ifindex - b.ifindex),
    byIndex: (ifindex) => links.get(ifindex),
    defaultRoutes: () => routes,
    onLink: (listener) => listen(heard.link, listener),
    onRoutes: (listener) => listen(heard.routes, listener),
    onRouterOption: (listener) => listen(heard.options, listener),
    solicit: (ifindex) => void solicited.push(ifindex),
    solicited,
    problem: undefined,
    close() {
      closed = true;
    },
    put(link) {
      const before = links.get(link.ifindex);
      if (before !== undefined && sameLink(before, link)) return;
      links.set(link.ifindex, link);
      tell({ before, after: link });
      if (!link.up) route(routesWithout(link.ifindex));
    },
    remove(ifindex) {
      const before = links.get(ifindex);
      if (before === undefined) return;
      links.delete(ifindex);
      tell({ before, after: undefined });
      route(routesWithout(ifindex));
    },
    route,
    advertise(option) {
      if (!closed) for (const listener of heard.options) listener(option);
    },
  };
}
