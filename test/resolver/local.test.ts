import { describe, expect, it } from 'vitest';
import { type Address, parseAddress } from '../../src/core/address.ts';
import { hostsFile, hostsReader, parseHosts } from '../../src/resolver/hosts.ts';
import { type LocalFacts, localNames } from '../../src/resolver/local.ts';
import { responseTo } from '../../src/resolver/message.ts';
import type { Answerer, Query } from '../../src/resolver/query.ts';
import { encodeName, RCODE, TYPE } from '../../src/resolver/wire.ts';
import { type AskOptions, queryOf, readAnswer } from '../support/ask.ts';
import { queryOf as wireQuery } from '../support/query-wire.ts';
import { must } from '../support/sample-status.ts';

const address = (text: string): Address => must(parseAddress(text));

const facts: LocalFacts = {
  hostName: 'laptop.home.example' as never,
  addresses: ['192.168.1.7', '2001:db8::7'].map(address),
  gateways: [address('192.168.1.1')],
  outbound: [address('192.168.1.7')],
  ipv6: true,
};

/** The stages above the cache; whatever passes them is told as "asked". */
const asked: Answerer = () => Promise.reject(new Error('asked'));

describe('names of this machine', () => {
  it.each([
    ['localhost', 'A', '127.0.0.1'],
    ['localhost', 'AAAA', '::1'],
    ['LOCALHOST', 'A', '127.0.0.1'],
    ['x.y.localhost', 'A', '127.0.0.1'],
    ['localhost.localdomain', 'A', '127.0.0.1'],
    ['localhost', 'MX', ''],
    ['x.localhost.localdomain', 'AAAA', '::1'],
    ['localhost', 'ANY', '127.0.0.1 ::1'],
    ['laptop', 'A', '192.168.1.7'],
    ['laptop.local', 'A', '192.168.1.7'],
    ['laptop.home.example', 'ANY', '192.168.1.7 2001:db8::7'],
    ['laptop.home.example', 'MX', ''],
    ['_localdnsstub', 'AAAA', ''],
    ['_localdnsproxy', 'TXT', ''],
    ['laptop.home.example', 'A', '192.168.1.7'],
    ['laptop.home.example', 'AAAA', '2001:db8::7'],
    ['_gateway', 'A', '192.168.1.1'],
    ['_gateway', 'AAAA', ''],
    ['_outbound', 'A', '192.168.1.7'],
    ['_localdnsstub', 'A', '127.0.0.53'],
    ['_localdnsproxy', 'A', '127.0.0.54'],
    ['1.0.0.127.in-addr.arpa', 'PTR', 'localhost'],
    ['9.8.7.127.in-addr.arpa', 'PTR', 'localhost'],
    ['2.0.0.127.in-addr.arpa', 'PTR', 'laptop.home.example localhost'],
    ['53.0.0.127.in-addr.arpa', 'PTR', '_localdnsstub'],
    ['54.0.0.127.in-addr.arpa', 'PTR', '_localdnsproxy'],
    [`1.${'0.'.repeat(31)}ip6.arpa`, 'PTR', 'localhost'],
    ['0.127.in-addr.arpa', 'PTR', ''],
  ])('%s %s is "%s"', async (name, type, wanted) => {
    const answer = await ask(name, type);
    expect(answer.rcode).toBe('NOERROR');
    expect(answer.answers.map((record) => record.split(' ')[2]).join(' ')).toBe(wanted);
    expect(answer.by).toBe('local');
    expect(answer.wire.readUInt16BE(2) & 0x0400, 'AA').not.toBe(0);
  });

  it.each([
    'sub.laptop.home.example',
    'desktop',
    'desktop.local',
    'home.example',
    'x._gateway',
    'home.arpa',
    'router.home.arpa',
    'localhost.example',
    'ip6.arpa',
    '7.1.168.192.in-addr.arpa',
    '10.in-addr.arpa',
    'invalid.example',
    'test',
    'onion.example',
  ])('%s is no name of it: others are asked', async (name) => {
    await expect(ask(name)).rejects.toThrow('asked');
  });

  it('::1 is a name of nothing where IPv6 is off', async () => {
    const four = { ...facts, ipv6: false };
    expect((await ask('localhost', 'ANY', {}, four)).answers).toEqual(['localhost A 127.0.0.1']);
    expect(await ask('localhost', 'AAAA', {}, four)).toMatchObject({ rcode: 'NOERROR', answers: [] });
    const lonely = { ...four, addresses: [] };
    expect(await ask('laptop.home.example', 'AAAA', {}, lonely)).toMatchObject({ answers: [] });
  });

  it('addresses stand best link first', async () => {
    const several = { ...facts, addresses: ['10.0.0.9', '192.168.1.7', '10.0.0.3'].map(address) };
    expect((await ask('laptop', 'A', {}, several)).answers.map((text) => text.split(' ')[2])).toEqual([
      '10.0.0.9',
      '192.168.1.7',
      '10.0.0.3',
    ]);
  });

  it('the server’s name is told to those who ask for it, with what is refused too, and to nobody else', async () => {
    const nsid = Buffer.from('here');
    const stage = localNames(() => facts, nsid)(asked);
    for (const name of ['localhost', 'x.invalid', '.']) {
      const option = Buffer.from([0, 3, 0, 0]);
      const { wire } = await stage(wireQuery({ name, edns: { options: option } }), AbortSignal.timeout(1000));
      expect(wire.includes(Buffer.from([0, 3, 0, 4, ...nsid]))).toBe(true);
      const plain = await stage(wireQuery({ name, edns: {} }), AbortSignal.timeout(1000));
      expect(plain.wire.includes(nsid)).toBe(false);
    }
  });

  it('an unset gateway does not exist, and a machine without network is 127.0.0.2', async () => {
    const lonely = { ...facts, addresses: [], gateways: [] };
    expect((await ask('_gateway', 'A', {}, lonely)).rcode).toBe('NXDOMAIN');
    expect((await ask('laptop.home.example', 'A', {}, lonely)).answers).toEqual([
      'laptop.home.example A 127.0.0.2',
    ]);
  });

  it('a query that only reads AD is told that it is certain', async () => {
    expect((await ask('localhost', 'A', { flags: 0x0120 })).authentic).toBe(true);
  });
});

