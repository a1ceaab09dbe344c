import { formatAddress } from '../core/address.ts';
import { type DefaultRoute, formatLinkAddress, type LinkState } from '../core/link-state.ts';
import { FOR_EVER, readRouterOptions } from '../core/router-options.ts';
import { DEFAULT_PROTOCOLS, type LinkDns } from '../core/snapshot.ts';
import type { Clock } from '../system/clock.ts';
import type { RouterOptionMessage } from '../system/netlink-messages.ts';

/** What routers advertise of DNS on each link, for as long as they say. */
export interface AdvertisedDns {
  take(message: Pick<RouterOptionMessage, 'ifindex' | 'options'>): void;
  /** The link has gone, or come to another network. */
  forget(ifindex: number): void;
  /** What holds now, of these links. */
  links(links: readonly LinkState[], routes: readonly DefaultRoute[]): readonly LinkDns[];
  close(): void;
}

/** Far more than a router names; whoever sends more does not mean well (RFC 8106 section 5.3.1 asks for three). */
const MOST_SERVERS = 8;
const MOST_DOMAINS = 16;
const MOST_LINKS = 256;

/** Timers count no further than 2^31 ms. */
const LONGEST_WAIT_S = 1_000_000;

/** Nothing advertised yet; `changed` is called when something came or has run out. */
export function advertisedDns(clock: Pick<Clock, 'elapsed' | 'after'>, changed: () => void): AdvertisedDns {
  const known = new Map<number, Advertised>();
  let cancel = (): void => {};

  /** Until the next of them runs out. */
  function wait(): void {
    cancel();
    const next = Math.min(
      ...[...known.values()].flatMap(({ servers, domains }) => [...servers.values(), ...domains.values()]),
    );
    if (next === Number.POSITIVE_INFINITY) return;
    cancel = clock.after(Math.min(Math.max(next - clock.elapsed(), 0), LONGEST_WAIT_S * 1000), runOut);
  }

  function runOut(): void {
    const now = clock.elapsed();
    for (const [ifindex, { servers, domains }] of known) {
      for (const values of [servers, domains])
        for (const [value, end] of values) if (end <= now) values.delete(value);
      if (servers.size + domains.size === 0) known.delete(ifindex);
    }
    wait();
    changed();
  }

  return {
    take({ ifindex, options }) {
      if (!known.has(ifindex) && known.size >= MOST_LINKS) return;
      const own = known.get(ifindex) ?? {
        servers: new Map<string, number>(),
        domains: new Map<string, number>(),
      };
      for (const { kind, lifetime, values } of readRouterOptions(options)) {
        const most = kind === 'servers' ? MOST_SERVERS : MOST_DOMAINS;
        const end = lifetime === FOR_EVER ? Number.POSITIVE_INFINITY : clock.elapsed() + lifetime * 1000;
        const texts = values.map((value) => (typeof value === 'string' ? value : formatAddress(value)));
        for (const text of texts) renew(own[kind], text, lifetime === 0 ? undefined : end, most);
      }
      if (own.servers.size + own.domains.size > 0) known.set(ifindex, own);
      else known.delete(ifindex);
      wait();
      changed();
    },
    forget(ifindex) {
      if (!known.delete(ifindex)) return;
      wait();
      changed();
    },
    links: (links, routes) =>
      links.flatMap((link) => {
        const own = known.get(link.ifindex);
        return own === undefined ? [] : [linkDns(link, own, routes)];
      }),
    close: () => cancel(),
  };
}

/** When each runs out, by `Clock.elapsed`; in the order in which they came. */
interface Advertised {
  readonly servers: Map<string, number>;
  readonly domains: Map<string, number>;
}

function renew(values: Map<string, number>, value: string, end: number | undefined, most: number): void {
  if (end === undefined) values.delete(value);
  else if (values.has(value) || values.size < most) values.set(value, end);
}

function linkDns(
  link: LinkState,
  { servers, domains }: Advertised,
  routes: readonly DefaultRoute[],
): LinkDns {
  const best = routes.find(({ family, ifindex }) => family === 6 && ifindex === link.ifindex);
  return {
    interface: link.name,
    ifindex: link.ifindex,
    family: 6,
    connection: { id: 'router advertisement', uuid: '', type: 'advertisement' },
    vpn: false,
    priority: 100,
    servers: [...servers.keys()],
    searches: [...domains.keys()],
    domains: [],
    options: [],
    addresses: link.addresses.filter(({ address }) => address.family === 6).map(formatLinkAddress),
    routes: [],
    ...(best?.gateway === undefined ? {} : { gateway: best.gateway }),
    defaultRoute: best !== undefined,
    ...(best === undefined ? {} : { metric: best.metric }),
    neverDefault: false,
    ...DEFAULT_PROTOCOLS,
    connectivity: 'unknown',
  };
}
