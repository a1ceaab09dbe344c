import { expect, test } from 'vitest';
import { parseAddress } from '../../src/core/address.ts';
import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import type { Domain } from '../../src/core/domain.ts';
import { makePlan } from '../../src/core/policy.ts';
import {
  changeSettings,
  type PushedLink,
  type PushedSettings,
  pushedState,
} from '../../src/core/pushed-links.ts';
import { formatServer } from '../../src/core/server.ts';
import type { LinkDns } from '../../src/core/snapshot.ts';
import { link } from '../support/links.ts';
import { must } from '../support/sample-status.ts';

const address = (text: string) => must(parseAddress(text));
const domain = (text: string, routingOnly = false) => ({ domain: text as Domain, routingOnly });

function pushed(settings: PushedSettings, own: Partial<PushedLink> = {}): PushedLink {
  const by = { name: 'openvpn (pid 812, uid 0)', mirrored: false };
  return { ifindex: 7, interface: 'tun0', tunnel: true, settings, by, ...own };
}

const network = (own: Partial<LinkDns>): LinkDns =>
  link({ servers: ['192.0.2.1'], domains: ['home.example'], ...own });

test.each<[string, PushedSettings, Partial<LinkDns>]>([
  ['a server', { servers: [{ address: address('10.8.0.1'), port: 0 }] }, { servers: ['10.8.0.1'] }],
  [
    'a server with its certificate name',
    { servers: [{ address: address('10.8.0.1'), port: 0, name: 'dns.example' as Domain }] },
    { servers: ['10.8.0.1#dns.example'] },
  ],
  [
    'an odd port',
    { servers: [{ address: address('2001:db8::1'), port: 5353 }] },
    { servers: ['dns+udp://[2001:db8::1]:5353'] },
  ],
  [
    'an odd port where TLS is a must',
    {
      servers: [{ address: address('10.8.0.1'), port: 8853, name: 'dns.example' as Domain }],
      dnsOverTls: 'yes',
    },
    { servers: ['dns+tls://10.8.0.1:8853#dns.example'], dnsOverTls: 'yes' },
  ],
  [
    'search and routing domains',
    { domains: [domain('a.example'), domain('b.example', true)] },
    { searches: ['a.example', '~b.example'], defaultRoute: false },
  ],
  [
    'search domains alone',
    { domains: [domain('a.example')] },
    { searches: ['a.example'], defaultRoute: true },
  ],
  ['no default route', { defaultRoute: false }, { defaultRoute: false, neverDefault: true }],
  [
    'a default route beside routing domains',
    { defaultRoute: true, domains: [domain('b.example', true)] },
    { defaultRoute: true, neverDefault: false },
  ],
])('%s is told as any source would', (_, settings, wanted) => {
  const { links } = pushedState([pushed(settings)]);
  expect(links).toHaveLength(1);
  expect(links[0]).toMatchObject({ interface: 'tun0', ifindex: 7, vpn: true, priority: 50, ...wanted });
});

test('who set it is what status shows', () => {
  const { links } = pushedState([pushed({ servers: [{ address: address('10.8.0.1'), port: 0 }] })]);
  const plan = makePlan({ 'pushed-links': { links } }, DEFAULT_CONFIG);
  expect(plan.upstream[0]?.origin.connection?.id).toBe('openvpn (pid 812, uid 0)');
});

test('what NetworkManager pushes is not counted beside what NetworkManager tells', () => {
  const by = { name: 'NetworkManager', mirrored: true };
  const state = pushedState([pushed({ servers: [{ address: address('10.8.0.1'), port: 0 }] }, { by })]);
  expect(state.links).toEqual([]);
});

test('a knob alone makes no link of the plan', () => {
  expect(pushedState([pushed({ llmnr: 'no', dnssec: 'no' })]).links).toEqual([]);
});

test('servers and domains that are pushed replace those of the link’s own network', () => {
  const { links } = pushedState([
    pushed(
      { servers: [{ address: address('9.9.9.9'), port: 0 }], domains: [domain('set.example')] },
      { ifindex: 2, interface: 'eth0', tunnel: false },
    ),
  ]);
  const other = network({ interface: 'wlan0', ifindex: 3, servers: ['192.0.2.3'], domains: [], metric: 600 });
  const plan = makePlan(
    { networkmanager: { links: [network({}), other] }, 'pushed-links': { links } },
    DEFAULT_CONFIG,
  );
  const servers = plan.links.flatMap((link) =>
    link.servers.map(({ value }) => `${link.key} ${formatServer(value)}`),
  );
  expect(servers.sort()).toEqual(['eth0 9.9.9.9', 'wlan0 192.0.2.3']);
  expect(plan.search.map(({ value }) => value)).toEqual(['set.example']);
});

test('domains alone leave the servers of the network', () => {
  const { links } = pushedState([
    pushed({ domains: [domain('set.example')] }, { ifindex: 2, interface: 'eth0', tunnel: false }),
  ]);
  const plan = makePlan(
    { networkmanager: { links: [network({})] }, 'pushed-links': { links } },
    DEFAULT_CONFIG,
  );
  expect(plan.upstream.map(({ value }) => formatServer(value))).toEqual(['192.0.2.1']);
  expect(plan.search.map(({ value }) => value)).toEqual(['set.example']);
});

test('settings add up, and empty ones go', () => {
  const servers = [{ address: address('10.8.0.1'), port: 0 }];
  const both = changeSettings({ servers }, { dnsOverTls: 'yes', domains: [domain('a.example')] });
  expect(both).toEqual({ servers, dnsOverTls: 'yes', domains: [domain('a.example')] });
  expect(changeSettings(both, { servers: [], dnsOverTls: 'default' })).toEqual({
    domains: [domain('a.example')],
  });
});
