import {
  FLAG,
  HEADER,
  nameAt,
  readName,
  readOptions,
  readRecords,
  skipName,
  type WireRecord,
} from '../../src/resolver/wire.ts';
import type { RandomQuery } from './differential-queries.ts';

/** An answer as it is compared: RRsets without TTL and order, names in lower case. */
export interface Reading {
  readonly rcode: number;
  readonly flags: number;
  readonly truncated: boolean;
  readonly bytes: number;
  readonly answer: readonly string[];
  readonly authority: readonly string[];
  readonly additional: readonly string[];
  /** What is wrong with the message whatever the other server says. */
  readonly faults: readonly string[];
  /** Extended errors (RFC 8914) that came along, for whoever looks at a failure. */
  readonly extendedErrors: readonly string[];
}

/** Read one server's answer to a query. */
export function readAnswer(query: RandomQuery, id: number, wire: Buffer): Reading {
  const flags = wire.readUInt16BE(HEADER.flags);
  const questionEnd = skipName(query.wire, HEADER.bytes) + 4;
  const bare = wire.readUInt16BE(HEADER.questions) === 0;
  const records = readRecords(wire, bare ? HEADER.bytes : questionEnd);
  const opt = records?.find(({ type }) => type === 41);
  const section = (name: WireRecord['section']): string[] =>
    (records ?? [])
      .filter((record) => record.section === name && record.type !== 41)
      .map((record) => recordText(wire, record))
      .sort();
  return {
    rcode: (flags & FLAG.rcode) | ((opt === undefined ? 0 : (wire[opt.ttlAt] ?? 0)) << 4),
    flags,
    truncated: (flags & FLAG.truncated) !== 0,
    bytes: wire.length,
    answer: [...new Set(section('answer'))],
    authority: [...new Set(section('authority'))],
    additional: [...new Set(section('additional'))],
    extendedErrors: (opt === undefined ? [] : (readOptions(wire.subarray(opt.dataStart, opt.dataEnd)) ?? []))
      .filter(({ code }) => code === 15)
      .map(({ data }) => `${data.readUInt16BE(0)} ${data.toString('latin1', 2)}`),
    faults: faultsIn(query, id, wire, records, opt, bare ? undefined : questionEnd),
  };
}

/** A kind of difference from unbound that is right, and why. */
interface Permitted {
  readonly name: string;
  readonly reason: string;
  readonly applies: (query: RandomQuery, ours: Reading, theirs: Reading) => boolean;
}

/** Obsolete types and those that are no records, of which the test asks for these. */
const REFUSED_TYPES = [0, 3, 10, 38, 41, 252, 253];
const REFUSED = 5;
const BADVERS = 16;
const SERVFAIL = 2;
const RRSIG = 46;
const NSEC = 47;
const ANY = 255;

/** Every difference in code or answer that is allowed; any other one fails. */
export const PERMITTED: readonly Permitted[] = [
  {
    name: 'refused type',
    reason:
      'Types that are obsolete (RFC 973, 3755, 6563) or no records (RFC 6895 section 3.1) are refused without asking anybody; unbound asks, or says FORMERR.',
    applies: ({ type, edns }, ours) =>
      REFUSED_TYPES.includes(type) && ours.rcode === (edns?.version === 1 ? BADVERS : REFUSED),
  },
  {
    name: 'truncated elsewhere',
    reason:
      'How many bytes an answer has depends on which names are compressed (RFC 1035 section 4.1.4), so the border of TC is not the same; then both are asked over TCP, where they have to agree (RFC 2181 section 9).',
    applies: ({ transport }, ours, theirs) =>
      transport === 'udp' && ours.truncated !== theirs.truncated && ours.rcode === theirs.rcode,
  },
  {
    name: 'type beside an alias',
    reason:
      'RRSIG and NSEC stand beside a CNAME (RFC 4035 section 2.5) and the server says so; unbound follows the alias when its cache has it, and fails where that is a circle.',
    applies: ({ type }, _, theirs) =>
      (type === RRSIG || type === NSEC) &&
      (theirs.rcode === SERVFAIL || theirs.answer.some((text) => text.includes(' CNAME '))),
  },
  {
    name: 'any type',
    reason:
      'ANY may be answered with any part of what is there (RFC 8482 section 4.1); unbound leaves signatures out for clients without DO, and puts together what it has in its cache.',
    applies: ({ type }, ours, theirs) =>
      type === ANY && ours.rcode === theirs.rcode && (ours.answer.length > 0 || ours.truncated),
  },
  {
    name: 'name too long behind a DNAME',
    reason:
      'RFC 6672 section 2.2 wants YXDOMAIN where a new name would be too long. The server has a code of its own, which a forwarder gives on; unbound makes a failure of it.',
    applies: (_, ours, theirs) =>
      theirs.rcode === SERVFAIL &&
      ours.rcode !== SERVFAIL &&
      (ours.truncated ||
        (ours.answer.some((text) => text.includes(' TYPE39 ')) &&
          !ours.answer.some((text) => text.includes(' CNAME ')))),
  },
];

