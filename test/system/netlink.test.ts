import { onTestFinished } from 'vitest';
import { parsePrefix } from '../../src/core/address.ts';
import { formatLinkAddress } from '../../src/core/link-state.ts';
import { systemClock } from '../../src/system/clock.ts';
import { type Libc, loadLibc } from '../../src/system/libc.ts';
import { silentLog } from '../../src/system/log.ts';
import { openNetlink } from '../../src/system/netlink.ts';
import { kernelNetworkContract, type NetworkWorld } from '../contracts/kernel-network.ts';
import { fakeNetwork, linkState } from '../support/fake-network.ts';
import { networkNamespace, noNamespaces } from '../support/network-namespace.ts';
import { must } from '../support/sample-status.ts';

/** koffi is a dependency of ours, so here it must load. */
const libc = loadLibc((reason) => {
  throw new Error(reason);
}) as Libc;

kernelNetworkContract('the kernel', kernelWorld, noNamespaces);
kernelNetworkContract('the fake', async () => fakeWorld(), undefined);

async function kernelWorld(): Promise<NetworkWorld> {
  const namespace = await networkNamespace();
  onTestFinished(() => namespace.close());
  const { ip, inside } = namespace;
  const open = (groups: number): number => inside(() => libc.netlink.open(groups));
  return {
    open: () => openNetlink({ calls: { ...libc.netlink, open }, clock: systemClock, log: silentLog }),
    add(name) {
      ip(`link add ${name} type veth peer name ${name}-peer`);
      ip(`link set ${name}-peer up`);
    },
    remove: (name) => ip(`link delete ${name}`),
    rename: (name, to) => ip(`link set ${name} name ${to}`),
    setUp: (name, up) => ip(`link set ${name} ${up ? 'up' : 'down'}`),
    addAddress: (name, address) => ip(`address add ${address} dev ${name}`),
    removeAddress: (name, address) => ip(`address delete ${address} dev ${name}`),
    addDefaultRoute: (name, gateway, metric) =>
      ip(`route add default via ${gateway} dev ${name} metric ${metric}`),
  };
}

/** Two who look at one network: what is done is done to each. */
function fakeWorld(): NetworkWorld {
  const loopback = linkState({ ifindex: 1, name: 'lo', loopback: true });
  const kernel = fakeNetwork([loopback]);
  const seen = [kernel];
  const numbers = new Map<string, number>();
  let next = 2;
  const change = (
    name: string,
    how: (link: ReturnType<typeof linkState>) => ReturnType<typeof linkState>,
  ) => {
    const link = kernel.byIndex(numbers.get(name) ?? 0);
    if (link === undefined) throw new Error(`no link ${name}`);
    const after = how(link);
    for (const network of seen) network.put(after);
  };
  return {
    open() {
      const network = fakeNetwork(kernel.links());
      network.route(kernel.defaultRoutes());
      seen.push(network);
      return network;
    },
    add(name) {
      numbers.set(name, next++);
      const link = linkState({ ifindex: next - 1, name, up: false, running: false, addresses: [] });
      for (const network of seen) network.put(link);
    },
    remove(name) {
      for (const network of seen) network.remove(numbers.get(name) ?? 0);
    },
    rename(name, to) {
      change(name, (link) => ({ ...link, name: to }));
      numbers.set(to, numbers.get(name) ?? 0);
    },
    setUp: (name, up) => change(name, (link) => ({ ...link, up, running: up })),
    addAddress(name, text) {
      const { address, length } = must(parsePrefix(text));
      const added = { address, prefixLength: length, global: true };
      change(name, (link) => ({ ...link, addresses: [...link.addresses, added] }));
    },
    removeAddress: (name, text) =>
      change(name, (link) => ({
        ...link,
        addresses: link.addresses.filter((each) => formatLinkAddress(each) !== text),
      })),
    addDefaultRoute(name, gateway, metric) {
      const route = { family: 4, ifindex: numbers.get(name) ?? 0, metric, gateway } as const;
      for (const network of seen) network.route([...network.defaultRoutes(), route]);
    },
  };
}
