import type { PackedAnswer } from './fast-path-answer.ts';

/** What the worker is started with. */
export interface FastPathData {
  readonly sockets: readonly WorkerSocket[];
  /** Readable when there is a message or the worker is to stop. */
  readonly wakeFd: number;
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

/** Words that the main thread writes and the worker reads; `taken` counts the packets that were handed on. */
export const CONTROL = { generation: 0, stop: 1, taken: 2, size: 3 };

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

/** A packet on its way to the main thread. */
export interface MissedPacket {
  /** The id of the socket that it came by. */
  readonly socket: number;
  /** It was answered; ask anew. */
  readonly refresh: boolean;
  readonly source: Buffer;
  readonly packet: Buffer;
}

const MISS_HEAD = 6;

/** One packet as bytes. */
export function encodeMiss({ socket, refresh, source, packet }: MissedPacket): Buffer {
  const bytes = Buffer.allocUnsafe(MISS_HEAD + source.length + packet.length);
  bytes.writeUInt16LE(socket, 0);
  bytes[2] = refresh ? 1 : 0;
  bytes[3] = source.length;
  bytes.writeUInt16LE(packet.length, 4);
  source.copy(bytes, MISS_HEAD);
  packet.copy(bytes, MISS_HEAD + source.length);
  return bytes;
}

/** The packets of a message. */
export function* missesOf(message: Uint8Array): Generator<MissedPacket> {
  const bytes = bufferOver(message);
  for (let at = 0; at < bytes.length; ) {
    const packetAt = at + MISS_HEAD + (bytes[at + 3] ?? 0);
    const end = packetAt + bytes.readUInt16LE(at + 4);
    yield {
      socket: bytes.readUInt16LE(at),
      refresh: bytes[at + 2] === 1,
      source: bytes.subarray(at + MISS_HEAD, packetAt),
      packet: bytes.subarray(packetAt, end),
    };
    at = end;
  }
}

const bufferOver = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
