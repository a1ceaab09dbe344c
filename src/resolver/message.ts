import { DnskeeperError } from '../core/errors.ts';
import type { ResponseFacts } from './message-read.ts';
import type { Query } from './query.ts';
import {
  CLASS_IN,
  DNSSEC_OK,
  type EdnsOption,
  FLAG,
  HEADER,
  MOST_UDP_BYTES,
  OPTION,
  RCODE,
  readName,
  readRecords,
  TYPE,
  UDP_SIZE,
} from './wire.ts';

/** A record of an answer that we make ourselves. */
export interface NewRecord {
  /** Wire form; left out it is the question's name. */
  readonly name?: Buffer;
  readonly type: number;
  readonly ttl: number;
  readonly data: Buffer;
}

/** What an answer of our own says. */
export interface NewResponse {
  readonly rcode: number;
  readonly answers?: readonly NewRecord[];
  readonly authority?: readonly NewRecord[];
  /** Extended DNS error (RFC 8914), told to clients that speak EDNS. */
  readonly ede?: { readonly code: number; readonly text?: string };
  /** Set the AD bit for clients that asked for it: the data is our own and certain. */
  readonly authenticData?: boolean;
  readonly authoritative?: boolean;
  /** Our name as a server (RFC 5001), told to clients that ask for it. */
  readonly nsid?: Buffer;
}

/** How long a client's connection may be idle; told to clients that ask (RFC 7828). */
export const CLIENT_IDLE_MS = 30_000;

/** The longest text of an extended error: it has to fit into a small UDP answer beside a long name. */
const EDE_TEXT_BYTES = 120;

/** An answer of our own to a query, with EDNS when the query has it. Use `fit` before sending. */
export function responseTo(query: Query, response: NewResponse): Buffer {
  const questionEnd = HEADER.bytes + query.name.length + 4;
  const answers = response.answers ?? [];
  const authority = response.authority ?? [];
  const head = Buffer.alloc(questionEnd);
  query.wire.copy(head, 0, 0, questionEnd);
  const certain = response.authenticData === true && (query.authenticData || query.dnssecOk);
  const flags =
    (query.wire.readUInt16BE(HEADER.flags) & (FLAG.recursionDesired | FLAG.checkingDisabled)) |
    FLAG.response |
    FLAG.recursionAvailable |
    (response.authoritative === true ? FLAG.authoritative : 0) |
    (certain ? FLAG.authenticData : 0);
  head.writeUInt16BE(flags | shortRcode(response.rcode, query), HEADER.flags);
  head.writeUInt16BE(answers.length, HEADER.answers);
  head.writeUInt16BE(authority.length, HEADER.authority);
  head.writeUInt16BE(query.edns === undefined ? 0 : 1, HEADER.additional);
  const options: EdnsOption[] = [...ownOptions(query, response.nsid)];
  if (response.ede !== undefined) options.push(extendedError(response.ede));
  return Buffer.concat([
    head,
    ...[...answers, ...authority].map((record) => encodeRecord(record, query)),
    ...(query.edns === undefined ? [] : [encodeOpt(query, response.rcode, options)]),
  ]);
}

/** The most bytes of an answer that the client takes. */
export const mostBytesFor = (query: Query): number =>
  query.transport === 'tcp' ? 0xffff : Math.min(query.edns?.udpSize ?? 512, MOST_UDP_BYTES);

/** The response cut to what the client takes: too large a one keeps its question, code and EDNS, and says TC. */
export function fit(query: Query, response: Buffer): Buffer {
  const most = mostBytesFor(query);
  if (response.length <= most) return response;
  const questionEnd = HEADER.bytes + query.name.length + 4;
  const opt = readRecords(response, questionEnd)?.find((record) => record.type === TYPE.OPT);
  const head = Buffer.from(response.subarray(0, questionEnd));
  head.writeUInt16BE(head.readUInt16BE(HEADER.flags) | FLAG.truncated, HEADER.flags);
  head.fill(0, HEADER.answers, HEADER.bytes);
  if (opt === undefined) return head;
  head.writeUInt16BE(1, HEADER.additional);
  const kept = response.subarray(opt.start, opt.dataEnd);
  if (questionEnd + kept.length <= most) return Buffer.concat([head, kept]);
  const bare = Buffer.from(response.subarray(opt.start, opt.dataStart));
  bare.writeUInt16BE(0, bare.length - 2);
  return Buffer.concat([head, bare]);
}

/**
 * A server's response made this client's: its id, its spelling of the name, its bits, its EDNS. Records are not touched.
 * The response must answer the same question. Records behind an OPT record (only ever TSIG or glue) are left out,
 * because names in them may point at bytes that move.
 */
