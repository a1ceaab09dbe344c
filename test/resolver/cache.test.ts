import { decode } from 'dns-packet';
import { describe, expect, it } from 'vitest';
import type { CacheReport } from '../../src/core/cache-report.ts';
import type { Domain } from '../../src/core/domain.ts';
import { type CacheOptions, makeCache } from '../../src/resolver/cache.ts';
import { responseTo } from '../../src/resolver/message.ts';
import { readResponse } from '../../src/resolver/message-read.ts';
import type { Answer, Query } from '../../src/resolver/query.ts';
import { encodeName, RCODE, TYPE } from '../../src/resolver/wire.ts';
import { addresses, fakeServers } from '../support/fake-servers.ts';
import { manualClock } from '../support/manual-clock.ts';
import { optionWire, type QueryWish, queryOf } from '../support/query-wire.ts';

const nobody = new AbortController().signal;

function underTest(options: Partial<CacheOptions> = {}) {
  const clock = manualClock();
  const servers = fakeServers();
  const repeated: Query[] = [];
  const cache = makeCache({
    clock,
    routeKeyOf: () => 'home',
    onRepeated: (query) => void repeated.push(query),
    ...options,
  });
  const stage = cache.stage(servers.ask);
  const ask = (wish: QueryWish = {}, transport: Query['transport'] = 'udp'): Promise<Answer> =>
    stage(queryOf(wish, transport), nobody);
  return { clock, servers, cache, ask, repeated };
}

const names = ({ entries }: CacheReport): readonly string[] => entries.map(({ name }) => name).toSorted();

const ttlOf = ({ wire }: Answer): number | undefined => decode(wire).answers?.[0]?.ttl;

const soa = (minimum: number): Buffer => {
  const data = Buffer.alloc(22);
  data.writeUInt32BE(minimum, 18);
  return data;
};

/** A negative answer whose SOA has this TTL and minimum. */
const negative =
  (rcode: number, ttl: number, minimum: number) =>
  (query: Query): Buffer =>
    responseTo(query, {
      rcode,
      authority: [{ name: encodeName('org' as Domain), type: TYPE.SOA, ttl, data: soa(minimum) }],
    });

const failing =
  (rcode: number) =>
  (query: Query): Buffer =>
    responseTo(query, { rcode, ede: { code: 22, text: 'none answered' } });

