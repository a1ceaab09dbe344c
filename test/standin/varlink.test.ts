import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { FinishedQuery } from '../../src/core/lookup.ts';
import { resolve1Tree } from '../../src/standin/resolve1.ts';
import { MONITOR, RESOLVE } from '../../src/standin/varlink-descriptions.ts';
import { type MonitorGround, monitorInterface } from '../../src/standin/varlink-monitor.ts';
import { resolveInterface } from '../../src/standin/varlink-resolve.ts';
import { serviceInterface } from '../../src/standin/varlink-service.ts';
import { silentLog } from '../../src/system/log.ts';
import { serveVarlink } from '../../src/system/varlink.ts';
import { callVarlink, streamVarlink } from '../../src/system/varlink-client.ts';
import type { VarlinkError } from '../../src/system/varlink-frames.ts';
import type { Peer } from '../../src/system/varlink-interface.ts';
import { temporaryFolder } from '../support/folder.ts';
import { rawSocket } from '../support/raw-socket.ts';
import {
  addressRecord,
  nameRecord,
  record,
  standinGround,
  type TestAnswer,
  type TestGround,
} from '../support/standin.ts';
import { until } from '../support/until.ts';
import { readDescription } from '../support/varlink-idl.ts';

const SIX = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const full = '_http._tcp.a.example';
const zone: Readonly<Record<string, TestAnswer>> = {
  'host.example/1': { records: [addressRecord('host.example', 192, 0, 2, 1)] },
  'host.example/28': { records: [addressRecord('host.example', ...SIX)] },
  '1.2.0.192.in-addr.arpa/12': { records: [nameRecord('1.2.0.192.in-addr.arpa', 12, 'host.example')] },
  [`${full}/33`]: {
    records: [record(full, 33, { kind: 'service', priority: 1, weight: 2, port: 80, host: 'host.example' })],
  },
  [`${full}/16`]: { records: [record(full, 16, { kind: 'text', items: [Buffer.from('a="ü"')] })] },
  'empty.example/1': {},
  'empty.example/28': {},
  'bad.example/1': { rcode: 2, error: { code: 22, text: 'no way' } },
  'slow.example/1': 'timeout',
};

/** Methods of the monitor that answer once. */
const MONITOR_CALLS = [
  'DumpCache',
  'DumpServerState',
  'DumpStatistics',
  'ResetStatistics',
  'FlushCaches',
  'ResetServerFeatures',
];

let path: string;
let ground: TestGround;
let watchers: Set<(query: FinishedQuery) => void>;
let configurations: Set<() => void>;
let peer: Peer;

beforeEach(async () => {
  path = join(temporaryFolder(), 'socket');
  ground = standinGround({ zone });
  watchers = new Set();
  configurations = new Set();
  peer = { uid: 0, pid: 1 };
  const add = <T>(set: Set<T>, one: T) => {
    set.add(one);
    return () => void set.delete(one);
  };
  const monitor: MonitorGround = {
    ...ground,
    onQuery: (listener) => add(watchers, listener),
    onConfiguration: (listener) => add(configurations, listener),
    remembered: () => [
      {
        question: { class: 1, type: 1, name: 'host.example' },
        rcode: 0,
        records: [addressRecord('host.example', 192, 0, 2, 1)],
        remainingMs: 500,
        route: 'eth0',
        ifindex: 2,
      },
      {
        question: { class: 1, type: 1, name: 'gone.example' },
        rcode: 3,
        records: [],
        remainingMs: 1000,
        route: 'eth0',
        ifindex: 2,
      },
      {
        question: { class: 1, type: 28, name: 'four.example' },
        rcode: 0,
        records: [],
        remainingMs: 2000,
        route: 'eth0',
        ifindex: 0,
      },
    ],
    sinceBootMs: () => 10_000,
    ownUid: 990,
  };
  const server = await serveVarlink({
    path,
    interfaces: [
      resolveInterface(ground),
      monitorInterface(monitor),
      serviceInterface({ ...ground, ownUid: 990 }),
    ],
    info: { vendor: 'v', product: 'p', version: '1', url: 'https://example.org' },
    log: silentLog,
    peerOf: () => peer,
  });
  onTestFinished(() => server.close());
});

const call = (method: string, parameters = {}, name = RESOLVE) =>
  callVarlink(path, `${name}.${method}`, parameters, { deadlineMs: 15_000 });

/** The reply with its keys in their order, which clients print and compare. */
async function raw(method: string, parameters: object): Promise<string> {
  const socket = await rawSocket(path);
  socket.send(`${JSON.stringify({ method: `${RESOLVE}.${method}`, parameters })}\0`);
  return JSON.stringify(await socket.reply(1));
}

