import { encode } from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { aliasLeftOpen, answerWithAlias, isCircle, queryFor } from '../../src/resolver/aliases.ts';
import { fastKey, pack, VARIANT } from '../../src/resolver/fast-path-answer.ts';
import { fastTable } from '../../src/resolver/fast-path-table.ts';
import { fit as cutToSize, forClient, responseTo } from '../../src/resolver/message.ts';
import { readQuery, readResponse } from '../../src/resolver/message-read.ts';
import type { Query } from '../../src/resolver/query.ts';
import { repeats, writeQuestion } from '../../src/resolver/question.ts';
import { optionWire, queryWire } from '../support/query-wire.ts';

/** How long each property may run; a night's run sets more. */
const BUDGET_MS = Number(process.env['DNSKEEPER_FUZZ_MS'] ?? 1500);
const budget = { interruptAfterTimeLimit: BUDGET_MS, numRuns: 100_000_000 };

const GOOD_QUERIES = [
  queryWire({ name: 'host.example' }),
  queryWire({ name: 'Host.Example', edns: { size: 1232 } }),
  queryWire({
    name: 'hosT.example',
    flags: 0x0130,
    edns: { dnssecOk: true, options: optionWire(10, 'abcdefgh') },
  }),
  queryWire({
    name: 'host.example',
    edns: { options: Buffer.concat([optionWire(3, ''), optionWire(12, '\0')]) },
  }),
  queryWire({ name: '.', type: 2 }),
];

const GOOD_RESPONSES = [
  encode({
    type: 'response',
    id: 7,
    flags: 0x01a0,
    questions: [{ type: 'A', name: 'host.example' }],
    answers: [
      { type: 'CNAME', name: 'host.example', ttl: 60, data: 'other.example' },
      { type: 'A', name: 'other.example', ttl: 60, data: '192.0.2.7' },
      { type: 'TXT', name: 'other.example', ttl: 60, data: 'x'.repeat(700) },
    ],
    additionals: [
      { type: 'OPT', name: '.', udpPayloadSize: 4096, options: [{ code: 15, data: Buffer.of(0, 3) }] },
    ],
  }),
  responseTo(readGood(GOOD_QUERIES[1]), {
    rcode: 0,
    answers: Array.from({ length: 5 }, (_, i) => ({ type: 1, ttl: 9, data: Buffer.of(192, 0, 2, i) })),
  }),
];

/** A good message with some bytes changed, cut off or put in. */
const mutated = (good: readonly Buffer[]): fc.Arbitrary<Buffer> =>
  fc
    .tuple(
      fc.constantFrom(...good),
      fc.array(
        fc.tuple(fc.nat(1200), fc.nat(255), fc.constantFrom('set', 'flip', 'insert', 'cut', 'pointer')),
        {
          maxLength: 5,
        },
      ),
    )
    .map(([start, changes]) => changes.reduce(mutate, Buffer.from(start)));

const anything = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes));
const queries = fc.oneof({ weight: 5, arbitrary: mutated(GOOD_QUERIES) }, { weight: 1, arbitrary: anything });
const responses = fc.oneof(
  { weight: 5, arbitrary: mutated(GOOD_RESPONSES) },
  { weight: 1, arbitrary: anything },
);

/** Responses that end at an alias, most of them. */
const openChains = fc.oneof(
  {
    weight: 3,
    arbitrary: mutated([
      responseTo(readGood(GOOD_QUERIES[1]), {
        rcode: 0,
        answers: [{ type: 5, ttl: 60, data: Buffer.from('056f74686572076578616d706c6500', 'hex') }],
      }),
    ]),
  },
  { weight: 1, arbitrary: responses },
);