/** What differs between two answers that both stand for themselves; empty when they agree. */
export function differences(ours: Reading, theirs: Reading): readonly string[] {
  const found: string[] = [];
  if (ours.rcode !== theirs.rcode)
    found.push([`code ${ours.rcode}, unbound ${theirs.rcode}`, ...ours.extendedErrors].join('; '));
  if (ours.truncated !== theirs.truncated)
    found.push(`TC ${ours.truncated} in ${ours.bytes} bytes, unbound ${theirs.truncated} in ${theirs.bytes}`);
  if (ours.truncated || theirs.truncated) return found;
  found.push(...sectionDifferences('answer', ours.answer, theirs.answer));
  found.push(...sectionDifferences('authority', proofs(ours.authority), proofs(theirs.authority)));
  return found;
}

/** Whose data belongs to the answer: what says and proves that there is none. Servers' names are a courtesy (RFC 1034 4.3.2). */
const proofs = (authority: readonly string[]): readonly string[] =>
  authority.filter((text) => !/ (NS|RRSIG of NS) /.test(text));

function sectionDifferences(name: string, ours: readonly string[], theirs: readonly string[]): string[] {
  const missing = theirs.filter((text) => !ours.includes(text));
  const more = ours.filter((text) => !theirs.includes(text));
  return [
    ...missing.map((text) => `${name} lacks: ${text.slice(0, 160)}`),
    ...more.map((text) => `${name} has more: ${text.slice(0, 160)}`),
  ];
}

function faultsIn(
  query: RandomQuery,
  id: number,
  wire: Buffer,
  records: readonly WireRecord[] | undefined,
  opt: WireRecord | undefined,
  questionEnd: number | undefined,
): readonly string[] {
  const flags = wire.readUInt16BE(HEADER.flags);
  const faults: string[] = [];
  const wanted = (good: boolean, what: string): void => void (good || faults.push(what));
  wanted(records !== undefined, 'records that cannot be read');
  wanted(wire.readUInt16BE(0) === id, 'another id');
  wanted((flags & FLAG.response) !== 0 && (flags & FLAG.recursionAvailable) !== 0, 'QR or RA missing');
  wanted((flags & FLAG.authoritative) === 0, 'AA set');
  wanted(((flags & FLAG.recursionDesired) !== 0) === query.recursionDesired, 'RD not given back');
  wanted(((flags & FLAG.checkingDisabled) !== 0) === query.checkingDisabled, 'CD not given back');
  wanted((flags & 0x40) === 0, 'Z set');
  if (questionEnd === undefined) faults.push('the question is missing');
  else
    wanted(
      query.wire.compare(wire, HEADER.bytes, questionEnd, HEADER.bytes, questionEnd) === 0,
      'another question, or spelled differently',
    );
  wanted(
    (opt !== undefined) === (query.edns !== undefined),
    'EDNS where the client has none, or none where it has',
  );
  if (opt !== undefined) {
    wanted((wire[opt.ttlAt + 1] ?? 0) === 0, 'an EDNS version above 0');
    wanted(
      (((wire[opt.ttlAt + 2] ?? 0) & 0x80) !== 0) === (query.edns?.dnssecOk ?? false),
      'DO not given back',
    );
  }
  const most = query.transport === 'tcp' ? 65_535 : Math.max(512, query.edns?.size ?? 512);
  wanted(wire.length <= most, `${wire.length} bytes for a client that takes ${most}`);
  wanted((flags & FLAG.truncated) === 0 || query.transport === 'udp', 'TC over TCP');
  return faults;
}

const TYPE_NAMES: Readonly<Record<number, string>> = {
  1: 'A',
  2: 'NS',
  5: 'CNAME',
  6: 'SOA',
  28: 'AAAA',
  46: 'RRSIG',
  47: 'NSEC',
  50: 'NSEC3',
};

/** Where names stand in the data of types whose names may be compressed or differ in case: bytes before, how many. */
const NAMES_IN: Readonly<Record<number, readonly [number, number]>> = {
  2: [0, 1],
  5: [0, 1],
  6: [0, 2],
  12: [0, 1],
  15: [2, 1],
  33: [6, 1],
  39: [0, 1],
};

function recordText(wire: Buffer, { start, type, class: class_, dataStart, dataEnd }: WireRecord): string {
  const name = nameAt(wire, start);
  const [before, names] = NAMES_IN[type] ?? [0, 0];
  const parts = [wire.subarray(dataStart, dataStart + before)];
  let at = dataStart + before;
  for (let i = 0; i < names; i++) {
    parts.push(nameAt(wire, at) ?? Buffer.from('no name'));
    at = skipName(wire, at);
  }
  const data = Buffer.concat([...parts, wire.subarray(at, dataEnd)]);
  const covered = wire.readUInt16BE(dataStart < dataEnd - 1 ? dataStart : 0);
  const typeText =
    type === 46 ? `RRSIG of ${TYPE_NAMES[covered] ?? covered}` : (TYPE_NAMES[type] ?? `TYPE${type}`);
  return `${name === undefined ? '?' : readName(name)} ${class_} ${typeText} ${data.toString('hex')}`;
}