export function forClient(query: Query, response: ResponseFacts, nsid?: Buffer): Buffer {
  const { wire, question, edns } = response;
  if (question === undefined) return responseTo(query, { rcode: response.rcode });
  if (!question.name.equals(query.name))
    throw new DnskeeperError(
      'PROTOCOL',
      `a response for ${readName(query.name)}, got ${readName(question.name)}`,
    );
  const end = edns?.record.start ?? wire.length;
  const opt =
    query.edns === undefined
      ? NO_BYTES
      : encodeOpt(query, response.rcode, [
          ...(edns?.options ?? []).filter(({ code }) => !HOP_BY_HOP.has(code)),
          ...ownOptions(query, nsid),
        ]);
  const out = Buffer.allocUnsafe(end + opt.length);
  wire.copy(out, 0, 0, end);
  opt.copy(out, end);
  query.wire.copy(out, 0, 0, 2);
  query.wire.copy(out, HEADER.bytes, HEADER.bytes, question.end);
  const certain = response.authenticData && (query.authenticData || query.dnssecOk);
  const flags =
    (query.wire.readUInt16BE(HEADER.flags) & (FLAG.recursionDesired | FLAG.checkingDisabled)) |
    FLAG.response |
    FLAG.recursionAvailable |
    (response.truncated ? FLAG.truncated : 0) |
    (certain ? FLAG.authenticData : 0);
  out.writeUInt16BE(flags | shortRcode(response.rcode, query), HEADER.flags);
  let additional = opt.length > 0 ? 1 : 0;
  for (const { section, start } of response.records)
    if (section === 'additional' && start < end) additional++;
  out.writeUInt16BE(additional, HEADER.additional);
  return out;
}

const NO_BYTES = Buffer.alloc(0);

/** Options between two neighbours only: a server's are not the client's business, nor the other way round. */
export const HOP_BY_HOP: ReadonlySet<number> = new Set([
  OPTION.nsid,
  OPTION.cookie,
  OPTION.keepalive,
  OPTION.padding,
]);

function extendedError(ede: { readonly code: number; readonly text?: string }): EdnsOption {
  const text = firstBytes(ede.text ?? '', EDE_TEXT_BYTES);
  const data = Buffer.alloc(2 + text.length);
  data.writeUInt16BE(ede.code, 0);
  text.copy(data, 2);
  return { code: OPTION.extendedError, data };
}

/** As many whole characters as fit. */
function firstBytes(text: string, most: number): Buffer {
  const bytes = Buffer.from(text);
  let end = Math.min(bytes.length, most);
  while (end < bytes.length && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

function ownOptions(query: Query, nsid: Buffer | undefined): EdnsOption[] {
  const asks = (option: number): boolean => query.edns?.options.some(({ code }) => code === option) === true;
  const options: EdnsOption[] = [];
  if (nsid !== undefined && asks(OPTION.nsid)) options.push({ code: OPTION.nsid, data: nsid });
  if (query.transport === 'tcp' && asks(OPTION.keepalive))
    options.push({ code: OPTION.keepalive, data: KEPT_FOR });
  return options;
}

/** In tenths of a second. */
const KEPT_FOR = Buffer.of((CLIENT_IDLE_MS / 100) >> 8, (CLIENT_IDLE_MS / 100) & 255);

/** The header's four bits of a code; one that needs EDNS is a plain failure to a client without. */
const shortRcode = (rcode: number, query: Query): number =>
  rcode > 15 && query.edns === undefined ? RCODE.SERVFAIL : rcode & FLAG.rcode;

function encodeOpt(query: Query, rcode: number, options: readonly EdnsOption[]): Buffer {
  const size = options.reduce((sum, { data }) => sum + 4 + data.length, 0);
  const opt = Buffer.allocUnsafe(11 + size);
  opt[0] = 0; // the root's name
  opt.writeUInt16BE(TYPE.OPT, 1);
  opt.writeUInt16BE(UDP_SIZE, 3);
  opt[5] = rcode >> 4;
  opt[6] = 0; // version
  opt.writeUInt16BE(query.dnssecOk ? DNSSEC_OK : 0, 7);
  opt.writeUInt16BE(size, 9);
  let at = 11;
  for (const { code, data } of options) {
    opt.writeUInt16BE(code, at);
    opt.writeUInt16BE(data.length, at + 2);
    data.copy(opt, at + 4);
    at += 4 + data.length;
  }
  return opt;
}

function encodeRecord(record: NewRecord, query: Query): Buffer {
  const name = compress(record.name ?? query.name, query.name);
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(record.type, 0);
  fixed.writeUInt16BE(CLASS_IN, 2);
  fixed.writeUInt32BE(record.ttl, 4);
  fixed.writeUInt16BE(record.data.length, 8);
  return Buffer.concat([name, fixed, record.data]);
}

/** A name with its longest tail that the question has too replaced by a pointer to there. */
function compress(name: Buffer, question: Buffer): Buffer {
  for (let at = 0; (name[at] ?? 0) > 0; at += (name[at] ?? 0) + 1) {
    const tail = name.subarray(at);
    for (let from = 0; (question[from] ?? 0) > 0; from += (question[from] ?? 0) + 1)
      if (question.subarray(from).equals(tail)) {
        const pointer = 0xc000 | (HEADER.bytes + from);
        return Buffer.concat([name.subarray(0, at), Buffer.of(pointer >> 8, pointer & 0xff)]);
      }
  }
  return name;
}
