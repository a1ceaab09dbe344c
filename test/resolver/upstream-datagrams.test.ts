import { createSocket } from 'node:dgram';
import { readdirSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startFastPath } from '../../src/resolver/fast-path.ts';
import { linkBinder } from '../../src/resolver/open.ts';
import { Stop } from '../../src/resolver/stop.ts';
import { UpstreamPool } from '../../src/resolver/upstream-pool.ts';
import { type Endpoint, nodeDatagrams, type UpstreamDatagrams } from '../../src/resolver/upstream-udp.ts';
import { type Clock, systemClock } from '../../src/system/clock.ts';
import { loadLibc } from '../../src/system/libc.ts';
import { queryWire, readAnswer } from '../support/ask.ts';
import { freePort } from '../support/free-port.ts';
import { noIpv6 } from '../support/ipv6.ts';
import { manualClock } from '../support/manual-clock.ts';
import { recordingLog } from '../support/recording-log.ts';
import { unless } from '../support/root-only.ts';
import {
  type AskedQuestion,
  addressAnswer,
  type ScriptedServer,
  scriptedServer,
} from '../support/scripted-server.ts';
import { slowClock } from '../support/slow-clock.ts';
import { until } from '../support/until.ts';

const libc = must(loadLibc());

/** Sockets that a worker hears, or Node's own. */
type Kind = 'pool' | 'node';

function datagramsOf(kind: Kind): UpstreamDatagrams {
  return kind === 'pool' ? poolUnderTest().pool : nodeDatagrams(linkBinder(libc));
}

function poolUnderTest(clock: Clock = slowClock) {
  const pool: UpstreamPool = new UpstreamPool({ libc, clock, settled: () => path.settled() });
  const path = startFastPath({
    libc,
    clock: systemClock,
    log: recordingLog(),
    onMiss: () => {},
    onRefresh: () => {},
    upstream: pool,
  });
  let open = true;
  const close = async (): Promise<void> => {
    if (!open) return;
    open = false;
    await pool.close();
    await path.close();
    pool.closeDescriptor();
  };
  onTestFinished(close);
  return { pool, path, close };
}

describe.each<Kind>(['pool', 'node'])('questions over UDP (%s)', (kind) => {
  it('are answered by the server', async () => {
    const server = await answering();
    const message = await ask(datagramsOf(kind), server);
    expect(readAnswer(message).answers).toEqual(['www.example.com A 192.0.2.1']);
  });

  it.skipIf(noIpv6 !== undefined)(unless(noIpv6, 'are answered over IPv6'), async () => {
    const socket = createSocket('udp6').bind(0, '::1');
    onTestFinished(() => void socket.close());
    await new Promise<void>((resolve) => void socket.once('listening', resolve));
    socket.on('message', (wire, { port, address }) => void socket.send(reply(wire), port, address));
    const at: Endpoint = { host: '::1', port: socket.address().port, family: 6 };
    const message = await datagramsOf(kind).ask(at, question(), isReply, new Stop());
    expect(readAnswer(message).answers).toEqual(['www.example.com A 192.0.2.1']);
  });

  it('go by the link that they are to go by', async () => {
    const server = await answering();
    const datagrams = datagramsOf(kind);
    await ask(datagrams, server, { interface: 'lo' });
    const elsewhere = ask(datagrams, server, { interface: 'no-such-link' });
    await expect(elsewhere).rejects.toMatchObject({ code: 'IO' });
    expect(server.asked).toHaveLength(1);
  });

  it('come from ports of their own while they are few', async () => {
    const server = await answering();
    const datagrams = datagramsOf(kind);
    for (let i = 0; i < 16; i++) await ask(datagrams, server);
    expect(new Set(server.asked.map(({ port }) => port)).size).toBeGreaterThanOrEqual(15);
  });

  it('pass over what answers nothing, and take what comes after it', async () => {
    const wrong = Buffer.from('too short for a message');
    const server = await scriptedServer((asked) => [wrong, Buffer.alloc(1), answer(asked)]);
    const message = await ask(datagramsOf(kind), server);
    expect(readAnswer(message).answers).toEqual(['www.example.com A 192.0.2.1']);
  });

  it('end when too many messages answer nothing', async () => {
    const server = await scriptedServer(() => Array.from({ length: 64 }, () => Buffer.alloc(40, 0x80)));
    await expect(ask(datagramsOf(kind), server)).rejects.toMatchObject({ code: 'PROTOCOL' });
  });

  it('hear nothing from another port', async () => {
    const forger = createSocket('udp4');
    onTestFinished(() => void forger.close());
    const server = await scriptedServer(() => undefined);
    server.script = (asked) => {
      forger.send(addressAnswer(asked, '6.6.6.6'), asked.port, '127.0.0.1', () =>
        server.send(answer(asked), asked.port),
      );
      return undefined;
    };
    const message = await ask(datagramsOf(kind), server);
    expect(readAnswer(message).answers).toEqual(['www.example.com A 192.0.2.1']);
  });

  it('take answers of any size', async () => {
    const server = await scriptedServer((asked) => Buffer.concat([answer(asked), Buffer.alloc(9000)]));
    const message = await ask(datagramsOf(kind), server);
    expect(message.length).toBeGreaterThan(9000);
  });

  it('are told at once when nobody is at the port', async () => {
    const nobody = { ...(await answering()), port: await freePort() };
    await expect(ask(datagramsOf(kind), nobody)).rejects.toMatchObject({ code: 'IO' });
  });

  it('end when they are given up, and were never asked when they were given up before', async () => {
    const server = await scriptedServer(() => undefined);
    const datagrams = datagramsOf(kind);
    const stop = new Stop();
    const asked = datagrams.ask(endpoint(server), question(), isReply, stop);
    await until(() => server.asked.length === 1, 'the server was asked');
    stop.abort();
    await expect(asked).rejects.toMatchObject({ code: 'DEADLINE' });
    const late = datagrams.ask(endpoint(server), question(), isReply, stop);
    await expect(late).rejects.toMatchObject({ code: 'DEADLINE' });
    expect(server.asked).toHaveLength(1);
  });

  it('are answered each with its own answer, many at a time', async () => {
    const server = await scriptedServer((asked) => addressAnswer(asked, '192.0.2.1'));
    const datagrams = datagramsOf(kind);
    const names = Array.from({ length: BURST }, (_, i) => `name-${i}.example.com`);
    const messages = await Promise.all(
      names.map((name) => {
        const wire = queryWire(name);
        return datagrams.ask(endpoint(server), wire, (message) => same(wire, message), new Stop());
      }),
    );
    expect(messages.map((message) => readAnswer(message).answers[0])).toEqual(
      names.map((name) => `${name} A 192.0.2.1`),
    );
  });
});

