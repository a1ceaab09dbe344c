/** The fast path against what it must not do, whatever is put in and asked. DNSKEEPER_FUZZ_MS makes it look longer. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { parseAddress } from '../../src/core/address.ts';
import { EDE } from '../../src/resolver/ede.ts';
import { type FastSocket, type Miss, startFastPath } from '../../src/resolver/fast-path.ts';
import { fastKey, pack, VARIANT } from '../../src/resolver/fast-path-answer.ts';
import { fastTable } from '../../src/resolver/fast-path-table.ts';
import { fit as cutToSize, forClient, responseTo } from '../../src/resolver/message.ts';
import { type ResponseFacts, readQuery, readResponse } from '../../src/resolver/message-read.ts';
import type { Query } from '../../src/resolver/query.ts';
import { TYPE } from '../../src/resolver/wire.ts';
import { systemClock } from '../../src/system/clock.ts';
import { loadLibc } from '../../src/system/libc.ts';
import { freePort } from '../support/free-port.ts';
import { optionWire, queryWire } from '../support/query-wire.ts';
import { recordingLog } from '../support/recording-log.ts';
import { until } from '../support/until.ts';

const BUDGET_MS = Number(process.env['DNSKEEPER_FUZZ_MS'] ?? 1500);
const budget = { interruptAfterTimeLimit: BUDGET_MS, numRuns: 100_000_000 };

describe('a table under any order of puts, questions and time', () => {
  const NAMES = ['a.example', 'b.example', 'longer.name.example', 'x'];
  const VARIANTS = [0, 0, VARIANT.dnssecOk, VARIANT.checkingDisabled, VARIANT.proxy];
  /** Whole seconds often, because what expires does so at one. */
  const TIMES = fc.oneof(
    fc.nat(20_000),
    fc.nat(12).map((seconds) => seconds * 1000),
  );
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('find'),
        name: fc.nat(3),
        variant: fc.constantFrom(...VARIANTS),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant('put'),
        name: fc.nat(3),
        variant: fc.constantFrom(...VARIANTS),
        bytes: fc.nat(1500),
        seconds: fc.integer({ min: 1, max: 30 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait'), ms: TIMES }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('set back'), ms: TIMES }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear') }) },
  );

  it('finds the newest answer to the question itself, unexpired, or none', () => {
    const counts = { found: 0, missed: 0 };
    fc.assert(
      fc.property(fc.array(step, { minLength: 40, maxLength: 120 }), fc.integer(), (steps, seed) => {
        const table = fastTable(8192, seed);
        const model = new Map<
          string,
          { readonly data: Buffer; readonly from: number; readonly to: number }
        >();
        let now = 1_000_000;
        let serial = 0;
        for (const one of steps) {
          if (one.kind === 'clear') {
            table.clear();
            model.clear();
            expect(table.count).toBe(0);
          } else if (one.kind === 'wait') now += one.ms;
          else if (one.kind === 'set back') now -= one.ms;
          else if (one.kind === 'put') {
            const query = asked(one.name, one.variant);
            const data = Buffer.alloc(4 + one.bytes, 0x2e);
            data.writeUInt32BE(++serial, 0);
            table.put(fastKey(query), packedText(query, data, one.seconds), now, now + one.seconds * 1000);
            model.set(`${one.name} ${one.variant}`, { data, from: now, to: now + one.seconds * 1000 });
          } else {
            const { wire } = asked(one.name, one.variant);
            const room = Buffer.alloc(4096);
            wire.copy(room);
            const variant = (one.variant & VARIANT.proxy) !== 0 ? VARIANT.proxy : 0;
            if (!table.find(room, 0, wire.length, variant, now)) {
              counts.missed++;
              continue;
            }
            counts.found++;
            const known = model.get(`${one.name} ${one.variant}`);
            if (known === undefined) throw new Error('an answer that nobody put there');
            expect(now).toBeGreaterThanOrEqual(known.from);
            expect(now).toBeLessThan(known.to);
            const answer = readResponse(Buffer.from(room.subarray(0, table.answer(room, 0))));
            if (!answer.ok) throw new Error(answer.reason);
            const [record] = answer.value.records;
            expect(answer.value.wire.subarray(record?.dataStart, record?.dataEnd)).toEqual(known.data);
            expect(record?.ttl).toBe(
              Math.floor((known.to - known.from) / 1000) - Math.floor((now - known.from) / 1000),
            );
          }
        }
        expect(table.count).toBeLessThanOrEqual(model.size);
      }),
      budget,
    );
    expect(counts.found).toBeGreaterThan(20);
    expect(counts.missed).toBeGreaterThan(20);
  });

  function asked(name: number, variant: number): Query {
    const wire = queryWire({
      name: NAMES[name] ?? '',
      type: 16,
      flags: (variant & VARIANT.checkingDisabled) === 0 ? 0x0100 : 0x0110,
      edns: { size: 4096, dnssecOk: (variant & VARIANT.dnssecOk) !== 0 },
    });
    const reading = readQuery(wire, 'udp', (variant & VARIANT.proxy) === 0 ? 'full' : 'proxy');
    if (!reading.ok) throw new Error(reading.reason);
    return reading.value;
  }

  function packedText(query: Query, data: Buffer, seconds: number): Buffer {
    const facts = readResponse(responseTo(query, { rcode: 0, answers: [{ type: 16, ttl: seconds, data }] }));
    const packed = facts.ok ? pack(facts.value, seconds, seconds) : undefined;
    if (packed === undefined) throw new Error('an answer that cannot be packed');
    return packed;
  }
});

