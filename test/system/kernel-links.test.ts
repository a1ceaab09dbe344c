import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { kernelLinks } from '../../src/system/kernel-links.ts';
import { sysfsNetwork } from '../../src/system/sysfs-network.ts';
import { fakeNetwork, linkState } from '../support/fake-network.ts';
import { temporaryFolder } from '../support/folder.ts';
import { ODD_FILES } from '../support/odd-files.ts';

/** A root with links as sysfs shows them. */
function machine() {
  const root = temporaryFolder();
  return {
    root,
    link(name: string, ifindex: number, type: number, more: Readonly<Record<string, string>> = {}) {
      const folder = join(root, 'sys/class/net', name);
      mkdirSync(folder, { recursive: true });
      for (const [file, text] of Object.entries({ ifindex, type, ...more }))
        writeFileSync(join(folder, file), `${text}\n`);
    },
    networkd(ifindex: number, text: string) {
      const folder = join(root, 'run/systemd/netif/links');
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, String(ifindex)), text);
    },
  };
}

test('links in sysfs are told with their kind, in the order of their numbers', () => {
  const { root, link } = machine();
  link('eth0', 12, 1, { flags: '0x1003', carrier: '1', mtu: '9000' });
  link('wg0', 3, 65534, { flags: '0x90', mtu: '1420' });
  link('lo', 1, 772, { flags: '0x9', carrier: '1', mtu: '65536' });
  link('wlan0', 13, 1, { flags: '0x1003', carrier: '1', dormant: '1', mtu: 'none' });
  const rest = { addresses: [], managedByNetworkd: false };
  expect(kernelLinks(root).all()).toEqual([
    { ifindex: 1, name: 'lo', loopback: true, tunnel: false, up: true, running: true, mtu: 65536, ...rest },
    { ifindex: 3, name: 'wg0', loopback: false, tunnel: true, up: false, running: false, mtu: 1420, ...rest },
    {
      ifindex: 12,
      name: 'eth0',
      loopback: false,
      tunnel: false,
      up: true,
      running: true,
      mtu: 9000,
      ...rest,
    },
    { ifindex: 13, name: 'wlan0', loopback: false, tunnel: false, up: true, running: false, mtu: 0, ...rest },
  ]);
});

test('links of this machine are told with their addresses where only sysfs can be asked', () => {
  const network = sysfsNetwork();
  const loopback = network.byIndex(1);
  expect(loopback).toMatchObject({ name: 'lo', loopback: true, tunnel: false });
  expect(network.links()[0]).toEqual(loopback);
  expect(loopback?.addresses.every(({ global }) => !global)).toBe(true);
  expect(network.problem).toMatch(/noticed only at the next change/);
});

test.each([
  ['configured', true],
  ['configuring', true],
  ['failed', true],
  ['unmanaged', false],
  ['pending', false],
  ['initialized', false],
])('a link that systemd-networkd calls %s: managed is %s', (state, managed) => {
  const { root, networkd } = machine();
  networkd(2, `# This is private data. Do not parse.\nADMIN_STATE=${state}\nOPER_STATE=routable\n`);
  const links = kernelLinks(root, fakeNetwork([linkState({ ifindex: 2, name: 'eth0' })]));
  expect(links.byIndex(2)).toMatchObject({ managedByNetworkd: managed, operationalState: 'routable' });
  expect(links.all()).toEqual([links.byIndex(2)]);
  expect(links.byIndex(3)).toBeUndefined();
});

// systemd-networkd's user writes there, and a pipe would hold us for ever.
test.each(ODD_FILES)('a file of systemd-networkd that is $what says nothing', ({ make }) => {
  const { root, networkd } = machine();
  networkd(2, '');
  const file = join(root, 'run/systemd/netif/links/2');
  rmSync(file);
  make(file);
  const links = kernelLinks(root, fakeNetwork([linkState({ ifindex: 2, name: 'eth0' })]));
  expect(links.byIndex(2)).toMatchObject({ name: 'eth0', managedByNetworkd: false });
});

test('a link in sysfs is found by its number also after it was renamed or its number went to another', () => {
  const { root, link } = machine();
  link('eth0', 2, 1);
  const links = kernelLinks(root);
  expect(links.byIndex(2)?.name).toBe('eth0');
  renameSync(join(root, 'sys/class/net/eth0'), join(root, 'sys/class/net/lan0'));
  expect(links.byIndex(2)?.name).toBe('lan0');
  rmSync(join(root, 'sys/class/net/lan0'), { recursive: true });
  expect(links.byIndex(2)).toBeUndefined();
  link('eth0', 5, 1);
  expect(links.byIndex(2)).toBeUndefined();
  expect(links.byIndex(5)?.name).toBe('eth0');
});

test('a machine without sysfs has no links', () => {
  expect(kernelLinks(temporaryFolder()).all()).toEqual([]);
});