describe('the pool', () => {
  it('takes one of 32 ports at random for each question when there are many', async () => {
    const server = await answering();
    const { pool } = poolUnderTest();
    for (let round = 0; round < 5; round++)
      await Promise.all(Array.from({ length: BURST }, () => ask(pool, server)));
    const perPort = [...Map.groupBy(server.asked, ({ port }) => port).values()].map((asked) => asked.length);
    expect(perPort).toHaveLength(32);
    // 20 on average; in turns it would be exactly 20 each.
    expect(new Set(perPort).size).toBeGreaterThan(3);
  });

  it('gives a question another id when one on the same socket has it', async () => {
    const server = await scriptedServer(() => undefined);
    const { pool } = poolUnderTest();
    const stop = new Stop();
    const same = question();
    const all = Array.from({ length: BURST }, () =>
      pool.ask(endpoint(server), Buffer.from(same), isReply, stop),
    );
    const ended = Promise.allSettled(all);
    await until(() => server.asked.length === BURST, 'all questions came');
    const pairs = new Set(server.asked.map(({ port, wire }) => `${port} ${wire.readUInt16BE(0)}`));
    expect(pairs.size).toBe(BURST);
    stop.abort();
    expect((await ended).every(({ status }) => status === 'rejected')).toBe(true);
  });

  it('leaves a port after ten seconds', async () => {
    const server = await answering();
    const clock = manualClock();
    const { pool } = poolUnderTest(clock);
    await Promise.all(Array.from({ length: 100 }, () => ask(pool, server)));
    const before = new Set(server.asked.map(({ port }) => port));
    expect(before.size).toBe(32);
    clock.advance(10_000);
    await Promise.all(Array.from({ length: 100 }, () => ask(pool, server)));
    const after = new Set(server.asked.slice(100).map(({ port }) => port));
    expect([...after].filter((port) => before.has(port)).length).toBeLessThan(4);
  });

  it('leaves a port after 200 questions', async () => {
    const server = await answering();
    const { pool } = poolUnderTest();
    for (let round = 0; round < 60; round++)
      await Promise.all(Array.from({ length: BURST }, () => ask(pool, server)));
    const perPort = [...Map.groupBy(server.asked, ({ port }) => port).values()];
    expect(Math.max(...perPort.map((asked) => asked.length))).toBeLessThanOrEqual(200);
    expect(perPort.length).toBeGreaterThan(40);
  });

  it('leaves all ports when the networks change', async () => {
    const server = await answering();
    const { pool } = poolUnderTest();
    await Promise.all(Array.from({ length: 64 }, () => ask(pool, server)));
    const before = new Set(server.asked.map(({ port }) => port));
    pool.renew();
    await Promise.all(Array.from({ length: 64 }, () => ask(pool, server)));
    const after = new Set(server.asked.slice(64).map(({ port }) => port));
    expect([...after].filter((port) => before.has(port)).length).toBeLessThan(4);
  });

  it('ends a question whose server says nothing after two seconds, and takes another port for the next', async () => {
    const server = await scriptedServer(() => undefined);
    const clock = manualClock();
    const { pool } = poolUnderTest(clock);
    const asked = pool.ask(endpoint(server), question(), isReply, new Stop());
    await until(() => server.asked.length === 1, 'the server was asked');
    clock.advance(2000);
    await expect(asked).rejects.toMatchObject({ code: 'DEADLINE' });
    server.script = answer;
    await ask(pool, server);
    expect(server.asked[1]?.port).not.toBe(server.asked[0]?.port);
  });

  it('counts no late answer to a question that was given up as a wrong one', async () => {
    const server = await scriptedServer(() => undefined);
    const { pool } = poolUnderTest();
    const stop = new Stop();
    const given: Promise<Buffer>[] = [];
    for (let round = 1; round <= 16; round++) {
      for (let i = 0; i < BURST; i++) given.push(pool.ask(endpoint(server), question(), isReply, stop));
      await until(() => server.asked.length === round * BURST, 'all questions came');
    }
    const ended = Promise.allSettled(given);
    stop.abort();
    await ended;
    // Each port asked some 60 times, which is more than the wrong messages that end an attempt.
    server.script = (asked) => server.asked.filter(({ port }) => port === asked.port).map(answer);
    const message = await ask(pool, server);
    expect(readAnswer(message).answers).toEqual(['www.example.com A 192.0.2.1']);
  });

  it('closes every socket it opened', async () => {
    const server = await answering();
    const before = descriptors();
    const { pool, close } = poolUnderTest();
    await Promise.all(Array.from({ length: 100 }, () => ask(pool, server)));
    await close();
    await until(() => descriptors() <= before, 'all descriptors are closed');
  });

  it('gives up what is under way when it closes, and takes nothing more', async () => {
    const server = await scriptedServer(() => undefined);
    const { pool, close } = poolUnderTest();
    const asked = ask(pool, server);
    const failed = expect(asked).rejects.toMatchObject({ code: 'DEADLINE' });
    await close();
    await failed;
    await expect(ask(pool, server)).rejects.toMatchObject({ code: 'DEADLINE' });
  });
});