describe('the cache', () => {
  it('answers a second client itself: its id, its spelling, the TTL counted down', async () => {
    const { servers, ask, clock, cache } = underTest();
    servers.answerAlways(addresses(60, 1));
    expect(await ask()).toMatchObject({ origin: { kind: 'upstream' } });
    clock.advance(20_500);
    const answer = await ask({ id: 99, name: 'WWW.EXAMPLE.org' });
    expect(answer.origin).toEqual({ kind: 'cache', route: 'home', stale: false });
    expect(decode(answer.wire)).toMatchObject({
      id: 99,
      questions: [{ name: 'WWW.EXAMPLE.org' }],
      answers: [{ ttl: 40, data: '192.0.2.1' }],
    });
    expect(servers.asked).toHaveLength(1);
    expect(cache.statistics()).toMatchObject({ hits: 1, misses: 1, entries: 1 });
  });

  it.each([
    ['yes', [1, 1, 1]],
    ['no-negative', [1, 2, 2]],
    ['no', [2, 2, 2]],
  ] as const)(
    'with resolver.cache = "%s" asks so often for data, for no data, and after a failure',
    async (mode, wanted) => {
      const counts: number[] = [];
      for (const answer of [addresses(60, 1), negative(RCODE.NXDOMAIN, 60, 60), failing(RCODE.SERVFAIL)]) {
        const { servers, ask } = underTest({ policy: () => ({ cache: mode }) });
        servers.answerAlways(answer);
        await ask();
        await ask();
        counts.push(servers.asked.length);
      }
      expect(counts).toEqual(wanted);
    },
  );

  it('keeps what has expired for as long as resolver.stale says', async () => {
    const { servers, ask, clock } = underTest({ policy: () => ({ staleMs: 5000 }) });
    servers.answerAlways(addresses(60, 1));
    await ask();
    servers.answerAlways(failing(RCODE.SERVFAIL));
    clock.advance(64_000);
    expect(await ask()).toMatchObject({ origin: { kind: 'cache', stale: true } });
    clock.advance(2000);
    expect(await ask()).toMatchObject({ origin: { kind: 'upstream' } });
  });

  it('asks anew when the time is over', async () => {
    const { servers, ask, clock } = underTest({ limits: { stale: 0 } });
    servers.answerAlways(addresses(60, 1));
    await ask();
    clock.advance(60_000);
    expect(await ask()).toMatchObject({ origin: { kind: 'upstream' } });
  });

  it.each<[string, QueryWish]>([
    ['another type', { type: TYPE.AAAA }],
    ['DNSSEC records wanted', { edns: { dnssecOk: true } }],
    ['checking disabled', { flags: 0x0110 }],
    ['an option that goes on to the server', { edns: { options: optionWire(8, '\0\x01\0\0') } }],
  ])('does not mistake for the same question: %s', async (_, wish) => {
    const { servers, ask } = underTest();
    servers.answerAlways(addresses(60, 1));
    await ask();
    await ask(wish);
    expect(servers.asked).toHaveLength(2);
  });

  it('asks so that the answer serves all clients, and passes on only what each may have', async () => {
    const { servers, ask } = underTest();
    servers.answerAlways((query) =>
      responseTo(query, {
        rcode: 0,
        authenticData: true,
        ede: { code: 4 },
        answers: [],
        authority: [{ name: Buffer.of(0), type: TYPE.SOA, ttl: 60, data: soa(60) }],
      }),
    );
    await ask();
    expect(servers.asked[0]).toMatchObject({ authenticData: true, edns: { options: [] } });
    const plain = readResponse((await ask()).wire);
    const full = readResponse((await ask({ flags: 0x0120, edns: {} })).wire);
    expect(plain).toMatchObject({ value: { authenticData: false, edns: undefined } });
    expect(full).toMatchObject({ value: { authenticData: true, extendedErrors: [{ code: 4 }] } });
  });

  it('never gives to one network what another said', async () => {
    let route = 'office';
    const { servers, ask, cache } = underTest({ routeKeyOf: () => route });
    servers.answerAlways(addresses(60, 1));
    await ask();
    route = 'home';
    expect(await ask()).toMatchObject({ origin: { kind: 'upstream' } });
    expect(cache.dropRoute('office')).toBe(1);
    expect(await ask()).toMatchObject({ origin: { kind: 'cache', route: 'home' } });
  });

  it('drops with a route the answers whose last alias came by it', async () => {
    const { servers, ask, cache } = underTest();
    servers.answerAlways(addresses(60, 1), { kind: 'upstream', route: 'vpn', server: '10.0.0.1', tookMs: 1 });
    await ask();
    expect(cache.dropRoute('vpn')).toBe(1);
  });

  it('does not take in after a flush what was asked for before it', async () => {
    const { servers, ask, cache } = underTest();
    const early = ask();
    cache.dropRoute('home');
    await servers.answer(addresses(60, 1));
    expect(ttlOf(await early)).toBe(60);
    expect(cache.statistics().entries).toBe(0);
  });

  it('flushes one name and those below it', async () => {
    const { servers, ask, cache } = underTest();
    servers.answerAlways(addresses(60, 1));
    for (const name of ['a.example', 'www.a.example', 'b.example', 'xa.example']) await ask({ name });
    expect(names(cache.cacheReport('a.example' as Domain))).toEqual(['a.example', 'www.a.example']);
    expect(cache.flush('a.example' as Domain)).toBe(2);
    expect(names(cache.cacheReport())).toEqual(['b.example', 'xa.example']);
    expect(cache.flush()).toBe(2);
  });

  it('lists what it holds, those asked for most first, and no more than is wanted', async () => {
    const { servers, ask, cache, clock } = underTest();
    servers.answerAlways(addresses(60, 1, 2));
    for (const name of ['a.example', 'b.example', 'b.example', 'c.example']) await ask({ name });
    clock.advance(10_000);
    expect(cache.cacheReport(undefined, 2)).toMatchObject({
      matching: 3,
      statistics: { entries: 3, hits: 1, misses: 3, staleServed: 0, prefetched: 0, evictions: 0 },
      entries: [
        {
          name: 'b.example',
          type: 'A',
          rcode: 'NOERROR',
          records: ['b.example 50 A 192.0.2.1', 'b.example 50 A 192.0.2.2'],
          recordCount: 2,
          secondsLeft: 50,
          route: 'home',
          hits: 1,
        },
        { name: 'c.example', hits: 0 },
      ],
    });
    clock.advance(55_000);
    expect(cache.cacheReport('c.example' as Domain).entries).toMatchObject([{ secondsLeft: -5 }]);
  });

  it.each<[string, (query: Query) => Buffer, Answer['origin'] | undefined, number]>([
    ['a positive answer with a long TTL for a day', addresses(1_000_000, 1), undefined, 86_400],
    ['TTL 0 not at all', addresses(0, 1), undefined, 0],
    ['no such name as the SOA says', negative(RCODE.NXDOMAIN, 300, 30), undefined, 30],
    ['no such record as the SOA says', negative(0, 20, 300), undefined, 20],
    ['a negative answer within its cap', negative(RCODE.NXDOMAIN, 86_400, 86_400), undefined, 900],
    ['a negative answer without SOA not at all', failing(RCODE.NXDOMAIN), undefined, 0],
    ['a server failure briefly', failing(RCODE.SERVFAIL), undefined, 5],
    ['a failure of our own for a moment', failing(RCODE.SERVFAIL), { kind: 'failure', route: 'home' }, 1],
    ['a refusal briefly, so that no server is asked again at once', failing(RCODE.REFUSED), undefined, 5],
    ['a refusal of our own not at all', failing(RCODE.REFUSED), { kind: 'failure', route: undefined }, 0],
  ])('keeps %s', async (_, wire, origin, seconds) => {
    const { servers, ask, clock } = underTest({ limits: { stale: 0 } });
    servers.answerAlways(wire, origin);
    await ask();
    clock.advance(Math.max(0, seconds * 1000 - 1));
    expect((await ask()).origin.kind).toBe(seconds > 0 ? 'cache' : (origin?.kind ?? 'upstream'));
    clock.advance(1);
    expect((await ask()).origin.kind).not.toBe('cache');
  });

  it('does not tell negative answers longer TTLs than it keeps them', async () => {
    const { servers, ask } = underTest();
    servers.answerAlways(negative(RCODE.NXDOMAIN, 3000, 30));
    // The first client is told what all after it are told: what it keeps itself must not outlive our cap either.
    for (let i = 0; i < 2; i++) expect(decode((await ask()).wire).authorities?.[0]?.ttl).toBe(30);
  });

  it('tells the first client no longer TTL than those after it', async () => {
    const { servers, ask } = underTest();
    servers.answerAlways(addresses(1_000_000, 1));
    expect([ttlOf(await ask()), ttlOf(await ask())]).toEqual([86_400, 86_400]);
  });

  it('tells the server name to those who ask, from the cache too, and to nobody else', async () => {
    const { servers, ask } = underTest({ nsid: Buffer.from('here') });
    servers.answerAlways(addresses(60, 1));
    for (let i = 0; i < 2; i++) {
      const asking = readResponse((await ask({ edns: { options: optionWire(3, '') } })).wire);
      expect(asking).toMatchObject({
        value: { edns: { options: [{ code: 3, data: Buffer.from('here') }] } },
      });
      expect(readResponse((await ask({ edns: {} })).wire)).toMatchObject({
        value: { edns: { options: [] } },
      });
    }
    expect(servers.asked).toHaveLength(1);
  });

  it('keeps its bounds', async () => {
    const { servers, ask, cache } = underTest({ bounds: { entries: 10, bytes: 1_000_000 } });
    servers.answerAlways(addresses(60, 1));
    for (let i = 0; i < 30; i++) await ask({ name: `host${i}.example` });
    expect(cache.statistics()).toMatchObject({ entries: 10, evictions: 20 });
  });

  it('keeps the better half when memory is short, and no more than that for ten minutes', async () => {
    const { servers, ask, cache, clock } = underTest();
    servers.answerAlways(addresses(86_400, 1));
    const fill = async (label: string): Promise<void> => {
      for (let i = 0; i < 3000; i++) await ask({ name: `${label}${i}.example` });
    };
    await fill('a');
    for (let i = 0; i < 100; i++) await ask({ name: `a${i}.example` });
    cache.relieve();
    expect(cache.statistics()).toMatchObject({ entries: 1500, shrunkByPressure: 1 });
    expect((await ask({ name: 'a7.example' })).origin.kind).toBe('cache');
    await fill('b');
    expect(cache.statistics().entries).toBe(1500);
    clock.advance(600_000);
    await fill('c');
    expect(cache.statistics().entries).toBe(4500);
  });

  it('tells the fast path what was asked for again', async () => {
    const { servers, ask, repeated } = underTest();
    servers.answerAlways(addresses(60, 1));
    await ask();
    expect(repeated).toHaveLength(0);
    await ask();
    expect(repeated).toHaveLength(1);
  });
});

