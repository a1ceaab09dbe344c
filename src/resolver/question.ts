import { HOP_BY_HOP } from './message.ts';
import type { Query } from './query.ts';
import { random16 } from './random.ts';
import {
  DNSSEC_OK,
  type EdnsOption,
  FLAG,
  HEADER,
  lowerCase,
  OPTION,
  POINTER,
  RCODE,
  skipName,
  TYPE,
  UDP_SIZE,
  type WireRecord,
} from './wire.ts';

/** How one query is put to one server. */
export interface QuestionStyle {
  /** Without EDNS for servers that choke on it. */
  readonly edns: boolean;
  /** The largest answer that is wanted over UDP; `UDP_SIZE` where left out. */
  readonly udpSize?: number;
  /** Mix capitals into the name, which the server has to give back (draft-vixie-dnsext-dns0x20). */
  readonly mixCase: boolean;
  /** Make its length a multiple of 128 (RFC 8467), where the length is all that an onlooker sees. */
  readonly padded: boolean;
  /** Data of a COOKIE option (RFC 7873). */
  readonly cookie?: Buffer | undefined;
  /** Ask how long the connection may stay open (RFC 7828); only over a connection. */
  readonly keepalive?: boolean;
}

const PADDED_TO = 128;
const OPT_BYTES = 11;
const NO_DATA = Buffer.alloc(0);

/**
 * The message that asks a server what a client asked us, with an id of its own. AD is always set, so that the server
 * tells whether it validated (RFC 6840 section 5.7), whichever client's query fills the cache.
 */
export function writeQuestion(query: Query, style: QuestionStyle): Buffer {
  const { name, type } = query;
  const end = HEADER.bytes + name.length + 4;
  const options = style.edns ? optionsOf(query, style) : [];
  const padding = style.edns && style.padded ? paddingAfter(end + OPT_BYTES + sizeOf(options)) : undefined;
  if (padding !== undefined) options.push({ code: OPTION.padding, data: padding });
  const message = Buffer.allocUnsafe(style.edns ? end + OPT_BYTES + sizeOf(options) : end);
  message.writeUInt16BE(random16(), HEADER.id);
  message.writeUInt16BE(
    FLAG.recursionDesired | FLAG.authenticData | (query.checkingDisabled ? FLAG.checkingDisabled : 0),
    HEADER.flags,
  );
  message.writeUInt16BE(1, HEADER.questions);
  message.writeUInt16BE(0, HEADER.answers);
  message.writeUInt16BE(0, HEADER.authority);
  message.writeUInt16BE(style.edns ? 1 : 0, HEADER.additional);
  name.copy(message, HEADER.bytes);
  if (style.mixCase) mixCase(message, HEADER.bytes, name.length);
  message.writeUInt16BE(type, end - 4);
  message.writeUInt16BE(query.class, end - 2);
  if (style.edns) writeOpt(message, end, options, query.dnssecOk, style.udpSize ?? UDP_SIZE);
  return message;
}

/** Whether a message repeats our id and our question to the letter, as the answer to it must. */
export function repeats(question: Buffer, nameLength: number, message: Buffer): 'yes' | 'other case' | 'no' {
  const end = HEADER.bytes + nameLength + 4;
  if (message.length < HEADER.bytes || question.readUInt16BE(0) !== message.readUInt16BE(0)) return 'no';
  if (((message[2] ?? 0) & 0x80) === 0) return 'no';
  // Some servers leave the question out of a refusal; nothing in such a message is used but its code. That there is no
  // such name is an answer, which has to be to our question.
  const rcode = (message[3] ?? 0) & FLAG.rcode;
  if (message.readUInt16BE(HEADER.questions) === 0)
    return rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN ? 'no' : 'yes';
  if (message.length < end) return 'no';
  if (question.compare(message, HEADER.bytes, end, HEADER.bytes, end) === 0) return 'yes';
  for (let at = HEADER.bytes; at < end; at++)
    if (lowerCase(question[at] ?? 0) !== lowerCase(message[at] ?? 0)) return 'no';
  return 'other case';
}

/**
 * Take our capitals out of an answer: servers that do not compress names repeat the question's before each record, and
 * programs would show them. `name` is the question's in wire form and lower case.
 */
export function spellAsAsked(
  question: Buffer,
  name: Buffer,
  answer: Buffer,
  records: readonly WireRecord[],
): void {
  const end = HEADER.bytes + name.length;
  for (const { start } of records) {
    const first = answer[start] ?? 0;
    if (first === 0 || first >= POINTER) continue;
    const length = skipName(answer, start) - start;
    // The same capitals are no chance; an authority's name may be the end of the question's.
    if (length <= name.length && question.compare(answer, start, start + length, end - length, end) === 0)
      name.copy(answer, start, name.length - length);
  }
}

function mixCase(message: Buffer, start: number, length: number): void {
  let bits = 0;
  let left = 0;
  for (let at = start; at < start + length; at++) {
    const byte = message[at] ?? 0;
    if (byte < 0x61 || byte > 0x7a) continue; // length bytes are below 64, so they stay
    if (left === 0) {
      bits = random16();
      left = 16;
    }
    if (bits & 1) message[at] = byte & ~0x20;
    bits >>= 1;
    left--;
  }
}

function optionsOf(query: Query, style: QuestionStyle): EdnsOption[] {
  const asked = query.edns?.options ?? [];
  const options = asked.length === 0 ? [] : asked.filter(({ code }) => !HOP_BY_HOP.has(code));
  if (style.cookie !== undefined) options.push({ code: OPTION.cookie, data: style.cookie });
  if (style.keepalive === true) options.push({ code: OPTION.keepalive, data: NO_DATA });
  return options;
}

const paddingAfter = (bytes: number): Buffer =>
  Buffer.alloc((PADDED_TO - ((bytes + 4) % PADDED_TO)) % PADDED_TO);

function sizeOf(options: readonly EdnsOption[]): number {
  let size = 0;
  for (const { data } of options) size += 4 + data.length;
  return size;
}

function writeOpt(
  message: Buffer,
  start: number,
  options: readonly EdnsOption[],
  dnssecOk: boolean,
  udpSize: number,
): void {
  message[start] = 0; // the root's name
  message.writeUInt16BE(TYPE.OPT, start + 1);
  message.writeUInt16BE(udpSize, start + 3);
  message.writeUInt16BE(0, start + 5); // extended code and version
  message.writeUInt16BE(dnssecOk ? DNSSEC_OK : 0, start + 7);
  message.writeUInt16BE(message.length - start - OPT_BYTES, start + 9);
  let at = start + OPT_BYTES;
  for (const { code, data } of options) {
    message.writeUInt16BE(code, at);
    message.writeUInt16BE(data.length, at + 2);
    data.copy(message, at + 4);
    at += 4 + data.length;
  }
}
