import { formatAddress } from '../core/address.ts';
import type { Domain } from '../core/domain.ts';
import { DnskeeperError } from '../core/errors.ts';
import type { QueryReport } from '../core/query-report.ts';
import { printable } from '../core/text.ts';
import { readQuery, readResponse } from './message-read.ts';
import type { Answerer } from './query.ts';
import {
  CLASS_IN,
  encodeName,
  FLAG,
  HEADER,
  nameAt,
  RCODE,
  readName,
  skipName,
  TYPE,
  type WireRecord,
} from './wire.ts';

/** Ask the resolver as a client would, and tell what came of it. */
export async function reportQuery(
  answer: Answerer,
  domain: Domain,
  typeText: string,
  signal: AbortSignal,
): Promise<QueryReport> {
  const type = typeOf(typeText);
  const read = readQuery(questionOf(domain, type), 'tcp', 'full');
  if (!read.ok) throw new DnskeeperError('USAGE', `a query for ${domain} cannot be made: ${read.reason}`);
  const started = performance.now();
  const { wire, origin } = await answer(read.value, signal);
  const tookMs = Math.round((performance.now() - started) * 100) / 100;
  const response = readResponse(wire);
  if (!response.ok) throw new DnskeeperError('PROTOCOL', `an answer of our own is ${response.reason}`);
  const facts = response.value;
  const route = 'route' in origin ? origin.route : undefined;
  return {
    name: domain,
    type: typeName(type),
    rcode: rcodeName(facts.rcode),
    answers: facts.records
      .filter(({ section }) => section === 'answer')
      .map((record) => recordText(wire, record)),
    errors: facts.extendedErrors.map(({ code, text }) => `${code}: ${printable(text, 200)}`),
    authentic: facts.authenticData,
    from: origin.kind === 'cache' && origin.stale ? 'cache (stale)' : origin.kind,
    ...(route === undefined ? {} : { route }),
    ...('server' in origin ? { server: origin.server } : {}),
    tookMs,
  };
}

const NAMES: Readonly<Record<string, number>> = {
  ...TYPE,
  MX: 15,
  NAPTR: 35,
  DS: 43,
  SSHFP: 44,
  DNSKEY: 48,
  TLSA: 52,
  CAA: 257,
};

/** The number of a record type by name, or as `TYPE1234` (RFC 3597). */
export function typeOf(text: string): number {
  const name = text.toUpperCase();
  const known = NAMES[name] ?? Number(/^TYPE([0-9]{1,5})$/.exec(name)?.[1] ?? Number.NaN);
  if (known >= 0 && known <= 0xffff) return known;
  throw new DnskeeperError(
    'USAGE',
    `wanted a record type such as A, AAAA, MX or TYPE65, got ${printable(text, 20)}`,
  );
}

const typeName = (type: number): string =>
  Object.entries(NAMES).find(([, number]) => number === type)?.[0] ?? `TYPE${type}`;

const rcodeName = (rcode: number): string =>
  Object.entries(RCODE).find(([, number]) => number === rcode)?.[0] ?? `RCODE${rcode}`;

function questionOf(domain: Domain, type: number): Buffer {
  const name = encodeName(domain);
  const head = Buffer.alloc(HEADER.bytes);
  head.writeUInt16BE(FLAG.recursionDesired | FLAG.authenticData, HEADER.flags);
  head.writeUInt16BE(1, HEADER.questions);
  head.writeUInt16BE(1, HEADER.additional);
  const opt = Buffer.from([0, 0, TYPE.OPT, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([head, name, Buffer.from([type >> 8, type & 255, 0, CLASS_IN]), opt]);
}

function recordText(wire: Buffer, record: WireRecord): string {
  const name = nameAt(wire, record.start);
  const owner = name === undefined ? '?' : readName(name);
  return `${owner} ${record.ttl} ${typeName(record.type)} ${dataText(wire, record)}`;
}

function dataText(wire: Buffer, { type, dataStart, dataEnd }: WireRecord): string {
  const data = wire.subarray(dataStart, dataEnd);
  const nameFrom = (at: number): string => {
    const name = nameAt(wire, at);
    return name === undefined ? '?' : readName(name);
  };
  switch (type) {
    case TYPE.A:
    case TYPE.AAAA:
      if (data.length !== (type === TYPE.A ? 4 : 16)) break;
      return formatAddress({ family: type === TYPE.A ? 4 : 6, bytes: [...data], kind: 'unicast' });
    case TYPE.CNAME:
    case TYPE.NS:
    case TYPE.PTR:
    case TYPE.DNAME:
      return nameFrom(dataStart);
    case NAMES['MX']:
      if (data.length < 3) break;
      return `${data.readUInt16BE(0)} ${nameFrom(dataStart + 2)}`;
    case TYPE.SRV:
      if (data.length < 7) break;
      return `${data.readUInt16BE(0)} ${data.readUInt16BE(2)} ${data.readUInt16BE(4)} ${nameFrom(dataStart + 6)}`;
    case TYPE.SOA:
      return `${nameFrom(dataStart)} ${nameFrom(Math.max(dataStart, skipName(wire, dataStart)))}`;
    case TYPE.TXT:
      return textStrings(data);
  }
  return `\\# ${data.length} ${data.toString('hex')}`.trimEnd();
}

function textStrings(data: Buffer): string {
  const strings: string[] = [];
  for (let at = 0; at < data.length; at += (data[at] ?? 0) + 1)
    strings.push(JSON.stringify(printable(data.toString('latin1', at + 1, at + 1 + (data[at] ?? 0)), 255)));
  return strings.join(' ');
}
