import { parseDomain } from '../core/domain.ts';
import { type Parsed, parsed, refused } from '../core/parsed.ts';
import { responseTo } from './message.ts';
import type { Query } from './query.ts';
import {
  DNSSEC_OK,
  type EdnsOption,
  FLAG,
  HEADER,
  isNameAt,
  nameAt,
  OPTION,
  RCODE,
  readName,
  readOptions,
  readRecords,
  skipName,
  TYPE,
  type WireRecord,
} from './wire.ts';

/** What `readQuery` makes of a message: a query, or the finished answer that says what is wrong with it. */
export type QueryReading =
  | { readonly ok: true; readonly value: Query }
  | {
      readonly ok: false;
      readonly reason: string;
      readonly rcode: number | undefined;
      /** What to send back; undefined means silence, so that two servers never answer each other for ever. */
      readonly response: Buffer | undefined;
    };

/** Read a message from a client. What may be asked is decided elsewhere; here only what cannot be understood ends. */
export function readQuery(
  wire: Buffer,
  transport: Query['transport'],
  service: Query['service'],
): QueryReading {
  if (wire.length < HEADER.bytes) return silence('shorter than a header');
  const flags = wire.readUInt16BE(HEADER.flags);
  if ((flags & FLAG.response) !== 0) return silence('a response');
  if ((flags & FLAG.opcode) !== 0) return failing(wire, RCODE.NOTIMP, 'an operation other than a query');
  if (wire.readUInt16BE(HEADER.questions) !== 1) return failing(wire, RCODE.FORMERR, 'not one question');
  const question = readQuestion(wire);
  if (question === undefined) return failing(wire, RCODE.FORMERR, 'a malformed question');
  const records = readRecords(wire, question.end);
  if (records === undefined) return failing(wire, RCODE.FORMERR, 'malformed records');
  const wrong = strangeIn(records, question.type);
  if (wrong !== undefined) return failing(wire, RCODE.FORMERR, wrong);
  const edns = readEdns(wire, records);
  if (edns === 'malformed') return failing(wire, RCODE.FORMERR, 'malformed EDNS');
  const domain = parseDomain(readName(question.name));
  const query: Query = {
    wire,
    name: question.name,
    domain: domain.ok ? domain.value : undefined,
    type: question.type,
    class: question.class,
    recursionDesired: (flags & FLAG.recursionDesired) !== 0,
    checkingDisabled: (flags & FLAG.checkingDisabled) !== 0,
    authenticData: (flags & FLAG.authenticData) !== 0,
    dnssecOk: edns?.dnssecOk ?? false,
    edns: edns && { version: edns.version, udpSize: Math.max(edns.udpSize, 512), options: edns.options },
    transport,
    service,
  };
  if (query.edns !== undefined && query.edns.version > 0) {
    const response = responseTo(query, { rcode: RCODE.BADVERS });
    return { ok: false, reason: 'an EDNS version above 0', rcode: RCODE.BADVERS, response };
  }
  return { ok: true, value: query };
}

/** What a response from a server says, as bounds in its bytes. */
export interface ResponseFacts {
  readonly wire: Buffer;
  readonly id: number;
  /** The response code with its EDNS upper bits. */
  readonly rcode: number;
  readonly authoritative: boolean;
  readonly truncated: boolean;
  readonly recursionAvailable: boolean;
  readonly authenticData: boolean;
  readonly checkingDisabled: boolean;
  /** Undefined when the server left it out, as some do with FORMERR and NOTIMP. */
  readonly question: Question | undefined;
  /** All records in their order, the OPT record too. */
  readonly records: readonly WireRecord[];
  readonly edns: Edns | undefined;
  /** Extended errors (RFC 8914) that the server gave; the text is bytes of its choice. */
  readonly extendedErrors: readonly { readonly code: number; readonly text: string }[];
  /** The names that the question's name is an alias for, in order; the last is the one that matters. */
  readonly aliases: readonly Buffer[];
  /** An answer with records for the question or its last alias, none though the name exists, no name, or a failure. */
  readonly kind: 'positive' | 'nodata' | 'nxdomain' | 'failure';
  /** How many seconds the whole may be kept (RFC 2308 for negative ones); undefined when it must not be. */
  readonly ttl: number | undefined;
}

