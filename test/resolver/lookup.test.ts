import { describe, expect, test } from 'vitest';
import type { FinishedQuery, Lookup, LookupOptions } from '../../src/core/lookup.ts';
import { parseHosts } from '../../src/resolver/hosts.ts';
import { encodePresentation, resolverLookup } from '../../src/resolver/lookup.ts';
import { lookupRecord } from '../../src/resolver/lookup-record.ts';
import type { Stage } from '../../src/resolver/query.ts';
import { readRecords } from '../../src/resolver/wire.ts';
import { link } from '../support/links.ts';
import { anyWay, question } from '../support/lookup.ts';
import { resolverOver } from '../support/resolver.ts';
import {
  addressAnswer,
  answerTo,
  type Script,
  type ScriptedServer,
  scriptedServer,
} from '../support/scripted-server.ts';
import { wireName } from '../support/wire-name.ts';

/** A lookup over one link, which is `lo` with the number 5, and what its server was asked. */
async function over(
  script: Script,
  hosts = '',
  heard?: (finished: FinishedQuery) => void,
): Promise<{ lookup: Lookup; server: ScriptedServer; remembered: string[] }> {
  const server = await scriptedServer(script);
  const remembered: string[] = [];
  // A cache that never has anything, and tells that it was looked into.
  const cache: Stage = (next) => (query, given) => {
    remembered.push(String(query.domain));
    return next(query, given);
  };
  const resolver = resolverOver(
    [link({ interface: 'lo', servers: [`dns+udp://${server.host}:${server.port}`] })],
    {
      hosts: () => parseHosts(hosts),
      cache,
    },
  );
  const lookup = resolverLookup({
    resolver,
    ifindexOf: (key) => (key === 'lo' ? 5 : 0),
    ...(heard === undefined ? {} : { heard }),
  });
  return { lookup, server, remembered };
}

const host: Script = (asked) => addressAnswer(asked, '192.0.2.7');

test('an answer of a server comes with its records, its link and where it is from', async () => {
  const { lookup } = await over(host);
  await expect(lookup(question('www.example.'), anyWay)).resolves.toEqual({
    rcode: 0,
    records: [
      {
        name: 'www.example',
        type: 1,
        class: 1,
        ttl: 300,
        value: { kind: 'address', family: 4, bytes: Uint8Array.from([192, 0, 2, 7]) },
        wire: Buffer.from('03777777076578616d706c650000010001' + '0000012c' + '0004' + 'c0000207', 'hex'),
      },
    ],
    from: 'network',
    authenticated: false,
    confidential: false,
    ifindex: 5,
  });
});

test('this machine’s own names are local, certain, and of the loopback link', async () => {
  const { lookup, server } = await over(host);
  await expect(lookup(question('localhost'), anyWay)).resolves.toMatchObject({
    rcode: 0,
    from: 'local',
    authenticated: true,
    confidential: true,
    ifindex: 1,
  });
  expect(server.asked).toEqual([]);
});

test('the name of a loopback address is of the loopback link, unless the hosts file gives it', async () => {
  const { lookup } = await over(host, '127.0.1.1 laptop\n');
  const ifindexOf = async (name: string, type: number) =>
    (await lookup(question(name, type), anyWay)).ifindex;
  expect(await ifindexOf('1.0.0.127.in-addr.arpa', 12)).toBe(1);
  expect(await ifindexOf(`1.${'0.'.repeat(31)}ip6.arpa`, 12)).toBe(1);
  expect(await ifindexOf('1.1.0.127.in-addr.arpa', 12)).toBe(0);
  expect(await ifindexOf('laptop', 1)).toBe(0);
});

