import { expect, test } from 'vitest';
import { pushedFindings } from '../../src/core/findings-pushed.ts';
import type { PushedLink, PushedSettings } from '../../src/core/pushed-links.ts';

const pushed = (settings: PushedSettings, index = 0): PushedLink => ({
  ifindex: index + 2,
  interface: `tun${index}`,
  tunnel: true,
  settings,
  by: { name: 'openvpn (pid 812, uid 0)', mirrored: false },
});
const ids = (settings: PushedSettings) =>
  pushedFindings([pushed(settings)]).map(({ severity, id }) => `${severity} ${id}`);

test.each([
  ['nothing that asks for more', {}, []],
  [
    'what was turned off, or left open',
    { dnssec: 'no', llmnr: 'no', mdns: 'default', dnsOverTls: 'yes' },
    [],
  ],
  ['validation as a must', { dnssec: 'yes' }, ['warning unsupported-dnssec']],
  ['validation where it can be had', { dnssec: 'allow-downgrade' }, ['note unsupported-dnssec']],
  ['LLMNR', { llmnr: 'resolve' }, ['note unsupported-llmnr']],
  ['both at once', { llmnr: 'yes', mdns: 'yes' }, ['note unsupported-llmnr', 'note unsupported-mdns']],
] as const)('the status tells of %s', (_, settings, expected) => {
  expect(ids(settings)).toEqual(expected);
});

test('it names links and who set them, and not more of them than one reads', () => {
  const one = pushedFindings([pushed({ dnssec: 'yes' })]);
  expect(one[0]?.text).toBe(
    'DNSSEC was asked for on tun0 (yes, by openvpn (pid 812, uid 0)), but dnskeeper does not validate answers: it hands on what the servers say.',
  );
  const many = pushedFindings(Array.from({ length: 4000 }, (_, index) => pushed({ mdns: 'yes' }, index)));
  expect(many).toHaveLength(1);
  expect(many[0]?.text).toContain(' and 3996 more, but');
});
