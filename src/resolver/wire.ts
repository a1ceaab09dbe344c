import type { Domain } from '../core/domain.ts';
import { ROOT } from '../core/domain.ts';

/** Where the parts of a message's header stand (RFC 1035 section 4.1.1). */
export const HEADER = { id: 0, flags: 2, questions: 4, answers: 6, authority: 8, additional: 10, bytes: 12 };

/** The bits of the header's second word (RFC 1035, AD and CD from RFC 4035). */
export const FLAG = {
  response: 0x8000,
  opcode: 0x7800,
  authoritative: 0x0400,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  recursionAvailable: 0x0080,
  authenticData: 0x0020,
  checkingDisabled: 0x0010,
  rcode: 0x000f,
};

/** Response codes (IANA registry "DNS RCODEs"). */
export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
  /** RFC 7873: the server's part of our cookie is not the right one; the answer carries the right one. */
  BADCOOKIE: 23,
};

/** The record types that the resolver itself has to know; all others pass through. */
export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  DNAME: 39,
  OPT: 41,
  RRSIG: 46,
  NSEC: 47,
  NSEC3: 50,
  SVCB: 64,
  HTTPS: 65,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
};

/** The class of the Internet. */
export const CLASS_IN = 1;

/** The size of UDP answers that we announce and that no path cuts (DNS flag day 2020). */
export const UDP_SIZE = 1232;

/** The most bytes that one UDP answer of ours has, whatever the client offers. */
export const MOST_UDP_BYTES = 4096;

/** The DO bit among the EDNS flags (RFC 3225). */
export const DNSSEC_OK = 0x8000;

/** Names are at most this long in wire form, the root's zero byte included (RFC 1035 section 3.1). */
export const NAME_BYTES = 255;

/** Bytes from here on begin a pointer where a label could begin (RFC 1035 section 4.1.4). */
export const POINTER = 0xc0;

/**
 * Where the name at `at` ends in the message, or -1 when it is no name: cut off, longer than 255 bytes, a reserved
 * label type, or a pointer that does not lead back to before everything read so far (which also rules out circles).
 */
export function skipName(wire: Buffer, at: number): number {
  let end = -1;
  let position = at;
  let lowest = at;
  let length = 0;
  for (;;) {
    const byte = wire[position];
    if (byte === undefined) return -1;
    if (byte < 0x40) {
      length += byte + 1;
      if (length > NAME_BYTES) return -1;
      position += byte + 1;
      if (byte === 0) return end < 0 ? position : end;
    } else {
      const low = wire[position + 1];
      if (byte < POINTER || low === undefined) return -1;
      if (end < 0) end = position + 2;
      position = ((byte & 0x3f) << 8) | low;
      if (position >= lowest || position < HEADER.bytes) return -1;
      lowest = position;
    }
  }
}

/** Names are put together here before it is known how long they are. */
const nameRoom = Buffer.alloc(NAME_BYTES);

/** The name at `at` without pointers and in lower case, which makes names comparable; undefined when it is no name. */
export function nameAt(wire: Buffer, at: number): Buffer | undefined {
  if (skipName(wire, at) < 0) return undefined;
  const name = nameRoom;
  let length = 0;
  let position = at;
  for (;;) {
    const byte = wire[position] ?? 0;
    if (byte >= POINTER) {
      position = ((byte & 0x3f) << 8) | (wire[position + 1] ?? 0);
      continue;
    }
    name[length++] = byte;
    if (byte === 0) return Buffer.from(name.subarray(0, length));
    for (let i = 1; i <= byte; i++) name[length++] = lowerCase(wire[position + i] ?? 0);
    position += byte + 1;
  }
}

/** Whether the good name at `at` is `name` (wire form, lower case). */
export function isNameAt(wire: Buffer, at: number, name: Buffer): boolean {
  let position = at;
  let length = 0;
  while (length < name.length) {
    const byte = wire[position] ?? 0;
    if (byte >= POINTER) {
      position = ((byte & 0x3f) << 8) | (wire[position + 1] ?? 0);
      continue;
    }
    for (let i = 0; i <= byte; i++) if (lowerCase(wire[position + i] ?? 0) !== name[length + i]) return false;
    length += byte + 1;
    position += byte + 1;
  }
  return true;
}

/** A byte with ASCII capitals made small (RFC 4343); length bytes are below 64 and so unchanged. */
export const lowerCase = (byte: number): number => (byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte);

