import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RESOLVE } from '../../src/standin/varlink-descriptions.ts';
import { loadLibc } from '../../src/system/libc.ts';
import { callVarlink } from '../../src/system/varlink-client.ts';
import { askOverUdp, queryWire, readAnswer } from '../support/ask.ts';
import { link } from '../support/links.ts';
import { type LiveStandin, liveStandin } from '../support/live-standin.ts';
import { BodyWriter, callBytes, METHOD_RETURN, type RawCall, rawBus } from '../support/raw-bus.ts';
import { type RawSocket, rawSocket } from '../support/raw-socket.ts';
import { addressAnswer } from '../support/scripted-server.ts';
import { until } from '../support/until.ts';

/** What programs without rights, and broken ones, may send to the stand-in: a real one, on a bus of its own. */

const RESOLVE1 = 'org.freedesktop.resolve1';
/** Below those that the kernel gives to clients. */
const PORT = 10_000 + (process.pid % 20_000);

let server: UdpSocket;
let serverQuestions = 0;
let standin: LiveStandin;
let resolveSocket: string;

beforeAll(async () => {
  server = createSocket('udp4');
  server.on('message', (wire, from) => {
    serverQuestions++;
    const answer = addressAnswer({ name: '', type: 1, transport: 'udp', wire, port: from.port }, '192.0.2.1');
    // The letters may be large or small: the resolver mixes them.
    if (!/slow/i.test(wire.toString('latin1'))) server.send(answer, from.port, from.address);
  });
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  const at = `dns+udp://127.0.0.1:${server.address().port}`;
  standin = await liveStandin(at);
  standin.plan([link({ servers: [at] })]);
  resolveSocket = join(standin.folder, 'io.systemd.Resolve');
  await standin.live.listen({ host: '127.0.0.1', port: PORT, service: 'full' });
}, 90_000);

afterAll(async () => {
  await standin?.close();
  server?.close();
});

const resolves = (name = 'www.example') =>
  callVarlink(resolveSocket, `${RESOLVE}.ResolveHostname`, { name, family: 2 }, { deadlineMs: 60_000 });

const varlinkCall = (parameters: object, more: object = {}, method = 'ResolveHostname'): string =>
  `${JSON.stringify({ method: `${RESOLVE}.${method}`, parameters, ...more })}\0`;