describe('reverse names of what this machine and its gateway have', () => {
  const told = (rcode: number, names: readonly string[] = []) => {
    const seen: Query[] = [];
    const network: Answerer = async (query) => {
      seen.push(query);
      const answers = names.map((name) => ({ type: TYPE.PTR, ttl: 60, data: encodeName(name as never) }));
      return { wire: responseTo(query, { rcode, answers }), origin: { kind: 'failure', route: undefined } };
    };
    return { seen, stage: localNames(() => facts)(network) };
  };
  const pointersOf = async (stage: Answerer, name: string, service: Query['service'] = 'full') => {
    const { wire } = await stage(queryOf(name, 'PTR', { service }), AbortSignal.timeout(1000));
    const { rcode, answers } = readAnswer(wire);
    return [rcode, ...answers.map((text) => text.split(' ')[2])];
  };
  const OWN_6 = '7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa';

  it.each([
    ['7.1.168.192.in-addr.arpa', RCODE.NXDOMAIN, 'laptop.home.example'],
    [OWN_6, RCODE.NXDOMAIN, 'laptop.home.example'],
    ['1.1.168.192.in-addr.arpa', RCODE.NXDOMAIN, '_gateway'],
    ['1.1.168.192.in-addr.arpa', RCODE.SERVFAIL, '_gateway'],
    ['1.1.168.192.in-addr.arpa', RCODE.REFUSED, '_gateway'],
  ])('%s is ours where servers say code %i', async (name, rcode, wanted) => {
    const { stage, seen } = told(rcode);
    expect(await pointersOf(stage, name)).toEqual(['NOERROR', wanted]);
    expect(
      seen.map(({ wish }) => wish),
      'the fast path is not told',
    ).toEqual([{}]);
  });

  it('is what the network says where it has a name', async () => {
    const { stage } = told(RCODE.NOERROR, ['dhcp7.isp.example']);
    expect(await pointersOf(stage, '7.1.168.192.in-addr.arpa')).toEqual(['NOERROR', 'dhcp7.isp.example']);
  });

  it.each([
    ['9.1.168.192.in-addr.arpa', 'full'],
    ['168.192.in-addr.arpa', 'full'],
    ['7.1.168.192.in-addr.arpa', 'proxy'],
  ] as const)('%s by the %s service is the network’s alone', async (name, service) => {
    const { stage, seen } = told(RCODE.NXDOMAIN);
    expect(await pointersOf(stage, name, service)).toEqual(['NXDOMAIN']);
    expect(seen.map(({ wish }) => wish)).toEqual([undefined]);
  });
});

