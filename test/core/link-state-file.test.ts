import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseAddress } from '../../src/core/address.ts';
import type { Domain } from '../../src/core/domain.ts';
import { formatLinkState, parseLinkState } from '../../src/core/link-state-file.ts';
import type { PushedLink, PushedSettings } from '../../src/core/pushed-links.ts';
import { must } from '../support/sample-status.ts';

const address = (text: string) => must(parseAddress(text));
const domain = (text: string, routingOnly = false) => ({ domain: text as Domain, routingOnly });
const BY = { name: 'openvpn (pid 812, uid 0)', mirrored: false };

const link = (settings: PushedSettings, by = BY): PushedLink => ({
  ifindex: 7,
  interface: 'tun0',
  tunnel: true,
  settings,
  by,
});

const everything: PushedSettings = {
  servers: [
    { address: address('10.8.0.1'), port: 0 },
    { address: address('2001:db8::1'), port: 5353, name: 'dns.example' as Domain },
    { address: address('2001:db8::2'), port: 0, name: 'dns.example' as Domain },
    { address: address('10.8.0.2'), port: 5353 },
  ],
  domains: [domain('corp.example'), domain('internal.example', true), domain('.', true)],
  defaultRoute: false,
  llmnr: 'no',
  mdns: 'resolve',
  dnsOverTls: 'opportunistic',
  dnssec: 'allow-downgrade',
  negativeTrustAnchors: ['lan.example' as Domain],
};

test('everything is written as systemd-resolved writes it', () => {
  expect(formatLinkState(link(everything))).toBe(`# This is private data. Do not parse.
# Link tun0
# Set by openvpn (pid 812, uid 0)
LLMNR=no
MDNS=resolve
DNSSEC=allow-downgrade
DNSOVERTLS=opportunistic
DEFAULT_ROUTE=no
SERVERS=10.8.0.1 [2001:db8::1]:5353#dns.example 2001:db8::2#dns.example 10.8.0.2:5353
DOMAINS=corp.example ~internal.example ~.
NTAS=lan.example
`);
});

test.each([
  ['everything', everything, BY],
  ['nothing but who', {}, BY],
  [
    'what NetworkManager pushed',
    { defaultRoute: true },
    { name: 'NetworkManager (pid 5, uid 0)', mirrored: true },
  ],
])('%s is read back as it was', (_, settings, by) => {
  expect(parseLinkState(formatLinkState(link(settings, by)))).toEqual({ interface: 'tun0', settings, by });
});

test('a file of systemd-resolved itself is read', () => {
  const text =
    '# This is private data. Do not parse.\nLLMNR=yes\nMDNS=no\nSERVERS="192.0.2.1 192.0.2.2:53%eth0#dns.example"\nDOMAINS=~.\n';
  expect(parseLinkState(text)).toMatchObject({
    settings: {
      llmnr: 'yes',
      mdns: 'no',
      servers: [{ port: 0 }, { port: 53, name: 'dns.example' }],
      domains: [{ domain: '.', routingOnly: true }],
    },
    by: { mirrored: false },
  });
});

test.each([
  ['a name for an address', 'SERVERS=dns.example'],
  ['a port that is none', 'SERVERS=192.0.2.1:99999'],
  ['a bad name', 'SERVERS=192.0.2.1#a..b'],
  ['a bad domain', 'DOMAINS=a..b ~'],
  ['the root as a search domain', 'DOMAINS=.'],
  ['an unknown word', 'LLMNR=perhaps\nDEFAULT_ROUTE=maybe'],
  ['an unknown key', 'COLOUR=red'],
  ['no line at all', '='],
])('%s is passed over', (_, text) => {
  expect(parseLinkState(`${text}\n`).settings).toEqual({});
});

test('whatever stands in a file, reading it gives settings that can be written', () => {
  const line = fc.oneof(
    fc.string(),
    fc
      .tuple(fc.constantFrom('SERVERS', 'DOMAINS', 'NTAS', 'LLMNR'), fc.string())
      .map((pair) => pair.join('=')),
  );
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const { settings, by } = parseLinkState(lines.join('\n'));
      expect(parseLinkState(formatLinkState(link(settings, by))).settings).toEqual(settings);
    }),
  );
});
