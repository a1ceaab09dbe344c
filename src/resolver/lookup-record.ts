import type { LookupRecord, RecordValue } from '../core/lookup.ts';
import { dataWithWholeNames } from './names-in-data.ts';
import { nameAt, readName, TYPE, type WireRecord } from './wire.ts';

/** One record of a message by itself: its value, and its bytes with all names written out. Undefined when it is malformed. */
export function lookupRecord(wire: Buffer, record: WireRecord): LookupRecord | undefined {
  const owner = nameAt(wire, record.start);
  const data = dataWithWholeNames(wire, record);
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