describe('whatever a client sends', () => {
  it('is read or refused, and answered with one message that is no longer than it may be', () => {
    let read = 0;
    fc.assert(
      fc.property(queries, (wire) => {
        const before = Buffer.from(wire);
        const reading = readQuery(wire, 'udp', 'full');
        if (reading.ok) {
          read++;
          const answers = Array.from({ length: 60 }, () => ({ type: 1, ttl: 1, data: Buffer.alloc(4) }));
          const answer = cutToSize(reading.value, responseTo(reading.value, { rcode: 0, answers }));
          expect(answer.length).toBeLessThanOrEqual(Math.min(reading.value.edns?.udpSize ?? 512, 4096));
          expect(readResponse(answer).ok).toBe(true);
        } else if (reading.response !== undefined) {
          expect(reading.response.length).toBeLessThanOrEqual(wire.length);
          expect(reading.response.subarray(0, 2)).toEqual(wire.subarray(0, 2));
        }
        expect(wire).toEqual(before);
      }),
      budget,
    );
    expect(read).toBeGreaterThan(20);
  });

  it('is put to a server as the same question, without what is between the client and us', () => {
    let asked = 0;
    const styles = fc.record({ edns: fc.boolean(), mixCase: fc.boolean(), padded: fc.boolean() });
    fc.assert(
      fc.property(queries, styles, (wire, style) => {
        const reading = readQuery(wire, 'udp', 'full');
        if (!reading.ok) return;
        asked++;
        const query = reading.value;
        const question = writeQuestion(query, style);
        const again = readQuery(question, 'tcp', 'full');
        if (!again.ok) throw new Error(again.reason);
        const { name, type, checkingDisabled, dnssecOk, edns } = again.value;
        expect({ name, type, checkingDisabled }).toEqual({
          name: query.name,
          type: query.type,
          checkingDisabled: query.checkingDisabled,
        });
        expect(dnssecOk).toBe(style.edns && query.dnssecOk);
        expect(edns?.options.filter(({ code }) => code === 3 || code === 10) ?? []).toEqual([]);
        if (style.padded && style.edns) expect(question.length % 128).toBe(0);
        const answer = Buffer.from(question);
        answer[2] = (answer[2] ?? 0) | 0x80;
        expect(repeats(question, query.name.length, answer)).toBe('yes');
        answer[0] = (answer[0] ?? 0) ^ 1;
        expect(repeats(question, query.name.length, answer)).toBe('no');
      }),
      budget,
    );
    expect(asked).toBeGreaterThan(20);
  });

  it('gets from the fast path what the slow path gives, or nothing, and no byte of another client', () => {
    const table = fastTable(1 << 20, 3);
    const kept = fill(table);
    let found = 0;
    let missed = 0;
    fc.assert(
      fc.property(queries, fc.boolean(), (wire, proxy) => {
        const room = Buffer.alloc(4096 + 64, 'secret of another client');
        const before = Buffer.from(room);
        wire.copy(room, 32);
        const hit = table.find(room, 32, wire.length, proxy ? VARIANT.proxy : 0, 5000);
        if (!hit) {
          missed++;
          expect(room.subarray(32, 32 + wire.length)).toEqual(wire);
          return;
        }
        found++;
        const length = table.answer(room, 32);
        const reading = readQuery(wire, 'udp', proxy ? 'proxy' : 'full');
        if (!reading.ok) throw new Error(`the slow path refuses: ${reading.reason}`);
        const response = kept.get(fastKey(reading.value).toString('hex'));
        if (response === undefined) throw new Error('an answer that nobody put there');
        expect(room.subarray(32, 32 + length)).toEqual(
          cutToSize(reading.value, forClient(reading.value, response)),
        );
        const end = 32 + Math.max(length, wire.length);
        expect(room.subarray(0, 32)).toEqual(before.subarray(0, 32));
        expect(room.subarray(end)).toEqual(before.subarray(end));
      }),
      budget,
    );
    expect(found).toBeGreaterThan(20);
    expect(missed).toBeGreaterThan(20);
  });
});

