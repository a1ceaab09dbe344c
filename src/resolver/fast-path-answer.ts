import { EDE } from './ede.ts';
import { HOP_BY_HOP, mostBytesFor } from './message.ts';
import type { ResponseFacts } from './message-read.ts';
import type { Query } from './query.ts';
import {
  DNSSEC_OK,
  type EdnsOption,
  endsWithRecords,
  FLAG,
  HEADER,
  lowerCase,
  MOST_UDP_BYTES,
  NAME_BYTES,
  OPTION,
  RCODE,
  TYPE,
  UDP_SIZE,
} from './wire.ts';

/**
 * A response packed for being answered with again and again: what does not depend on the client, as bytes that need no
 * further reading. Numbers are big-endian like those of DNS:
 *
 *     0 flags (code and AD)   2 counts of answer, authority, additional   8 number of TTLs
 *     10 bytes of options     12 bytes of records
 *     14 the TTLs' places, relative to the records; then the EDNS options; then the records
 */
export type PackedAnswer = Buffer;

const PACKED_HEAD = 14;
const MOST_MESSAGE_BYTES = 0xffff;

/**
 * Pack a response that is kept for `seconds`. No TTL is told that is longer than `mostSeconds`, and for a negative answer
 * none longer than it is kept (RFC 2308 section 5). Undefined when it cannot be packed: no question, a code that needs
 * EDNS, truncated, names that would change with a TTL, or longer than any message, as one put together may be.
 */
export function pack(
  response: ResponseFacts,
  seconds: number,
  mostSeconds: number,
): PackedAnswer | undefined {
  const { wire, question, edns, rcode } = response;
  if (question === undefined || rcode > FLAG.rcode || response.truncated) return undefined;
  if (!standsWithoutTtls(response)) return undefined;
  const end = edns?.record.start ?? wire.length;
  if (end > MOST_MESSAGE_BYTES) return undefined;
  const records =
    edns === undefined ? response.records : response.records.filter((record) => record.start < end);
  const counts = { answer: 0, authority: 0, additional: 0 };
  for (const { section } of records) counts[section]++;
  const kept = edns === undefined ? [] : edns.options.filter(({ code }) => !HOP_BY_HOP.has(code));
  const options = kept.length === 0 ? NO_BYTES : Buffer.concat(kept.map(optionBytes));
  const optionsAt = PACKED_HEAD + 2 * records.length;
  const recordsAt = optionsAt + options.length;
  const most = response.kind === 'positive' ? mostSeconds : seconds;
  const packed = Buffer.allocUnsafe(recordsAt + end - question.end);
  packed.writeUInt16BE(rcode | (response.authenticData ? FLAG.authenticData : 0), 0);
  packed.writeUInt16BE(counts.answer, 2);
  packed.writeUInt16BE(counts.authority, 4);
  packed.writeUInt16BE(counts.additional, 6);
  packed.writeUInt16BE(records.length, 8);
  packed.writeUInt16BE(options.length, 10);
  packed.writeUInt16BE(end - question.end, 12);
  options.copy(packed, optionsAt);
  wire.copy(packed, recordsAt, question.end, end);
  let place = PACKED_HEAD;
  for (const record of records) {
    const at = record.ttlAt - question.end;
    packed.writeUInt16BE(at, place);
    packed.writeUInt32BE(Math.min(record.ttl, most), recordsAt + at);
    place += 2;
  }
  return packed;
}

const NO_BYTES = Buffer.alloc(0);

/**
 * Whether no owner's name runs through a TTL, where a hostile pointer may lead: it would break when the TTL is counted
 * down. No length byte has the value that is put there to find out.
 */
function standsWithoutTtls({ wire, question, records }: ResponseFacts): boolean {
  if (wire.length > room.length) return false;
  const marked = room.subarray(0, wire.length);
  wire.copy(marked);
  for (const { ttlAt, type } of records) if (type !== TYPE.OPT) marked.fill(0x80, ttlAt, ttlAt + 4);
  return endsWithRecords(marked, question?.end ?? HEADER.bytes, records.length);
}

/** For the copy of a message that is marked. */
const room = Buffer.alloc(MOST_MESSAGE_BYTES);

/** A query as the fast path reads it: one object, filled anew for each, so that nothing is allocated. */
export interface Glance {
  /** The header's second word. */
  flags: number;
  /** Where the question ends, counted from the start of the message. */
  questionEnd: number;
  edns: boolean;
  dnssecOk: boolean;
  /** The most bytes that the client takes. */
  most: number;
  /** The question with the name in lower case, and one byte of what else the answer depends on. */
  readonly key: Buffer;
  keyBytes: number;
  /** FNV-1a over the key. */
  hash: number;
}

