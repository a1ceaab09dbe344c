import { expect, test } from 'vitest';
import { FLAG, readFlags } from '../../src/standin/flags.ts';
import { addressRecord, nameRecord, record, standinGround, type TestAnswer } from '../support/standin.ts';
import { callMethod } from '../support/standin-calls.ts';

const bytes = (...values: number[]) => Uint8Array.from(values);
const A4 = [2, 2, bytes(192, 0, 2, 1)];
const SIX = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const A6 = [2, 10, bytes(...SIX)];
const RESOLVE1 = 'org.freedesktop.resolve1';

const both: Readonly<Record<string, TestAnswer>> = {
  'host.example/1': { records: [addressRecord('host.example', 192, 0, 2, 1)] },
  'host.example/28': { records: [addressRecord('host.example', ...SIX)] },
};

test.each<[string, number, readonly unknown[]]>([
  ['both families', 0, [A4, A6]],
  ['IPv4', 2, [A4]],
  ['IPv6', 10, [A6]],
])('a host is found in %s', async (_, family, addresses) => {
  const ground = standinGround({ zone: both });
  const answer = await callMethod(ground, 'ResolveHostname', [0, 'Host.Example.', family, 0n]);
  expect(answer).toEqual([addresses, 'Host.Example', BigInt(FLAG.dns | FLAG.fromNetwork)]);
  expect(ground.questions).toHaveLength(addresses.length);
});

test('localhost is answered with the flags that systemd-resolved gives it', async () => {
  const answer: TestAnswer = {
    records: [addressRecord('localhost', 127, 0, 0, 1)],
    from: 'local',
    authenticated: true,
    confidential: true,
    ifindex: 1,
  };
  const ground = standinGround({ zone: { 'localhost/1': answer } });
  await expect(callMethod(ground, 'ResolveHostname', [0, 'localhost', 2, 0n])).resolves.toEqual([
    [[1, 2, bytes(127, 0, 0, 1)]],
    'localhost',
    786945n,
  ]);
});

test.each([
  ['192.0.2.7', 0, [[3, 2, bytes(192, 0, 2, 7)]], '192.0.2.7'],
  ['2001:DB8::1', 10, [[3, 10, bytes(...SIX)]], '2001:db8::1'],
])('the address %s is its own answer and nobody is asked', async (name, family, addresses, canonical) => {
  const ground = standinGround();
  await expect(callMethod(ground, 'ResolveHostname', [3, name, family, 0n])).resolves.toEqual([
    addresses,
    canonical,
    786945n,
  ]);
  expect(ground.questions).toEqual([]);
});

test('aliases are followed, and the name at their end is the canonical one', async () => {
  const alias = nameRecord('www.example', 5, 'Host.example');
  const zone = {
    'www.example/1': { records: [alias, addressRecord('host.example', 192, 0, 2, 1)] },
    'www.example/28': { records: [alias] },
  };
  const ground = standinGround({ zone });
  const answer = await callMethod(ground, 'ResolveHostname', [0, 'www.example', 0, 0n]);
  expect(answer.slice(0, 2)).toEqual([[A4], 'Host.example']);
  await expect(
    callMethod(ground, 'ResolveHostname', [0, 'www.example', 0, BigInt(FLAG.noCname)]),
  ).rejects.toMatchObject({ errorName: `${RESOLVE1}.CNameLoop` });
});

test('aliases that go round are a loop', async () => {
  const zone = {
    'a.example/1': {
      records: [nameRecord('a.example', 5, 'b.example'), nameRecord('b.example', 5, 'a.example')],
    },
  };
  await expect(
    callMethod(standinGround({ zone }), 'ResolveHostname', [0, 'a.example', 2, 0n]),
  ).rejects.toMatchObject({ errorName: `${RESOLVE1}.CNameLoop` });
});

test('an address that belongs to another name than the one asked for is not taken', async () => {
  const zone = { 'host.example/1': { records: [addressRecord('other.example', 192, 0, 2, 66)] } };
  await expect(
    callMethod(standinGround({ zone }), 'ResolveHostname', [0, 'host.example', 2, 0n]),
  ).rejects.toMatchObject({ errorName: `${RESOLVE1}.NoSuchRR` });
});

test('one family that fails does not hide the other', async () => {
  const zone = { ...both, 'host.example/28': 'timeout' as const };
  const answer = await callMethod(standinGround({ zone }), 'ResolveHostname', [0, 'host.example', 0, 0n]);
  expect(answer[0]).toEqual([A4]);
});

