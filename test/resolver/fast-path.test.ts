import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { decode } from 'dns-packet';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseAddress } from '../../src/core/address.ts';
import { makeCache } from '../../src/resolver/cache.ts';
import {
  type FastPathOptions,
  type FastSocket,
  type Miss,
  startFastPath,
} from '../../src/resolver/fast-path.ts';
import { CONTROL, COUNTERS, type FastPathData } from '../../src/resolver/fast-path-messages.ts';
import { fit as cutToSize } from '../../src/resolver/message.ts';
import { readQuery } from '../../src/resolver/message-read.ts';
import { type Clock, systemClock } from '../../src/system/clock.ts';
import { loadLibc } from '../../src/system/libc.ts';
import { addresses, fakeServers } from '../support/fake-servers.ts';
import { freePort } from '../support/free-port.ts';
import { manualClock } from '../support/manual-clock.ts';
import { type QueryWish, queryWire } from '../support/query-wire.ts';
import { recordingLog } from '../support/recording-log.ts';
import { until } from '../support/until.ts';

const libc = loadLibc();
if (libc === undefined) throw new Error('these tests need koffi');
const address = parseAddress('127.0.0.1');
if (!address.ok) throw new Error(address.reason);
const loopback = address.value;

/** What some tests want otherwise. */
interface Given extends Pick<FastPathOptions, 'threads'> {
  readonly clock?: Clock;
  /** Hears what each worker is started with, and may give another worker in its place. */
  readonly worker?: (data: FastPathData) => Worker | undefined;
}

async function underTest(workers: Worker[] = [], given: Given = {}) {
  const port = await freePort();
  const servers = fakeServers();
  const misses: Miss[] = [];
  const log = recordingLog();
  const cache = makeCache({
    clock: systemClock,
    routeKeyOf: () => 'home',
    onRepeated: (...answer) => path.put(...answer),
  });
  const answer = cache.stage(servers.ask);
  const shared: Pick<FastPathOptions, 'onMiss' | 'onRefresh'> = {
    onMiss(miss) {
      misses.push(miss);
      const reading = readQuery(miss.packet, 'udp', miss.service);
      if (reading.ok)
        void answer(reading.value, AbortSignal.timeout(15_000)).then(({ wire }) =>
          miss.reply(cutToSize(reading.value, wire)),
        );
      else if (reading.response !== undefined) miss.reply(reading.response);
    },
    onRefresh: () => {},
  };
  const path = start();
  servers.answerAlways(addresses(60, 1));
  const client = createSocket('udp4').bind(0, '127.0.0.1');
  await once(client, 'listening');
  let open = true;
  const close = async (): Promise<void> => {
    if (open) await path.close();
    open = false;
  };
  onTestFinished(async () => {
    client.close();
    await close();
  });

  function start() {
    const { threads = 1 } = given;
    const bind = (): number => libc?.datagrams.bindUdp(loopback, port, { reusePort: threads > 1 }) ?? -1;
    const fds = Array.from({ length: threads }, bind);
    const started = startFastPath({
      ...shared,
      libc: libc as NonNullable<typeof libc>,
      clock: given.clock ?? systemClock,
      log,
      threads,
      makeWorker(data: FastPathData) {
        const file = new URL('../../src/resolver/fast-path-worker.ts', import.meta.url);
        const worker = given.worker?.(data) ?? new Worker(file, { workerData: data });
        workers.push(worker);
        return worker;
      },
    });
    const socket: FastSocket = { fds, service: 'full' };
    started.add(socket);
    return {
      ...started,
      async close() {
        await started.remove(socket);
        for (const fd of fds) closeSync(fd);
        await started.close();
      },
    };
  }

  const send = (packet: Buffer): void => client.send(packet, port, '127.0.0.1');
  async function ask(wish: QueryWish = {}) {
    send(queryWire(wish));
    const [packet] = (await once(client, 'message', { signal: AbortSignal.timeout(15_000) })) as [Buffer];
    return decode(packet);
  }
  /** Ask until the fast path itself answers. */
  async function warm(wish: QueryWish = {}): Promise<void> {
    const before = path.statistics().hits;
    await until(async () => {
      await ask(wish);
      return path.statistics().hits > before;
    }, 'the fast path answers');
  }
  return { path: { ...path, close }, servers, cache, misses, log, send, ask, warm, client, port };
}