/** An empty glance. */
export const newGlance = (): Glance => ({
  flags: 0,
  questionEnd: 0,
  edns: false,
  dnssecOk: false,
  most: 0,
  key: Buffer.alloc(NAME_BYTES + 5),
  keyBytes: 0,
  hash: 0,
});

const FNV_START = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const COUNTS_PLAIN = 0x0001;

/**
 * Read the query at `at`. False for whatever is not the common case, be it malformed, unusual or carrying options that
 * may change the answer: the slow path looks at those with care. `seed` makes hashes unpredictable to those who ask.
 */
export function glance(
  bytes: Buffer,
  at: number,
  length: number,
  variant: number,
  seed: number,
  into: Glance,
): boolean {
  if (length < HEADER.bytes + 5) return false;
  const flags = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
  if (
    (flags & (FLAG.response | FLAG.opcode | FLAG.truncated | FLAG.recursionDesired)) !==
    FLAG.recursionDesired
  )
    return false;
  if ((((bytes[at + 4] ?? 0) << 8) | (bytes[at + 5] ?? 0)) !== COUNTS_PLAIN) return false;
  // No answers, no authority, and at most one additional record.
  if (((bytes[at + 6] ?? 0) | (bytes[at + 7] ?? 0) | (bytes[at + 8] ?? 0) | (bytes[at + 9] ?? 0)) !== 0)
    return false;
  if ((bytes[at + 10] ?? 0) !== 0 || (bytes[at + 11] ?? 0) > 1) return false;

  const end = at + length;
  const key = into.key;
  let hash = FNV_START ^ seed;
  let position = at + HEADER.bytes;
  let size = 0;
  for (;;) {
    const label = bytes[position] ?? 0;
    if (label > 63 || size + label >= NAME_BYTES || position + label >= end) return false;
    key[size++] = label;
    hash = Math.imul(hash ^ label, FNV_PRIME);
    position++;
    if (label === 0) break;
    for (const stop = position + label; position < stop; position++) {
      const byte = lowerCase(bytes[position] ?? 0);
      key[size++] = byte;
      hash = Math.imul(hash ^ byte, FNV_PRIME);
    }
  }
  if (position + 4 > end) return false;
  for (const stop = position + 4; position < stop; position++) {
    const byte = bytes[position] ?? 0;
    key[size++] = byte;
    hash = Math.imul(hash ^ byte, FNV_PRIME);
  }
  into.flags = flags;
  into.questionEnd = position - at;
  if (!glanceEdns(bytes, position, end, (bytes[at + 11] ?? 0) === 1, into)) return false;
  const last =
    variant |
    (into.dnssecOk ? VARIANT.dnssecOk : 0) |
    ((flags & FLAG.checkingDisabled) === 0 ? 0 : VARIANT.checkingDisabled);
  key[size++] = last;
  into.hash = Math.imul(hash ^ last, FNV_PRIME);
  into.keyBytes = size;
  return true;
}

/** Bits of a key's last byte. */
export const VARIANT = { dnssecOk: 1, checkingDisabled: 2, proxy: 4 };