describe('whatever a server sends', () => {
  it('is read or refused; what was read can be packed, kept and passed on', () => {
    let read = 0;
    fc.assert(
      fc.property(responses, (wire) => {
        const reading = readResponse(wire);
        if (!reading.ok) return;
        const facts = reading.value;
        if (facts.question === undefined || facts.question.name.length > 100) return;
        read++;
        const query = readGood(queryWire({ name: facts.question.name, type: facts.question.type, edns: {} }));
        const passed = forClient(query, facts);
        expect(readResponse(passed).ok).toBe(true);
        const packed = pack(facts, 60, 60);
        if (packed === undefined) return;
        const table = fastTable(65_536, 2);
        table.put(fastKey(query), packed, 0, 60_000);
        const room = Buffer.alloc(4096);
        query.wire.copy(room);
        if (!table.find(room, 0, query.wire.length, 0, 1000)) return;
        expect(readResponse(Buffer.from(room.subarray(0, table.answer(room, 0)))).ok).toBe(true);
      }),
      budget,
    );
    expect(read).toBeGreaterThan(20);
  });

  it('can be the end of an alias that another server began, whatever both say', () => {
    let joined = 0;
    fc.assert(
      fc.property(openChains, responses, fc.boolean(), (first, second, dnssecOk) => {
        const begun = readResponse(first);
        if (!begun.ok || begun.value.question === undefined) return;
        const { name, type } = begun.value.question;
        if (begun.value.question.class !== 1 || name.length > 100) return;
        const query = readGood(queryWire({ name, type, edns: { dnssecOk } }));
        const open = aliasLeftOpen(begun.value);
        if (open === undefined || isCircle(query, begun.value)) return;
        const target = queryFor(query, open.target);
        expect(target.name).toEqual(open.target);
        const whole = answerWithAlias(query, begun.value, open, target, second);
        const answer = readResponse(whole);
        if (!answer.ok) throw new Error(answer.reason);
        joined++;
        expect(answer.value.question?.name).toEqual(name);
        expect(cutToSize(query, whole).length).toBeLessThanOrEqual(1232);
        pack(answer.value, 60, 60);
      }),
      budget,
    );
    expect(joined).toBeGreaterThan(20);
  });

  it('is not kept when names at their full length made it longer than any message', () => {
    // A response of 64 KiB whose names are pointers comes out longer when it is put together with another one.
    const long = Buffer.concat([
      ...Array.from({ length: 3 }, () => Buffer.concat([Buffer.of(63), Buffer.alloc(63, 0x61)])),
      Buffer.from('046e616d6500', 'hex'),
    ]);
    const head = Buffer.from('000781800001000000000000', 'hex');
    const records = Array.from({ length: 3000 }, (_, i) =>
      Buffer.from(`c00c000100010000003c00040102${i.toString(16).padStart(4, '0')}`, 'hex'),
    );
    head.writeUInt16BE(records.length, 6);
    const rest = Buffer.concat([head, long, Buffer.of(0, 1, 0, 1), ...records]);
    const query = readGood(queryWire({ name: 'www.example', edns: {} }));
    const alias = responseTo(query, { rcode: 0, answers: [{ type: 5, ttl: 60, data: long }] });
    const begun = readResponse(alias);
    const open = begun.ok ? aliasLeftOpen(begun.value) : undefined;
    if (!begun.ok || open === undefined) throw new Error('wanted an alias that is left open');
    const whole = answerWithAlias(query, begun.value, open, queryFor(query, open.target), rest);
    const answer = readResponse(whole);
    expect(answer.ok && pack(answer.value, 60, 60)).toBeUndefined();
    expect(cutToSize({ ...query, transport: 'tcp' }, whole).length).toBeLessThanOrEqual(65_535);
  });

  it('is not kept when a name in it runs through a TTL, which will change', () => {
    // Found by the property above: the last owner's pointer leads into the TTL of the record before.
    const records = `c00c0001000100000009${'0004c0000201'}${'c02b'}0001000100000009${'0004c0000202'}`;
    const wire = Buffer.from(`00078180000100020000000004486f737400${'00010001'}${records}`, 'hex');
    const ttlAt = wire.indexOf(Buffer.from('00000009', 'hex'));
    wire[wire.indexOf(Buffer.from('c02b', 'hex')) + 1] = ttlAt + 3;
    const broken = readResponse(wire);
    expect(broken.ok).toBe(true);
    expect(broken.ok && pack(broken.value, 60, 60)).toBeUndefined();
    wire[wire.indexOf(Buffer.of(0xc0, ttlAt + 3)) + 1] = 12;
    const sound = readResponse(wire);
    expect(sound.ok && pack(sound.value, 60, 60)).toBeInstanceOf(Buffer);
  });

  it('takes bounded work, even 64 KiB of pointers to the longest name', () => {
    const label = Buffer.concat([Buffer.of(1), Buffer.from('a')]);
    const name = Buffer.concat([...Array.from({ length: 127 }, () => label), Buffer.of(0)]);
    const record = Buffer.from('c00c00050001000000010002c00c', 'hex');
    const count = Math.floor((65_535 - 12 - name.length - 4) / record.length);
    const head = Buffer.from('000781800001000000000000', 'hex');
    head.writeUInt16BE(count, 6);
    const wire = Buffer.concat([
      head,
      name,
      Buffer.of(0, 1, 0, 1),
      ...Array.from({ length: count }, () => record),
    ]);
    expect(readResponse(wire)).toEqual({ ok: false, reason: 'malformed records' });
    head.writeUInt16BE(4096, 6);
    const most = Buffer.concat([
      head,
      name,
      Buffer.of(0, 1, 0, 1),
      ...Array.from({ length: 4096 }, () => record),
    ]);
    const reading = readResponse(most);
    // Each is an alias of the question for itself: a circle that ends after one step.
    expect(reading.ok && reading.value.aliases.length).toBe(1);
  });
});

