import { expect, test } from 'vitest';
import { linkPath } from '../../src/standin/link-path.ts';
import { LINKS, standinGround } from '../support/standin.ts';
import { callMethod, readProperty } from '../support/standin-calls.ts';

const ETH0 = linkPath(2);
const v4 = (...bytes: number[]) => [2, Uint8Array.from(bytes)] as const;
const v6 = (...groups: number[]) =>
  [10, Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]))] as const;

test('servers are set and read back with and without port and name', async () => {
  const ground = standinGround();
  const servers = [
    [...v4(192, 0, 2, 9), 0, ''],
    [...v6(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 5353, 'dns.example'],
    [...v4(192, 0, 2, 10), 853, ''],
  ];
  await callMethod(ground, 'SetLinkDNSEx', [2, servers]);
  expect(readProperty(ground, 'DNSEx', ETH0)).toEqual([
    servers[0],
    servers[1],
    [...v4(192, 0, 2, 10), 0, ''],
  ]);
  expect(readProperty(ground, 'DNS', ETH0)).toEqual(servers.map((row) => row.slice(0, 2)));
  expect(readProperty(ground, 'ScopesMask', ETH0)).toBe(1n);
  expect(ground.asked).toEqual(['org.freedesktop.resolve1.set-dns-servers']);
});

test('the link object takes the same settings as the manager', async () => {
  const ground = standinGround();
  await callMethod(ground, 'SetDNS', [[v4(192, 0, 2, 9)]], ETH0);
  await callMethod(
    ground,
    'SetDomains',
    [
      [
        ['Example.ORG.', false],
        ['.', true],
      ],
    ],
    ETH0,
  );
  await callMethod(ground, 'SetDefaultRoute', [true], ETH0);
  await callMethod(ground, 'SetLLMNR', ['no'], ETH0);
  await callMethod(ground, 'SetMulticastDNS', ['resolve'], ETH0);
  await callMethod(ground, 'SetDNSOverTLS', ['opportunistic'], ETH0);
  await callMethod(ground, 'SetDNSSEC', ['allow-downgrade'], ETH0);
  await callMethod(ground, 'SetDNSSECNegativeTrustAnchors', [['lan.example']], ETH0);
  expect(ground.pushed.get(2)?.settings).toMatchObject({
    domains: [
      { domain: 'example.org', routingOnly: false },
      { domain: '.', routingOnly: true },
    ],
    defaultRoute: true,
    llmnr: 'no',
    mdns: 'resolve',
    dnsOverTls: 'opportunistic',
    dnssec: 'allow-downgrade',
    negativeTrustAnchors: ['lan.example'],
  });
  expect(readProperty(ground, 'DNSSEC', ETH0), 'what is not done is not claimed').toBe('no');
  expect(readProperty(ground, 'Domains', ETH0)).toEqual([
    ['example.org', false],
    ['.', true],
  ]);
  expect(ground.asked.map((action) => action.split('.').at(-1))).toEqual([
    'set-dns-servers',
    'set-domains',
    'set-default-route',
    'set-llmnr',
    'set-mdns',
    'set-dns-over-tls',
    'set-dnssec',
    'set-dnssec-negative-trust-anchors',
  ]);
  await callMethod(ground, 'Revert', [], ETH0);
  expect(ground.pushed.get(2)).toBeUndefined();
  expect(ground.asked.at(-1)).toBe('org.freedesktop.resolve1.revert');
});

const INVALID = 'org.freedesktop.DBus.Error.InvalidArgs';

test.each<[string, string, readonly unknown[], string]>([
  ['a link numbered 0', 'SetLinkDNS', [0, []], INVALID],
  ['a negative link', 'SetLinkDNS', [-1, []], INVALID],
  ['an unknown link', 'SetLinkDNS', [99, []], 'org.freedesktop.resolve1.NoSuchLink'],
  ['loopback', 'SetLinkDNS', [1, []], 'org.freedesktop.resolve1.LinkBusy'],
  ["systemd-networkd's link", 'SetLinkDomains', [12, []], 'org.freedesktop.resolve1.LinkBusy'],
  ['a bad value on a busy link', 'SetLinkDNS', [1, [v4(0, 0, 0, 0)]], 'org.freedesktop.resolve1.LinkBusy'],
  ['0.0.0.0', 'SetLinkDNS', [2, [v4(192, 0, 2, 1), v4(0, 0, 0, 0)]], INVALID],
  ['::', 'SetLinkDNS', [2, [v6(0, 0, 0, 0, 0, 0, 0, 0)]], INVALID],
  ['our stub', 'SetLinkDNS', [2, [v4(127, 0, 0, 53)]], INVALID],
  ['our second stub', 'SetLinkDNS', [2, [v4(127, 0, 0, 54)]], INVALID],
  ['three bytes of an address', 'SetLinkDNS', [2, [v4(192, 0, 2)]], INVALID],
  ['an unknown family', 'SetLinkDNS', [2, [[7, Uint8Array.from([1, 2, 3, 4])]]], INVALID],
  ['a bad certificate name', 'SetLinkDNSEx', [2, [[...v4(192, 0, 2, 1), 0, 'a..b']]], INVALID],
  ['257 servers', 'SetLinkDNS', [2, new Array(257).fill(v4(192, 0, 2, 1))], 'System.Error.E2BIG'],
  ['1025 domains', 'SetLinkDomains', [2, new Array(1025).fill(['a.example', true])], 'System.Error.E2BIG'],
  ['the root as a search domain', 'SetLinkDomains', [2, [['.', false]]], INVALID],
  ['an empty domain', 'SetLinkDomains', [2, [['', true]]], INVALID],
  ['a domain with a line break', 'SetLinkDomains', [2, [['a\nnameserver 192.0.2.66', false]]], INVALID],
  ['an unknown word for LLMNR', 'SetLinkLLMNR', [2, 'perhaps'], INVALID],
  ['an unknown word for TLS', 'SetLinkDNSOverTLS', [2, 'true'], INVALID],
  [
    '2049 anchors',
    'SetLinkDNSSECNegativeTrustAnchors',
    [2, new Array(2049).fill('a.example')],
    'System.Error.E2BIG',
  ],
])('%s is refused, nobody is asked for a password and nothing changes', async (_, member, body, error) => {
  const ground = standinGround();
  await callMethod(ground, 'SetLinkDNS', [2, [v4(192, 0, 2, 9)]]);
  const before = ground.pushed.all();
  ground.asked.length = 0;
  await expect(callMethod(ground, member, body)).rejects.toMatchObject({ errorName: error });
  expect(ground.asked).toEqual([]);
  expect(ground.pushed.all()).toEqual(before);
});

test('the text of a list that is too long is the one that Tailscale looks for', async () => {
  const body = [2, new Array(1025).fill(['a.example', true])];
  await expect(callMethod(standinGround(), 'SetLinkDomains', body)).rejects.toThrow('Argument list too long');
});

test.each(['SetLinkDNS', 'SetLinkDNSEx', 'SetLinkDomains', 'RevertLink', 'FlushCaches'])(
  'a caller without the right cannot %s',
  async (member) => {
    const ground = standinGround({ forbidden: true });
    const body = member === 'FlushCaches' ? [] : member === 'RevertLink' ? [2] : [2, []];
    await expect(callMethod(ground, member, body)).rejects.toMatchObject({
      errorName: 'org.freedesktop.DBus.Error.AccessDenied',
    });
    expect(ground.asked.filter((action) => action.endsWith('!'))).toEqual([]);
    expect(ground.pushed.all()).toEqual([]);
  },
);

test('a link that went away while a password was typed is not set', async () => {
  let links = LINKS;
  const ground = standinGround({ links: () => links });
  const slow = {
    ...ground,
    rights: {
      ...ground.rights,
      permit: async () => {
        links = LINKS.filter(({ ifindex }) => ifindex !== 2);
      },
    },
  };
  await expect(callMethod(slow, 'SetLinkDNS', [2, [v4(192, 0, 2, 9)]])).rejects.toMatchObject({
    errorName: 'org.freedesktop.resolve1.NoSuchLink',
  });
  expect(ground.pushed.all()).toEqual([]);
});

test('empty words take a setting back to what holds for the machine', async () => {
  const ground = standinGround();
  await callMethod(ground, 'SetLinkDNSOverTLS', [2, 'yes']);
  expect(readProperty(ground, 'DNSOverTLS', ETH0)).toBe('yes');
  await callMethod(ground, 'SetLinkDNSOverTLS', [2, '']);
  expect(readProperty(ground, 'DNSOverTLS', ETH0)).toBe('no');
  expect(ground.pushed.get(2)).toBeUndefined();
});

test('the same server or domain twice counts once', async () => {
  const ground = standinGround();
  await callMethod(ground, 'SetLinkDNS', [2, [v4(192, 0, 2, 9), v4(192, 0, 2, 8), v4(192, 0, 2, 9)]]);
  await callMethod(ground, 'SetLinkDomains', [
    2,
    [
      ['a.example', true],
      ['A.example.', false],
    ],
  ]);
  expect(readProperty(ground, 'DNS', ETH0)).toEqual([v4(192, 0, 2, 9), v4(192, 0, 2, 8)]);
  expect(readProperty(ground, 'Domains', ETH0)).toEqual([['a.example', false]]);
});

test('1,000 settings at once are carried out in their order, each once', async () => {
  const ground = standinGround();
  const told: string[] = [];
  ground.pushed.start((event) => {
    if (event.kind === 'state') told.push(event.state.links[0]?.servers.join() ?? '');
  }, new AbortController().signal);
  const wanted = Array.from({ length: 1000 }, (_, n) => `192.0.${n >> 8}.${n & 255 || 255}`);
  await Promise.all(
    wanted.map((text) => callMethod(ground, 'SetLinkDNS', [2, [v4(...text.split('.').map(Number))]])),
  );
  const distinct = wanted.filter((text, n) => text !== wanted[n - 1]);
  expect(told.filter((text) => text !== '')).toEqual(distinct);
});

test('who sets or takes back something is answered when it is in force', async () => {
  const inForce = Promise.withResolvers<void>();
  const ground = { ...standinGround(), settled: () => inForce.promise };
  let answered = 0;
  const calls = [
    callMethod(ground, 'SetLinkDNS', [2, [v4(192, 0, 2, 9)]]),
    callMethod(ground, 'RevertLink', [3]),
  ].map((call) => call.then(() => answered++));
  await new Promise(setImmediate);
  expect([ground.pushed.get(2) !== undefined, answered]).toEqual([true, 0]);
  inForce.resolve();
  await Promise.all(calls);
  expect(answered).toBe(2);
});

test.each<[string, readonly (readonly [string, boolean])[], boolean]>([
  ['no domain', [], true],
  ['a search domain', [['a.example', false]], true],
  ['a routing domain', [['a.example', true]], false],
  [
    'a routing domain beside the root',
    [
      ['a.example', true],
      ['.', true],
    ],
    true,
  ],
])('a link with %s is asked for other names too, or not, from the call on', async (_, domains, asked) => {
  const ground = standinGround();
  await callMethod(ground, 'SetLinkDNS', [2, [v4(192, 0, 2, 9)]]);
  await callMethod(ground, 'SetLinkDomains', [2, domains]);
  expect(readProperty(ground, 'DefaultRoute', ETH0)).toBe(asked);
});
