import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { parseAddress } from '../../src/core/address.ts';
import { parseNetworkdLink } from '../../src/core/networkd-link-file.ts';
import { must } from '../support/sample-status.ts';

const address = (text: string) => must(parseAddress(text));

/** As systemd 257 writes it for a link with DHCP. */
const WITH_DHCP = `# This is private data. Do not parse.
ADMIN_STATE=configured
OPER_STATE=routable
CARRIER_STATE=carrier
ADDRESS_STATE=routable
IPV4_ADDRESS_STATE=routable
IPV6_ADDRESS_STATE=degraded
ONLINE_STATE=online
REQUIRED_FOR_ONLINE=yes
REQUIRED_OPER_STATE_FOR_ONLINE=degraded
REQUIRED_FAMILY_FOR_ONLINE=any
ACTIVATION_POLICY=up
NETWORK_FILE=/etc/systemd/network/20-wired.network
NETWORK_FILE_DROPINS=""
DNS=192.0.2.53 [2001:db8::53]:5353#dns.example 192.0.2.54%eth0
NTP=192.0.2.123
SIP=
DOMAINS=home.example
ROUTE_DOMAINS=corp.example .
LLMNR=yes
MDNS=no
DNS_OVER_TLS=opportunistic
DNSSEC=allow-downgrade
DNSSEC_NTA=lan.example
DNS_DEFAULT_ROUTE=no
DHCP4_ADDRESS=192.0.2.7
`;

test('all that a link file says of DNS is read, and what it says of other things is not', () => {
  expect(parseNetworkdLink(WITH_DHCP)).toEqual({
    managed: true,
    operationalState: 'routable',
    configuredBy: '20-wired',
    settings: {
      servers: [
        { address: address('192.0.2.53'), port: 0 },
        { address: address('2001:db8::53'), port: 5353, name: 'dns.example' },
        { address: address('192.0.2.54'), port: 0 },
      ],
      domains: [
        { domain: 'home.example', routingOnly: false },
        { domain: 'corp.example', routingOnly: true },
        { domain: '.', routingOnly: true },
      ],
      defaultRoute: false,
      llmnr: 'yes',
      mdns: 'no',
      dnsOverTls: 'opportunistic',
      dnssec: 'allow-downgrade',
      negativeTrustAnchors: ['lan.example'],
    },
  });
});

describe('whether systemd-networkd has a link in hand', () => {
  it.each([
    ['ADMIN_STATE=configured', true],
    ['ADMIN_STATE=configuring', true],
    ['ADMIN_STATE=failed', true],
    ['ADMIN_STATE=linger', true],
    ['ADMIN_STATE=unmanaged', false],
    ['ADMIN_STATE=pending', false],
    ['ADMIN_STATE=initialized', false],
    ['ADMIN_STATE=', false],
    ['OPER_STATE=routable', false],
    ['', false],
  ])('%j: %s', (text, managed) => {
    expect(parseNetworkdLink(text).managed).toBe(managed);
  });
});

test.each<[string, object]>([
  ['DNS=', {}],
  ['DNS=no-address 1.2.3.4:99999 ::1]', {}],
  ['DOMAINS=. bad..name ok.example', { domains: [{ domain: 'ok.example', routingOnly: false }] }],
  ['DOMAINS=~corp.example', { domains: [{ domain: 'corp.example', routingOnly: true }] }],
  ['ROUTE_DOMAINS=~corp.example', { domains: [{ domain: 'corp.example', routingOnly: true }] }],
  ['LLMNR=maybe', {}],
  ['DNS_OVER_TLS=yes\nDNS_OVER_TLS=no', { dnsOverTls: 'no' }],
  ['DNS_DEFAULT_ROUTE=true', { defaultRoute: true }],
  ['dns=192.0.2.1', {}],
])('what is no good value is passed over: %j', (text, settings) => {
  expect(parseNetworkdLink(text).settings).toEqual(settings);
});

test('a file of whatever bytes is read, within bounds', () => {
  const line = fc.tuple(
    fc.constantFrom('DNS', 'DOMAINS', 'ROUTE_DOMAINS', 'ADMIN_STATE', 'DNSSEC_NTA', 'X'),
    fc.string({ unit: 'binary', maxLength: 60 }),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 40 }), (lines) => {
      const { settings } = parseNetworkdLink(lines.map(([key, value]) => `${key}=${value}`).join('\n'));
      expect(settings.domains?.every(({ domain }) => /^[!-~]+$/.test(domain)) ?? true).toBe(true);
    }),
  );
  const many = `DNS=${'192.0.2.1 '.repeat(10_000)}\nDOMAINS=${'a.example '.repeat(10_000)}`;
  const { servers, domains } = parseNetworkdLink(many).settings;
  expect([servers?.length, domains?.length]).toEqual([256, 1024]);
});