test('the hosts file counts unless the caller wants no local names', async () => {
  const { lookup, server } = await over(host, '192.0.2.99 printer.example\n');
  const bytes = async (options: LookupOptions) => {
    const { records, from } = await lookup(question('printer.example'), options);
    const [first] = records;
    return [from, first?.value.kind === 'address' ? [...first.value.bytes] : undefined];
  };
  expect(await bytes(anyWay)).toEqual(['local', [192, 0, 2, 99]]);
  expect(await bytes({ ...anyWay, local: false })).toEqual(['network', [192, 0, 2, 7]]);
  expect(server.asked).toHaveLength(1);
});

test('who wants no cache gets past it, and who wants no network reaches no server', async () => {
  const { lookup, server, remembered } = await over(host);
  await lookup(question('a.example'), { ...anyWay, cache: false });
  expect([server.asked.length, remembered]).toEqual([1, []]);
  await lookup(question('a.example'), anyWay);
  expect(remembered).toEqual(['a.example']);
  await expect(lookup(question('b.example'), { ...anyWay, network: false })).rejects.toMatchObject({
    failure: 'no-servers',
  });
  await expect(lookup(question('localhost'), { ...anyWay, network: false })).resolves.toMatchObject({
    from: 'local',
  });
  expect(server.asked).toHaveLength(2);
});

test('a link that the name does not go to is not asked, nor is any other', async () => {
  const { lookup, server } = await over(host);
  await expect(lookup(question('a.example'), { ...anyWay, ifindex: 9 })).rejects.toMatchObject({
    failure: 'no-servers',
  });
  expect(server.asked).toEqual([]);
  await expect(lookup(question('a.example'), { ...anyWay, ifindex: 5 })).resolves.toMatchObject({
    ifindex: 5,
  });
});

test.each([
  ['NXDOMAIN', 3],
  ['REFUSED', 5],
])('%s of a server is an answer', async (_, rcode) => {
  const { lookup } = await over((asked) => answerTo(asked, { rcode }));
  await expect(lookup(question('a.example'), anyWay)).resolves.toMatchObject({ rcode, records: [] });
});

test('without any server there is nobody to ask', async () => {
  const lookup = resolverLookup({ resolver: resolverOver([]), ifindexOf: () => 0 });
  await expect(lookup(question('a.example'), anyWay)).rejects.toMatchObject({ failure: 'no-servers' });
});

test('servers that cannot be reached are no answer', async () => {
  const resolver = resolverOver([link({ interface: 'lo', servers: ['dns+udp://127.0.0.1:1'] })]);
  const lookup = resolverLookup({ resolver, ifindexOf: () => 5 });
  await expect(lookup(question('a.example'), anyWay)).rejects.toMatchObject({
    failure: 'attempts-exhausted',
  });
});

test('a server that is ourselves is a loop, each time it is asked', async () => {
  const server = link({ interface: 'lo', servers: ['192.0.2.1'] });
  const resolver = resolverOver([server], { isOwn: (host) => host === '192.0.2.1' });
  const lookup = resolverLookup({ resolver, ifindexOf: () => 5 });
  for (let i = 0; i < 2; i++)
    await expect(lookup(question('a.example'), anyWay)).rejects.toMatchObject({ failure: 'stub-loop' });
});

test('a caller that leaves ends its lookup', async () => {
  const { lookup, server } = await over(() => undefined);
  const leaving = new AbortController();
  const answer = lookup(question('a.example'), { ...anyWay, signal: leaving.signal });
  setImmediate(() => leaving.abort());
  await expect(answer).rejects.toMatchObject({ failure: 'aborted' });
  expect(server.asked.length).toBeLessThanOrEqual(1);
});

test('every answer is told to who listens', async () => {
  const told: string[] = [];
  const { lookup } = await over(host, '', ({ question: { name }, outcome }) =>
    told.push(`${name} ${typeof outcome === 'string' ? outcome : outcome.records.length}`),
  );
  await lookup(question('a.example'), anyWay);
  await lookup(question('b.example'), { ...anyWay, network: false }).catch(() => {});
  await lookup(question('c.example'), { ...anyWay, ifindex: 9 }).catch(() => {});
  expect(told).toEqual(['a.example 1', 'c.example no-servers']);
});