describe('prefetching', () => {
  it('asks anew once for a popular name in the last tenth of its life, behind the client’s back', async () => {
    const { servers, ask, clock, cache, repeated } = underTest();
    const first = ask();
    await servers.answer(addresses(100, 1));
    await first;
    for (const at of [1000, 1000, 88_500]) {
      clock.advance(at);
      await ask();
    }
    expect(servers.asked).toHaveLength(2);
    await ask();
    expect(servers.asked).toHaveLength(2);
    const before = repeated.length;
    await servers.answer(addresses(100, 2));
    // The fast path hears of it by the next client, whom the hosts file or another route may answer by then.
    expect(repeated).toHaveLength(before);
    expect(ttlOf(await ask())).toBe(100);
    expect(repeated).toHaveLength(before + 1);
    expect(cache.statistics().prefetched).toBe(1);
  });

  it('does so when the fast path says that a name is popular', async () => {
    const { servers, ask, clock, cache } = underTest();
    const first = ask();
    await servers.answer(addresses(100, 1));
    await first;
    clock.advance(95_000);
    cache.refresh(queryOf());
    cache.refresh(queryOf());
    await servers.answer(addresses(100, 2));
    expect(ttlOf(await ask())).toBe(100);
  });

  it('spares servers that failed to renew it', async () => {
    const { servers, ask, clock } = underTest();
    const first = ask();
    await servers.answer(addresses(1000, 1));
    await first;
    clock.advance(950_000);
    for (let i = 0; i < 3; i++) await ask();
    expect(servers.asked).toHaveLength(2);
    await servers.answer(failing(RCODE.SERVFAIL));
    for (let i = 0; i < 3; i++) expect((await ask()).origin).toMatchObject({ kind: 'cache', stale: false });
    expect(servers.asked).toHaveLength(2);
    clock.advance(31_000);
    await ask();
    expect(servers.asked).toHaveLength(3);
  });
});