describe('names that nobody is asked for', () => {
  it.each([
    'x.invalid',
    'alt',
    'x.alt',
    '1.2.3.0.in-addr.arpa',
    '255.255.255.255.in-addr.arpa',
    `${'0.'.repeat(32)}ip6.arpa`,
    'invalid',
    '0.in-addr.arpa',
    'resolver.arpa',
    'x.resolver.arpa',
  ])('%s does not exist', async (name) => {
    expect(await ask(name)).toMatchObject({ rcode: 'NXDOMAIN', by: 'local' });
  });

  it('but servers are asked about themselves', async () => {
    await expect(ask('_dns.resolver.arpa', 'UNKNOWN_64')).rejects.toThrow('asked');
  });

  it('the proxy knows no local names and still asks nobody', async () => {
    expect((await ask('localhost', 'A', { service: 'proxy' })).rcode).toBe('NXDOMAIN');
  });
});

describe('what is refused', () => {
  it.each([
    ['recursion not desired', 'www.example.com', 'A', { flags: 0 }, RCODE.REFUSED],
    ['a zone transfer', 'example.com', 'AXFR', {}, RCODE.REFUSED],
    ['an incremental one', 'example.com', 'IXFR', {}, RCODE.REFUSED],
    ['an obsolete type: A6', 'example.com', 'UNKNOWN_38', {}, RCODE.REFUSED],
    ['an obsolete type: MD', 'example.com', 'UNKNOWN_3', {}, RCODE.REFUSED],
    ['an obsolete type: NXT', 'example.com', 'UNKNOWN_30', {}, RCODE.REFUSED],
    ['a mailbox', 'example.com', 'UNKNOWN_253', {}, RCODE.REFUSED],
    ['what is no type of a record', 'example.com', 'UNKNOWN_250', {}, RCODE.REFUSED],
    ['the root as a host', '.', 'A', {}, RCODE.REFUSED],
  ] as const)('%s', async (_, name, type, options, rcode) => {
    const query = queryOf(name, type, options);
    const { wire, origin } = await localNames(() => facts)(asked)(query, AbortSignal.timeout(1000));
    expect(wire.readUInt16BE(2) & 15).toBe(rcode);
    expect(origin.kind).toBe('refused');
  });

  it('another class than the Internet is not implemented', async () => {
    const query: Query = { ...queryOf('version.bind', 'TXT'), class: 3 };
    const { wire } = await localNames(() => facts)(asked)(query, AbortSignal.timeout(1000));
    expect(wire.readUInt16BE(2) & 15).toBe(RCODE.NOTIMP);
  });
});

