import { decode, encode, type Packet, type PacketRecord } from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fastKey, pack } from '../../src/resolver/fast-path-answer.ts';
import { fastTable } from '../../src/resolver/fast-path-table.ts';
import { fit as cutToSize, forClient } from '../../src/resolver/message.ts';
import { type ResponseFacts, readQuery, readResponse } from '../../src/resolver/message-read.ts';
import type { Query } from '../../src/resolver/query.ts';
import { optionWire, queryWire } from '../support/query-wire.ts';

/** How long the properties may run; a night's run sets more. */
const BUDGET_MS = Number(process.env['DNSKEEPER_FUZZ_MS'] ?? 1500);
const budget = { interruptAfterTimeLimit: BUDGET_MS, numRuns: 1_000_000 };

const label = fc.stringMatching(/^[a-zA-Z0-9-]{1,12}$/);
const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
const ttl = fc.oneof(fc.integer({ min: 1, max: 100_000 }), fc.integer({ min: 1, max: 0x7fffffff }));
const data = fc.oneof(
  fc.record({ type: fc.constant('A'), data: fc.ipV4() }),
  fc.record({ type: fc.constant('TXT'), data: fc.string({ minLength: 1, maxLength: 200 }) }),
  fc.record({ type: fc.constant('MX'), data: fc.record({ preference: fc.nat(65_535), exchange: name }) }),
  fc.record({ type: fc.constant('CNAME'), data: name }),
  fc.record({
    type: fc.constant('UNKNOWN_65280'),
    data: fc.uint8Array({ maxLength: 64 }).map((b) => Buffer.from(b)),
  }),
);
const records = (maxLength: number) =>
  fc.array(
    fc
      .tuple(name, ttl, data)
      .map(([owner, seconds, rest]) => ({ name: owner, ttl: seconds, class: 'IN', ...rest })),
    { maxLength },
  );
const transitive = fc.array(
  fc.tuple(fc.constantFrom(10, 15, 65001), fc.string({ minLength: 2, maxLength: 20 })),
  {
    maxLength: 2,
  },
);
const asked = fc.record({
  id: fc.nat(65_535),
  flags: fc.constantFrom(0x0100, 0x0110, 0x0120, 0x0130, 0x0140),
  edns: fc.option(
    fc.record({
      size: fc.constantFrom(0, 512, 700, 1232, 4096, 65_535),
      dnssecOk: fc.boolean(),
      options: fc.constantFrom(Buffer.alloc(0), optionWire(10, '12345678'), optionWire(12, '\0\0\0')),
    }),
    { nil: undefined },
  ),
});
const scene = fc.record({
  name,
  capitals: fc.array(fc.boolean(), { minLength: 1, maxLength: 20 }),
  asked,
  rcode: fc.constantFrom(0, 0, 0, 2, 3),
  authenticData: fc.boolean(),
  answers: records(12),
  authorities: records(2),
  additionals: records(2),
  options: fc.option(transitive, { nil: undefined }),
  age: fc.nat(200_000),
});
type Scene = typeof scene extends fc.Arbitrary<infer T> ? T : never;

describe('an answer of the fast path', () => {
  it('is what the slow path gives, byte for byte', () => {
    fc.assert(
      fc.property(scene, (given) => {
        const { wire, query, response, answer } = play(given);
        expect(answer).toEqual(cutToSize(query, forClient(query, aged(response, given.age))));
        expect(answer.length).toBeLessThanOrEqual(Math.max(512, Math.min(query.edns?.udpSize ?? 512, 4096)));
        expect(wire.subarray(0, 2)).toEqual(answer.subarray(0, 2));
      }),
      budget,
    );
  });

  it('is what decoding, rewriting and encoding gives', () => {
    let compared = 0;
    fc.assert(
      fc.property(scene, (given) => {
        const { wire, query, response, answer } = play(given);
        if ((answer.readUInt16BE(2) & 0x0200) !== 0) return;
        compared++;
        expect(decode(answer)).toEqual(
          decode(encode(rewritten(query, wire, decode(response.wire), given.age))),
        );
      }),
      budget,
    );
    expect(compared).toBeGreaterThan(10);
  });
});