describe('too many at once', () => {
  it('are told of a failure that is a plain message of their own and nothing else', () => {
    let refused = 0;
    fc.assert(
      fc.property(packets(), (wire) => {
        const table = fastTable(65_536, 1);
        const room = Buffer.alloc(4096 + 64, MARKERS[0]);
        wire.copy(room, 32);
        if (table.find(room, 32, wire.length, 0, 0)) throw new Error('an answer out of an empty table');
        const length = table.refuse(room, 32);
        if (length === 0) return;
        refused++;
        const answer = readResponse(Buffer.from(room.subarray(32, 32 + length)));
        if (!answer.ok) throw new Error(answer.reason);
        const { id, rcode, records, question, edns, extendedErrors } = answer.value;
        expect({ id, rcode }).toEqual({ id: wire.readUInt16BE(0), rcode: 2 });
        const questionEnd = question?.end ?? 0;
        expect(room.subarray(12 + 32, 32 + questionEnd)).toEqual(wire.subarray(12, questionEnd));
        // EDNS is answered with EDNS (RFC 6891 section 6.1.1), and every failure of ours has an extended error.
        const asked = readQuery(wire, 'udp', 'full');
        if (!asked.ok) return expect(length).toBe(questionEnd);
        expect(edns?.dnssecOk ?? false).toBe(asked.value.dnssecOk);
        expect(records.map(({ type }) => type)).toEqual(asked.value.edns === undefined ? [] : [TYPE.OPT]);
        expect(extendedErrors).toEqual(
          asked.value.edns === undefined ? [] : [{ code: EDE.notReady, text: '' }],
        );
      }),
      budget,
    );
    expect(refused).toBeGreaterThan(20);
  });
});

