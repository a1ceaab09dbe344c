import type { LookupRecord, RecordValue } from '../core/lookup.ts';
import { nameAt, readName, skipName, TYPE, type WireRecord } from './wire.ts';

/** One record of a message by itself: its value, and its bytes with all names written out. Undefined when it is malformed. */
export function lookupRecord(wire: Buffer, record: WireRecord): LookupRecord | undefined {
  const owner = nameAt(wire, record.start);
  const data = dataOf(wire, record);
  const value = data && recordValue(record.type, data);
  if (owner === undefined || data === undefined || value === undefined) return undefined;
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(record.type, 0);
  fixed.writeUInt16BE(record.class, 2);
  fixed.writeUInt32BE(record.ttl, 4);
  fixed.writeUInt16BE(data.length, 8);
  return {
    name: readName(owner),
    type: record.type,
    class: record.class,
    ttl: record.ttl,
    value,
    wire: Buffer.concat([owner, fixed, data]),
  };
}

/** Types that are nowhere else of interest. */
const MX = 15;
const RP = 17;
const AFSDB = 18;
const RT = 21;
const PX = 26;
const KX = 36;

/**
 * Where names stand in the data of types that may carry pointers (RFC 3597 section 4): so many bytes, a name, …, the
 * rest as it is.
 */
const LAYOUTS: ReadonlyMap<number, readonly (number | 'name')[]> = new Map<number, (number | 'name')[]>([
  [TYPE.NS, ['name']],
  [TYPE.CNAME, ['name']],
  [TYPE.PTR, ['name']],
  [TYPE.DNAME, ['name']],
  [TYPE.SOA, ['name', 'name']],
  [RP, ['name', 'name']],
  [MX, [2, 'name']],
  [AFSDB, [2, 'name']],
  [RT, [2, 'name']],
  [KX, [2, 'name']],
  [PX, [2, 'name', 'name']],
  [TYPE.SRV, [6, 'name']],
]);

/** The data with all names written out; undefined when a name in it is none, or leads out of it. */
function dataOf(wire: Buffer, { type, dataStart, dataEnd }: WireRecord): Buffer | undefined {
  const parts: Buffer[] = [];
  let at = dataStart;
  for (const part of LAYOUTS.get(type) ?? []) {
    const name = part === 'name' ? nameAt(wire, at) : wire.subarray(at, at + part);
    const next = part === 'name' ? skipName(wire, at) : at + part;
    if (name === undefined || next > dataEnd) return undefined;
    parts.push(name);
    at = next;
  }
  parts.push(wire.subarray(at, dataEnd));
  return Buffer.concat(parts);
}

function recordValue(type: number, data: Buffer): RecordValue | undefined {
  switch (type) {
    case TYPE.A:
    case TYPE.AAAA:
      if (data.length !== (type === TYPE.A ? 4 : 16)) return undefined;
      return { kind: 'address', family: type === TYPE.A ? 4 : 6, bytes: new Uint8Array(data) };
    case TYPE.NS:
    case TYPE.CNAME:
    case TYPE.PTR:
    case TYPE.DNAME:
      return { kind: 'name', name: readName(data) };
    case TYPE.SRV:
      return {
        kind: 'service',
        priority: data.readUInt16BE(0),
        weight: data.readUInt16BE(2),
        port: data.readUInt16BE(4),
        host: readName(data.subarray(6)),
      };
    case TYPE.TXT:
      return textValue(data);
    default:
      return { kind: 'other' };
  }
}

function textValue(data: Buffer): RecordValue | undefined {
  const items: Uint8Array[] = [];
  for (let at = 0; at < data.length; ) {
    const end = at + 1 + (data[at] ?? 0);
    if (end > data.length) return undefined;
    items.push(new Uint8Array(data.subarray(at + 1, end)));
    at = end;
  }
  return { kind: 'text', items };
}
