import { formatAddress } from '../core/address.ts';
import { type DefaultRoute, type LinkAddress, type LinkState, sameLink } from '../core/link-state.ts';
import { compareText } from '../core/text.ts';
import type { AddressMessage, LinkMessage, NetlinkMessage, RouteMessage } from './netlink-messages.ts';

/** A link came (no `before`), went (no `after`) or is another way now; with another name, it was renamed. */
export interface LinkChange {
  readonly before: LinkState | undefined;
  readonly after: LinkState | undefined;
}

/** The links of the machine, put together from what the kernel says of them one after the other. */
export interface NetworkState {
  /** In the order of their numbers. */
  links(): readonly LinkState[];
  byIndex(ifindex: number): LinkState | undefined;
  /** Take in a message; undefined when nothing has changed by it. */
  apply(message: NetlinkMessage): LinkChange | undefined;
  /** Take in all there is, after some messages were lost; what has changed by it. */
  replace(messages: readonly NetlinkMessage[]): readonly LinkChange[];
}

/** More links than any machine has; what comes beyond is not followed. */
const MOST_LINKS = 16_384;

/** More addresses than any link has. */
const MOST_ADDRESSES = 256;

/** No links yet. */
export function networkState(): NetworkState {
  let links = new Map<number, Known>();

  function onLink(message: LinkMessage): LinkChange | undefined {
    const known = links.get(message.ifindex);
    const before = known?.state;
    if (message.gone) {
      links.delete(message.ifindex);
      return known === undefined ? undefined : { before, after: undefined };
    }
    if (known === undefined && (message.name === undefined || links.size >= MOST_LINKS)) return undefined;
    const addresses = known?.addresses ?? new Map<string, LinkAddress>();
    const base = { ...known?.base, ...spoken(message) } as Known['base'];
    return put({ base, addresses, state: stateOf(message.ifindex, base, addresses) }, before);
  }

  function onAddress(message: AddressMessage): LinkChange | undefined {
    const known = links.get(message.ifindex);
    if (known === undefined) return undefined;
    const { base, addresses, state: before } = known;
    const key = `${formatAddress(message.address)}/${message.prefixLength}`;
    if (message.gone || message.tentative) addresses.delete(key);
    else if (addresses.size < MOST_ADDRESSES) {
      const { address, prefixLength, scope } = message;
      addresses.set(key, { address, prefixLength, global: scope < RT_SCOPE_LINK });
    }
    return put({ base, addresses, state: stateOf(message.ifindex, base, addresses) }, before);
  }

  function put(next: Known, before: LinkState | undefined): LinkChange | undefined {
    if (before !== undefined && sameLink(before, next.state)) return undefined;
    links.set(next.state.ifindex, next);
    return { before, after: next.state };
  }

  const apply = (message: NetlinkMessage): LinkChange | undefined =>
    message.kind === 'link' ? onLink(message) : message.kind === 'address' ? onAddress(message) : undefined;

  return {
    links: () => [...links.values()].map(({ state }) => state).sort((a, b) => a.ifindex - b.ifindex),
    byIndex: (ifindex) => links.get(ifindex)?.state,
    apply,
    replace(messages) {
      const old = links;
      links = new Map();
      for (const message of messages) apply(message);
      return differences(old, links);
    },
  };
}

interface Known {
  readonly base: Pick<LinkMessage, 'hardware' | 'flags'> & {
    readonly name: string;
    readonly mtu?: number;
    readonly driver?: string;
  };
  readonly addresses: Map<string, LinkAddress>;
  readonly state: LinkState;
}

/** All default routes of these messages, the best first. */
export function defaultRoutes(messages: readonly NetlinkMessage[]): readonly DefaultRoute[] {
  return messages
    .filter((message): message is RouteMessage => message.kind === 'route' && !message.gone)
    .flatMap(({ family, metric, hops }) =>
      hops.map(({ ifindex, gateway }) => ({
        family,
        ifindex,
        metric,
        ...(gateway === undefined ? {} : { gateway: formatAddress(gateway) }),
      })),
    )
    .sort(
      (a, b) =>
        a.metric - b.metric ||
        a.family - b.family ||
        a.ifindex - b.ifindex ||
        compareText(a.gateway ?? '', b.gateway ?? ''),
    );
}

/** RT_SCOPE_LINK; smaller numbers reach further. */
const RT_SCOPE_LINK = 253;
/** ARPHRD_LOOPBACK and ARPHRD_NONE of linux/if_arp.h. */
const LOOPBACK = 772;
const NO_LINK_LAYER = 65534;
/** IFF_UP, IFF_LOWER_UP and IFF_DORMANT of netdevice(7). */
const UP = 1;
const LOWER_UP = 0x10000;
const DORMANT = 0x20000;

/** What a message says; news of a wireless link, for one, say little. */
function spoken({ name, hardware, flags, mtu, driver }: LinkMessage): Partial<Known['base']> {
  return {
    hardware,
    flags,
    ...(name === undefined ? {} : { name }),
    ...(mtu === undefined ? {} : { mtu }),
    ...(driver === undefined ? {} : { driver }),
  };
}

function stateOf(
  ifindex: number,
  { name, hardware, flags, mtu, driver }: Known['base'],
  addresses: ReadonlyMap<string, LinkAddress>,
): LinkState {
  return {
    ifindex,
    name,
    loopback: hardware === LOOPBACK,
    tunnel: hardware === NO_LINK_LAYER,
    ...(driver === undefined ? {} : { driver }),
    up: (flags & UP) !== 0,
    running: (flags & LOWER_UP) !== 0 && (flags & DORMANT) === 0,
    mtu: mtu ?? 0,
    addresses: [...addresses].sort(([a], [b]) => compareText(a, b)).map(([, address]) => address),
  };
}

/**
 * Whether a link was renamed or its number went to another cannot be told any more: it is taken for another, because
 * what was set for one link must not come to count for a second.
 */
function differences(
  old: ReadonlyMap<number, Known>,
  links: ReadonlyMap<number, Known>,
): readonly LinkChange[] {
  const changes: LinkChange[] = [];
  for (const [ifindex, { state: before }] of old) {
    if (links.get(ifindex)?.state.name !== before.name) changes.push({ before, after: undefined });
  }
  for (const [ifindex, { state: after }] of links) {
    const before = old.get(ifindex)?.state;
    if (before?.name !== after.name) changes.push({ before: undefined, after });
    else if (!sameLink(before, after)) changes.push({ before, after });
  }
  return changes;
}