/** A message's question. */
export interface Question {
  /** Wire form, lower case. */
  readonly name: Buffer;
  readonly type: number;
  readonly class: number;
  /** Where the question ends in the message; it begins right after the header. */
  readonly end: number;
}

/** What an OPT record says (RFC 6891). */
export interface Edns {
  readonly version: number;
  readonly udpSize: number;
  readonly dnssecOk: boolean;
  readonly extendedRcode: number;
  readonly options: readonly EdnsOption[];
  readonly record: WireRecord;
}

/** Read a message from a server. Whether it answers our question is for the asker to compare. */
export function readResponse(wire: Buffer): Parsed<ResponseFacts> {
  if (wire.length < HEADER.bytes) return refused('shorter than a header');
  const flags = wire.readUInt16BE(HEADER.flags);
  if ((flags & FLAG.response) === 0) return refused('no response');
  if ((flags & FLAG.opcode) !== 0) return refused('an operation other than a query');
  const questions = wire.readUInt16BE(HEADER.questions);
  const question = questions === 1 ? readQuestion(wire) : undefined;
  if (questions > 1 || (questions === 1 && question === undefined)) return refused('not one good question');
  const records = readRecords(wire, question?.end ?? HEADER.bytes);
  if (records === undefined) return refused('malformed records');
  const edns = readEdns(wire, records);
  if (edns === 'malformed') return refused('malformed EDNS');
  const rcode = (flags & FLAG.rcode) | ((edns?.extendedRcode ?? 0) << 4);
  const aliases = question === undefined ? [] : aliasesOf(wire, records, question);
  const kind = kindOf(wire, records, question, aliases.at(-1), rcode);
  return parsed({
    wire,
    id: wire.readUInt16BE(HEADER.id),
    rcode,
    authoritative: (flags & FLAG.authoritative) !== 0,
    truncated: (flags & FLAG.truncated) !== 0,
    recursionAvailable: (flags & FLAG.recursionAvailable) !== 0,
    authenticData: (flags & FLAG.authenticData) !== 0,
    checkingDisabled: (flags & FLAG.checkingDisabled) !== 0,
    question,
    records,
    edns,
    extendedErrors: edns === undefined ? [] : edns.options.flatMap(extendedErrorIn),
    aliases,
    kind,
    ttl: (flags & FLAG.truncated) !== 0 ? undefined : lifetime(wire, records, kind),
  });
}

/**
 * Whether a server only names others that would know, because it does not ask for us (RFC 1034 section 4.3.1): that tells
 * nothing of what is there.
 */
export const isReferral = (response: ResponseFacts): boolean =>
  response.kind === 'nodata' &&
  !response.authoritative &&
  !response.recursionAvailable &&
  response.aliases.length === 0 &&
  response.ttl === undefined && // there is no SOA record
  response.records.some(({ section, type }) => section === 'authority' && type === TYPE.NS);

function silence(reason: string): QueryReading {
  return { ok: false, reason, rcode: undefined, response: undefined };
}

/** The header alone with a code: nothing of a message that we could not read goes back. */
function failing(wire: Buffer, rcode: number, reason: string): QueryReading {
  const response = Buffer.alloc(HEADER.bytes);
  wire.copy(response, 0, 0, 2);
  const kept = wire.readUInt16BE(HEADER.flags) & (FLAG.opcode | FLAG.recursionDesired);
  response.writeUInt16BE(kept | FLAG.response | FLAG.recursionAvailable | rcode, HEADER.flags);
  return { ok: false, reason, rcode, response };
}

function readQuestion(wire: Buffer): Question | undefined {
  // A pointer in the question could only point into the header or at itself: nameAt refuses it.
  const name = nameAt(wire, HEADER.bytes);
  const at = skipName(wire, HEADER.bytes);
  if (name === undefined || at + 4 > wire.length) return undefined;
  return { name, type: wire.readUInt16BE(at), class: wire.readUInt16BE(at + 2), end: at + 4 };
}

