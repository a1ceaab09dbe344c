/** The worker thread of the fast path: waits in the kernel for packets and for word from the main thread. */
import { randomInt } from 'node:crypto';
import { readSync } from 'node:fs';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { DnskeeperError } from '../core/errors.ts';
import { datagramBatch } from '../system/datagram-batch.ts';
import { loadLibc } from '../system/libc.ts';
import { formatErrorInPlace, VARIANT } from './fast-path-answer.ts';
import {
  CONTROL,
  COUNTERS,
  type FastPathData,
  HANDED,
  Outbox,
  type PutBatch,
  putsOf,
  type SocketList,
  type Word,
  type WorkerSocket,
} from './fast-path-messages.ts';
import { fastTable } from './fast-path-table.ts';
import { MOST_UDP_BYTES } from './wire.ts';

const SLOTS = 64;
/** Of the largest size, though memory that no packet comes to is never touched. */
const UPSTREAM_SLOTS = 16;
const LARGEST_BYTES = 0xffff;
/** So many sockets of servers are looked at before clients are. */
const MOST_READY = 256;
/** So full a batch says that more is there: look again before waiting. */
const BUSY = 16;
/** Then the main thread is heard again. */
const MOST_ROUNDS = 16;
/** Nothing depends on it: wakes come by the descriptor. It only bounds what a lost one could cost. */
const BACKSTOP_MS = 10_000;
/** So many packets may wait for the main thread; those beyond are told SERVFAIL. */
const MOST_HANDED = 4096;
const POLLIN = 1;
/** POLLHUP and POLLNVAL. */
const POLL_CLOSED = 0x30;
const EINTR = -4;
const EAGAIN = -11;
/** Places in the list of descriptors: the wake descriptor is the first. */
const UPSTREAM = 1;
const FIRST_SOCKET = 2;

const data = workerData as FastPathData;
const port = parentPort;
if (port === null) throw new DnskeeperError('USAGE', 'wanted to run as a worker thread');
const libc = loadLibc((reason) => {
  throw new DnskeeperError('IO', `the C library could not be reached: ${reason}`);
});
if (libc === undefined) throw new DnskeeperError('IO', 'the C library could not be reached');
const calls = libc.datagrams;

const batch = datagramBatch(calls, SLOTS, MOST_UDP_BYTES);
/** Servers may answer with more than they were told to: then the resolver asks again, for which it has to see it. */
const upstream = data.upstreamFd < 0 ? undefined : datagramBatch(calls, UPSTREAM_SLOTS, LARGEST_BYTES);
const ready = libc.epoll.readyList(MOST_READY);
const outbox = new Outbox();
const errorNumber = Buffer.alloc(2);
const table = fastTable(data.tableBytes, randomInt(2 ** 32));
let sockets = data.sockets;
let descriptors = descriptorsOf(sockets);
let descriptorsAt = calls.addressOf(descriptors);
const { control, counters } = data;
const drained = Buffer.alloc(8);
let handedOver = Atomics.load(control, CONTROL.taken);
let generation = Atomics.load(control, CONTROL.generation);

while (Atomics.load(control, CONTROL.stop) === 0) {
  const count = calls.poll(descriptorsAt, sockets.length + FIRST_SOCKET, BACKSTOP_MS);
  Atomics.add(control, CONTROL.awake, 1);
  if (count < 0 && count !== EINTR)
    throw new DnskeeperError('IO', `wanted to wait for packets, got errno ${-count}`);
  if (count <= 0) continue;
  if (isReady(UPSTREAM)) hearServers();
  for (const [index, socket] of sockets.entries()) if (isReady(index + FIRST_SOCKET)) serve(socket);
  handOver();
  if (isReady(0)) takeWords();
}

function descriptorsOf(list: readonly WorkerSocket[]): Int32Array {
  // The kernel passes over a negative descriptor.
  return Int32Array.from(
    [data.wakeFd, data.upstreamFd, ...list.map(({ fd }) => fd)].flatMap((fd) => [fd, POLLIN]),
  );
}

function isReady(index: number): boolean {
  const events = (descriptors[2 * index + 1] ?? 0) >> 16;
  if ((events & POLL_CLOSED) !== 0)
    throw new DnskeeperError(
      'IO',
      `wanted packets from descriptor ${descriptors[2 * index]}, got told it is closed`,
    );
  return events !== 0;
}

/** Take one batch from each socket that has something; what is left makes the descriptor ready again. */
function hearServers(): void {
  const count = ready.take(data.upstreamFd);
  for (let index = 0; index < count; index++) hearServer(ready.fdAt(index), ready.idAt(index));
}