describe('over varlink', () => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
  const invalid = 'org.varlink.service.InvalidParameter';

  test.each<[string, string | Buffer, string, string]>([
    ['a flag of the year 2040', varlinkCall({ name: 'a.example', flags: 2 ** 30 }), invalid, 'flags'],
    ['internal flags', varlinkCall({ name: 'a.example', flags: 1 << 16 }), invalid, 'flags'],
    ['a flag beyond 53 bits', varlinkCall({ name: 'a.example', flags: 2 ** 60 }), invalid, 'flags'],
    ['a negative link', varlinkCall({ name: 'a.example', ifindex: -2 }), invalid, 'ifindex'],
    ['a name with a NUL', varlinkCall({ name: 'a\0b.example' }), invalid, 'name'],
    [
      'a name of 70,000 letters would not fit, one of 60,000 is no name',
      varlinkCall({ name: 'x'.repeat(60_000) }),
      invalid,
      'name',
    ],
    [
      'bytes that are no UTF-8',
      Buffer.concat([
        Buffer.from(`{"method":"${RESOLVE}.ResolveHostname","parameters":{"name":"`),
        Buffer.of(0xff, 0xc0, 0x80),
        Buffer.from('"}}\0'),
      ]),
      invalid,
      'name',
    ],
    [
      'lists thirty thousand deep',
      `{"method":"${RESOLVE}.ResolveHostname","parameters":{"name":${nested(30_000)}}}\0`,
      invalid,
      'name',
    ],
    [
      'an address of 5,000 bytes',
      varlinkCall({ family: 2, address: new Array(5000).fill(1) }, {}, 'ResolveAddress'),
      invalid,
      'address',
    ],
    [
      'a prototype',
      `{"method":"${RESOLVE}.ResolveHostname","parameters":{"__proto__":{"name":"a"}}}\0`,
      invalid,
      '__proto__',
    ],
    ['more and oneway', varlinkCall({ name: 'a.example' }, { more: true, oneway: true }), invalid, 'more'],
    ['an upgrade', varlinkCall({ name: 'a.example' }, { upgrade: true }), invalid, 'upgrade'],
    [
      'all three',
      varlinkCall({ name: 'a.example' }, { more: true, oneway: true, upgrade: true }),
      invalid,
      'upgrade',
    ],
  ])(
    '%s is told which parameter is wrong, and the connection goes on',
    async (_, bytes, error, parameter) => {
      const client = await rawSocket(resolveSocket);
      client.send(bytes);
      client.send(varlinkCall({ name: 'www.example', family: 2 }));
      expect(await client.reply(1)).toEqual({ error, parameters: { parameter } });
      expect(await client.reply(2)).toMatchObject({ parameters: { name: 'www.example' } });
      client.socket.destroy();
    },
  );

  test.each<[string, string | Buffer]>([
    ['no JSON', 'GET / HTTP/1.1\r\n\r\n\0'],
    ['a number', '42\0'],
    ['a list', '[]\0'],
    ['nothing but NUL bytes', Buffer.alloc(4096)],
    ['a frame of 16 MiB', Buffer.alloc(16 << 20, 'x')],
    ['an endless string', Buffer.concat([Buffer.from('{"method":"'), Buffer.alloc(1 << 20, 'a')])],
    ['a lookup that wants no answer', varlinkCall({ name: 'a.example' }, { oneway: true })],
    ['two thousand calls at once', varlinkCall({ name: 'slow.example', family: 2 }).repeat(2000)],
  ])('who sends %s is hung up on, and nobody else', async (_, bytes) => {
    const client = await rawSocket(resolveSocket);
    client.send(bytes);
    await client.untilClosed();
    expect(await resolves()).toMatchObject({ name: 'www.example' });
  });

  test('descriptors that come along are dropped, and the call is answered', async () => {
    const before = descriptors();
    const client = await rawSocket(resolveSocket);
    sendWithDescriptors(client.socket, varlinkCall({ name: 'www.example', family: 2 }));
    expect(await client.reply(1)).toMatchObject({ parameters: { name: 'www.example' } });
    client.socket.destroy();
    await until(() => descriptors() <= before, 'all descriptors to be closed');
  });
});