/** What no query holds: answers, an authority section but for IXFR's SOA, many additional records. */
function strangeIn(records: readonly WireRecord[], type: number): string | undefined {
  const counts = { answer: 0, authority: 0, additional: 0 };
  for (const { section } of records) counts[section]++;
  if (counts.answer > 0) return 'answers in a query';
  if (counts.authority > (type === TYPE.IXFR ? 1 : 0)) return 'an authority section in a query';
  if (counts.additional > 2) return 'many additional records in a query';
  return undefined;
}

function readEdns(wire: Buffer, records: readonly WireRecord[]): Edns | 'malformed' | undefined {
  const record = records.find(isOpt);
  if (record === undefined) return undefined;
  if (record !== records.findLast(isOpt) || record.section !== 'additional' || wire[record.start] !== 0)
    return 'malformed';
  const options = readOptions(wire.subarray(record.dataStart, record.dataEnd));
  if (options === undefined) return 'malformed';
  return {
    version: wire[record.ttlAt + 1] ?? 0,
    udpSize: record.class,
    dnssecOk: (wire.readUInt16BE(record.ttlAt + 2) & DNSSEC_OK) !== 0,
    extendedRcode: wire[record.ttlAt] ?? 0,
    options,
    record,
  };
}

const isOpt = ({ type }: WireRecord): boolean => type === TYPE.OPT;

/** As many aliases as resolved follows; a chain beyond that or in a circle ends where it stands. */
const MOST_ALIASES = 16;

function aliasesOf(wire: Buffer, records: readonly WireRecord[], question: Question): Buffer[] {
  if (question.type === TYPE.CNAME || question.type === TYPE.ANY) return [];
  const isAlias = (record: WireRecord): boolean =>
    record.section === 'answer' && record.type === TYPE.CNAME && record.class === question.class;
  if (!records.some(isAlias)) return [];
  const cnames = records.filter(isAlias);
  const aliases: Buffer[] = [];
  let name = question.name;
  while (aliases.length < MOST_ALIASES) {
    const from = name;
    const link = cnames.find((record) => isNameAt(wire, record.start, from));
    const target = link && targetOf(wire, link);
    if (target === undefined || aliases.some((alias) => alias.equals(target))) break;
    aliases.push(target);
    name = target;
  }
  return aliases;
}

/** The name in a CNAME record's data, when that is nothing but a name. */
const targetOf = (wire: Buffer, record: WireRecord): Buffer | undefined =>
  skipName(wire, record.dataStart) === record.dataEnd ? nameAt(wire, record.dataStart) : undefined;

function kindOf(
  wire: Buffer,
  records: readonly WireRecord[],
  question: Question | undefined,
  alias: Buffer | undefined,
  rcode: number,
): ResponseFacts['kind'] {
  if (rcode === RCODE.NXDOMAIN) return 'nxdomain';
  if (rcode !== RCODE.NOERROR || question === undefined) return 'failure';
  const name = alias ?? question.name;
  const answers = records.some(
    (record) =>
      record.section === 'answer' &&
      (record.type === question.type || question.type === TYPE.ANY) &&
      isNameAt(wire, record.start, name),
  );
  return answers ? 'positive' : 'nodata';
}

/**
 * The shortest TTL of the answer and authority sections; for a negative answer the SOA's own bound too, and without a
 * SOA it must not be kept at all (RFC 2308 section 5).
 */
function lifetime(
  wire: Buffer,
  records: readonly WireRecord[],
  kind: ResponseFacts['kind'],
): number | undefined {
  if (kind === 'failure') return undefined;
  let shortest: number | undefined;
  for (const { section, ttl } of records)
    if (section !== 'additional' && (shortest === undefined || ttl < shortest)) shortest = ttl;
  if (kind === 'positive') return shortest;
  const soa = records.find((record) => record.section === 'authority' && record.type === TYPE.SOA);
  if (soa === undefined || soa.dataEnd - soa.dataStart < 22) return undefined;
  return Math.min(shortest ?? 0, wire.readUInt32BE(soa.dataEnd - 4));
}

function extendedErrorIn({ code, data }: EdnsOption): { code: number; text: string }[] {
  if (code !== OPTION.extendedError || data.length < 2) return [];
  return [{ code: data.readUInt16BE(0), text: data.toString('utf8', 2) }];
}