test.each([
  [
    'ResolveHostname',
    { name: 'host.example', family: 0 },
    '{"parameters":{"addresses":[{"ifindex":2,"family":2,"address":[192,0,2,1]},{"ifindex":2,"family":10,"address":[32,1,13,184,0,0,0,0,0,0,0,0,0,0,0,1]}],"name":"host.example","flags":8388609}}',
  ],
  [
    'ResolveAddress',
    { family: 2, address: [192, 0, 2, 1] },
    '{"parameters":{"names":[{"ifindex":2,"name":"host.example"}],"flags":8388609}}',
  ],
  [
    'ResolveHostname',
    { name: 'gone.example' },
    '{"error":"io.systemd.Resolve.DNSError","parameters":{"rcode":3,"queryString":"gone.example"}}',
  ],
  [
    'ResolveHostname',
    { name: 'bad.example', family: 2 },
    '{"error":"io.systemd.Resolve.DNSError","parameters":{"rcode":2,"extendedDNSErrorCode":22,"extendedDNSErrorMessage":"no way","queryString":"bad.example"}}',
  ],
  [
    'ResolveHostname',
    { name: 'empty.example' },
    '{"error":"io.systemd.Resolve.NoSuchResourceRecord","parameters":{}}',
  ],
  [
    'ResolveHostname',
    { name: 'slow.example', family: 2 },
    '{"error":"io.systemd.Resolve.QueryTimedOut","parameters":{}}',
  ],
  [
    'ResolveRecord',
    { name: 'host.example', type: 1 },
    `{"parameters":{"rrs":[{"ifindex":2,"rr":{"key":{"class":1,"type":1,"name":"host.example"},"address":[192,0,2,1]},"raw":"${Buffer.from('host.example/1').toString('base64')}"}],"flags":8388609}}`,
  ],
])('%s %j is answered byte for byte as clients read it', async (method, parameters, reply) => {
  expect(await raw(method, parameters)).toBe(reply);
});

test('a service is told with its hosts and its texts escaped', async () => {
  await expect(call('ResolveService', { domain: full })).resolves.toEqual({
    services: [
      {
        priority: 1,
        weight: 2,
        port: 80,
        hostname: 'host.example',
        canonicalName: 'host.example',
        addresses: [
          { ifindex: 2, family: 2, address: [192, 0, 2, 1] },
          { ifindex: 2, family: 10, address: SIX },
        ],
      },
    ],
    txt: ['a=\\042\\303\\274\\042'],
    canonical: { name: null, type: '_http._tcp', domain: 'a.example' },
    flags: 8388609,
  });
});

test.each([
  ['ResolveHostname', {}, 'name'],
  ['ResolveHostname', { name: 5 }, 'name'],
  ['ResolveHostname', { name: 'a..b' }, 'name'],
  ['ResolveHostname', { name: 'a.example', family: 7 }, 'family'],
  ['ResolveHostname', { name: 'a.example', flags: 2 ** 40 }, 'flags'],
  ['ResolveHostname', { name: 'a.example', flags: 1.5 }, 'flags'],
  ['ResolveHostname', { name: 'a.example', ifindex: -1 }, 'ifindex'],
  ['ResolveHostname', { name: 'a.example', shoe: 'size' }, 'shoe'],
  ['ResolveAddress', { family: 2, address: [1, 2, 3, 256] }, 'address'],
  ['ResolveAddress', { family: 2, address: 'x' }, 'address'],
  ['ResolveAddress', { address: [1, 2, 3, 4] }, 'family'],
])('%s with %j is an invalid parameter', async (method, parameters, parameter) => {
  await expect(call(method, parameters)).rejects.toMatchObject({
    error: 'org.varlink.service.InvalidParameter',
    parameters: { parameter },
  } satisfies Partial<VarlinkError>);
});

test.each([
  [
    'an address of the other family',
    'ResolveAddress',
    { family: 10, address: [1, 2, 3, 4] },
    `${RESOLVE}.BadAddressSize`,
  ],
  [
    'an address of three bytes',
    'ResolveAddress',
    { family: 2, address: [1, 2, 3] },
    'org.varlink.service.InvalidParameter',
  ],
  [
    'a zone transfer',
    'ResolveRecord',
    { name: 'a.example', type: 252 },
    `${RESOLVE}.ZoneTransfersNotPermitted`,
  ],
  [
    'type OPT',
    'ResolveRecord',
    { name: 'a.example', type: 41 },
    `${RESOLVE}.ResourceRecordTypeInvalidForQuery`,
  ],
  ['browsing', 'BrowseServices', {}, 'org.varlink.service.MethodNotImplemented'],
])('%s has its own error', async (_, method, parameters, error) => {
  await expect(call(method, parameters)).rejects.toMatchObject({ error });
});