describe('old data', () => {
  const expired = async (wire = addresses(60, 1)) => {
    let route = 'home';
    const go = (other: string): void => {
      route = other;
    };
    const all = { ...underTest({ routeKeyOf: () => route }), go };
    const first = all.ask();
    await all.servers.answer(wire);
    await first;
    all.clock.advance(61_000);
    return all;
  };

  it('is given with a short TTL and said to be old when the servers fail, which are then spared a while', async () => {
    const { servers, ask, clock, cache } = await expired();
    const answer = ask({ edns: {} });
    await servers.answer(failing(RCODE.SERVFAIL), { kind: 'failure', route: 'home' });
    const facts = readResponse((await answer).wire);
    expect(facts).toMatchObject({ value: { rcode: 0, extendedErrors: [{ code: 3 }] } });
    expect(ttlOf(await answer)).toBe(30);
    expect((await answer).origin).toMatchObject({ kind: 'cache', stale: true });
    clock.advance(29_000);
    expect((await ask()).origin).toMatchObject({ stale: true });
    expect(servers.asked).toHaveLength(2);
    clock.advance(2_000);
    const again = ask();
    await servers.answer(addresses(60, 2));
    expect((await again).origin.kind).toBe('upstream');
    expect(cache.statistics()).toMatchObject({ staleServed: 2 });
  });

  it('is given when the servers take long, whose answer is kept all the same', async () => {
    const { servers, ask, clock } = await expired();
    const answer = ask();
    await Promise.resolve();
    clock.advance(1800);
    expect((await answer).origin).toMatchObject({ stale: true });
    await servers.answer(addresses(60, 2));
    expect((await ask()).origin).toMatchObject({ kind: 'cache', stale: false });
  });

  it('is given for a name that did not exist, said to be that, but not for long', async () => {
    const { servers, ask, clock } = await expired(negative(RCODE.NXDOMAIN, 60, 60));
    const answer = ask({ edns: {} });
    await servers.answer(failing(RCODE.SERVFAIL), { kind: 'failure', route: 'home' });
    expect(readResponse((await answer).wire)).toMatchObject({
      value: { rcode: RCODE.NXDOMAIN, extendedErrors: [{ code: 19 }] },
    });
    clock.advance(900_000);
    const later = ask();
    await servers.answer(failing(RCODE.SERVFAIL), { kind: 'failure', route: 'home' });
    expect((await later).origin.kind).toBe('failure');
  });

  // A profile switch while the servers are slow: what the client got was the word of the network it had left.
  it.each<[string, (all: Awaited<ReturnType<typeof expired>>) => void]>([
    ['its route is dropped', ({ cache }) => void cache.dropRoute('home')],
    ['the name goes another way', ({ go }) => go('office')],
  ])('is not given when %s while it is asked for', async (_, change) => {
    const all = await expired();
    const answer = all.ask();
    await Promise.resolve();
    change(all);
    all.clock.advance(1800);
    await all.servers.answer(addresses(60, 2));
    expect((await answer).origin.kind).toBe('upstream');
  });

  it('is not given after a day', async () => {
    const { servers, ask, clock } = await expired();
    clock.advance(86_400_000);
    const answer = ask();
    await servers.answer(failing(RCODE.SERVFAIL), { kind: 'failure', route: 'home' });
    expect((await answer).origin.kind).toBe('failure');
  });
});