describe('a fast path that many clients send anything at once', () => {
  const closing: (() => Promise<void> | void)[] = [];
  afterAll(async () => {
    for (const close of closing.reverse()) await close();
  });

  it(
    'answers each as the slow path does, to the byte, with nothing of the others, and stays',
    async () => {
      const { path, port, misses } = await startPath();
      const clients = await Promise.all(MARKERS.map((marker) => openClient(port, marker)));
      const replies = { expected: 0, silent: 0 };
      // What each client sends in one round, so that the packets of all stand beside each other in the worker.
      const rounds = fc.array(fc.tuple(fc.nat(MARKERS.length - 1), packets()), {
        minLength: 16,
        maxLength: 64,
      });
      await fc.assert(
        fc.asyncProperty(rounds, async (round) => {
          for (const client of clients) client.start();
          for (const [index, [who, packet]] of round.entries()) {
            const wire = withId(packet, index);
            const expected = slowAnswer(wire);
            if (expected === undefined) replies.silent++;
            else replies.expected++;
            clients[who]?.send(wire, expected);
          }
          await Promise.all(clients.map((client) => client.finish()));
        }),
        budget,
      );
      const { hits, restarts } = path.statistics();
      expect(restarts).toBe(0);
      expect(hits).toBeGreaterThan(20);
      expect(misses.count).toBeGreaterThan(20);
      expect(replies.silent).toBeGreaterThan(0);
      for (const client of clients) expect(client.unasked).toEqual([]);
    },
    BUDGET_MS + 20_000,
  );

  async function startPath() {
    const libc = loadLibc();
    const address = parseAddress('127.0.0.1');
    if (libc === undefined || !address.ok) throw new Error('this test needs koffi');
    const port = await freePort();
    const misses = { count: 0 };
    const path = startFastPath({
      libc,
      clock: systemClock,
      log: recordingLog(),
      onMiss({ packet, reply }: Miss) {
        misses.count++;
        const answer = slowAnswer(packet);
        if (answer !== undefined) reply(answer);
      },
      onRefresh: () => {},
    });
    const fd = libc.datagrams.bindUdp(address.value, port);
    const socket: FastSocket = { fds: [fd], service: 'full' };
    path.add(socket);
    closing.push(async () => {
      await path.remove(socket);
      closeSync(fd);
      await path.close();
    });
    for (const { query, facts } of KNOWN.values()) {
      const packed = pack(facts, 1000, 0);
      if (packed === undefined) throw new Error('an answer that cannot be packed');
      path.put(query, packed, Date.now(), Date.now() + 1e9);
    }
    await until(() => path.statistics().entries === KNOWN.size, 'all answers are known');
    return { path, port, misses };
  }

  async function openClient(port: number, marker: string) {
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    closing.push(() => new Promise<void>((resolve) => void socket.close(() => resolve())));
    const foreign = MARKERS.filter((other) => other !== marker);
    const waiting = new Map<number, { readonly wire: Buffer; readonly expected: Buffer }>();
    const unasked: string[] = [];
    let wrong: unknown;
    socket.on('message', (answer) => {
      const due = waiting.get(answer.readUInt16BE(0));
      if (due === undefined) {
        unasked.push(answer.toString('hex'));
        return;
      }
      waiting.delete(answer.readUInt16BE(0));
      try {
        const bytes = answer.toString('latin1');
        expect(foreign.filter((other) => bytes.includes(other))).toEqual([]);
        expect(answer.toString('hex')).toBe(due.expected.toString('hex'));
      } catch (error) {
        wrong ??= error;
      }
    });
    return {
      unasked,
      start(): void {
        waiting.clear();
        wrong = undefined;
      },
      send(packet: Buffer, expected: Buffer | undefined): void {
        const wire = Buffer.from(packet.toString('latin1').replaceAll(MARKERS[0] ?? '', marker), 'latin1');
        const own = expected === undefined ? undefined : slowAnswer(wire);
        if (own !== undefined) waiting.set(wire.readUInt16BE(0), { wire, expected: own });
        socket.send(wire, port, '127.0.0.1');
      },
      async finish(): Promise<void> {
        await until(
          () => waiting.size === 0 || wrong !== undefined,
          'every packet is answered that should be',
        );
        if (wrong !== undefined) throw wrong;
      },
    };
  }
});

/**
 * What each client's packets are marked with, all of one length; the first stands for whoever sends. A few changed bytes
 * make none of them into another.
 */
const MARKERS = ['QQQQQQQQQ', 'WWWWWWWWW', 'XXXXXXXXX', 'ZZZZZZZZZ'];

/** Questions whose answers the fast path is given; their TTLs are zero, so that no second makes a difference. */
const KNOWN = known();