describe('names as people write them', () => {
  test.each([
    ['www.example', wireName('www.example')],
    ['www.example.', wireName('www.example')],
    ['.', Buffer.of(0)],
    ['a\\.b.c', Buffer.from('03612e62016300', 'hex')],
    ['My\\032Shop._http', Buffer.from('074d792053686f70055f6874747000', 'hex')],
  ])('%s goes over the wire as it should', (text, wire) => {
    expect(encodePresentation(text)).toEqual(wire);
  });

  test.each(['a..b', '.a', 'a'.repeat(64), 'a.'.repeat(128)])('%s is no name', (text) => {
    expect(() => encodePresentation(text)).toThrow();
  });
});

describe('records by themselves', () => {
  /** A message whose question is `host.example`, and one record with this data; `c00c` points at the question's name. */
  function recordWith(type: number, data: string): ReturnType<typeof lookupRecord> {
    const bytes = Buffer.from(data, 'hex');
    const head = Buffer.from('000081800001000100000000', 'hex');
    const fixed = Buffer.from('c00c000000010000003c0000', 'hex');
    fixed.writeUInt16BE(type, 2);
    fixed.writeUInt16BE(bytes.length, 10);
    const wire = Buffer.concat([
      head,
      wireName('host.example'),
      Buffer.from('00010001', 'hex'),
      fixed,
      bytes,
    ]);
    const [record] = readRecords(wire, head.length + wireName('host.example').length + 4) ?? [];
    if (record === undefined) throw new Error('the test made no record');
    return lookupRecord(wire, record);
  }
  const owner = wireName('host.example').toString('hex');

  test.each<[string, number, string, string]>([
    ['an alias', 5, 'c00c', owner],
    ['a mail server', 15, '000a046d61696cc00c', `000a046d61696c${owner}`],
    ['a start of authority', 6, `c00cc00c${'00'.repeat(20)}`, `${owner}${owner}${'00'.repeat(20)}`],
    ['a service', 33, '000100020050c00c', `000100020050${owner}`],
    ['an unknown type', 65280, 'c00c', 'c00c'],
  ])('%s has its names written out', (_, type, data, whole) => {
    const record = recordWith(type, data);
    expect(
      Buffer.from(record?.wire ?? [])
        .toString('hex')
        .slice(owner.length + 20),
    ).toBe(whole);
    expect(record?.wire.length).toBe(owner.length / 2 + 10 + whole.length / 2);
  });

  test.each<[string, number, string, unknown]>([
    [
      'a service',
      33,
      '000100020050c00c',
      { kind: 'service', priority: 1, weight: 2, port: 80, host: 'host.example' },
    ],
    [
      'a service that is not offered',
      33,
      '00000000000000',
      { kind: 'service', priority: 0, weight: 0, port: 0, host: '.' },
    ],
    [
      'texts',
      16,
      '0161026263',
      { kind: 'text', items: [Uint8Array.from([0x61]), Uint8Array.from([0x62, 0x63])] },
    ],
    ['a pointer record', 12, 'c00c', { kind: 'name', name: 'host.example' }],
    ['anything else', 15, '000ac00c', { kind: 'other' }],
  ])('%s is understood', (_, type, data, value) => {
    expect(recordWith(type, data)?.value).toEqual(value);
  });

  test.each<[string, number, string]>([
    ['an address of three bytes', 1, 'c00002'],
    ['an address of five bytes', 28, 'c000020101'],
    ['a service that is cut off', 33, '0001'],
    ['a text that is cut off', 16, '0561'],
    ['a name that leads out of its record', 15, '000a04'],
    ['an alias that is cut off', 5, '0561'],
  ])('%s is dropped', (_, type, data) => {
    expect(recordWith(type, data)).toBeUndefined();
  });
});
