import type { PackedAnswer } from './fast-path-answer.ts';

/** What the worker is started with. */
export interface FastPathData {
  readonly sockets: readonly WorkerSocket[];
  /** Readable when there is a message or the worker is to stop. */
  readonly wakeFd: number;
  /** An epoll descriptor over sockets to servers, whose messages this worker hands on; -1 for none. */
  readonly upstreamFd: number;
  /** Shared words: see CONTROL. */
  readonly control: Int32Array;
  /** Shared counts: see COUNTERS. */
  readonly counters: Float64Array;
  readonly tableBytes: number;
}

/** A socket that the worker serves. */
export interface WorkerSocket {
  /** Its name in what the worker hands on; a number that is not used again soon, unlike a descriptor. */
  readonly id: number;
  readonly fd: number;
  readonly proxy: boolean;
}

/** Word from the main thread. */
export type Word = SocketList | PutBatch;

/** The sockets to serve from now on. The worker sends the version back when it uses no others any more. */
export interface SocketList {
  readonly kind: 'sockets';
  readonly version: number;
  readonly sockets: readonly WorkerSocket[];
}

/**
 * Words that the main thread writes and the worker reads: `taken` counts the queries that were handed on; while `watched` is
 * not 0 questions are handed on although the answer is known, as far as the main thread keeps up. The worker writes
 * `awake`, which differs whenever it has come round.
 */
export const CONTROL = { generation: 0, stop: 1, taken: 2, awake: 3, watched: 4, size: 5 };

/** Counts that the worker alone writes. */
export const COUNTERS = { hits: 0, misses: 1, oversized: 2, unsent: 3, entries: 4, refused: 5, size: 6 };

/** An answer on its way to the worker. */
export interface Put {
  readonly key: Buffer;
  readonly packed: PackedAnswer;
  readonly storedAt: number;
  readonly expiresAt: number;
}

/** Answers of one generation; a worker of a later one drops them. */
export interface PutBatch {
  readonly kind: 'puts';
  readonly generation: number;
  readonly bytes: Uint8Array;
}

const PUT_HEAD = 22;

/** One answer as bytes: a message of many is one array, which costs a tenth of as many objects. */
export function encodePut({ key, packed, storedAt, expiresAt }: Put): Buffer {
  const bytes = Buffer.allocUnsafe(PUT_HEAD + key.length + packed.length);
  bytes.writeUInt16LE(key.length, 0);
  bytes.writeUInt32LE(packed.length, 2);
  bytes.writeDoubleLE(storedAt, 6);
  bytes.writeDoubleLE(expiresAt, 14);
  key.copy(bytes, PUT_HEAD);
  packed.copy(bytes, PUT_HEAD + key.length);
  return bytes;
}

/** The answers of a batch. */
export function* putsOf(batch: PutBatch): Generator<Put> {
  const bytes = bufferOver(batch.bytes);
  for (let at = 0; at < bytes.length; ) {
    const packedAt = at + PUT_HEAD + bytes.readUInt16LE(at);
    const end = packedAt + bytes.readUInt32LE(at + 2);
    yield {
      key: bytes.subarray(at + PUT_HEAD, packedAt),
      packed: bytes.subarray(packedAt, end),
      storedAt: bytes.readDoubleLE(at + 6),
      expiresAt: bytes.readDoubleLE(at + 14),
    };
    at = end;
  }
}

/** What a packet on its way to the main thread is. */
export const HANDED = {
  /** A query that is not answered from the table. */
  miss: 0,
  /** One that was answered; ask anew. */
  refresh: 1,
  /** A message from a server; there is no source, because its socket is connected. */
  answer: 2,
  /** The socket of a server met an error: its number in two bytes. */
  error: 3,
};

/** A packet on its way to the main thread. */
export interface HandedPacket {
  /** One of HANDED. */
  readonly kind: number;
  /** The id of the socket that it came by. */
  readonly socket: number;
  readonly source: Buffer;
  readonly packet: Buffer;
}

// Of each packet: socket (2), kind (1), bytes of the source (1), bytes of the packet (2); then source and packet.
const HANDED_HEAD = 6;
const OUTBOX_BYTES = 64 * 1024;
const LARGEST_BYTES = HANDED_HEAD + 0xff + 0xffff;

/** Packets for the main thread behind each other: one message for many, and nothing is allocated for a single one. */
export class Outbox {
  #bytes: Buffer = Buffer.alloc(OUTBOX_BYTES);
  #end = 0;

  /** So much is in it that it should go. */
  get full(): boolean {
    return this.#end >= OUTBOX_BYTES;
  }

  /** `writeSource` writes the sender's address at a place and tells how many bytes it took. */
  add(
    kind: number,
    socket: number,
    packet: { readonly bytes: Buffer; readonly at: number; readonly length: number },
    writeSource?: (into: Buffer, at: number) => number,
  ): void {
    if (this.#bytes.length - this.#end < LARGEST_BYTES) this.#grow();
    const bytes = this.#bytes;
    const head = this.#end;
    const source = writeSource?.(bytes, head + HANDED_HEAD) ?? 0;
    bytes.writeUInt16LE(socket, head);
    bytes[head + 2] = kind;
    bytes[head + 3] = source;
    bytes.writeUInt16LE(packet.length, head + 4);
    const start = head + HANDED_HEAD + source;
    packet.bytes.copy(bytes, start, packet.at, packet.at + packet.length);
    this.#end = start + packet.length;
  }

  /** What is in it, as bytes that stand alone in their memory; undefined when there is nothing. */
  take(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#end === 0) return undefined;
    const taken = new Uint8Array(this.#end);
    taken.set(this.#bytes.subarray(0, this.#end));
    this.#end = 0;
    return taken;
  }

  #grow(): void {
    const larger = Buffer.alloc(this.#bytes.length + LARGEST_BYTES);
    this.#bytes.copy(larger, 0, 0, this.#end);
    this.#bytes = larger;
  }
}

/** Tell the packets of a message one after the other. */
export function eachHanded(message: Uint8Array, hear: (packet: HandedPacket) => void): void {
  const bytes = bufferOver(message);
  for (let at = 0; at < bytes.length; ) {
    const packetAt = at + HANDED_HEAD + (bytes[at + 3] ?? 0);
    const end = packetAt + bytes.readUInt16LE(at + 4);
    hear({
      kind: bytes[at + 2] ?? 0,
      socket: bytes.readUInt16LE(at),
      source: bytes.subarray(at + HANDED_HEAD, packetAt),
      packet: bytes.subarray(packetAt, end),
    });
    at = end;
  }
}

const bufferOver = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