describe('the fast path', () => {
  it('hands on what it does not know, and answers itself what was asked again', async () => {
    const { ask, warm, misses, servers } = await underTest();
    await warm();
    const before = misses.length;
    const answer = await ask({ id: 7, name: 'WWW.example.ORG', edns: {} });
    expect(answer).toMatchObject({
      id: 7,
      questions: [{ name: 'WWW.example.ORG' }],
      answers: [{ data: '192.0.2.1' }],
      additionals: [{ type: 'OPT' }],
    });
    expect(misses).toHaveLength(before);
    expect(servers.asked).toHaveLength(1);
  });

  it('forgets at once when told', async () => {
    const { path, ask, warm, misses } = await underTest();
    await warm();
    path.invalidate();
    const before = misses.length;
    await ask();
    expect(misses).toHaveLength(before + 1);
  });

  it('takes in nothing that was on its way when it was told to forget', async () => {
    const { path, ask, warm, misses, cache } = await underTest();
    await warm();
    path.invalidate();
    await ask();
    path.invalidate();
    cache.flush();
    // The put of the last question was dropped with the list: the next one is a miss again.
    const before = misses.length;
    await ask();
    expect(misses).toHaveLength(before + 1);
  });

  it('answers garbage with a code, responses with silence, and lives on', async () => {
    const { send, ask, client } = await underTest();
    const got: Buffer[] = [];
    client.on('message', (packet) => void got.push(packet));
    send(Buffer.alloc(0));
    send(Buffer.from('only a few'));
    send(Buffer.concat([queryWire({ id: 5, flags: 0x8100 }), Buffer.alloc(5000, 1)]));
    send(queryWire({ id: 1, flags: 0x8100 }));
    send(Buffer.concat([queryWire({ id: 2 }), Buffer.from('more')]));
    await until(() => got.length === 1, 'FORMERR comes');
    expect(got[0]?.toString('hex')).toBe('000281810000000000000000');
    got.length = 0;
    await ask({ id: 3 });
    expect(got).toHaveLength(1);
  });
});

it.each([
  ['a question', 0x0100, '000781810000000000000000'],
  ['another operation', 0x2000, '0007a0840000000000000000'],
])(
  '%s that is larger than any is answered with a code, which is better than a client that waits',
  async (_, flags, wanted) => {
    const { send, client, ask } = await underTest();
    const got: Buffer[] = [];
    client.on('message', (packet) => void got.push(packet));
    send(Buffer.concat([queryWire({ id: 7, flags }), Buffer.alloc(5000, 1)]));
    await until(() => got.length === 1, 'it is answered');
    expect(got[0]?.toString('hex')).toBe(wanted);
    await ask({ id: 8 });
  },
);