/** A host or service name in wire form. */
export function encodeName(domain: Domain): Buffer {
  if (domain === ROOT) return Buffer.of(0);
  const name = Buffer.alloc(domain.length + 2);
  let at = 0;
  for (const label of domain.split('.')) {
    name[at] = label.length;
    name.write(label, at + 1, 'latin1');
    at += label.length + 1;
  }
  return name;
}

/**
 * A name in wire form as text, for people's eyes alone: bytes that could mislead are escaped (RFC 1035 section 5.1).
 * Without a final dot, but for the root.
 */
export function readName(name: Buffer): string {
  let text = '';
  let at = 0;
  for (let size = name[at] ?? 0; size > 0; size = name[at] ?? 0) {
    if (text !== '') text += '.';
    for (let i = 1; i <= size; i++) text += readable(name[at + i] ?? 0);
    at += size + 1;
  }
  return text === '' ? ROOT : text;
}

/** One record of a message: bounds, not copies. */
export interface WireRecord {
  readonly section: 'answer' | 'authority' | 'additional';
  /** Where the record begins, with its owner's name; `nameAt` reads it. */
  readonly start: number;
  readonly type: number;
  readonly class: number;
  /** Seconds; a value with the top bit set counts as 0 (RFC 2181 section 8). */
  readonly ttl: number;
  /** Where the four bytes of the TTL stand. */
  readonly ttlAt: number;
  readonly dataStart: number;
  readonly dataEnd: number;
}

/** No message may make us look at more records than this: 64 KiB of the smallest useful ones. */
const MOST_RECORDS = 4096;

/** All records after the question section, which ends at `at`; undefined when they are malformed or too many. */
export function readRecords(wire: Buffer, at: number): WireRecord[] | undefined {
  const answers = wire.readUInt16BE(HEADER.answers);
  const before = answers + wire.readUInt16BE(HEADER.authority);
  const all = before + wire.readUInt16BE(HEADER.additional);
  const records: WireRecord[] = [];
  if (all > MOST_RECORDS) return undefined;
  let start = at;
  for (let i = 0; i < all; i++) {
    const record = readRecord(wire, start, i < answers ? 'answer' : i < before ? 'authority' : 'additional');
    if (record === undefined) return undefined;
    records.push(record);
    start = record.dataEnd;
  }
  return start === wire.length ? records : undefined;
}

/** Whether a message ends with so many well-formed records from `at` on: what `readRecords` asks for, and no list of them. */
export function endsWithRecords(wire: Buffer, at: number, count: number): boolean {
  let end = at;
  for (let i = 0; i < count; i++) {
    const head = skipName(wire, end);
    if (head < 0 || head + 10 > wire.length) return false;
    end = head + 10 + wire.readUInt16BE(head + 8);
  }
  return end === wire.length;
}

/** One EDNS option (RFC 6891 section 6.1.2). */
export interface EdnsOption {
  readonly code: number;
  readonly data: Buffer;
}

/** EDNS option codes that concern the resolver. */
export const OPTION = { nsid: 3, cookie: 10, keepalive: 11, padding: 12, extendedError: 15 };

/** The options in the data of an OPT record; undefined when they are malformed. */
export function readOptions(data: Buffer): EdnsOption[] | undefined {
  const options: EdnsOption[] = [];
  let at = 0;
  while (at < data.length) {
    if (at + 4 > data.length) return undefined;
    const end = at + 4 + data.readUInt16BE(at + 2);
    if (end > data.length) return undefined;
    options.push({ code: data.readUInt16BE(at), data: data.subarray(at + 4, end) });
    at = end;
  }
  return options;
}

function readRecord(wire: Buffer, start: number, section: WireRecord['section']): WireRecord | undefined {
  const at = skipName(wire, start);
  if (at < 0 || at + 10 > wire.length) return undefined;
  const dataStart = at + 10;
  const dataEnd = dataStart + wire.readUInt16BE(at + 8);
  if (dataEnd > wire.length) return undefined;
  const seconds = wire.readUInt32BE(at + 4);
  return {
    section,
    start,
    type: wire.readUInt16BE(at),
    class: wire.readUInt16BE(at + 2),
    ttl: seconds > 0x7fffffff ? 0 : seconds,
    ttlAt: at + 4,
    dataStart,
    dataEnd,
  };
}

function readable(byte: number): string {
  if (byte <= 0x20 || byte >= 0x7f) return `\\${String(byte).padStart(3, '0')}`;
  const character = String.fromCharCode(byte);
  return '.\\";()@$'.includes(character) ? `\\${character}` : character;
}