test('a name without search is not searched, a single label is, and itself comes last', async () => {
  const zone = {
    'printer.home.example/1': { records: [addressRecord('printer.home.example', 192, 0, 2, 1)] },
  };
  const ground = standinGround({ zone });
  const answer = await callMethod(ground, 'ResolveHostname', [0, 'printer', 2, 0n]);
  expect(answer.slice(0, 2)).toEqual([[A4], 'printer.home.example']);
  expect(ground.questions.map(({ question, options }) => [question.name, options.network])).toEqual([
    ['printer', false],
    ['printer.office.example', true],
    ['printer.home.example', true],
  ]);
  for (const [name, flags] of [
    ['printer.', 0n],
    ['printer', BigInt(FLAG.noSearch)],
    ['a.printer', 0n],
  ] as const) {
    ground.questions.length = 0;
    await expect(callMethod(ground, 'ResolveHostname', [0, name, 2, flags])).rejects.toThrow('not found');
    expect(ground.questions).toHaveLength(1);
  }
});

const filtered: TestAnswer = { rcode: 3, from: 'local', error: { code: 17, text: 'not a name for servers' } };

test.each<[string, Readonly<Record<string, TestAnswer>>, string, number, string]>([
  ['nobody is asked for', { 'printer/1': filtered }, 'printer', FLAG.noSearch, 'NoNameServers'],
  ['only the search looked for', { 'printer/1': filtered }, 'printer', 0, 'DnsError.NXDOMAIN'],
  [
    'may not be answered here',
    { 'a.localhost/1': { rcode: 3, from: 'local' } },
    'a.localhost',
    FLAG.noSynthesize,
    'NoNameServers',
  ],
  ['is reserved', { 'a.invalid/1': { rcode: 3, from: 'local' } }, 'a.invalid', 0, 'DnsError.NXDOMAIN'],
  ['may not be asked for', { 'host.example/1': 'no-servers' }, 'host.example', FLAG.noNetwork, 'NoSource'],
  [
    'is asked for by another protocol',
    { 'host.example/1': 'no-servers' },
    'host.example',
    FLAG.llmnr4,
    'NoNameServers',
  ],
])('a name that %s is told apart', async (_, zone, name, flags, errorName) => {
  const call = callMethod(standinGround({ zone }), 'ResolveHostname', [0, name, 2, BigInt(flags)]);
  await expect(call).rejects.toMatchObject({ errorName: `${RESOLVE1}.${errorName}` });
});

test('whoever wants another protocol than DNS makes no query over the network', async () => {
  const ground = standinGround({ zone: both });
  await callMethod(ground, 'ResolveHostname', [0, 'host.example', 2, BigInt(FLAG.mdns4)]);
  expect(ground.questions.map(({ options }) => options.network)).toEqual([false]);
});

test.each([
  ['addresses of the root', 'ResolveHostname', [0, '.', 0, 0n], "'.' does not have any RR"],
  ['addresses of no name at all', 'ResolveHostname', [0, '', 0, 0n], "'.' does not have any RR"],
  ['an address record of the root', 'ResolveRecord', [0, '.', 1, 28, 0n], "Name '.' does not have any RR"],
])('there are none: %s', async (_, member, body, message) => {
  const ground = standinGround();
  await expect(callMethod(ground, member, body)).rejects.toMatchObject({
    errorName: `${RESOLVE1}.NoSuchRR`,
    message: expect.stringContaining(message),
  });
  expect(ground.questions).toEqual([]);
});

test('records of another class are nobody’s to give', async () => {
  const ground = standinGround({ zone: both });
  await expect(callMethod(ground, 'ResolveRecord', [0, 'host.example', 3, 1, 0n])).rejects.toMatchObject({
    errorName: `${RESOLVE1}.NoNameServers`,
  });
});

test('flags reach the resolver', async () => {
  const ground = standinGround({ zone: both });
  const flags = BigInt(FLAG.dns | FLAG.noSynthesize | FLAG.noCache | FLAG.noNetwork);
  await callMethod(ground, 'ResolveHostname', [3, 'host.example', 2, flags]);
  expect(ground.questions[0]?.options).toMatchObject({
    ifindex: 3,
    local: false,
    cache: false,
    network: false,
  });
});

test('a name in another script is asked for as its A-label', async () => {
  const ground = standinGround();
  await callMethod(ground, 'ResolveHostname', [0, 'bücher.example', 2, 0n]).catch(() => {});
  expect(ground.questions[0]?.question.name).toBe('xn--bcher-kva.example');
});

