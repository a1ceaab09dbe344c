import type { DatagramCalls } from './libc-datagrams.ts';
import { SOCKADDR_BYTES } from './socket-address.ts';

/** Datagrams taken from one socket in one call, answered in place, and sent back in one call. */
export interface DatagramBatch {
  /** All slots behind each other, `slotBytes` each. */
  readonly bytes: Buffer;
  /** Fill the slots from a socket; how many came, or a negative error number. */
  receive(fd: number): number;
  /** How many bytes came into a slot; 0 when the datagram was larger than a slot and so is worthless. */
  lengthOf(slot: number): number;
  /** Whether only the beginning of a datagram came into a slot, because it was larger. */
  isCut(slot: number): boolean;
  /** Copy the sender's socket address; how many bytes it has. */
  copySource(slot: number, into: Buffer, at: number): number;
  /** Send the first `length` bytes of a slot to where its datagram came from, with the next `flush`. */
  reply(slot: number, length: number): void;
  /** Send the replies; how many the kernel did not take (as with any datagram, the client asks again). */
  flush(fd: number): number;
}

// struct mmsghdr of 64-bit Linux in words of four bytes; little-endian, like every architecture we ship for.
const WORDS = 16;
const NAME = 0;
const NAME_SIZE = 2;
const VECTOR = 4;
const VECTOR_COUNT = 6;
const FLAGS = 12;
const LENGTH = 14;
const MSG_TRUNC = 0x20;
const ADDRESS_STEP = 32;

/** Room for `slots` datagrams of `slotBytes`, reused for ever: nothing is allocated per datagram. */
export function datagramBatch(calls: DatagramCalls, slots: number, slotBytes: number): DatagramBatch {
  const bytes = Buffer.alloc(slots * slotBytes);
  const addresses = Buffer.alloc(slots * ADDRESS_STEP);
  const incoming = structures(calls, slots);
  const outgoing = structures(calls, slots);
  for (let slot = 0; slot < slots; slot++) {
    const data = calls.addressOf(bytes) + BigInt(slot * slotBytes);
    const name = calls.addressOf(addresses) + BigInt(slot * ADDRESS_STEP);
    incoming.fill(slot, data, slotBytes, name);
  }
  let received = slots;
  let replies = 0;
  const isCut = (slot: number): boolean => ((incoming.headers[slot * WORDS + FLAGS] ?? 0) & MSG_TRUNC) !== 0;

  return {
    bytes,
    receive(fd) {
      for (let slot = 0; slot < received; slot++) incoming.headers[slot * WORDS + NAME_SIZE] = SOCKADDR_BYTES;
      const count = calls.receive(fd, incoming.address, slots);
      received = Math.max(count, 0);
      return count;
    },
    lengthOf: (slot) => (isCut(slot) ? 0 : (incoming.headers[slot * WORDS + LENGTH] ?? 0)),
    isCut,
    copySource(slot, into, at) {
      const start = slot * ADDRESS_STEP;
      const size = Math.min(incoming.headers[slot * WORDS + NAME_SIZE] ?? 0, SOCKADDR_BYTES);
      return addresses.copy(into, at, start, start + size);
    },
    reply(slot, length) {
      const from = slot * WORDS;
      const to = replies * WORDS;
      outgoing.headers[to + NAME] = incoming.headers[from + NAME] ?? 0;
      outgoing.headers[to + NAME + 1] = incoming.headers[from + NAME + 1] ?? 0;
      outgoing.headers[to + NAME_SIZE] = incoming.headers[from + NAME_SIZE] ?? 0;
      outgoing.vectors[replies * 4] = incoming.vectors[slot * 4] ?? 0;
      outgoing.vectors[replies * 4 + 1] = incoming.vectors[slot * 4 + 1] ?? 0;
      outgoing.vectors[replies * 4 + 2] = length;
      replies++;
    },
    flush(fd) {
      const lost = sendAll(calls, fd, outgoing.address, replies);
      replies = 0;
      return lost;
    },
  };
}

/** Datagrams for several receivers, collected and sent from one socket in few calls. */
export interface DatagramSender {
  /** Whether there is room for one more. */
  readonly full: boolean;
  /** Take a datagram of at most `slotBytes` for a socket address; it goes with the next `flush`. */
  add(bytes: Buffer, address: Buffer): void;
  /** Send what was added; how many the kernel did not take. */
  flush(fd: number): number;
}

/** Room for `slots` datagrams of `slotBytes`, reused for ever. */
export function datagramSender(calls: DatagramCalls, slots: number, slotBytes: number): DatagramSender {
  const bytes = Buffer.alloc(slots * slotBytes);
  const addresses = Buffer.alloc(slots * ADDRESS_STEP);
  const outgoing = structures(calls, slots);
  for (let slot = 0; slot < slots; slot++) {
    const data = calls.addressOf(bytes) + BigInt(slot * slotBytes);
    outgoing.fill(slot, data, slotBytes, calls.addressOf(addresses) + BigInt(slot * ADDRESS_STEP));
  }
  let count = 0;
  return {
    get full() {
      return count === slots;
    },
    add(datagram, address) {
      datagram.copy(bytes, count * slotBytes);
      address.copy(addresses, count * ADDRESS_STEP);
      outgoing.vectors[count * 4 + 2] = datagram.length;
      outgoing.headers[count * WORDS + NAME_SIZE] = address.length;
      count++;
    },
    flush(fd) {
      const lost = sendAll(calls, fd, outgoing.address, count);
      count = 0;
      return lost;
    },
  };
}

/** Send `count` datagrams; how many the kernel did not take. */
function sendAll(calls: DatagramCalls, fd: number, headers: bigint, count: number): number {
  let at = 0;
  let lost = 0;
  while (at < count) {
    const sent = calls.send(fd, headers + BigInt(at * WORDS * 4), count - at);
    // The error is that of the first datagram alone; those behind it go to other receivers.
    if (sent <= 0) lost++;
    at += sent <= 0 ? 1 : sent;
  }
  return lost;
}

/** `count` headers of struct mmsghdr, each with one struct iovec. */
function structures(calls: DatagramCalls, count: number) {
  const headers = new Uint32Array(count * WORDS);
  const vectors = new Uint32Array(count * 4);
  const address = calls.addressOf(headers);
  const vectorsAt = calls.addressOf(vectors);
  const pointer = (words: Uint32Array, at: number, value: bigint): void => {
    words[at] = Number(value & 0xffff_ffffn);
    words[at + 1] = Number(value >> 32n);
  };
  for (let i = 0; i < count; i++) {
    pointer(headers, i * WORDS + VECTOR, vectorsAt + BigInt(i * 16));
    headers[i * WORDS + VECTOR_COUNT] = 1;
  }
  return {
    headers,
    vectors,
    address,
    fill(i: number, data: bigint, size: number, name: bigint): void {
      pointer(vectors, i * 4, data);
      vectors[i * 4 + 2] = size;
      pointer(headers, i * WORDS + NAME, name);
    },
  };
}
