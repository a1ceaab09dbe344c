import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  dnsmasqServers,
  unboundCommands,
  whyUnfit,
  type Zone,
  type ZoneServer,
} from '../../src/core/back-end.ts';
import type { Domain } from '../../src/core/domain.ts';
import { parseServer } from '../../src/core/server.ts';
import { must } from '../support/sample-status.ts';

const server = (text: string, link?: string, encryption: ZoneServer['encryption'] = 'no'): ZoneServer => ({
  server: must(parseServer(text, link)),
  ...(link === undefined ? {} : { link }),
  encryption,
});

const zone = (domain: string, ...servers: readonly ZoneServer[]): Zone => ({
  domain: domain as Domain,
  servers,
  behindPortal: false,
});

describe('what dnsmasq is fed', () => {
  it.each<[string, readonly Zone[], readonly (readonly string[])[]]>([
    ['nothing, where nobody is to be asked', [], []],
    ['a server for all names by its link', [zone('.', server('192.0.2.1', 'eth0'))], [['192.0.2.1#53@eth0']]],
    [
      'a server for all names and for its own domains in rows of their own',
      [
        zone('.', server('192.0.2.1', 'eth0')),
        zone('home.example', server('192.0.2.1', 'eth0')),
        zone('2.0.192.in-addr.arpa', server('192.0.2.1', 'eth0')),
        zone('corp.example', server('10.8.0.1', 'tun0'), server('10.8.0.2', 'tun0')),
      ],
      [
        ['192.0.2.1#53@eth0'],
        ['192.0.2.1#53@eth0', 'home.example', '2.0.192.in-addr.arpa'],
        ['10.8.0.1#53@tun0', 'corp.example'],
        ['10.8.0.2#53@tun0', 'corp.example'],
      ],
    ],
    [
      'the link of a link-local address once, another port, and no link for a server on this machine',
      [
        zone('.', server('fe80::1', 'eth0'), server('2001:db8::1', 'eth0')),
        zone('a.example', server('dns+udp://127.0.0.1:5353', 'eth0'), server('192.0.2.9')),
      ],
      [
        ['fe80::1%eth0#53'],
        ['2001:db8::1#53@eth0'],
        ['127.0.0.1#5353', 'a.example'],
        ['192.0.2.9#53', 'a.example'],
      ],
    ],
  ])('%s', (_, zones, rows) => {
    expect(dnsmasqServers(zones)).toEqual(rows);
  });
});

describe('what unbound is told', () => {
  const home = zone('.', server('192.0.2.1', 'eth0'));
  const corp = zone('corp.example', server('10.8.0.1', 'tun0'));
  it.each<[string, readonly Zone[], readonly Zone[], readonly string[]]>([
    ['nothing, where nothing changed', [home, corp], [corp, home], []],
    [
      'all of it at first',
      [],
      [home, corp],
      [
        'forward_add . 192.0.2.1@53',
        'forward_add +i corp.example. 10.8.0.1@53',
        'flush_zone .',
        'flush_zone corp.example.',
        'flush_requestlist',
      ],
    ],
    [
      'what is gone, and to forget it',
      [home, corp],
      [home],
      ['forward_remove +i corp.example.', 'flush_zone corp.example.', 'flush_requestlist'],
    ],
    [
      'to ask nobody for the root when nobody has it, and not the roots of the Internet',
      [home, corp],
      [corp],
      ['forward_add . 127.255.255.254', 'flush_zone .', 'flush_requestlist'],
    ],
    [
      'which servers to ask over TLS and by what name they prove themselves',
      [home],
      [zone('.', server('192.0.2.1#dns.example', 'eth0', 'yes'))],
      ['forward_add +t . 192.0.2.1@853#dns.example', 'flush_zone .', 'flush_requestlist'],
    ],
    [
      'the same for servers that are written as encrypted, at a port of theirs',
      [],
      [zone('a.example', server('dns+tls://[2001:db8::1]:8853#dns.example', undefined, 'yes'))],
      [
        'forward_add +it a.example. 2001:db8::1@8853#dns.example',
        'flush_zone a.example.',
        'flush_requestlist',
      ],
    ],
  ])('%s', (_, before, after, commands) => {
    expect(unboundCommands(before, after)).toEqual(commands);
  });

  it('leads from any state to any other as if it had begun there', () => {
    const zones = fc.uniqueArray(
      fc.record({
        name: fc.constantFrom('.', 'a.example', 'b.example', 'c.a.example'),
        last: fc.integer({ min: 1, max: 3 }),
      }),
      { selector: ({ name }) => name },
    );
    const made = (list: readonly { name: string; last: number }[]): readonly Zone[] =>
      list.map(({ name, last }) => zone(name, server(`192.0.2.${last}`)));
    fc.assert(
      fc.property(zones, zones, (before, after) => {
        const [first, then] = [made(before), made(after)];
        const direct = play(new Map(), unboundCommands([], then));
        expect(play(play(new Map(), unboundCommands([], first)), unboundCommands(first, then))).toEqual(
          direct,
        );
      }),
    );
  });

  /** Forward zones of an unbound that has been given these commands; the root is there from its file. */
  function play(
    zones: ReadonlyMap<string, string>,
    commands: readonly string[],
  ): ReadonlyMap<string, string> {
    const next = new Map([['.', '127.255.255.254'], ...zones]);
    for (const command of commands) {
      const [verb, ...words] = command.split(' ').filter((word) => !word.startsWith('+'));
      const [name = '', ...rest] = words;
      if (verb === 'forward_add') next.set(name, rest.join(' '));
      if (verb === 'forward_remove') next.delete(name);
    }
    return next;
  }
});

describe('what another resolver cannot do', () => {
  const portal: Zone = { ...zone('.', server('192.0.2.1')), behindPortal: true };
  const strict = zone('.', server('192.0.2.1#dns.example', 'eth0', 'yes'));
  const nameless = zone('.', server('192.0.2.1', 'eth0', 'yes'));
  const hopeful = zone('.', server('192.0.2.1', 'eth0', 'opportunistic'));
  const twice = [zone('.', server('192.0.2.1', 'eth0')), zone('a.example', server('192.0.2.1', 'tun0'))];
  const mixed = [zone('.', server('192.0.2.1#a.example', 'eth0', 'yes'), server('192.0.2.2', 'wlan0'))];
  const itself = [zone('.', server('127.0.0.55'))];
  it.each<[string, 'dnsmasq' | 'unbound', readonly Zone[], RegExp | undefined]>([
    ['plain servers', 'dnsmasq', [hopeful], undefined],
    ['plain servers', 'unbound', [hopeful], undefined],
    ['a captive portal', 'dnsmasq', [portal], /captive portal/],
    ['a captive portal', 'unbound', [portal], /captive portal/],
    ['strict encryption', 'dnsmasq', [strict], /TLS/],
    ['strict encryption', 'unbound', [strict], undefined],
    ['strict encryption without a name to check', 'unbound', [nameless], /by name alone/],
    ['one address on two links', 'dnsmasq', twice, undefined],
    ['one address on two links', 'unbound', twice, /192\.0\.2\.1 over two links/],
    ['encrypted and open servers of one domain', 'unbound', mixed, /differ/],
    ['its own address', 'dnsmasq', itself, /127\.0\.0\.55/],
    ['its own address', 'unbound', itself, /127\.0\.0\.55/],
  ])('%s, with %s', (_, kind, zones, why) => {
    const said = whyUnfit(kind, zones);
    if (why === undefined) expect(said).toBeUndefined();
    else expect(said).toMatch(why);
  });
});