function known(): ReadonlyMap<string, { readonly query: Query; readonly facts: ResponseFacts }> {
  const found = new Map<string, { readonly query: Query; readonly facts: ResponseFacts }>();
  for (const [name, count] of [
    ['one.example', 1],
    ['thirty.example', 30],
    ['hundred.example', 100],
  ] as const)
    for (const flags of [0x0100, 0x0110])
      for (const dnssecOk of [false, true]) {
        const query = read(queryWire({ name, flags: flags | 0x20, edns: { dnssecOk } }));
        const answers = Array.from({ length: count }, (_, i) => ({
          type: 1,
          ttl: 0,
          data: Buffer.of(192, 0, 2, i),
        }));
        const ede = { code: 4, text: name };
        const facts = readResponse(responseTo(query, { rcode: 0, answers, authenticData: true, ede }));
        if (!facts.ok) throw new Error(facts.reason);
        found.set(fastKey(query).toString('hex'), { query, facts: facts.value });
      }
  return found;
}

/** What the slow path says to a packet; undefined for silence. */
function slowAnswer(packet: Buffer): Buffer | undefined {
  const reading = readQuery(Buffer.from(packet), 'udp', 'full');
  if (!reading.ok) return reading.response;
  const query = reading.value;
  const facts = KNOWN.get(fastKey(query).toString('hex'))?.facts;
  const whole =
    facts === undefined || !query.recursionDesired
      ? responseTo(query, { rcode: 2 })
      : forClient(query, facts);
  return cutToSize(query, whole);
}

/** Queries that are good, nearly good and nothing at all, with a client's mark wherever bytes of its choice may stand. */
function packets(): fc.Arbitrary<Buffer> {
  const mark = MARKERS[0] ?? '';
  const good = fc
    .record({
      name: fc.constantFrom('one.example', 'ThirtY.example', 'hundred.EXAMPLE', 'unknown.example', mark),
      type: fc.constantFrom(1, 1, 1, 28, 255),
      flags: fc.constantFrom(0x0100, 0x0110, 0x0120, 0x0130, 0x0140, 0x0000, 0x0300),
      edns: fc.option(
        fc.record({
          size: fc.constantFrom(0, 512, 600, 1232, 4096, 65_535),
          dnssecOk: fc.boolean(),
          options: fc.constantFrom(
            Buffer.alloc(0),
            optionWire(10, mark),
            optionWire(12, mark),
            Buffer.concat([optionWire(10, mark), optionWire(11, ''), optionWire(12, mark)]),
            optionWire(65_001, mark),
          ),
        }),
        { nil: undefined },
      ),
    })
    .map(({ name, edns, ...rest }) =>
      queryWire({ ...rest, name: Buffer.concat([nameOf(name), Buffer.of(0)]), ...(edns && { edns }) }),
    );
  const change = fc.tuple(
    fc.nat(400),
    fc.nat(255),
    fc.constantFrom('set', 'insert', 'cut', 'mark', 'option'),
  );
  const changed = fc.tuple(good, fc.array(change, { minLength: 1, maxLength: 3 })).map(([wire, changes]) =>
    changes.reduce((bytes: Buffer, [place, value, how]) => {
      const at = bytes.length === 0 ? 0 : place % bytes.length;
      const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
      if (how === 'cut') return Buffer.from(before);
      if (how === 'insert') return Buffer.concat([before, Buffer.of(value), after]);
      // Looks like one more option of an OPT record that has ended.
      if (how === 'option') return Buffer.concat([bytes, optionWire(12, mark)]);
      if (how === 'mark') return Buffer.concat([bytes, Buffer.from(mark)]);
      return Buffer.concat([before, Buffer.of(value), after.subarray(1)]);
    }, wire),
  );
  const noise = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
  return fc.oneof(
    { weight: 4, arbitrary: good },
    { weight: 4, arbitrary: changed },
    { weight: 1, arbitrary: noise },
  );
}

const nameOf = (text: string): Buffer =>
  Buffer.concat(text.split('.').map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)])));

function withId(packet: Buffer, id: number): Buffer {
  const wire = Buffer.from(packet);
  if (wire.length >= 2) wire.writeUInt16BE(id, 0);
  return wire;
}

function read(wire: Buffer): Query {
  const reading = readQuery(wire, 'udp', 'full');
  if (!reading.ok) throw new Error(reading.reason);
  return reading.value;
}
