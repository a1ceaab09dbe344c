import { expect, test } from 'vitest';
import { parsePrefix } from '../../src/core/address.ts';
import { isRelevant, type LinkAddress } from '../../src/core/link-state.ts';
import { linkState } from '../support/fake-network.ts';
import { must } from '../support/sample-status.ts';

const at = (text: string, global = true): LinkAddress => {
  const { address, length } = must(parsePrefix(text));
  return { address, prefixLength: length, global };
};
const address = (text: string) => at(text).address;
const near = at('fe80::1/64', false);

test.each<[string, Partial<Parameters<typeof isRelevant>[0]>, string, boolean]>([
  ['it runs and has an address', {}, '192.0.2.1', true],
  ['it is the loopback', { loopback: true }, '127.0.0.1', false],
  ['it is switched off', { up: false }, '192.0.2.1', false],
  ['it has no carrier', { running: false }, '192.0.2.1', false],
  ['it has no address yet', { addresses: [] }, '192.0.2.1', false],
  ['it has an address for its own link alone', { addresses: [near] }, '192.0.2.1', false],
  ['it has one for its own link, and a server there', { addresses: [near] }, 'fe80::53', true],
  ['it has no address, and a server on the link', { addresses: [] }, 'fe80::53', false],
  [
    'systemd-networkd is not done with it',
    { managedByNetworkd: true, operationalState: 'carrier' },
    '192.0.2.1',
    false,
  ],
  ['systemd-networkd says nothing of it', { managedByNetworkd: true }, '192.0.2.1', false],
  [
    'systemd-networkd calls it routable',
    { managedByNetworkd: true, operationalState: 'routable' },
    '192.0.2.1',
    true,
  ],
  [
    'systemd-networkd calls it degraded',
    { managedByNetworkd: true, operationalState: 'degraded' },
    '192.0.2.1',
    true,
  ],
  ['systemd-networkd has it not in hand', { operationalState: 'off' }, '192.0.2.1', true],
])('whether names are asked over a link: %s', (_, own, server, wanted) => {
  const link = { ...linkState({ ifindex: 2, name: 'eth0' }), managedByNetworkd: false, ...own };
  expect(isRelevant(link, [address(server)])).toBe(wanted);
});
