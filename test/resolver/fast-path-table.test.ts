import { describe, expect, it } from 'vitest';
import { fastKey, pack, VARIANT } from '../../src/resolver/fast-path-answer.ts';
import { type FastTable, fastTable } from '../../src/resolver/fast-path-table.ts';
import { responseTo } from '../../src/resolver/message.ts';
import { readResponse } from '../../src/resolver/message-read.ts';
import { optionWire, type QueryWish, queryOf, queryWire } from '../support/query-wire.ts';

const NOW = 1_700_000_000_000;

function put(table: FastTable, wish: QueryWish, { bytes = 4, seconds = 60 } = {}): void {
  const query = queryOf(wish);
  const answers = [{ type: 16, ttl: seconds, data: Buffer.alloc(bytes) }];
  const facts = readResponse(responseTo(query, { rcode: 0, answers }));
  const packed = facts.ok ? pack(facts.value, seconds, seconds) : undefined;
  if (packed === undefined) throw new Error('an answer that cannot be packed');
  table.put(fastKey(query), packed, NOW, NOW + seconds * 1000);
}

function finds(table: FastTable, wish: QueryWish, { variant = 0, after = 0 } = {}): boolean {
  const wire = queryWire(wish);
  const room = Buffer.alloc(4096);
  wire.copy(room);
  return table.find(room, 0, wire.length, variant, NOW + after);
}

describe('the table of the fast path', () => {
  it('finds a question whatever the case of its name', () => {
    const table = fastTable(65_536, 1);
    put(table, { name: 'www.example.org' });
    expect(finds(table, { name: 'WWW.example.ORG', id: 1, edns: {} })).toBe(true);
  });

  it.each<[string, QueryWish, number]>([
    ['another name', { name: 'www.example.com' }, 0],
    ['another type', { type: 28 }, 0],
    ['DNSSEC wanted', { edns: { dnssecOk: true } }, 0],
    ['checking disabled', { flags: 0x0110 }, 0],
    ['the proxy address', {}, VARIANT.proxy],
    ['no recursion', { flags: 0 }, 0],
    ['the server name asked for', { edns: { options: optionWire(3, '') } }, 0],
    ['a client subnet', { edns: { options: optionWire(8, '\0\x01\x18\0\xc0\0\x02') } }, 0],
    ['an unknown option', { edns: { options: optionWire(65001, 'x') } }, 0],
    ['an EDNS version of the future', { edns: { version: 1 } }, 0],
  ])('leaves to the slow path: %s', (_, wish, variant) => {
    const table = fastTable(65_536, 1);
    put(table, {});
    expect(finds(table, {})).toBe(true);
    expect(finds(table, wish, { variant })).toBe(false);
  });

  it('forgets an answer when it expires, and all when the clock was set back', () => {
    const table = fastTable(65_536, 1);
    put(table, {}, { seconds: 10 });
    expect(finds(table, {}, { after: 9_999 })).toBe(true);
    expect(finds(table, {}, { after: 10_000 })).toBe(false);
    expect(table.count).toBe(0);
    put(table, {}, { seconds: 10 });
    expect(finds(table, {}, { after: -1 })).toBe(false);
  });

  it('replaces an answer by a newer one', () => {
    const table = fastTable(65_536, 1);
    put(table, {}, { seconds: 10 });
    put(table, {}, { seconds: 100 });
    expect(table.count).toBe(1);
    expect(finds(table, {}, { after: 50_000 })).toBe(true);
  });

  it('lets the oldest go when it is full, and never loses its way', () => {
    const table = fastTable(8192, 1);
    const name = (i: number): string => `host${i}.example`;
    for (let i = 0; i < 5000; i++) {
      put(table, { name: name(i) }, { bytes: (i * 37) % 500 });
      if (i % 7 === 0) put(table, { name: name(i) }, { bytes: (i * 11) % 300 });
      expect(finds(table, { name: name(i) })).toBe(true);
    }
    const known = Array.from({ length: 5000 }, (_, i) => i).filter((i) => finds(table, { name: name(i) }));
    expect(known).toHaveLength(table.count);
    expect(known.at(0)).toBeGreaterThan(4900);
    expect(known).toEqual(known.map((_, i) => 5000 - known.length + i));
    table.clear();
    expect([table.count, finds(table, { name: name(4999) })]).toEqual([0, false]);
  });

  it('does not take an answer that would fill a quarter of it', () => {
    const table = fastTable(8192, 1);
    put(table, {}, { bytes: 2100 });
    expect(table.count).toBe(0);
  });

  it('says once that a popular answer is about to expire', () => {
    const table = fastTable(65_536, 1);
    put(table, {}, { seconds: 100 });
    const asked = [10_000, 20_000, 89_000, 91_000, 92_000].map((after) => {
      expect(finds(table, {}, { after })).toBe(true);
      return table.wantsRefresh();
    });
    expect(asked).toEqual([false, false, false, true, false]);
    put(table, {}, { seconds: 100 });
    expect(finds(table, {}, { after: 95_000 })).toBe(true);
    expect(table.wantsRefresh()).toBe(false);
  });
});