test.each<[string, TestAnswer, string, string]>([
  ['a name that does not exist', { rcode: 3 }, `${RESOLVE1}.DnsError.NXDOMAIN`, "'host.example' not found"],
  ['a failing server', { rcode: 2 }, `${RESOLVE1}.DnsError.SERVFAIL`, 'returned error: SERVFAIL'],
  [
    'a failure with its reason',
    { rcode: 2, error: { code: 6, text: 'bad signature' } },
    `${RESOLVE1}.DnsError.SERVFAIL`,
    '(DNSSEC Bogus: bad signature)',
  ],
  ['an unheard-of code', { rcode: 24 }, `${RESOLVE1}.DnsError.24`, 'error: 24'],
  ['nothing of that type', {}, `${RESOLVE1}.NoSuchRR`, 'does not have any RR of the requested type'],
  ['nobody to ask', 'no-servers', `${RESOLVE1}.NoNameServers`, 'No appropriate name servers'],
  ['silence', 'timeout', 'org.freedesktop.DBus.Error.Timeout', 'timed out'],
  ['all servers failing', 'attempts-exhausted', 'org.freedesktop.DBus.Error.Timeout', 'attempts'],
  ['servers that are ourselves', 'stub-loop', 'org.freedesktop.resolve1.StubLoop', 'loops back to us'],
  ['no network', 'network-down', `${RESOLVE1}.NetworkDown`, 'down'],
  ['garbage', 'invalid-reply', `${RESOLVE1}.InvalidReply`, 'invalid'],
  ['a caller that left', 'aborted', `${RESOLVE1}.Aborted`, 'aborted'],
])('%s has its own error', async (_, answer, errorName, text) => {
  const ground = standinGround({ zone: { 'host.example/1': answer } });
  const call = callMethod(ground, 'ResolveHostname', [0, 'host.example', 2, 0n]);
  await expect(call).rejects.toMatchObject({ errorName, message: expect.stringContaining(text) });
});

test.each<[string, string, readonly unknown[], string]>([
  ['an unknown family', 'ResolveHostname', [0, 'a.example', 7, 0n], 'Unknown address family'],
  ['a negative link', 'ResolveHostname', [-1, 'a.example', 0, 0n], 'Invalid interface index'],
  ['an unknown flag', 'ResolveHostname', [0, 'a.example', 0, 1n << 40n], 'Invalid flags'],
  [
    'a flag that only answers have',
    'ResolveHostname',
    [0, 'a.example', 0, BigInt(FLAG.synthetic)],
    'Invalid flags',
  ],
  ['a flag of services', 'ResolveHostname', [0, 'a.example', 0, BigInt(FLAG.noTxt)], 'Invalid flags'],
  ['a host with two dots', 'ResolveHostname', [0, 'a..example', 0, 0n], "Invalid hostname 'a..example'"],
  ['a name with two dots', 'ResolveRecord', [0, 'a..example', 1, 1, 0n], "Invalid name 'a..example'"],
  ['a name of 300 bytes', 'ResolveRecord', [0, 'a.'.repeat(150), 1, 1, 0n], 'Invalid name'],
  ['an address of five bytes', 'ResolveAddress', [0, 2, bytes(1, 2, 3, 4, 5), 0n], 'Invalid address size'],
  ['an address of no family', 'ResolveAddress', [0, 0, bytes(), 0n], 'Unknown address family'],
  ['type 0', 'ResolveRecord', [0, 'a.example', 1, 0, 0n], 'may not be used'],
  ['type OPT', 'ResolveRecord', [0, 'a.example', 1, 41, 0n], 'may not be used'],
  [
    'a service type without underscores',
    'ResolveService',
    [0, '', 'http.tcp', 'a.example', 0, 0n],
    'service type',
  ],
  ['a service name without type', 'ResolveService', [0, 'x', '', 'a.example', 0, 0n], 'without service type'],
  [
    'a service name of 64 bytes',
    'ResolveService',
    [0, 'x'.repeat(64), '_a._tcp', 'a.example', 0, 0n],
    'Invalid service name',
  ],
])('%s is an invalid argument', async (_, member, body, text) => {
  const ground = standinGround();
  await expect(callMethod(ground, member, body)).rejects.toMatchObject({
    errorName: 'org.freedesktop.DBus.Error.InvalidArgs',
    message: expect.stringContaining(text),
  });
  expect(ground.questions).toEqual([]);
});

test.each([
  ['a zone transfer', 252],
  ['an incremental transfer', 251],
  ['an obsolete type', 7],
])('%s is not supported', async (_, type) => {
  await expect(
    callMethod(standinGround(), 'ResolveRecord', [0, 'a.example', 1, type, 0n]),
  ).rejects.toMatchObject({
    errorName: 'org.freedesktop.DBus.Error.NotSupported',
  });
});

test.each([
  [2, bytes(192, 0, 2, 7), '7.2.0.192.in-addr.arpa'],
  [10, bytes(...SIX), '1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa'],
])('names of an address of family %i come from its reverse zone', async (family, address, name) => {
  const records = ['a.example', 'b.example', 'a.example'].map((to) => nameRecord(name, 12, to));
  const ground = standinGround({ zone: { [`${name}/12`]: { records } } });
  await expect(callMethod(ground, 'ResolveAddress', [0, family, address, 0n])).resolves.toEqual([
    [
      [2, 'a.example'],
      [2, 'b.example'],
    ],
    BigInt(FLAG.dns | FLAG.fromNetwork),
  ]);
});