/** Put the scene's response into a table and ask for it as the scene's client does. */
function play(given: Scene): {
  wire: Buffer;
  query: Query;
  response: ResponseFacts;
  answer: Buffer;
} {
  const { edns, ...asked } = given.asked;
  const wire = queryWire({ ...asked, ...(edns && { edns }), name: mixCase(given.name, given.capitals) });
  const reading = readQuery(wire, 'udp', 'full');
  const parsed = readResponse(responseWire(given));
  if (!reading.ok || !parsed.ok) throw new Error('a scene that cannot be read');
  const query = reading.value;
  const table = fastTable(65_536, 1);
  const packed = pack(parsed.value, 0x7fffffff, 0x7fffffff);
  if (packed === undefined) throw new Error('a scene that cannot be packed');
  table.put(fastKey(query), packed, 0, 1e15);
  const room = Buffer.alloc(4096 + 64, 0x5a);
  wire.copy(room, 32);
  if (!table.find(room, 32, wire.length, 0, given.age * 1000))
    throw new Error('a common query that the fast path missed');
  const length = table.answer(room, 32);
  expect(room.subarray(0, 32)).toEqual(Buffer.alloc(32, 0x5a));
  expect(room.subarray(32 + Math.max(length, wire.length)).every((byte) => byte === 0x5a)).toBe(true);
  return { wire, query, response: parsed.value, answer: Buffer.from(room.subarray(32, 32 + length)) };
}

function responseWire(given: Scene): Buffer {
  const opt = given.options && {
    type: 'OPT',
    name: '.',
    udpPayloadSize: 4096,
    options: given.options.map(([code, text]) => ({ code, data: Buffer.from(text) })),
  };
  return encode({
    type: 'response',
    id: 1,
    flags: 0x0180 | (given.authenticData ? 0x20 : 0) | given.rcode,
    questions: [{ type: 'A', name: given.name }],
    answers: given.answers,
    authorities: given.authorities,
    additionals: [...given.additionals, ...(opt === undefined ? [] : [opt])],
  });
}

/** The response as it is `age` seconds later. */
function aged(response: ResponseFacts, age: number): ResponseFacts {
  const wire = Buffer.from(response.wire);
  for (const record of response.records)
    if (record.type !== 41) wire.writeUInt32BE(Math.max(0, record.ttl - age), record.ttlAt);
  const again = readResponse(wire);
  if (!again.ok) throw new Error(again.reason);
  return again.value;
}

/** The same by another's codec: what a plain proxy would do. */
function rewritten(query: Query, wire: Buffer, response: Packet, age: number): Packet {
  const { additionals = [], answers = [], authorities = [] } = response;
  const older = (record: PacketRecord): PacketRecord => ({
    ...record,
    ttl: Math.max(0, (record.ttl ?? 0) - age),
  });
  const wantsAd = query.authenticData || query.dnssecOk;
  const theirs = additionals.find((record) => record.type === 'OPT');
  const ours = {
    type: 'OPT',
    name: '.',
    udpPayloadSize: 1232,
    flags: query.dnssecOk ? 0x8000 : 0,
    options: (theirs?.options ?? []).filter(({ code }) => code !== 10),
  };
  return {
    type: 'response',
    id: wire.readUInt16BE(0),
    flags: 0x0080 | (wire.readUInt16BE(2) & 0x0110) | (response.flags & (wantsAd ? 0x2f : 0x0f)),
    questions: decode(wire).questions,
    answers: answers.map(older),
    authorities: authorities.map(older),
    additionals: [
      ...additionals.filter((record) => record.type !== 'OPT').map(older),
      ...(query.edns === undefined ? [] : [ours]),
    ],
  };
}

const mixCase = (text: string, capitals: readonly boolean[]): string =>
  [...text]
    .map((c, i) => (capitals[i % capitals.length] === true ? c.toUpperCase() : c.toLowerCase()))
    .join('');
