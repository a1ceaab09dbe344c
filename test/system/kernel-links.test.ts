import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { kernelLinks } from '../../src/system/kernel-links.ts';
import { temporaryFolder } from '../support/folder.ts';

/** A root with links as sysfs shows them. */
function machine(): {
  root: string;
  link(name: string, ifindex: number, type: number): void;
  networkd(ifindex: number, text: string): void;
} {
  const root = temporaryFolder();
  return {
    root,
    link(name, ifindex, type) {
      const folder = join(root, 'sys/class/net', name);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'ifindex'), `${ifindex}\n`);
      writeFileSync(join(folder, 'type'), `${type}\n`);
    },
    networkd(ifindex, text) {
      const folder = join(root, 'run/systemd/netif/links');
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, String(ifindex)), text);
    },
  };
}

test('links are told with their kind, in the order of their numbers', () => {
  const { root, link } = machine();
  link('eth0', 12, 1);
  link('wg0', 3, 65534);
  link('lo', 1, 772);
  expect(kernelLinks(root).all()).toEqual([
    { ifindex: 1, name: 'lo', loopback: true, tunnel: false, managedByNetworkd: false },
    { ifindex: 3, name: 'wg0', loopback: false, tunnel: true, managedByNetworkd: false },
    { ifindex: 12, name: 'eth0', loopback: false, tunnel: false, managedByNetworkd: false },
  ]);
});

test.each([
  ['configured', true],
  ['configuring', true],
  ['failed', true],
  ['unmanaged', false],
  ['pending', false],
  ['initialized', false],
])('a link that systemd-networkd calls %s: managed is %s', (state, managed) => {
  const { root, link, networkd } = machine();
  link('eth0', 2, 1);
  networkd(2, `# This is private data. Do not parse.\nADMIN_STATE=${state}\nOPER_STATE=routable\n`);
  expect(kernelLinks(root).byIndex(2)?.managedByNetworkd).toBe(managed);
});

test('a link is found by its number also after it was renamed or its number went to another', () => {
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