describe('the worker of the fast path', () => {
  it('answers while the main thread is busy', async () => {
    const { warm, port } = await underTest();
    await warm();
    const steps = new Int32Array(new SharedArrayBuffer(8));
    const asker = new Worker(ASK_WHEN_TOLD, {
      eval: true,
      workerData: { port, steps, query: queryWire() },
    });
    onTestFinished(() => void asker.terminate());
    await once(asker, 'message');
    Atomics.store(steps, 0, 1);
    Atomics.notify(steps, 0);
    // From here on this thread does nothing but wait.
    expect(Atomics.wait(steps, 1, 0, 15_000)).not.toBe('timed-out');
  });

  it('keeps few packets waiting while the main thread is far behind, and tells the others SERVFAIL', async () => {
    const { warm, port, path, misses } = await underTest();
    await warm();
    const before = misses.length;
    const steps = new Int32Array(new SharedArrayBuffer(8));
    const asker = new Worker(FLOOD, {
      eval: true,
      workerData: { port, steps, query: queryWire({ name: 'other.example' }), rcode: 2 },
    });
    onTestFinished(() => void asker.terminate());
    await once(asker, 'message');
    Atomics.store(steps, 0, 1);
    Atomics.notify(steps, 0);
    expect(Atomics.wait(steps, 1, 0, 15_000)).not.toBe('timed-out');
    await until(() => misses.length >= before + 4096, 'those that waited are taken');
    expect(path.statistics().refused).toBeGreaterThan(0);
    await warm({ name: 'third.example' });
  });

  it('answers unseen, while somebody watches, what the main thread is too busy for', async () => {
    const { warm, port, path, misses } = await underTest();
    await warm({ name: 'other.example' });
    path.watched(true);
    const [before, hits] = [misses.length, path.statistics().hits];
    const steps = new Int32Array(new SharedArrayBuffer(8));
    const query = queryWire({ name: 'other.example' });
    const asker = new Worker(FLOOD, { eval: true, workerData: { port, steps, query, rcode: 0 } });
    onTestFinished(() => void asker.terminate());
    await once(asker, 'message');
    Atomics.store(steps, 0, 1);
    Atomics.notify(steps, 0);
    expect(Atomics.wait(steps, 1, 0, 15_000)).not.toBe('timed-out');
    await until(() => misses.length >= before + 2048, 'those that waited are taken');
    expect(path.statistics()).toMatchObject({ refused: 0 });
    expect(path.statistics().hits).toBeGreaterThan(hits);
    path.watched(false);
    await warm({ name: 'other.example' });
  });

  it('leaves a socket alone once it was told to, and answers nobody on it any more', async () => {
    const { path, port, ask, misses, send } = await underTest();
    await ask();
    const late = misses.at(-1);
    await path.close();
    const successor = createSocket('udp4').bind(port, '127.0.0.1');
    await once(successor, 'listening');
    onTestFinished(() => void successor.close());
    send(queryWire({ id: 77 }));
    const [packet] = (await once(successor, 'message', { signal: AbortSignal.timeout(15_000) })) as [Buffer];
    expect(packet.readUInt16BE(0)).toBe(77);
    expect(late?.reply(Buffer.alloc(12))).toBe(false);
  });

  it('is replaced when it dies, and its sockets stay open', async () => {
    const workers: Worker[] = [];
    const { ask, warm, path, log, send } = await underTest(workers);
    await warm();
    const ended = workers[0]?.terminate();
    // It waits in the kernel: a packet brings it back, where it finds that it is to end.
    send(queryWire({ id: 1 }));
    await ended;
    await until(() => workers.length === 2, 'there is a new worker');
    await ask({ id: 2, name: 'other.example' });
    expect(path.statistics().restarts).toBe(1);
    expect(log.lines).toMatchObject([{ level: 'error', text: expect.stringContaining('a new one') }]);
  });
});

describe('several workers of the fast path', () => {
  it('share a port, answer alike, and are counted together', async () => {
    const started: FastPathData[] = [];
    const { path, port, ask, cache } = await underTest([], {
      threads: 2,
      worker: (data) => void started.push(data),
    });
    await ask();
    const counted = (which: number): readonly number[] => started.map(({ counters }) => counters[which] ?? 0);
    // Which worker gets a packet hangs on the client's port alone.
    await until(async () => {
      await askFrom(port);
      return counted(COUNTERS.hits).every((hits) => hits > 0);
    }, 'both workers answer from their tables');
    const sum = (which: number): number => counted(which).reduce((total, count) => total + count);
    await until(() => path.statistics().hits === sum(COUNTERS.hits), 'all hits are counted');
    expect(path.statistics().misses).toBe(sum(COUNTERS.misses));
    path.invalidate();
    cache.flush();
    const misses = path.statistics().misses;
    await askFrom(port);
    await until(() => path.statistics().misses === misses + 1, 'it was a miss for both');
  });

  it('are replaced each by itself', async () => {
    const workers: Worker[] = [];
    const { path, port } = await underTest(workers, { threads: 2 });
    const ended = workers[1]?.terminate();
    await until(async () => {
      await Promise.race([askFrom(port), ended]);
      return workers.length === 3;
    }, 'there is a new worker');
    for (let i = 0; i < 16; i++) await askFrom(port);
    expect(path.statistics().restarts).toBe(1);
  });
});

