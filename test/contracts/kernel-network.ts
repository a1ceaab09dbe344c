import { describe, expect, it, onTestFinished } from 'vitest';
import { formatLinkAddress } from '../../src/core/link-state.ts';
import type { KernelNetwork } from '../../src/system/netlink.ts';
import { unless } from '../support/root-only.ts';
import { until } from '../support/until.ts';

/** A network whose links the test makes and takes away; other links may be there besides. */
export interface NetworkWorld {
  /** Look at it from now on. */
  open(): KernelNetwork;
  /** A link that is down. */
  add(name: string): void;
  remove(name: string): void;
  rename(name: string, to: string): void;
  setUp(name: string, up: boolean): void;
  addAddress(name: string, address: string): void;
  removeAddress(name: string, address: string): void;
  addDefaultRoute(name: string, gateway: string, metric: number): void;
}

/** What every KernelNetwork has to do. `left` says why it cannot be tried here. */
export function kernelNetworkContract(
  name: string,
  make: () => Promise<NetworkWorld>,
  left: string | undefined,
): void {
  describe.skipIf(left !== undefined)(unless(left, `the links of ${name}`), () => {
    async function world() {
      const made = await make();
      const open = () => {
        const network = made.open();
        onTestFinished(() => network.close());
        const heard: string[] = [];
        network.onLink(({ before, after }) => {
          const text = `${before?.name ?? '-'} > ${after?.name ?? '-'}`;
          if (!text.includes('-peer')) heard.push(text);
        });
        return { network, heard };
      };
      return { ...made, open };
    }
    const named = (network: KernelNetwork, link: string) =>
      network.links().find((each) => each.name === link);
    const wellNamed = (network: KernelNetwork, link: string) => {
      const found = named(network, link);
      if (found === undefined) throw new Error(`no link ${link}`);
      return found;
    };

    it('that are there already are told, in the order of their numbers', async () => {
      const { open, add } = await world();
      add('dk0');
      add('dk1');
      const { network } = open();
      const numbers = network.links().map(({ ifindex }) => ifindex);
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
      expect(wellNamed(network, 'lo')).toMatchObject({ ifindex: 1, loopback: true });
      const link = wellNamed(network, 'dk1');
      expect(link).toMatchObject({ loopback: false, tunnel: false, up: false, mtu: 1500 });
      expect(network.byIndex(link.ifindex)).toEqual(link);
      expect(network.byIndex(9999)).toBeUndefined();
    });

    it('that come and go are heard of, and are there and gone at once for who asks before', async () => {
      const { open, add, remove } = await world();
      const { network, heard } = open();
      add('dk0');
      const { ifindex } = wellNamed(network, 'dk0');
      remove('dk0');
      expect(network.byIndex(ifindex)).toBeUndefined();
      await until(() => heard.includes('dk0 > -'), 'it is heard that the link went');
      expect(heard).toEqual(['- > dk0', 'dk0 > -']);
      add('dk0');
      await until(() => heard.length === 3, 'the next is heard without being asked for');
      expect(heard.at(-1)).toBe('- > dk0');
    });

    it('keep their numbers when they are renamed', async () => {
      const { open, add, rename } = await world();
      add('dk0');
      const { network, heard } = open();
      const { ifindex } = wellNamed(network, 'dk0');
      rename('dk0', 'dk9');
      await until(() => heard.includes('dk0 > dk9'), 'the rename is heard');
      expect(network.byIndex(ifindex)?.name).toBe('dk9');
      expect(heard).not.toContain('dk0 > -');
    });

    it('tell whether they are up and which addresses they have', async () => {
      const { open, add, setUp, addAddress, removeAddress } = await world();
      add('dk0');
      const { network } = open();
      setUp('dk0', true);
      addAddress('dk0', '10.9.0.2/24');
      const addresses = () =>
        wellNamed(network, 'dk0').addresses.filter(({ address }) => address.family === 4);
      expect(addresses().map(formatLinkAddress)).toEqual(['10.9.0.2/24']);
      expect(addresses()[0]?.global).toBe(true);
      expect(wellNamed(network, 'dk0').up).toBe(true);
      await until(() => wellNamed(network, 'dk0').running, 'there is a carrier');
      removeAddress('dk0', '10.9.0.2/24');
      expect(addresses()).toEqual([]);
      setUp('dk0', false);
      expect(wellNamed(network, 'dk0').up).toBe(false);
    });

    it('carry default routes, the best first, which go with their link', async () => {
      const { open, add, setUp, addAddress, addDefaultRoute, remove } = await world();
      for (const [link, net] of [
        ['dk0', '10.9.0'],
        ['dk1', '10.9.1'],
        ['dk2', '10.9.2'],
      ] as const) {
        add(link);
        setUp(link, true);
        addAddress(link, `${net}.2/24`);
      }
      addDefaultRoute('dk0', '10.9.0.1', 600);
      const { network } = open();
      const routes = () =>
        network.defaultRoutes().map(({ ifindex, gateway }) => `${network.byIndex(ifindex)?.name} ${gateway}`);
      expect(routes()).toEqual(['dk0 10.9.0.1']);
      let told = 0;
      network.onRoutes(() => told++);
      addDefaultRoute('dk1', '10.9.1.1', 100);
      addDefaultRoute('dk2', '10.9.2.1', 300);
      expect(routes()).toEqual(['dk1 10.9.1.1', 'dk2 10.9.2.1', 'dk0 10.9.0.1']);
      setUp('dk1', false);
      expect(routes()).toEqual(['dk2 10.9.2.1', 'dk0 10.9.0.1']);
      const before = told;
      remove('dk2');
      await until(() => told > before, 'the change is heard');
      expect(routes()).toEqual(['dk0 10.9.0.1']);
    });

    it('are heard of by nobody after the end', async () => {
      const { open, add } = await world();
      const first = open();
      const second = open();
      const third: unknown[] = [];
      second.network.onLink((change) => third.push(change))();
      first.network.close();
      add('dk0');
      await until(() => second.heard.includes('- > dk0'), 'another still hears');
      expect([first.heard, third]).toEqual([[], []]);
    });
  });
}