test('an address without a name is named in the error by its reverse name', async () => {
  await expect(
    callMethod(standinGround(), 'ResolveAddress', [0, 2, bytes(192, 0, 2, 7), 0n]),
  ).rejects.toThrow("'7.2.0.192.in-addr.arpa' not found");
});

test('records come as they are on the wire, without the aliases that lead to them', async () => {
  const mail = record('host.example', 15, { kind: 'other' });
  const zone = { 'www.example/15': { records: [nameRecord('www.example', 5, 'host.example'), mail] } };
  const answer = await callMethod(standinGround({ zone }), 'ResolveRecord', [0, 'www.example', 1, 15, 0n]);
  expect(answer[0]).toEqual([[2, 1, 15, mail.wire]]);
});

test('an alias that is asked for is the answer', async () => {
  const alias = nameRecord('www.example', 5, 'host.example');
  const ground = standinGround({ zone: { 'www.example/5': { records: [alias] } } });
  const answer = await callMethod(ground, 'ResolveRecord', [0, 'www.example', 1, 5, 0n]);
  expect(answer[0]).toEqual([[2, 1, 5, alias.wire]]);
});

const offer = (name: string, host: string) =>
  record(name, 33, { kind: 'service', priority: 1, weight: 2, port: 80, host });
const text = (name: string) => record(name, 16, { kind: 'text', items: [Buffer.from('path=/')] });

test.each<[string, string, string, string, string, readonly string[]]>([
  [
    'name, type and domain',
    'My Shop',
    '_http._tcp',
    'a.example',
    'My\\032Shop._http._tcp.a.example',
    ['My Shop', '_http._tcp', 'a.example'],
  ],
  ['type and domain', '', '_http._tcp', 'a.example', '_http._tcp.a.example', ['', '_http._tcp', 'a.example']],
  ['the whole name', '', '', '_http._tcp.a.example', '_http._tcp.a.example', ['', '_http._tcp', 'a.example']],
])('a service is found by %s', async (_, name, type, domain, full, canonical) => {
  const zone = {
    ...both,
    [`${full}/33`]: { records: [offer(full, 'host.example')] },
    [`${full}/16`]: { records: [text(full)] },
  };
  const answer = await callMethod(standinGround({ zone }), 'ResolveService', [0, name, type, domain, 0, 0n]);
  expect(answer).toEqual([
    [[1, 2, 80, 'host.example', [A4, A6], 'host.example']],
    [Buffer.from('path=/')],
    ...canonical,
    BigInt(FLAG.dns | FLAG.fromNetwork),
  ]);
});

test('a service without texts, or whose host is not found, is a service all the same', async () => {
  const full = '_http._tcp.a.example';
  const zone = { [`${full}/33`]: { records: [offer(full, 'gone.example')] } };
  const answer = await callMethod(standinGround({ zone }), 'ResolveService', [0, '', '', full, 0, 0n]);
  expect(answer.slice(0, 2)).toEqual([[[1, 2, 80, 'gone.example', [], 'gone.example']], []]);
});

test('neither texts nor addresses are asked for when they are not wanted', async () => {
  const full = '_http._tcp.a.example';
  const ground = standinGround({ zone: { [`${full}/33`]: { records: [offer(full, 'host.example')] } } });
  await callMethod(ground, 'ResolveService', [0, '', '', full, 0, BigInt(FLAG.noTxt | FLAG.noAddress)]);
  expect(ground.questions.map(({ question }) => question.type)).toEqual([33]);
});

test('a service that says it is not offered has its own error', async () => {
  const full = '_http._tcp.a.example';
  const ground = standinGround({ zone: { [`${full}/33`]: { records: [offer(full, '.')] } } });
  await expect(callMethod(ground, 'ResolveService', [0, '', '', full, 0, 0n])).rejects.toMatchObject({
    errorName: `${RESOLVE1}.NoSuchService`,
  });
});

test('no protocol named means every protocol, and one that is named stays alone', () => {
  const protocols = FLAG.dns | FLAG.llmnr4 | FLAG.llmnr6 | FLAG.mdns4 | FLAG.mdns6;
  expect(readFlags(0n, 'address')).toBe(protocols);
  expect(readFlags(BigInt(FLAG.noCache), 'address')).toBe(protocols | FLAG.noCache);
  expect(readFlags(FLAG.dns, 'address')).toBe(FLAG.dns);
  expect(readFlags(BigInt(FLAG.noSearch), 'address')).toBeUndefined();
  expect(readFlags(-1, 'hostname')).toBeUndefined();
  expect(readFlags(0.5, 'hostname')).toBeUndefined();
});