describe('over D-Bus', () => {
  const manager = (member: string, signature: string, body: BodyWriter): RawCall => ({
    destination: RESOLVE1,
    path: '/org/freedesktop/resolve1',
    interface: `${RESOLVE1}.Manager`,
    member,
    signature,
    body: body.take(),
  });
  const property = (member: string, signature: string, body: BodyWriter): RawCall => ({
    ...manager(member, signature, body),
    interface: 'org.freedesktop.DBus.Properties',
  });
  const resolveHostname = (name: string | Uint8Array, flags = 0n): RawCall =>
    manager('ResolveHostname', 'isit', new BodyWriter().uint32(0).string(name).uint32(2).uint64(flags));
  const rows = (count: number, write: (row: BodyWriter, index: number) => void): BodyWriter =>
    new BodyWriter().uint32(2).array(8, (list) => {
      for (let index = 0; index < count; index++) write(list.align(8), index);
    });
  const server = (row: BodyWriter, index: number): void => {
    row
      .uint32(2)
      .uint32(4)
      .bytes(Uint8Array.of(10, 0, index >> 8, index & 255));
  };
  const domain = (row: BodyWriter, index: number): void => {
    row.string(`d${index}.example`).uint32(0);
  };
  const DBUS = 'org.freedesktop.DBus.Error';

  test.each<[string, RawCall, string]>([
    [
      'another signature',
      manager('ResolveHostname', 's', new BodyWriter().string('a.example')),
      `${DBUS}.InvalidArgs`,
    ],
    ['no arguments', { ...manager('ResolveHostname', '', new BodyWriter()) }, `${DBUS}.InvalidArgs`],
    ['a flag of the year 2040', resolveHostname('a.example', 1n << 30n), `${DBUS}.InvalidArgs`],
    ['a flag of the 64th bit', resolveHostname('a.example', 1n << 63n), `${DBUS}.InvalidArgs`],
    ['a name of 100,000 letters', resolveHostname('x'.repeat(100_000)), `${DBUS}.InvalidArgs`],
    ['a call of 1 MB', resolveHostname('x'.repeat(1_000_000)), `${DBUS}.LimitsExceeded`],
    ['257 servers', manager('SetLinkDNS', 'ia(iay)', rows(257, server)), 'System.Error.E2BIG'],
    ['1,025 domains', manager('SetLinkDomains', 'ia(sb)', rows(1025, domain)), 'System.Error.E2BIG'],
    ['an unknown member', manager('Explode', '', new BodyWriter()), `${DBUS}.UnknownMethod`],
    ['a member of every object', manager('toString', '', new BodyWriter()), `${DBUS}.UnknownMethod`],
    [
      'an unknown interface',
      { ...resolveHostname('a.example'), interface: 'a.b.C' },
      `${DBUS}.UnknownMethod`,
    ],
    [
      'an unknown path',
      { ...resolveHostname('a.example'), path: '/org/freedesktop/resolve2' },
      `${DBUS}.UnknownObject`,
    ],
    [
      'a link that is none',
      { ...resolveHostname('a.example'), path: '/org/freedesktop/resolve1/link/_39999' },
      `${DBUS}.UnknownObject`,
    ],
    [
      'an unknown property',
      property('Get', 'ss', new BodyWriter().string(`${RESOLVE1}.Manager`).string('constructor')),
      `${DBUS}.UnknownProperty`,
    ],
    [
      'a property that nobody may write',
      property(
        'Set',
        'ssv',
        new BodyWriter().string(`${RESOLVE1}.Manager`).string('DNSSEC').signature('s').string('yes'),
      ),
      `${DBUS}.PropertyReadOnly`,
    ],
    [
      'a variant in a variant, sixty deep',
      property(
        'Set',
        'ssv',
        deepVariant(new BodyWriter().string(`${RESOLVE1}.Manager`).string('DNSSEC'), 60),
      ),
      `${DBUS}.PropertyReadOnly`,
    ],
    [
      'all properties of an interface that is not there',
      property('GetAll', 's', new BodyWriter().string('a.b.C')),
      `${DBUS}.UnknownInterface`,
    ],
  ])('%s gets its error, and the connection goes on', async (_, call, error) => {
    const bus = await rawBus(standin.busSocket);
    expect((await bus.send(callBytes(call))).errorName).toBe(error);
    expect((await bus.send(callBytes(resolveHostname('www.example')))).type).toBe(METHOD_RETURN);
    bus.close();
    expect(standin.pushed.all()).toEqual([]);
  });

  test.each<[string, RawCall]>([
    ['a body that ends too early', { ...resolveHostname('a.example'), body: Buffer.alloc(4) }],
    ['a name that is no UTF-8', resolveHostname(Buffer.of(0xff, 0xfe))],
    ['a descriptor that is not there', { ...resolveHostname('a.example'), descriptors: 3 }],
  ])('%s is the bus’s to end, and everybody else is served', async (_, call) => {
    const bus = await rawBus(standin.busSocket);
    await expect(bus.send(callBytes(call))).rejects.toThrow('hung up');
    const other = await rawBus(standin.busSocket);
    expect((await other.send(callBytes(resolveHostname('www.example')))).type).toBe(METHOD_RETURN);
    other.close();
  });

  test('descriptors that come along are refused by the bus, because we take none', async () => {
    const bus = await rawBus(standin.busSocket, { descriptors: true });
    const message = callBytes({ ...resolveHostname('www.example'), descriptors: 1 });
    message.writeUInt32LE(9999, 8);
    const reply = bus.reply(9999);
    sendWithDescriptors(bus.socket, message);
    expect((await reply).errorName).toBe(`${DBUS}.NotSupported`);
    bus.close();
  });

  test('who wants no answer gets none, and the call does its work', async () => {
    const bus = await rawBus(standin.busSocket);
    let answered = false;
    const asked = serverQuestions;
    bus.post(callBytes({ ...resolveHostname('quiet.example'), flags: 1 }), () => {
      answered = true;
    });
    await until(() => serverQuestions > asked, 'the server is asked');
    expect((await bus.send(callBytes(resolveHostname('www.example')))).type).toBe(METHOD_RETURN);
    expect(answered).toBe(false);
    bus.close();
  });

  test('of three thousand calls that one caller has under way at once those beyond the bound are refused', async () => {
    const bus = await rawBus(standin.busSocket);
    let refused = 0;
    for (let index = 0; index < 3000; index++)
      bus.post(callBytes(resolveHostname('slow-for-many.example')), ({ errorName }) => {
        if (errorName === `${DBUS}.LimitsExceeded`) refused++;
      });
    await until(() => refused > 0, 'the calls beyond the bound to be refused', 15_000);
    const other = await rawBus(standin.busSocket);
    expect((await other.send(callBytes(resolveHostname('www.example')))).type).toBe(METHOD_RETURN);
    other.close();
    bus.close();
  });
});