describe('a worker that hangs', () => {
  it('is replaced, and what was asked meanwhile is answered', async () => {
    const clock = manualClock();
    const workers: Worker[] = [];
    const { path, ask, log } = await underTest(workers, {
      clock,
      worker: () => (workers.length === 0 ? new Worker('for (;;);', { eval: true }) : undefined),
    });
    const asked = ask();
    clock.advance(10_000);
    await until(() => {
      clock.advance(0);
      return workers.length === 2;
    }, 'there is a new worker');
    expect((await asked).answers).toMatchObject([{ data: '192.0.2.1' }]);
    expect(path.statistics().restarts).toBe(1);
    expect(log.lines[0]).toMatchObject({ level: 'error', text: expect.stringContaining('hangs') });
  });

  it('keeps nobody from leaving its last socket, and from ending', async () => {
    const clock = manualClock();
    const { path } = await underTest([], {
      clock,
      worker: () => new Worker('for (;;);', { eval: true }),
    });
    let ended = false;
    const closed = path.close().then(() => {
      ended = true;
    });
    await until(() => {
      clock.advance(10_000);
      return ended;
    }, 'it has ended');
    await closed;
  });

  it('is replaced by one that starts, as soon as one does', async () => {
    const clock = manualClock();
    const workers: Worker[] = [];
    let refused = 0;
    const { ask, log } = await underTest(workers, {
      clock,
      worker() {
        if (workers.length === 0) return new Worker('process.exit(1)', { eval: true });
        if (refused++ === 0) throw new Error('EMFILE');
        return undefined;
      },
    });
    const asked = ask();
    await until(() => {
      clock.advance(1000);
      return workers.length === 2;
    }, 'there is a new worker');
    expect((await asked).answers).toMatchObject([{ data: '192.0.2.1' }]);
    expect(log.lines.map(({ text }) => text).join()).toContain('could not be started');
  });

  it('is told from one that has nothing to do', async () => {
    const clock = manualClock();
    const workers: Worker[] = [];
    const seen: FastPathData[] = [];
    const { path, ask } = await underTest(workers, {
      clock,
      worker: (data) => void seen.push(data),
    });
    await ask();
    const awake = (): number => Atomics.load(seen[0]?.control ?? new Int32Array(4), CONTROL.awake);
    for (let round = 0; round < 5; round++) {
      const before = awake();
      clock.advance(10_000);
      await until(() => awake() !== before, 'the worker comes round');
    }
    expect(path.statistics().restarts).toBe(0);
  });
});

/** Ask from a port that nobody had before. */
async function askFrom(port: number): Promise<void> {
  const client = createSocket('udp4');
  try {
    client.send(queryWire(), port, '127.0.0.1');
    await once(client, 'message', { signal: AbortSignal.timeout(15_000) });
  } finally {
    client.close();
  }
}

/** A client in a thread of its own: waits for step 0, asks, and tells by step 1 that it has an answer. */
const ASK_WHEN_TOLD = `
  const { parentPort, workerData: { port, steps, query } } = require('node:worker_threads');
  const socket = require('node:dgram').createSocket('udp4');
  socket.on('message', () => {
    Atomics.store(steps, 1, 1);
    Atomics.notify(steps, 1);
    socket.close();
  });
  parentPort.postMessage('ready');
  Atomics.wait(steps, 0, 0);
  socket.send(query, port, '127.0.0.1');
`;

/** A client that asks until it gets an answer with this code; the main thread waits for it all the while. */
const FLOOD = `
  const { parentPort, workerData: { port, steps, query, rcode } } = require('node:worker_threads');
  const socket = require('node:dgram').createSocket('udp4');
  let refused = false;
  socket.on('message', (answer) => {
    if ((answer[3] & 15) !== rcode || !answer.subarray(12, query.length).equals(query.subarray(12))) return;
    refused = true;
    Atomics.store(steps, 1, 1);
    Atomics.notify(steps, 1);
    socket.close();
  });
  const ask = (error) => {
    if (!refused) socket.send(query, port, '127.0.0.1', () => setImmediate(ask));
  };
  parentPort.postMessage('ready');
  Atomics.wait(steps, 0, 0);
  for (let i = 0; i < 64; i++) ask();
`;