function glanceEdns(bytes: Buffer, start: number, end: number, present: boolean, into: Glance): boolean {
  into.edns = present;
  into.dnssecOk = false;
  into.most = 512;
  if (!present) return start === end;
  if (start + 11 > end) return false;
  // The root's name, type OPT, version 0.
  if ((bytes[start] ?? 0) !== 0 || (bytes[start + 1] ?? 0) !== 0 || (bytes[start + 2] ?? 0) !== TYPE.OPT)
    return false;
  if ((bytes[start + 6] ?? 0) !== 0) return false;
  const size = ((bytes[start + 3] ?? 0) << 8) | (bytes[start + 4] ?? 0);
  into.most = Math.min(Math.max(size, 512), MOST_UDP_BYTES);
  into.dnssecOk = ((bytes[start + 7] ?? 0) & (DNSSEC_OK >> 8)) !== 0;
  const dataEnd = start + 11 + (((bytes[start + 9] ?? 0) << 8) | (bytes[start + 10] ?? 0));
  if (dataEnd !== end) return false;
  for (let at = start + 11; at < end; ) {
    if (at + 4 > end) return false;
    const code = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    // Cookies, keepalive and padding want nothing of us over UDP; any other option may want another answer.
    if (code < 10 || code > 12) return false;
    at += 4 + (((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0));
    if (at > end) return false;
  }
  return true;
}

/** Below this a loop beats a call into the runtime. */
const SHORT_BYTES = 96;

/**
 * Turn the query at `at` into its answer, in place: id and question stand already. No more is written
 * than the client takes (`query.most`). Returns the answer's length.
 */
export function answerInPlace(
  bytes: Buffer,
  at: number,
  query: Glance,
  packed: Buffer,
  packedAt: number,
  elapsedSeconds: number,
): number {
  const packedFlags = ((packed[packedAt] ?? 0) << 8) | (packed[packedAt + 1] ?? 0);
  const ttls = ((packed[packedAt + 8] ?? 0) << 8) | (packed[packedAt + 9] ?? 0);
  const optionLength = ((packed[packedAt + 10] ?? 0) << 8) | (packed[packedAt + 11] ?? 0);
  const recordBytes = ((packed[packedAt + 12] ?? 0) << 8) | (packed[packedAt + 13] ?? 0);
  const optionsFrom = packedAt + PACKED_HEAD + 2 * ttls;
  const recordsFrom = optionsFrom + optionLength;
  const ednsBytes = query.edns ? 11 + optionLength : 0;
  const fits = query.questionEnd + recordBytes + ednsBytes <= query.most;
  const askedForAd = query.dnssecOk || (query.flags & FLAG.authenticData) !== 0;
  const flags =
    (query.flags & (FLAG.recursionDesired | FLAG.checkingDisabled)) |
    FLAG.response |
    FLAG.recursionAvailable |
    (fits ? 0 : FLAG.truncated) |
    (askedForAd ? packedFlags : packedFlags & ~FLAG.authenticData);
  bytes[at + 2] = flags >> 8;
  bytes[at + 3] = flags;
  for (let i = 0; i < 6; i++) bytes[at + HEADER.answers + i] = fits ? (packed[packedAt + 2 + i] ?? 0) : 0;
  let end = at + query.questionEnd;
  if (fits) {
    copyBytes(packed, recordsFrom, bytes, end, recordBytes);
    for (let i = 0, place = packedAt + PACKED_HEAD; i < ttls; i++, place += 2)
      lowerTtl(bytes, end + (((packed[place] ?? 0) << 8) | (packed[place + 1] ?? 0)), elapsedSeconds);
    end += recordBytes;
  }
  if (!query.edns) return end - at;
  const whole = end - at + ednsBytes <= query.most;
  const additional = ((bytes[at + 10] ?? 0) << 8) + (bytes[at + 11] ?? 0) + 1;
  bytes[at + 10] = additional >> 8;
  bytes[at + 11] = additional;
  writeOptHead(bytes, end, query.dnssecOk, whole ? optionLength : 0);
  if (whole) copyBytes(packed, optionsFrom, bytes, end + 11, optionLength);
  return end - at + 11 + (whole ? optionLength : 0);
}

function writeOptHead(bytes: Buffer, at: number, dnssecOk: boolean, optionLength: number): void {
  bytes[at] = 0; // the root's name
  bytes[at + 1] = 0;
  bytes[at + 2] = TYPE.OPT;
  bytes[at + 3] = UDP_SIZE >> 8;
  bytes[at + 4] = UDP_SIZE & 0xff;
  bytes[at + 5] = 0;
  bytes[at + 6] = 0;
  bytes[at + 7] = dnssecOk ? DNSSEC_OK >> 8 : 0;
  bytes[at + 8] = 0;
  bytes[at + 9] = optionLength >> 8;
  bytes[at + 10] = optionLength;
}

/**
 * Turn the query at `at` into SERVFAIL, in place: too many wait already, which an extended error tells clients that speak
 * EDNS. Returns the answer's length.
 */
export function refuseInPlace(bytes: Buffer, at: number, query: Glance): number {
  const kept = query.flags & (FLAG.recursionDesired | FLAG.checkingDisabled);
  const flags = kept | FLAG.response | FLAG.recursionAvailable | RCODE.SERVFAIL;
  bytes[at + 2] = flags >> 8;
  bytes[at + 3] = flags;
  bytes.fill(0, at + HEADER.answers, at + HEADER.bytes);
  if (!query.edns) return query.questionEnd;
  bytes[at + HEADER.additional + 1] = 1;
  const end = at + query.questionEnd;
  writeOptHead(bytes, end, query.dnssecOk, TOO_MANY.length);
  copyBytes(TOO_MANY, 0, bytes, end + 11, TOO_MANY.length);
  return end + 11 + TOO_MANY.length - at;
}

/**
 * Turn the beginning of a message that is larger than any query into a header that says so, in place, as the slow path
 * does with what it cannot read. Returns its length; 0 for a response, which is never answered.
 */
export function formatErrorInPlace(bytes: Buffer, at: number): number {
  const flags = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
  if ((flags & FLAG.response) !== 0) return 0;
  const rcode = (flags & FLAG.opcode) === 0 ? RCODE.FORMERR : RCODE.NOTIMP;
  const kept = flags & (FLAG.opcode | FLAG.recursionDesired);
  bytes.fill(0, at + HEADER.questions, at + HEADER.bytes);
  bytes.writeUInt16BE(kept | FLAG.response | FLAG.recursionAvailable | rcode, at + HEADER.flags);
  return HEADER.bytes;
}

/** An EDNS option: an extended error without a text. */
const TOO_MANY = Buffer.of(0, OPTION.extendedError, 0, 2, 0, EDE.notReady);

/** The most bytes that an answer from `packed` can have, for a buffer that holds it. */
export const answerBytes = (questionEnd: number, packed: PackedAnswer): number =>
  questionEnd + packed.readUInt16BE(12) + 11 + packed.readUInt16BE(10);

/** The key under which the answer to a query stands, as `glance` makes it. */
export function fastKey(query: Query): Buffer {
  const key = Buffer.alloc(query.name.length + 5);
  query.name.copy(key);
  key.writeUInt16BE(query.type, query.name.length);
  key.writeUInt16BE(query.class, query.name.length + 2);
  key[key.length - 1] =
    (query.dnssecOk ? VARIANT.dnssecOk : 0) |
    (query.checkingDisabled ? VARIANT.checkingDisabled : 0) |
    (query.service === 'proxy' ? VARIANT.proxy : 0);
  return key;
}

/** FNV-1a over a key. */
export function hashOf(key: Buffer, seed: number): number {
  let hash = FNV_START ^ seed;
  for (const byte of key) hash = Math.imul(hash ^ byte, FNV_PRIME);
  return hash;
}

/** What a query that was read says to `answerInPlace`. */
export function glanceOf(query: Query): Glance {
  return {
    ...newGlance(),
    flags: query.wire.readUInt16BE(HEADER.flags),
    questionEnd: HEADER.bytes + query.name.length + 4,
    edns: query.edns !== undefined,
    dnssecOk: query.dnssecOk,
    most: mostBytesFor(query),
  };
}

/** The response code that was packed. */
export const rcodeOf = (packed: PackedAnswer): number => packed.readUInt16BE(0) & FLAG.rcode;

/** The same answer with one more EDNS option. */
export function withOption(packed: PackedAnswer, option: EdnsOption): PackedAnswer {
  const at = PACKED_HEAD + 2 * packed.readUInt16BE(8);
  const more = Buffer.concat([packed.subarray(0, at), optionBytes(option), packed.subarray(at)]);
  more.writeUInt16BE(packed.readUInt16BE(10) + 4 + option.data.length, 10);
  return more;
}

/** The same answer with all TTLs set. */
export function withTtl(packed: PackedAnswer, seconds: number): PackedAnswer {
  const same = Buffer.from(packed);
  const ttls = packed.readUInt16BE(8);
  const recordsAt = PACKED_HEAD + 2 * ttls + packed.readUInt16BE(10);
  for (let i = 0; i < ttls; i++)
    same.writeUInt32BE(seconds, recordsAt + packed.readUInt16BE(PACKED_HEAD + 2 * i));
  return same;
}

function copyBytes(from: Buffer, fromAt: number, to: Buffer, toAt: number, count: number): void {
  if (count > SHORT_BYTES) from.copy(to, toAt, fromAt, fromAt + count);
  else for (let i = 0; i < count; i++) to[toAt + i] = from[fromAt + i] ?? 0;
}

/** Count a TTL down, not below zero. All TTLs were made smaller than 2^31 when packed. */
function lowerTtl(bytes: Buffer, at: number, elapsedSeconds: number): void {
  const ttl =
    ((bytes[at] ?? 0) << 24) |
    ((bytes[at + 1] ?? 0) << 16) |
    ((bytes[at + 2] ?? 0) << 8) |
    (bytes[at + 3] ?? 0);
  const left = ttl > elapsedSeconds ? ttl - elapsedSeconds : 0;
  bytes[at] = left >> 24;
  bytes[at + 1] = left >> 16;
  bytes[at + 2] = left >> 8;
  bytes[at + 3] = left;
}

function optionBytes({ code, data }: EdnsOption): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(code, 0);
  head.writeUInt16BE(data.length, 2);
  return Buffer.concat([head, data]);
}