test('a thousand connections, half-sent calls and hang-ups leave nothing behind, while every query is answered', async () => {
  // Once it has answered over UDP, the worker that does so has all its descriptors.
  await askOverUdp('127.0.0.1', PORT, queryWire('before.example'));
  await resolves();
  const names = Array.from({ length: 200 }, (_, index) => `n${index}.example`);
  const before = { descriptors: descriptors(), heap: heapAfterCollection() };
  let lost = 0;
  let asked = 0;
  let attacking = true;
  const asking = (async () => {
    while (attacking || asked < names.length) {
      const query = queryWire(names[asked % names.length] ?? '');
      const answer = await askOverUdp('127.0.0.1', PORT, query).then(readAnswer, () => undefined);
      if (answer?.answers.length !== 1) lost++;
      asked++;
    }
  })();
  for (let wave = 0; wave < 3; wave++) {
    const clients = await Promise.all(
      Array.from({ length: 1000 }, () => rawSocket(resolveSocket).catch(() => undefined)),
    );
    await Promise.all(clients.map((client, index) => client && attack(client, index)));
    expect(await resolves(`during${wave}.example`)).toMatchObject({ name: `during${wave}.example` });
    for (const client of clients) client?.socket.destroy();
  }
  attacking = false;
  await asking;
  expect({ lost, pushed: standin.pushed.all() }).toEqual({ lost: 0, pushed: [] });
  await until(() => descriptors() <= before.descriptors + 2, 'all descriptors to be closed', 40_000);
  // What a thousand connections held would be tens of megabytes.
  await until(() => heapAfterCollection() - before.heap < 12e6, 'all memory to be given back', 40_000);
}, 300_000);

/** One of five things that callers should not do. */
async function attack(client: RawSocket, index: number): Promise<void> {
  switch (index % 5) {
    case 0:
      client.send('{"method":"io.systemd.Resolve.Resolve');
      break;
    case 1:
      client.send(varlinkCall({ name: `slow${index % 50}.example`, family: 2 }));
      client.socket.destroy();
      break;
    case 2:
      client.send(`${'x'.repeat(1000)}\0`);
      break;
    case 3:
      client.socket.pause();
      client.send(varlinkCall({ name: 'www.example', family: 2 }).repeat(100));
      break;
    default:
      client.send(varlinkCall({ name: 'www.example', family: 2 }));
      await until(() => client.replies.length > 0, 'the answer among a thousand', 90_000);
  }
}

/** Body of nested variants with a byte at their end. */
function deepVariant(body: BodyWriter, depth: number): BodyWriter {
  for (let level = 0; level < depth; level++) body.signature('v');
  return body.signature('y').bytes(Uint8Array.of(1));
}

/** Write bytes that carry copies of the standard streams. */
function sendWithDescriptors(socket: Socket, bytes: string | Buffer): void {
  const fd = (socket as unknown as { _handle: { fd: number } })._handle.fd;
  const sent = loadLibc()?.sockets.sendDescriptors(
    fd,
    Buffer.from(bytes as string),
    Buffer.alloc(0),
    [0, 1, 2],
  );
  expect(sent).toBe(true);
}

const descriptors = (): number => readdirSync('/proc/self/fd').length;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heapAfterCollection(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