/** So many packets wait in a socket of the usual size while nobody takes them. */
const BURST = 128;

const answering = (): Promise<ScriptedServer> => scriptedServer(answer);

const answer = (asked: AskedQuestion): Buffer => addressAnswer(asked, '192.0.2.1');

/** With an id of its own, as questions have. */
function question(): Buffer {
  const wire = queryWire('www.example.com');
  wire.writeUInt16BE(nextId++, 0);
  return wire;
}

let nextId = 1;

/** An answer with whichever id the question was given. */
const isReply = (message: Buffer): boolean => message.length > 12 && ((message[2] ?? 0) & 0x80) !== 0;

const same = (wire: Buffer, message: Buffer): boolean => wire.readUInt16BE(0) === message.readUInt16BE(0);

function ask(
  datagrams: UpstreamDatagrams,
  server: ScriptedServer,
  more: Partial<Endpoint> = {},
): Promise<Buffer> {
  const wire = question();
  const accept = (message: Buffer): boolean => isReply(message) && same(wire, message);
  return datagrams.ask({ ...endpoint(server), ...more }, wire, accept, new Stop());
}

const endpoint = ({ host, port }: ScriptedServer): Endpoint => ({ host, port, family: 4 });

const reply = (wire: Buffer): Buffer =>
  addressAnswer({ name: 'www.example.com', type: 1, transport: 'udp', wire, port: 0 }, '192.0.2.1');

const descriptors = (): number => readdirSync('/proc/self/fd').length;

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('these tests need koffi');
  return value;
}