function mutate(wire: Buffer, [place, value, how]: [number, number, string]): Buffer {
  const at = wire.length === 0 ? 0 : place % wire.length;
  if (how === 'cut') return wire.subarray(0, at);
  if (how === 'insert') return Buffer.concat([wire.subarray(0, at), Buffer.of(value), wire.subarray(at)]);
  const copy = Buffer.from(wire);
  if (how === 'set') copy[at] = value;
  if (how === 'flip') copy[at] = (copy[at] ?? 0) ^ (1 << (value % 8));
  if (how === 'pointer') copy.set([0xc0, value].slice(0, copy.length - at), at);
  return copy;
}

/** Answers for every good query, as they would come out of the main cache. */
function fill(table: ReturnType<typeof fastTable>) {
  const kept = new Map<string, Extract<ReturnType<typeof readResponse>, { ok: true }>['value']>();
  for (const wire of GOOD_QUERIES)
    for (const service of ['full', 'proxy'] as const) {
      const reading = readQuery(wire, 'udp', service);
      if (!reading.ok) throw new Error(reading.reason);
      const query: Query = { ...reading.value, authenticData: true };
      const answers = Array.from({ length: 40 }, () => ({ type: 1, ttl: 60, data: Buffer.of(192, 0, 2, 1) }));
      const own = responseTo(
        { ...query, edns: { version: 0, udpSize: 1232, options: [] } },
        {
          rcode: 0,
          answers,
          authenticData: true,
          ede: { code: 4 },
        },
      );
      const facts = readResponse(own);
      const packed = facts.ok ? pack(facts.value, 60, 60) : undefined;
      if (!facts.ok || packed === undefined) throw new Error('an answer that cannot be packed');
      table.put(fastKey(query), packed, 5000, 65_000);
      kept.set(fastKey(query).toString('hex'), facts.value);
    }
  return kept;
}

function readGood(wire: Buffer | undefined): Query {
  const reading = readQuery(wire ?? Buffer.alloc(0), 'udp', 'full');
  if (!reading.ok) throw new Error(reading.reason);
  return reading.value;
}
