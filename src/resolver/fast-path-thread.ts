import { closeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { messageOf } from '../core/errors.ts';
import { retryPause } from '../core/pace.ts';
import type { Clock } from '../system/clock.ts';
import { wake } from '../system/event-descriptor.ts';
import type { Libc } from '../system/libc.ts';
import type { Log } from '../system/log.ts';
import {
  CONTROL,
  COUNTERS,
  eachHanded,
  type FastPathData,
  HANDED,
  type HandedPacket,
  type PutBatch,
  type Word,
  type WorkerSocket,
} from './fast-path-messages.ts';

/** One worker of the fast path, and the next one whenever it ends or hangs. */
export interface FastThread {
  /** Tell the worker which sockets to serve; resolves when it serves no others. */
  list(): Promise<void>;
  put(bytes: Buffer): void;
  /** Forget all answers, before this returns. */
  invalidate(): void;
  /** Somebody watches what is asked, or nobody does any more. */
  watched(on: boolean): void;
  count(counter: keyof Omit<typeof COUNTERS, 'size'>): number;
  readonly restarts: number;
  close(): Promise<void>;
}

/** What a thread is made with. */
export interface FastThreadOptions {
  readonly libc: Libc;
  readonly clock: Clock;
  readonly log: Log;
  readonly tableBytes: number;
  /** Of the sockets to servers, or -1. */
  readonly upstreamFd: number;
  /** What it is to serve now. */
  readonly sockets: () => readonly WorkerSocket[];
  readonly hear: (packet: HandedPacket) => void;
  readonly makeWorker?: ((data: FastPathData) => Worker) | undefined;
  /** How long the worker may take to come round when it is called. */
  readonly hangsAfterMs?: number | undefined;
}

/** A worker that ran this long was not broken from the start. */
const SOUND_AFTER_MS = 60_000;

/** Nothing that a worker does takes a thousandth of it, but for its start on a machine that is busy booting. */
const HANGS_AFTER_MS = 10_000;

/** Start a worker; packets wait in the sockets while it is replaced. */
export function startThread(options: FastThreadOptions): FastThread {
  const { libc, clock, log, upstreamFd, tableBytes } = options;
  const hangsAfterMs = options.hangsAfterMs ?? HANGS_AFTER_MS;
  const listed = new Map<number, () => void>();
  const control = new Int32Array(new SharedArrayBuffer(4 * CONTROL.size));
  const counters = new Float64Array(new SharedArrayBuffer(8 * COUNTERS.size));
  const wakeFd = libc.datagrams.wakeDescriptor();
  let worker: Worker | undefined;
  let exited: Promise<void> = Promise.resolve();
  let version = 0;
  let restarts = 0;
  let failures = 0;
  let closed = false;
  let cancelRestart = (): void => {};
  let cancelCheck: (() => void) | undefined;

  function start(): void {
    const startedAt = clock.elapsed();
    const data: FastPathData = {
      sockets: options.sockets(),
      wakeFd,
      upstreamFd,
      control,
      counters,
      tableBytes,
    };
    const started = (options.makeWorker ?? newWorker)(data);
    worker = started;
    started.on('message', hear);
    started.on('error', (error) => log.error({ error: messageOf(error) }, 'the fast path failed'));
    exited = new Promise((resolve) => {
      started.on('exit', (code) => {
        worker = undefined;
        released(version);
        resolve();
        if (closed) return;
        failures = clock.elapsed() - startedAt > SOUND_AFTER_MS ? 0 : failures + 1;
        const pause = failures <= 1 ? 0 : retryPause(failures - 1);
        log.error({ code, pause }, 'the fast path ended; a new one takes its sockets');
        restarts++;
        cancelRestart = clock.after(pause, restart);
      });
    });
  }

  /** A thread is not to be had while descriptors or memory are short. */
  function restart(): void {
    try {
      start();
    } catch (error) {
      const pause = retryPause(++failures);
      log.error({ error: messageOf(error), pause }, 'the fast path could not be started; it is tried again');
      cancelRestart = clock.after(pause, restart);
    }
  }

  function hear(message: Uint8Array | number): void {
    if (typeof message === 'number') {
      released(message);
      return;
    }
    let queries = 0;
    eachHanded(message, (packet) => {
      if (packet.kind <= HANDED.refresh) queries++;
      options.hear(packet);
    });
    Atomics.add(control, CONTROL.taken, queries);
  }

  function released(upTo: number): void {
    for (const [asked, resolve] of listed)
      if (asked <= upTo) {
        listed.delete(asked);
        resolve();
      }
  }

  /** Whether anybody depends on the worker: clients, or those who wait until it has let a socket go. */
  const isNeeded = (): boolean => options.sockets().length > 0 || listed.size > 0;

  /** While it is needed, call the worker now and then: one that does not come round serves nobody. */
  function check(): void {
    const before = Atomics.load(control, CONTROL.awake);
    const called = worker;
    wake(wakeFd);
    cancelCheck = clock.after(hangsAfterMs, () => {
      cancelCheck = undefined;
      if (closed || !isNeeded()) return;
      const hangs = called === worker && Atomics.load(control, CONTROL.awake) === before;
      if (hangs && worker !== undefined) {
        log.error({ waitedMs: hangsAfterMs }, 'the fast path hangs; it is ended');
        void worker.terminate();
      }
      check();
    });
  }

  /** The worker waits in the kernel, where nothing but its descriptors wakes it: the process could not end. */
  const stop = (): void => {
    Atomics.store(control, CONTROL.stop, 1);
    wake(wakeFd);
  };

  process.on('exit', stop);
  start();
  return {
    list() {
      version++;
      let done: Promise<void> = Promise.resolve();
      if (worker !== undefined) {
        const word: Word = { kind: 'sockets', version, sockets: options.sockets() };
        done = new Promise((resolve) => listed.set(word.version, resolve));
        worker.postMessage(word);
        wake(wakeFd);
      }
      if (cancelCheck === undefined && isNeeded()) check();
      return done;
    },
    put(bytes) {
      const generation = Atomics.load(control, CONTROL.generation);
      const batch: PutBatch = { kind: 'puts', generation, bytes };
      worker?.postMessage(batch);
      wake(wakeFd);
    },
    invalidate: () => void Atomics.add(control, CONTROL.generation, 1),
    watched: (on) => void Atomics.store(control, CONTROL.watched, on ? 1 : 0),
    count: (counter) => counters[COUNTERS[counter]] ?? 0,
    get restarts() {
      return restarts;
    },
    async close() {
      closed = true;
      cancelRestart();
      cancelCheck?.();
      process.off('exit', stop);
      stop();
      const cancelEnd = clock.after(hangsAfterMs, () => void worker?.terminate());
      await exited;
      cancelEnd();
      closeSync(wakeFd);
    },
  };
}

/** From the source tree a .ts file, from the bundle its neighbour. */
function newWorker(data: FastPathData): Worker {
  const file = import.meta.url.endsWith('.ts') ? './fast-path-worker.ts' : './fast-path-worker.mjs';
  // It makes garbage for misses alone; with V8's usual young generation it would hold tens of megabytes of it.
  const resourceLimits = { maxYoungGenerationSizeMb: 4 };
  return new Worker(new URL(file, import.meta.url), { workerData: data, name: 'fast-path', resourceLimits });
}