describe('a hosts file', () => {
  const hosts = parseHosts(`
127.0.0.1 localhost
127.0.1.1 laptop.home.example laptop
192.0.2.7\tnas.home.example nas files # the box
2001:db8::7 nas.home.example
0.0.0.0 ads.example tracker.example
192.0.2.8 printer.home.example
300.1.2.3 wrong.example
192.0.2.9 bad..name also-good.example
::1 ip6-localhost ip6-loopback
192.0.2.20 one.example db
192.0.2.21 two.example db
192.0.2.21 two.example db
2001:db8::20 one.example
192.0.2.22 .
`);
  it.each([
    ['nas.home.example', 'A', 'nas.home.example A 192.0.2.7'],
    ['NAS.home.example', 'AAAA', 'NAS.home.example AAAA 2001:db8::7'],
    ['nas', 'A', 'nas CNAME nas.home.example; nas.home.example A 192.0.2.7'],
    ['files', 'CNAME', 'files CNAME nas.home.example'],
    ['nas.home.example', 'MX', ''],
    ['ads.example', 'A', ''],
    ['also-good.example', 'A', 'also-good.example A 192.0.2.9'],
    [
      '7.2.0.192.in-addr.arpa',
      'PTR',
      '7.2.0.192.in-addr.arpa PTR nas.home.example; 7.2.0.192.in-addr.arpa PTR nas; 7.2.0.192.in-addr.arpa PTR files',
    ],
    ['ip6-localhost', 'AAAA', 'ip6-localhost AAAA ::1'],
    // On lines of two hosts: an alias of one of them would hide the other's address.
    ['db', 'A', 'db A 192.0.2.20; db A 192.0.2.21'],
    ['db', 'CNAME', ''],
    ['two.example', 'A', 'two.example A 192.0.2.21'],
  ])('%s %s is "%s"', async (name, type, wanted) => {
    const stage = hostsFile(() => hosts)(asked);
    const { wire, origin } = await stage(queryOf(name, type), AbortSignal.timeout(1000));
    expect(readAnswer(wire)).toMatchObject({
      rcode: 'NOERROR',
      answers: wanted === '' ? [] : wanted.split('; '),
    });
    expect(origin.kind).toBe('hosts');
  });

  it.each([
    ['localhost', 'A', 'full'],
    ['wrong.example', 'A', 'full'],
    ['other.home.example', 'A', 'full'],
    ['9.9.9.9.in-addr.arpa', 'PTR', 'full'],
    ['.', 'NS', 'full'],
    ['nas.home.example', 'A', 'proxy'],
  ] as const)('does not answer %s %s over %s', async (name, type, service) => {
    const stage = hostsFile(() => hosts)(asked);
    await expect(stage(queryOf(name, type, { service }), AbortSignal.timeout(1000))).rejects.toThrow('asked');
  });

  it('says the same however it is cut into pieces', () => {
    const text = '192.0.2.7\tnas.home.example nas\n\n# a note\n192.0.2.8 printer.home.example\n';
    for (let size = 1; size <= text.length; size++) {
      const reader = hostsReader();
      for (let at = 0; at < text.length; at += size) reader.take(text.slice(at, at + size));
      expect(reader.end()).toEqual(parseHosts(text));
    }
  });

  it('of 200,000 lines is looked up, not searched', () => {
    const lines = Array.from({ length: 200_000 }, (_, i) => `0.0.0.0 host${i}.ads.example`);
    expect(parseHosts(lines.join('\n')).names.size).toBe(200_000);
  });
});

describe('what the hosts file says', () => {
  const hosts = parseHosts('127.0.1.1 laptop.home.example laptop\n127.0.0.2 other.example\n');
  const lines = localNames(
    () => facts,
    undefined,
    () => false,
    () => hosts,
  )(asked);
  const answer = (name: string, type: string, service: Query['service'] = 'full') =>
    lines(queryOf(name, type, { service }), AbortSignal.timeout(1000));

  it.each([
    ['laptop', 'A'],
    ['laptop.home.example', 'AAAA'],
    ['1.1.0.127.in-addr.arpa', 'PTR'],
    ['2.0.0.127.in-addr.arpa', 'PTR'],
  ])('comes before what is known of %s without it', async (name, type) => {
    await expect(answer(name, type)).rejects.toThrow('asked');
  });

  it.each([
    ['localhost', 'A'],
    ['laptop.local', 'A'],
    ['9.0.0.127.in-addr.arpa', 'PTR'],
  ])('leaves %s as it is', async (name, type) => {
    expect((await answer(name, type)).origin.kind).toBe('local');
  });

  it('is nothing to who wants no local names', async () => {
    expect((await answer('laptop', 'A', 'proxy')).origin.kind).toBe('local');
  });
});

async function ask(
  name: string,
  type = 'A',
  options: AskOptions & { service?: Query['service'] } = {},
  about: LocalFacts = facts,
) {
  const stage = localNames(() => about)(asked);
  const { wire, origin } = await stage(queryOf(name, type, options), AbortSignal.timeout(1000));
  return { ...readAnswer(wire), by: origin.kind };
}