function hearServer(fd: number, id: number): void {
  if (upstream === undefined) return;
  const count = upstream.receive(fd);
  // EAGAIN: what made it ready was thrown away by the kernel, as for a wrong checksum.
  if (count < 0 && count !== EAGAIN) {
    errorNumber.writeUInt16LE(-count);
    outbox.add(HANDED.error, id, { bytes: errorNumber, at: 0, length: errorNumber.length });
  }
  for (let slot = 0; slot < count; slot++)
    outbox.add(HANDED.answer, id, {
      bytes: upstream.bytes,
      at: slot * LARGEST_BYTES,
      length: upstream.lengthOf(slot),
    });
  if (outbox.full) handOver();
}

function takeWords(): void {
  readSync(data.wakeFd, drained);
  for (;;) {
    const received = port === null ? undefined : receiveMessageOnPort(port);
    if (received === undefined) break;
    const word = received.message as Word;
    if (word.kind === 'sockets') takeSockets(word);
    else takePuts(word);
  }
  counters[COUNTERS.entries] = table.count;
}

function takeSockets(list: SocketList): void {
  sockets = list.sockets;
  descriptors = descriptorsOf(sockets);
  descriptorsAt = calls.addressOf(descriptors);
  port?.postMessage(list.version);
}

function takePuts(puts: PutBatch): void {
  keepGeneration();
  if (puts.generation !== generation) return;
  for (const { key, packed, storedAt, expiresAt } of putsOf(puts))
    table.put(key, packed, storedAt, expiresAt);
}

function keepGeneration(): void {
  const now = Atomics.load(control, CONTROL.generation);
  if (now === generation) return;
  generation = now;
  table.clear();
  counters[COUNTERS.entries] = 0;
}

function serve(socket: WorkerSocket): void {
  for (let round = 0; round < MOST_ROUNDS; round++) {
    keepGeneration();
    const count = batch.receive(socket.fd);
    if (count <= 0) return;
    answerAll(socket, count);
    if (count < BUSY) return;
  }
}

function answerAll(socket: WorkerSocket, count: number): void {
  const now = Date.now();
  const variant = socket.proxy ? VARIANT.proxy : 0;
  let handed = 0;
  let hits = 0;
  let oversized = 0;
  let refused = 0;
  // Both counts go round at 2^32.
  const room = MOST_HANDED - ((handedOver - Atomics.load(control, CONTROL.taken)) | 0);
  // How many are handed on although their answers are known: half of the room is kept for those that are not.
  const shown = Atomics.load(control, CONTROL.watched) === 0 ? 0 : room - MOST_HANDED / 2;
  for (let slot = 0; slot < count; slot++) {
    const length = batch.lengthOf(slot);
    const at = slot * MOST_UDP_BYTES;
    if (length === 0) {
      oversized++;
      const told = batch.isCut(slot) ? formatErrorInPlace(batch.bytes, at) : 0;
      if (told > 0) batch.reply(slot, told);
    } else if (handed >= shown && table.find(batch.bytes, at, length, variant, now)) {
      hits++;
      if (table.wantsRefresh()) {
        handPacket(HANDED.refresh, socket.id, slot, length);
        handed++;
      }
      batch.reply(slot, table.answer(batch.bytes, at));
    } else if (handed < room) {
      handPacket(HANDED.miss, socket.id, slot, length);
      handed++;
    } else {
      refused++;
      const refusal = table.refuse(batch.bytes, at);
      if (refusal > 0) batch.reply(slot, refusal);
    }
  }
  // Counted before they are sent: who has an answer finds it in the statistics.
  add(COUNTERS.hits, hits);
  add(COUNTERS.misses, count - hits - oversized - refused);
  add(COUNTERS.oversized, oversized);
  add(COUNTERS.refused, refused);
  add(COUNTERS.unsent, batch.flush(socket.fd));
  handedOver = (handedOver + handed) | 0;
  if (outbox.full) handOver();
}

function add(counter: number, count: number): void {
  counters[counter] = (counters[counter] ?? 0) + count;
}

function handPacket(kind: number, socket: number, slot: number, length: number): void {
  const packet = { bytes: batch.bytes, at: slot * MOST_UDP_BYTES, length };
  outbox.add(kind, socket, packet, (into, at) => batch.copySource(slot, into, at));
}

function handOver(): void {
  const bytes = outbox.take();
  if (bytes !== undefined) port?.postMessage(bytes, [bytes.buffer]);
}