test('parameters that are null are as good as absent', async () => {
  await expect(
    call('ResolveHostname', { name: 'host.example', family: null, flags: null }),
  ).resolves.toMatchObject({
    name: 'host.example',
  });
});

test('who wants no answer of a lookup is dropped', async () => {
  const socket = await rawSocket(path);
  socket.send(
    `${JSON.stringify({ method: `${RESOLVE}.ResolveHostname`, oneway: true, parameters: { name: 'a.example' } })}\0`,
  );
  await socket.untilClosed();
  expect(ground.questions).toEqual([]);
});

test('the configuration is told: the machine first, then each link but loopback', async () => {
  const { configuration } = (await call('DumpDNSConfiguration')) as {
    configuration: Record<string, unknown>[];
  };
  expect(configuration.map(({ ifname }) => ifname)).toEqual([undefined, 'eth0', 'wlan0', 'tun0', 'eth1']);
  expect(configuration[0]).toMatchObject({ resolvConfMode: 'uplink', dnssec: 'no', dnsOverTLS: 'no' });
  expect(configuration[3]).toMatchObject({
    ifindex: 7,
    servers: [
      {
        address: [10, 8, 0, 1],
        addressString: '10.8.0.1',
        family: 2,
        port: 53,
        ifindex: 7,
        accessible: true,
      },
    ],
  });
  expect(configuration[2], 'a server that does not answer').toMatchObject({
    servers: [
      { addressString: '192.0.2.53', accessible: false },
      { addressString: '2001:db8::53', accessible: true },
    ],
  });
  expect(configuration[4], 'nothing is left out as null or as an empty list').not.toHaveProperty('servers');
});

describe('what is described', () => {
  test.each([
    ['ResolveHostname', { name: 'host.example' }],
    ['ResolveAddress', { family: 2, address: [192, 0, 2, 1] }],
    ['ResolveRecord', { name: 'host.example', type: 28 }],
    ['ResolveService', { domain: full }],
    ['DumpDNSConfiguration', {}],
  ])('%s answers as it says', async (method, parameters) => {
    const reply = await call(method, parameters);
    // The grammar has no null, but clients of systemd-resolved get one for a canonical name that there is not.
    const plain = JSON.parse(JSON.stringify(reply, (_, value) => value ?? undefined));
    expect(readDescription(resolveInterface(ground).description).check(method, plain)).toEqual([]);
  });

  test.each(MONITOR_CALLS)('%s answers as it says', async (method) => {
    const { description } = (await call(
      'GetInterfaceDescription',
      { interface: MONITOR },
      'org.varlink.service',
    )) as {
      description: string;
    };
    expect(readDescription(description).check(method, await call(method, {}, MONITOR))).toEqual([]);
  });
});

