import type { Domain } from '../../src/core/domain.ts';
import { readQuery } from '../../src/resolver/message-read.ts';
import type { Query } from '../../src/resolver/query.ts';
import { encodeName, TYPE } from '../../src/resolver/wire.ts';

/** What a test's query is to look like. */
export interface QueryWish {
  readonly id?: number;
  readonly name?: string | Buffer;
  readonly type?: number;
  readonly flags?: number;
  readonly edns?: {
    readonly size?: number;
    readonly version?: number;
    readonly dnssecOk?: boolean;
    readonly options?: Buffer;
  };
}

/** The bytes of a query, made by hand so that they may be wrong. */
export function queryWire(wish: QueryWish = {}): Buffer {
  const { id = 0xabcd, name = 'www.Example.org', type = TYPE.A, flags = 0x0100, edns } = wish;
  const header = Buffer.alloc(12);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(flags, 2);
  header[5] = 1;
  header[11] = edns === undefined ? 0 : 1;
  const end = Buffer.from([type >> 8, type & 0xff, 0, 1]);
  const options = edns?.options ?? Buffer.alloc(0);
  const opt = Buffer.alloc(11);
  opt.writeUInt16BE(TYPE.OPT, 1);
  opt.writeUInt16BE(edns?.size ?? 1232, 3);
  opt[6] = edns?.version ?? 0;
  opt[7] = edns?.dnssecOk === true ? 0x80 : 0;
  opt.writeUInt16BE(options.length, 9);
  const wireName = typeof name === 'string' ? encodeName(name as Domain) : name;
  return Buffer.concat([header, wireName, end, ...(edns === undefined ? [] : [opt, options])]);
}

/** A query that was read. */
export function queryOf(wish: QueryWish = {}, transport: Query['transport'] = 'udp'): Query {
  const reading = readQuery(queryWire(wish), transport, 'full');
  if (!reading.ok) throw new Error(reading.reason);
  return reading.value;
}

/** One EDNS option as bytes. */
export function optionWire(code: number, data: string): Buffer {
  const bytes = Buffer.alloc(4 + data.length);
  bytes.writeUInt16BE(code, 0);
  bytes.writeUInt16BE(data.length, 2);
  bytes.write(data, 4, 'latin1');
  return bytes;
}
