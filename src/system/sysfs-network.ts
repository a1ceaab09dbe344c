import { readdirSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { parsePrefix } from '../core/address.ts';
import type { LinkAddress, LinkState } from '../core/link-state.ts';
import type { KernelNetwork } from './netlink.ts';

/**
 * Links as sysfs shows them below `root`, looked at anew at each call: for machines without netlink. Nothing is ever
 * heard, and there are no routes; `problem` says so of the machine itself.
 */
export function sysfsNetwork(root = ''): KernelNetwork {
  const sys = `${root}/sys/class/net`;
  // A link is asked for again and again by its number: where it was last time is looked at first.
  const names = new Map<number, string>();
  const read = (
    name: string,
    addresses: ReadonlyMap<string, readonly LinkAddress[]>,
  ): LinkState | undefined => readLink(`${sys}/${name}`, name, addresses.get(name) ?? []);
  const addresses = (): ReadonlyMap<string, readonly LinkAddress[]> =>
    root === '' ? addressesOfMachine() : new Map();
  function links(): readonly LinkState[] {
    const known = addresses();
    const all = namesIn(sys)
      .map((name) => read(name, known))
      .filter((link) => link !== undefined)
      .sort((a, b) => a.ifindex - b.ifindex);
    names.clear();
    for (const { ifindex, name } of all) names.set(ifindex, name);
    return all;
  }
  const never = (): (() => void) => () => {};
  return {
    links,
    byIndex(ifindex) {
      const name = names.get(ifindex);
      const link = name === undefined ? undefined : read(name, addresses());
      return link?.ifindex === ifindex ? link : links().find((each) => each.ifindex === ifindex);
    },
    defaultRoutes: () => [],
    onLink: never,
    onRoutes: never,
    onRouterOption: never,
    solicit() {},
    problem: root === '' ? UNHEARD : undefined,
    close() {},
  };
}

const UNHEARD =
  'Links that come and go are noticed only at the next change of something else: the kernel cannot tell us.';

/** ARPHRD_LOOPBACK and ARPHRD_NONE of linux/if_arp.h. */
const LOOPBACK = 772;
const NO_LINK_LAYER = 65534;
const IFF_UP = 1;

function readLink(folder: string, name: string, addresses: readonly LinkAddress[]): LinkState | undefined {
  const ifindex = numberIn(`${folder}/ifindex`);
  const type = numberIn(`${folder}/type`);
  if (ifindex === undefined || type === undefined) return undefined;
  return {
    ifindex,
    name,
    loopback: type === LOOPBACK,
    tunnel: type === NO_LINK_LAYER,
    up: ((numberIn(`${folder}/flags`) ?? 0) & IFF_UP) !== 0,
    // Not readable while the link is down.
    running: numberIn(`${folder}/carrier`) === 1 && numberIn(`${folder}/dormant`) !== 1,
    mtu: numberIn(`${folder}/mtu`) ?? 0,
    addresses,
  };
}

function addressesOfMachine(): ReadonlyMap<string, readonly LinkAddress[]> {
  const entries = Object.entries(networkInterfaces()).map(([name, list = []]) => {
    const addresses = list.flatMap(({ cidr }): LinkAddress[] => {
      const prefix = cidr === null ? undefined : parsePrefix(cidr);
      if (!prefix?.ok) return [];
      const { address, length } = prefix.value;
      const near = address.kind === 'link-local' || address.kind === 'loopback';
      return [{ address, prefixLength: length, global: !near }];
    });
    return [name, addresses] as const;
  });
  return new Map(entries);
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // no sysfs: nothing is known of links
  }
}

function numberIn(path: string): number | undefined {
  try {
    const number = Number(readFileSync(path, 'latin1').slice(0, 32));
    return Number.isInteger(number) ? number : undefined;
  } catch {
    return undefined; // it went away between its mention and now
  }
}