describe('the monitor', () => {
  test.each(MONITOR_CALLS)('%s is for root and the daemon’s own user alone', async (method) => {
    peer = { uid: 1000, pid: 1 };
    await expect(call(method, {}, MONITOR)).rejects.toMatchObject({
      error: 'org.varlink.service.PermissionDenied',
    });
    expect(ground.asked).toEqual([]);
    peer = { uid: 990, pid: 1 };
    await expect(call(method, {}, MONITOR)).resolves.toBeDefined();
  });

  test.each(['SubscribeQueryResults', 'SubscribeDNSConfiguration'])(
    '%s is refused to others',
    async (method) => {
      peer = { uid: 1000, pid: 1 };
      const stream = streamVarlink(path, `${MONITOR}.${method}`, {}, { deadlineMs: 15_000 });
      await expect(stream.next()).rejects.toMatchObject({ error: 'org.varlink.service.PermissionDenied' });
      expect(watchers.size + configurations.size).toBe(0);
    },
  );

  test('queries are told after the word that it is ready, until the watcher leaves', async () => {
    const stream = streamVarlink(path, `${MONITOR}.SubscribeQueryResults`, {}, { deadlineMs: 15_000 });
    expect((await stream.next()).value).toEqual({ ready: true });
    const question = { class: 1, type: 1, name: 'host.example' };
    const found = {
      rcode: 0,
      records: [addressRecord('host.example', 192, 0, 2, 1)],
      from: 'network',
      authenticated: false,
      confidential: false,
      ifindex: 2,
    } as const;
    for (const watch of watchers) {
      watch({ question, outcome: found });
      watch({ question, outcome: 'no-servers' });
      watch({ question, outcome: { ...found, rcode: 2, records: [], error: { code: 22, text: 'no way' } } });
    }
    expect(JSON.stringify((await stream.next()).value)).toBe(
      `{"state":"success","question":[{"class":1,"type":1,"name":"host.example"}],"answer":[{"rr":{"key":{"class":1,"type":1,"name":"host.example"},"address":[192,0,2,1]},"raw":"${Buffer.from('host.example/1').toString('base64')}","ifindex":2}]}`,
    );
    expect((await stream.next()).value).toEqual({ state: 'no-servers', question: [question] });
    expect((await stream.next()).value).toEqual({
      state: 'rcode-failure',
      rcode: 2,
      extendedDNSErrorCode: 22,
      extendedDNSErrorMessage: 'no way',
      question: [question],
    });
    await stream.return();
    await until(() => watchers.size === 0, 'nobody watches any more');
  });

  test('the configuration is told at once and when it changed, not when it stayed', async () => {
    const stream = streamVarlink(path, `${MONITOR}.SubscribeDNSConfiguration`, {}, { deadlineMs: 15_000 });
    const first = (await stream.next()).value as { configuration: object[] };
    expect(first.configuration).toHaveLength(5);
    for (const tell of configurations) tell();
    ground.pushed.set(
      { ifindex: 2, interface: 'eth0', tunnel: false },
      { defaultRoute: true },
      { name: 'x', mirrored: false },
    );
    for (const tell of configurations) tell();
    const second = (await stream.next()).value as { configuration: object[] };
    expect(second.configuration[1]).toMatchObject({ ifname: 'eth0', defaultRoute: true });
    await stream.return();
    await until(() => configurations.size === 0, 'nobody watches any more');
  });

  test('the cache is told by link, with the time to which an entry holds', async () => {
    const { dump } = await call('DumpCache', {}, MONITOR);
    const settings = { dnssec: 'no', dnsOverTLS: 'no' };
    expect(dump).toEqual([
      { protocol: 'dns', ifindex: 7, ifname: 'tun0', cache: [], ...settings },
      { protocol: 'dns', ifindex: 3, ifname: 'wlan0', cache: [], ...settings },
      {
        protocol: 'dns',
        ifindex: 2,
        ifname: 'eth0',
        cache: [
          expect.objectContaining({ key: { class: 1, type: 1, name: 'host.example' }, until: 10_500_000 }),
          { key: { class: 1, type: 1, name: 'gone.example' }, type: 'NXDOMAIN', until: 11_000_000 },
        ],
        ...settings,
      },
      {
        protocol: 'dns',
        cache: [{ key: { class: 1, type: 28, name: 'four.example' }, rrs: [], until: 12_000_000 }],
        ...settings,
      },
    ]);
  });

  test('counters are told in the words of systemd-resolved', async () => {
    await expect(call('DumpStatistics', {}, MONITOR)).resolves.toMatchObject({
      transactions: { currentTransactions: 1, totalTransactions: 20, totalFailedResponsesServedStale: 6 },
      cache: { size: 7, hits: 8, misses: 9 },
    });
  });
});

test('both transports show one state', async () => {
  const [manager] = resolve1Tree(ground).interfacesAt('/org/freedesktop/resolve1') ?? [];
  const rows = manager?.get['DNS']?.() as readonly (readonly unknown[])[];
  const { configuration } = (await call('DumpDNSConfiguration')) as {
    configuration: { servers?: { address: number[] }[] }[];
  };
  expect(configuration.flatMap(({ servers = [] }) => servers.map(({ address }) => address))).toEqual(
    rows.map(([, , address]) => [...(address as Uint8Array)]),
  );
});

describe('what every service of systemd has', () => {
  const service = (method: string, parameters = {}) => call(method, parameters, 'io.systemd.service');

  test('it says that it lives', async () => {
    await expect(service('Ping')).resolves.toEqual({});
  });

  test('the level of the log is told to everybody and set by root', async () => {
    await expect(service('GetLogLevel')).resolves.toEqual({ level: 6 });
    await expect(service('SetLogLevel', { level: 7 })).resolves.toEqual({});
    expect(ground.log.level()).toBe('debug');
    peer = { uid: 1000, pid: 1 };
    await expect(service('SetLogLevel', { level: 3 })).rejects.toMatchObject({
      error: 'org.varlink.service.PermissionDenied',
    });
    await expect(service('GetLogLevel')).resolves.toEqual({ level: 7 });
  });

  test.each([8, -1, 1.5])('%s is no level', async (level) => {
    await expect(service('SetLogLevel', { level })).rejects.toMatchObject({
      error: 'org.varlink.service.InvalidParameter',
      parameters: { parameter: 'level' },
    });
  });

  test('its description is one, and replies are as it says', async () => {
    const description = readDescription(serviceInterface({ ...ground, ownUid: 0 }).description);
    expect(description.methods).toEqual(['Ping', 'SetLogLevel', 'GetLogLevel']);
    expect(description.check('GetLogLevel', await service('GetLogLevel'))).toEqual([]);
  });
});
