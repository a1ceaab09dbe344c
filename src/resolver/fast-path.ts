import { closeSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { messageOf } from '../core/errors.ts';
import { retryPause } from '../core/pace.ts';
import type { Clock } from '../system/clock.ts';
import type { Libc } from '../system/libc.ts';
import type { Log } from '../system/log.ts';
import { fastKey, type PackedAnswer } from './fast-path-answer.ts';
import {
  CONTROL,
  COUNTERS,
  encodePut,
  type FastPathData,
  type MissedPacket,
  missesOf,
  type PutBatch,
  type Word,
  type WorkerSocket,
} from './fast-path-messages.ts';
import type { Query } from './query.ts';

/** Answers what is cached away from the main thread, and hands on the rest. */
export interface FastPath extends FastTableKeeper {
  /** Serve a socket, bound and non-blocking, which stays its opener's to close, but not before `remove`. */
  add(socket: FastSocket): void;
  /** Take no more packets from it; what is asked already can still be answered. */
  pause(socket: FastSocket): Promise<void>;
  /** Serve it no more; resolves when nothing of ours touches it. */
  remove(socket: FastSocket): Promise<void>;
  close(): Promise<void>;
}

/** The answers that a fast path knows. */
export interface FastTableKeeper {
  /** Let the fast path answer a question from now on; for `onRepeated` of the cache. */
  put(query: Query, packed: PackedAnswer, storedAt: number, expiresAt: number): void;
  /**
   * Forget all, at once and before this returns: to be called whenever the answer to any question may have changed (routes,
   * hosts file, own names, a flush). What is still asked for comes back from the main cache.
   */
  invalidate(): void;
  statistics(): FastPathStatistics;
}

/** Counts since the start; those of a worker that died are lost. */
export interface FastPathStatistics {
  readonly hits: number;
  readonly misses: number;
  /** Packets larger than any query. */
  readonly oversized: number;
  /** Told SERVFAIL because the main thread is far behind. */
  readonly refused: number;
  /** Answers that the kernel did not take. */
  readonly unsent: number;
  readonly entries: number;
  readonly restarts: number;
}

/** A UDP socket and what it serves. */
export interface FastSocket {
  readonly fd: number;
  readonly service: Query['service'];
}

/** A packet that the fast path does not answer. */
export interface Miss {
  readonly packet: Buffer;
  readonly service: Query['service'];
  /** The sender as bytes: family, port, address (struct sockaddr). */
  readonly source: Buffer;
  /** Send the answer; false when the kernel did not take it. */
  reply(response: Buffer): boolean;
}

/** What the fast path is made with. */
export interface FastPathOptions {
  readonly libc: Libc;
  readonly clock: Clock;
  readonly log: Log;
  /** Called for every packet that is not answered from the table. */
  readonly onMiss: (miss: Miss) => void;
  /** A popular answer is about to expire: ask anew; the packet is its last question, already answered. */
  readonly onRefresh: (packet: Buffer, service: Query['service']) => void;
  readonly tableBytes?: number;
  readonly makeWorker?: (data: FastPathData) => Worker;
}

const TABLE_BYTES = 16 * 1024 * 1024;

/** A put is dropped rather than let the list grow while a worker does not come round to it. */
const MOST_WAITING_PUTS = 8192;

/** Ids of sockets are numbers of two bytes. */
const ID_END = 0x10000;

/** A worker that ran this long was not broken from the start. */
const SOUND_AFTER_MS = 60_000;

/** Start a worker, at first without sockets; one that dies is replaced, and packets wait in the sockets meanwhile. */
export function startFastPath(options: FastPathOptions): FastPath {
  const { libc, clock, log } = options;
  const sockets = new Map<number, FastSocket>();
  const paused = new Set<FastSocket>();
  const listed = new Map<number, () => void>();
  const control = new Int32Array(new SharedArrayBuffer(4 * CONTROL.size));
  const counters = new Float64Array(new SharedArrayBuffer(8 * COUNTERS.size));
  const wakeFd = libc.datagrams.wakeDescriptor();
  let worker: Worker | undefined;
  let exited: Promise<void> = Promise.resolve();
  let puts: Buffer[] = [];
  let version = 0;
  let nextId = 0;
  let restarts = 0;
  let failures = 0;
  let closed = false;
  let cancelRestart = (): void => {};

  const wake = (): void => void writeSync(wakeFd, ONE);

  function start(): void {
    const startedAt = clock.now();
    const data: FastPathData = {
      sockets: workerSockets(),
      wakeFd,
      control,
      counters,
      tableBytes: options.tableBytes ?? TABLE_BYTES,
    };
    const started = (options.makeWorker ?? newWorker)(data);
    worker = started;
    started.on('message', (message: Uint8Array | number) => {
      if (typeof message === 'number') return released(message);
      for (const miss of missesOf(message)) {
        Atomics.add(control, CONTROL.taken, 1);
        takeMiss(miss);
      }
    });
    started.on('error', (error) => log.error({ error: messageOf(error) }, 'the fast path failed'));
    exited = new Promise((resolve) => {
      started.on('exit', (code) => {
        worker = undefined;
        released(version);
        resolve();
        if (closed) return;
        failures = clock.now() - startedAt > SOUND_AFTER_MS ? 0 : failures + 1;
        const pause = failures <= 1 ? 0 : retryPause(failures - 1);
        log.error({ code, pause }, 'the fast path ended; a new one takes its sockets');
        restarts++;
        cancelRestart = clock.after(pause, start);
      });
    });
  }

  function takeMiss({ socket, refresh, source, packet }: MissedPacket): void {
    const from = sockets.get(socket);
    if (from === undefined || closed) return;
    const { fd, service } = from;
    if (refresh) options.onRefresh(packet, service);
    else
      options.onMiss({
        packet,
        service,
        source,
        // The number of a closed descriptor may be another file's by now.
        reply: (response) =>
          sockets.get(socket) === from && libc.datagrams.sendTo(fd, response, source) === response.length,
      });
  }

  function workerSockets(): WorkerSocket[] {
    return [...sockets]
      .filter(([, socket]) => !paused.has(socket))
      .map(([id, { fd, service }]) => ({ id, fd, proxy: service === 'proxy' }));
  }

  /** Tell the worker which sockets to serve; resolves when it serves no others. */
  function list(): Promise<void> {
    version++;
    const word: Word = { kind: 'sockets', version, sockets: workerSockets() };
    if (worker === undefined) return Promise.resolve();
    const done = new Promise<void>((resolve) => listed.set(word.version, resolve));
    worker.postMessage(word);
    wake();
    return done;
  }

  function released(upTo: number): void {
    for (const [asked, resolve] of listed)
      if (asked <= upTo) {
        listed.delete(asked);
        resolve();
      }
  }

  function sendPuts(): void {
    const batch: PutBatch = {
      kind: 'puts',
      generation: Atomics.load(control, CONTROL.generation),
      bytes: Buffer.concat(puts),
    };
    puts = [];
    if (closed || batch.bytes.length === 0) return;
    worker?.postMessage(batch);
    wake();
  }

  /** The worker waits in the kernel, where nothing but its descriptors wakes it: the process could not end. */
  const stop = (): void => {
    Atomics.store(control, CONTROL.stop, 1);
    wake();
  };

  process.on('exit', stop);
  start();
  return {
    add(socket) {
      sockets.set(nextId, socket);
      nextId = (nextId + 1) % ID_END;
      void list();
    },
    pause(socket) {
      paused.add(socket);
      return list();
    },
    async remove(socket) {
      paused.delete(socket);
      for (const [id, known] of sockets) if (known === socket) sockets.delete(id);
      await list();
    },
    put(query, packed, storedAt, expiresAt) {
      if (puts.length >= MOST_WAITING_PUTS) return;
      if (puts.length === 0) setImmediate(sendPuts);
      puts.push(encodePut({ key: fastKey(query), packed, storedAt, expiresAt }));
    },
    invalidate() {
      Atomics.add(control, CONTROL.generation, 1);
      puts = [];
    },
    statistics: () => ({
      hits: counters[COUNTERS.hits] ?? 0,
      misses: counters[COUNTERS.misses] ?? 0,
      oversized: counters[COUNTERS.oversized] ?? 0,
      refused: counters[COUNTERS.refused] ?? 0,
      unsent: counters[COUNTERS.unsent] ?? 0,
      entries: counters[COUNTERS.entries] ?? 0,
      restarts,
    }),
    async close() {
      closed = true;
      cancelRestart();
      process.off('exit', stop);
      stop();
      await exited;
      closeSync(wakeFd);
    },
  };
}

/** The count that an event descriptor takes: the number 1 in eight bytes. */
const ONE = Buffer.from(new BigUint64Array([1n]).buffer);

/** From the source tree a .ts file, from the bundle its neighbour. */
function newWorker(data: FastPathData): Worker {
  const file = import.meta.url.endsWith('.ts') ? './fast-path-worker.ts' : './fast-path-worker.mjs';
  // It makes garbage for misses alone; with V8's usual young generation it would hold tens of megabytes of it.
  const resourceLimits = { maxYoungGenerationSizeMb: 4 };
  return new Worker(new URL(file, import.meta.url), { workerData: data, name: 'fast-path', resourceLimits });
}
