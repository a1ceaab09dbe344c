/** The worker thread of the fast path: waits in the kernel for packets and for word from the main thread. */
import { randomInt } from 'node:crypto';
import { readSync } from 'node:fs';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { DnskeeperError } from '../core/errors.ts';
import { datagramBatch } from '../system/datagram-batch.ts';
import { loadLibc } from '../system/libc.ts';
import { VARIANT } from './fast-path-answer.ts';
import {
  CONTROL,
  COUNTERS,
  encodeMiss,
  type FastPathData,
  type PutBatch,
  putsOf,
  type SocketList,
  type Word,
  type WorkerSocket,
} from './fast-path-messages.ts';
import { fastTable } from './fast-path-table.ts';
import { MOST_UDP_BYTES } from './wire.ts';

const SLOTS = 64;
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

const data = workerData as FastPathData;
const port = parentPort;
if (port === null) throw new DnskeeperError('USAGE', 'wanted to run as a worker thread');
const calls = loadLibc((reason) => {
  throw new DnskeeperError('IO', `the C library could not be reached: ${reason}`);
})?.datagrams;
if (calls === undefined) throw new DnskeeperError('IO', 'the C library could not be reached');

const batch = datagramBatch(calls, SLOTS, MOST_UDP_BYTES);
const table = fastTable(data.tableBytes, randomInt(2 ** 32));
let sockets = data.sockets;
let descriptors = descriptorsOf(sockets);
let descriptorsAt = calls.addressOf(descriptors);
const { control, counters } = data;
const drained = Buffer.alloc(8);
let handedOver = Atomics.load(control, CONTROL.taken);
let generation = Atomics.load(control, CONTROL.generation);

while (Atomics.load(control, CONTROL.stop) === 0) {
  const ready = calls.poll(descriptorsAt, sockets.length + 1, BACKSTOP_MS);
  if (ready < 0 && ready !== EINTR)
    throw new DnskeeperError('IO', `wanted to wait for packets, got errno ${-ready}`);
  if (ready <= 0) continue;
  for (const [index, socket] of sockets.entries()) if (isReady(index + 1)) serve(socket);
  if (isReady(0)) takeWords();
}

function descriptorsOf(list: readonly WorkerSocket[]): Int32Array {
  return Int32Array.from([data.wakeFd, ...list.map(({ fd }) => fd)].flatMap((fd) => [fd, POLLIN]));
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
  descriptorsAt = calls?.addressOf(descriptors) ?? 0n;
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
  const handed: Buffer[] = [];
  let hits = 0;
  let oversized = 0;
  let refused = 0;
  // Both counts go round at 2^32.
  const room = MOST_HANDED - ((handedOver - Atomics.load(control, CONTROL.taken)) | 0);
  for (let slot = 0; slot < count; slot++) {
    const length = batch.lengthOf(slot);
    const at = slot * MOST_UDP_BYTES;
    if (length === 0) oversized++;
    else if (table.find(batch.bytes, at, length, variant, now)) {
      hits++;
      if (table.wantsRefresh()) handed.push(packetAt(socket.id, slot, length, true));
      batch.reply(slot, table.answer(batch.bytes, at));
    } else if (handed.length < room) handed.push(packetAt(socket.id, slot, length, false));
    else {
      refused++;
      const refusal = table.refuse(batch.bytes, at);
      if (refusal > 0) batch.reply(slot, refusal);
    }
  }
  const unsent = batch.flush(socket.fd);
  if (handed.length > 0) handOver(handed);
  add(COUNTERS.hits, hits);
  add(COUNTERS.misses, count - hits - oversized - refused);
  add(COUNTERS.oversized, oversized);
  add(COUNTERS.refused, refused);
  add(COUNTERS.unsent, unsent);
}

function add(counter: number, count: number): void {
  counters[counter] = (counters[counter] ?? 0) + count;
}

function packetAt(socket: number, slot: number, length: number, refresh: boolean): Buffer {
  const at = slot * MOST_UDP_BYTES;
  return encodeMiss({
    socket,
    refresh,
    source: batch.sourceOf(slot),
    packet: batch.bytes.subarray(at, at + length),
  });
}

function handOver(packets: readonly Buffer[]): void {
  handedOver = (handedOver + packets.length) | 0;
  // A copy of exactly these bytes: a Buffer may stand in a pool, and a message would carry the whole of it.
  const alone = new Uint8Array(Buffer.concat(packets));
  port?.postMessage(alone, [alone.buffer]);
}
