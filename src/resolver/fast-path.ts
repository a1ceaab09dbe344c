import type { Worker } from 'node:worker_threads';
import type { FastPathCounts } from '../core/statistics.ts';
import type { Clock } from '../system/clock.ts';
import type { Libc } from '../system/libc.ts';
import type { Log } from '../system/log.ts';
import { fastKey, type PackedAnswer } from './fast-path-answer.ts';
import {
  encodePut,
  type FastPathData,
  HANDED,
  type HandedPacket,
  type WorkerSocket,
} from './fast-path-messages.ts';
import { type FastThread, startThread } from './fast-path-thread.ts';
import type { Query } from './query.ts';
import { type Replies, repliesBy } from './replies.ts';

/** Answers what is cached away from the main thread, and hands on the rest. */
export interface FastPath {
  /** Let the fast path answer a question from now on; for `onRepeated` of the cache. */
  put(query: Query, packed: PackedAnswer, storedAt: number, expiresAt: number): void;
  /**
   * Forget all, at once and before this returns: to be called whenever the answer to any question may have changed (routes,
   * hosts file, own names, a flush). What is still asked for comes back from the main cache.
   */
  invalidate(): void;
  /** Since the start; the counts of a worker that died are lost. */
  statistics(): FastPathCounts;
  /** How many workers there are. */
  readonly threads: number;
  /** Serve a socket, bound and non-blocking, which stays its opener's to close, but not before `remove`. */
  add(socket: FastSocket): void;
  /** Take no more packets from it; what is asked already can still be answered. */
  pause(socket: FastSocket): Promise<void>;
  /** Serve it no more; resolves when nothing of ours touches it. */
  remove(socket: FastSocket): Promise<void>;
  /**
   * Somebody watches what is asked, or nobody does any more: meanwhile questions are handed on although their answers are
   * known. Beyond half of what may wait for the main thread they are answered unseen all the same.
   */
  watched(on: boolean): void;
  /** Resolves when no worker touches sockets of servers any more that are not watched now. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** A UDP address and what it serves. */
export interface FastSocket {
  /** A socket for each worker, all on the same port (SO_REUSEPORT); what is sent goes out by the first. */
  readonly fds: readonly number[];
  readonly service: Query['service'];
}

/** A packet that the fast path does not answer. */
export interface Miss {
  readonly packet: Buffer;
  readonly service: Query['service'];
  /** The sender as bytes: family, port, address (struct sockaddr). */
  readonly source: Buffer;
  /** Send the answer; false when it cannot be sent any more. */
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
  /** Sockets to servers, whose messages the first worker takes. */
  readonly upstream?: WatchedSockets;
  /** How many workers; one unless told otherwise. */
  readonly threads?: number;
  /** Of each worker's table. */
  readonly tableBytes?: number;
  /** A worker that does not come round for so long is replaced. */
  readonly hangsAfterMs?: number;
  readonly makeWorker?: (data: FastPathData) => Worker;
}

/** Sockets that a worker hears for somebody else. */
export interface WatchedSockets {
  /** The epoll descriptor that watches them. */
  readonly descriptor: number;
  /** A message came by a socket, under the number that it is watched under. */
  heard(socket: number, message: Buffer): void;
  /** A socket met an error, as when nobody listens at the other end. */
  failed(socket: number, errorNumber: number): void;
}

const TABLE_BYTES = 16 * 1024 * 1024;

/** A put is dropped rather than let the list grow while a worker does not come round to it. */
const MOST_WAITING_PUTS = 8192;

/** Ids of sockets are numbers of two bytes. */
const ID_END = 0x10000;

interface Served {
  readonly socket: FastSocket;
  readonly replies: Replies;
  readonly service: FastSocket['service'];
}

/** Start the workers, at first without sockets; one that dies or hangs is replaced, and packets wait in the sockets meanwhile. */
export function startFastPath(options: FastPathOptions): FastPath {
  const { libc, upstream } = options;
  const sockets = new Map<number, Served>();
  const paused = new Set<FastSocket>();
  let puts: Buffer[] = [];
  let nextId = 0;
  let unsent = 0;
  let closed = false;
  const threads = Array.from({ length: options.threads ?? 1 }, (_, index) =>
    startThread({
      ...options,
      tableBytes: options.tableBytes ?? TABLE_BYTES,
      // One alone, so that the messages of a server keep their order.
      upstreamFd: index === 0 ? (upstream?.descriptor ?? -1) : -1,
      sockets: () => socketsOf(index),
      hear,
    }),
  );

  function hear({ kind, socket, source, packet }: HandedPacket): void {
    if (closed) return;
    if (kind === HANDED.answer) upstream?.heard(socket, packet);
    else if (kind === HANDED.error) upstream?.failed(socket, packet.readUInt16LE(0));
    else hearClient(kind, socket, source, packet);
  }

  function hearClient(kind: number, socket: number, source: Buffer, packet: Buffer): void {
    const from = sockets.get(socket);
    if (from === undefined) return;
    const { replies, service } = from;
    if (kind === HANDED.refresh) options.onRefresh(packet, service);
    else
      options.onMiss({
        packet,
        service,
        source,
        // The number of a closed descriptor may be another file's by now.
        reply: (response) => sockets.get(socket) === from && replies.send(response, source),
      });
  }

  function socketsOf(thread: number): WorkerSocket[] {
    return [...sockets].flatMap(([id, { socket }]) => {
      const fd = socket.fds[thread];
      return fd === undefined || paused.has(socket) ? [] : [{ id, fd, proxy: socket.service === 'proxy' }];
    });
  }

  /** Resolves when the workers serve what they are to, and nothing else. */
  async function list(): Promise<void> {
    await Promise.all(threads.map((thread) => thread.list()));
  }

  function sendPuts(): void {
    const bytes = Buffer.concat(puts);
    puts = [];
    if (closed || bytes.length === 0) return;
    for (const thread of threads) thread.put(bytes);
  }

  const sum = (counter: Parameters<FastThread['count']>[0]): number =>
    threads.reduce((total, thread) => total + thread.count(counter), 0);

  return {
    threads: threads.length,
    add(socket) {
      const [fd = -1] = socket.fds;
      const replies = repliesBy(libc.datagrams, fd, (count) => {
        unsent += count;
      });
      sockets.set(nextId, { socket, replies, service: socket.service });
      nextId = (nextId + 1) % ID_END;
      void list();
    },
    pause(socket) {
      paused.add(socket);
      return list();
    },
    async remove(socket) {
      paused.delete(socket);
      for (const [id, served] of sockets) {
        if (served.socket !== socket) continue;
        served.replies.flush();
        sockets.delete(id);
      }
      await list();
    },
    watched(on) {
      for (const thread of threads) thread.watched(on);
    },
    settled: () => threads[0]?.list() ?? Promise.resolve(),
    put(query, packed, storedAt, expiresAt) {
      if (puts.length >= MOST_WAITING_PUTS) return;
      if (puts.length === 0) setImmediate(sendPuts);
      puts.push(encodePut({ key: fastKey(query), packed, storedAt, expiresAt }));
    },
    invalidate() {
      for (const thread of threads) thread.invalidate();
      puts = [];
    },
    statistics: () => ({
      hits: sum('hits'),
      misses: sum('misses'),
      oversized: sum('oversized'),
      refused: sum('refused'),
      unsent: sum('unsent') + unsent,
      entries: sum('entries'),
      restarts: threads.reduce((total, thread) => total + thread.restarts, 0),
    }),
    async close() {
      closed = true;
      await Promise.all(threads.map((thread) => thread.close()));
    },
  };
}
