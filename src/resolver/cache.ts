import type { CacheEntryReport, CacheReport, CacheStatistics } from '../core/cache-report.ts';
import { type Domain, isWithin, parseDomain } from '../core/domain.ts';
import { DnskeeperError } from '../core/errors.ts';
import type { Clock } from '../system/clock.ts';
import { cacheKey, nameInKey, sharedForm } from './cache-key.ts';
import { entryReport } from './cache-report.ts';
import { type CacheBounds, cacheStore } from './cache-store.ts';
import {
  answerBytes,
  answerInPlace,
  glanceOf,
  type PackedAnswer,
  pack,
  withOption,
  withTtl,
} from './fast-path-answer.ts';
import { forClient } from './message.ts';
import { type ResponseFacts, readResponse } from './message-read.ts';
import type { Answer, Answerer, Query, Stage } from './query.ts';
import { type EdnsOption, OPTION, RCODE, readName } from './wire.ts';

/** Remembers answers for as long as their owners allow, each under the route that it came by. */
export interface Cache {
  readonly stage: Stage;
  /** Forget everything, or one name and what is below it; how many answers. */
  flush(name?: Domain): number;
  /** Forget what came by one route. */
  dropRoute(route: string): number;
  /** Ask anew for an answer that is popular and about to expire, as the fast path finds. */
  refresh(query: Query): void;
  /** Keep only this part (0 to 1): memory is short. */
  shrink(factor: number): void;
  statistics(): CacheStatistics;
  /** What is remembered now of all names, or of one name and what is below it; at most so many answers. */
  cacheReport(name?: Domain, most?: number): CacheReport;
}

/** What a cache is made with. */
export interface CacheOptions {
  readonly clock: Clock;
  /** The route that a query goes by now; answers of another route are not seen. */
  readonly routeKeyOf: (query: Query) => string;
  readonly bounds?: CacheBounds;
  readonly limits?: Partial<CacheLimits>;
  /** Our name as a server (RFC 5001). */
  readonly nsid?: Buffer;
  /** An answer was asked for again: the fast path may take it. Times in milliseconds since the epoch. */
  readonly onRepeated?: (query: Query, packed: PackedAnswer, storedAt: number, expiresAt: number) => void;
}

/** How long what is kept, in seconds. */
export interface CacheLimits {
  readonly positive: number;
  /** RFC 2308 section 5 advises one to three hours; people who add a name want to see it sooner. */
  readonly negative: number;
  /** A server's failure (RFC 9520), short enough for nobody to notice that it has passed. */
  readonly failure: number;
  /** How long expired answers are kept in case no server answers (RFC 8767); 0 for not at all. */
  readonly stale: number;
}

const BOUNDS: CacheBounds = { entries: 100_000, bytes: 64 * 1024 * 1024 };
const LIMITS: CacheLimits = { positive: 86_400, negative: 900, failure: 5, stale: 86_400 };

/** RFC 8767 section 5: answer with old data after this, tell a TTL of 30 s, and spare the servers that long. */
const PATIENCE_MS = 1800;
const STALE_TTL = 30;
const RETRY_MS = 30_000;
const STALE_ANSWER = 3;

/** In the last tenth of its life an answer that was asked for so often is asked for anew. */
const LAST_PART = 0.1;
const POPULAR_HITS = 3;
const MOST_PREFETCHES = 64;

/** A listing is for eyes. */
const MOST_REPORTED = 200;

/** What an entry costs beside its bytes: key, object and map slot. */
const ENTRY_BYTES = 400;

interface Entry {
  readonly route: string;
  /** Another route that part of the answer came by, as for an alias. */
  readonly via: string | undefined;
  readonly type: number;
  readonly kind: ResponseFacts['kind'];
  /** The packed answer's bytes as characters: a Buffer for each of 100,000 answers would cost as much again. */
  readonly packed: string;
  readonly storedAt: number;
  readonly expiresAt: number;
  hits: number;
  refreshing: boolean;
  /** No server answered lately: until then old data is given at once. */
  retryAt: number;
}

/** A cache; its stage stands before the one that asks servers. */
export function makeCache(options: CacheOptions): Cache {
  const { clock, routeKeyOf, nsid, onRepeated } = options;
  const limits = { ...LIMITS, ...options.limits };
  const store = cacheStore<Entry>(options.bounds ?? BOUNDS);
  const counts = { hits: 0, staleServed: 0, misses: 0, prefetched: 0, shrunkByPressure: 0 };
  let refreshing = 0;
  /** Grows with every flush: an answer asked for before it must not come in after it. */
  let epoch = 0;

  /** Ask and remember. */
  async function ask(next: Answerer, shared: Query, key: string, signal: AbortSignal): Promise<Fetched> {
    const asked = epoch;
    const route = routeKeyOf(shared);
    const answer = await next(shared, signal);
    const reading = readResponse(answer.wire);
    if (!reading.ok) throw new DnskeeperError('PROTOCOL', `an answer of our own, got ${reading.reason}`);
    const entry = entryOf(reading.value, answer, route);
    if (entry !== undefined && asked === epoch) remember(key, entry);
    return { answer, facts: reading.value };
  }

  function remember(key: string, entry: Entry): void {
    const old = store.peek(key);
    const better = old !== undefined && entry.kind === 'failure' && old.kind !== 'failure';
    if (better) old.retryAt = clock.now() + RETRY_MS;
    else store.set(key, entry, entry.packed.length + key.length + ENTRY_BYTES);
  }

  function entryOf(facts: ResponseFacts, answer: Answer, route: string): Entry | undefined {
    const seconds = lifetimeOf(facts, answer, limits);
    const packed = seconds > 0 ? pack(facts, seconds, limits.positive) : undefined;
    if (packed === undefined) return undefined;
    const storedAt = clock.now();
    const via = 'route' in answer.origin ? answer.origin.route : undefined;
    return {
      route,
      via: via === route ? undefined : via,
      type: facts.question?.type ?? 0,
      kind: facts.kind,
      packed: packed.toString('latin1'),
      storedAt,
      expiresAt: storedAt + seconds * 1000,
      hits: 0,
      refreshing: false,
      retryAt: 0,
    };
  }

  function fresh(next: Answerer, query: Query, shared: Query, key: string, entry: Entry): Answer {
    counts.hits++;
    entry.hits++;
    onRepeated?.(query, packedIn(entry), entry.storedAt, entry.expiresAt);
    const now = clock.now();
    const late = entry.expiresAt - now <= (entry.expiresAt - entry.storedAt) * LAST_PART;
    if (late && entry.hits >= POPULAR_HITS) refresh(next, shared, key, entry);
    return answerFrom(query, entry, Math.floor((now - entry.storedAt) / 1000), false);
  }

  /** Ask anew behind the client's back. */
  function refresh(next: Answerer, shared: Query, key: string, entry: Entry): void {
    if (entry.refreshing || entry.kind === 'failure' || refreshing >= MOST_PREFETCHES) return;
    entry.refreshing = true;
    refreshing++;
    counts.prefetched++;
    ask(next, shared, key, new AbortController().signal)
      .then(() => {
        const renewed = store.peek(key);
        if (renewed !== undefined && renewed !== entry)
          onRepeated?.(shared, packedIn(renewed), renewed.storedAt, renewed.expiresAt);
      })
      .catch(() => {
        // Nobody waits for it: when the entry has expired, the next client's query meets and tells the same failure.
      })
      .finally(() => {
        refreshing--;
        entry.refreshing = false;
      });
  }

  /** Old data when the servers fail or take too long (RFC 8767 section 5). */
  async function staleOr(
    next: Answerer,
    query: Query,
    shared: Query,
    key: string,
    entry: Entry,
  ): Promise<Answer> {
    const old = (): Answer => {
      counts.staleServed++;
      return answerFrom(query, entry, 0, true);
    };
    if (clock.now() < entry.retryAt) return old();
    // Not the client's signal: the answer is for the cache even when the client has gone or was served with old data.
    const asking = ask(next, shared, key, new AbortController().signal);
    const fetched = await first(asking, clock, PATIENCE_MS);
    if (fetched === undefined || fetched.facts.kind === 'failure') {
      entry.retryAt = clock.now() + RETRY_MS;
      return old();
    }
    counts.misses++;
    return { ...fetched.answer, wire: forClient(query, fetched.facts, nsid) };
  }

  function answerFrom(query: Query, entry: Entry, elapsed: number, stale: boolean): Answer {
    const kept = packedIn(entry);
    let packed = stale ? withTtl(withOption(kept, STALE_OPTION), STALE_TTL) : kept;
    if (nsid !== undefined && query.edns?.options.some(({ code }) => code === OPTION.nsid) === true)
      packed = withOption(packed, { code: OPTION.nsid, data: nsid });
    return {
      wire: answerTo(query, packed, elapsed),
      origin: { kind: 'cache', route: entry.route, stale },
    };
  }

  const statistics = (): CacheStatistics => ({
    ...counts,
    evictions: store.evicted,
    entries: store.count,
    bytes: store.bytes,
  });

  let inner: Answerer | undefined;

  const stage: Stage = (next) => {
    inner = next;
    return (query, signal) => answer(next, query, signal);
  };

  async function answer(next: Answerer, query: Query, signal: AbortSignal): Promise<Answer> {
    const shared = sharedForm(query);
    if (shared === undefined) return next(query, signal);
    const key = cacheKey(query, routeKeyOf(query));
    const entry = store.get(key);
    const now = clock.now();
    // A clock that was set back makes ages meaningless.
    if (entry !== undefined && now >= entry.storedAt) {
      if (now < entry.expiresAt) return fresh(next, query, shared, key, entry);
      if (isStale(entry, now, limits)) return staleOr(next, query, shared, key, entry);
    }
    if (entry !== undefined) store.delete(key);
    counts.misses++;
    const fetched = await ask(next, shared, key, signal);
    return { ...fetched.answer, wire: forClient(query, fetched.facts, nsid) };
  }

  return {
    stage,
    refresh(query) {
      const shared = sharedForm(query);
      const key = cacheKey(query, routeKeyOf(query));
      const entry = store.get(key);
      if (inner !== undefined && shared !== undefined && entry !== undefined)
        refresh(inner, shared, key, entry);
    },
    flush(name) {
      epoch++;
      return store.prune((_, key) => name === undefined || isBelow(nameInKey(key), name));
    },
    dropRoute(route) {
      epoch++;
      return store.prune((entry) => entry.route === route || entry.via === route);
    },
    shrink(factor) {
      counts.shrunkByPressure++;
      store.shrink(factor);
    },
    statistics,
    cacheReport(name, most = MOST_REPORTED) {
      const found = [...store.entries()].filter(
        ([key]) => name === undefined || isBelow(nameInKey(key), name),
      );
      const best = found.toReversed().toSorted(([, a], [, b]) => b.hits - a.hits);
      return {
        entries: best.slice(0, most).map(([key, entry]) => shown(key, entry, clock.now())),
        matching: found.length,
        statistics: statistics(),
      };
    },
  };
}

const packedIn = (entry: Entry): PackedAnswer => Buffer.from(entry.packed, 'latin1');

interface Fetched {
  readonly answer: Answer;
  readonly facts: ResponseFacts;
}

const STALE_OPTION: EdnsOption = { code: OPTION.extendedError, data: Buffer.of(0, STALE_ANSWER) };

/** A failure of our own, as when no server is reached, may pass within a second of a cable being put in. */
const OWN_FAILURE_SECONDS = 1;

function lifetimeOf(facts: ResponseFacts, answer: Answer, limits: CacheLimits): number {
  if (facts.rcode === RCODE.SERVFAIL)
    return answer.origin.kind === 'upstream' ? limits.failure : Math.min(limits.failure, OWN_FAILURE_SECONDS);
  if (answer.origin.kind !== 'upstream') return 0;
  return Math.min(facts.ttl ?? 0, facts.kind === 'positive' ? limits.positive : limits.negative);
}

const isStale = (entry: Entry, now: number, limits: CacheLimits): boolean =>
  (entry.kind === 'positive' || entry.kind === 'nodata') && now < entry.expiresAt + limits.stale * 1000;

function isBelow(name: Buffer, domain: Domain): boolean {
  const parsed = parseDomain(readName(name));
  return parsed.ok && isWithin(parsed.value, domain);
}

/** What comes within the time; undefined when nothing or a failure does. */
function first<T>(work: Promise<T>, clock: Clock, ms: number): Promise<T | undefined> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, () => resolve(undefined));
    const done = (value: T | undefined): void => {
      cancel();
      resolve(value);
    };
    // A rejection means the same as no answer here: old data is at hand.
    work.then(done, () => done(undefined));
  });
}

function answerTo(query: Query, packed: PackedAnswer, elapsed: number): Buffer {
  const glance = glanceOf(query);
  const wire = Buffer.alloc(answerBytes(glance.questionEnd, packed));
  query.wire.copy(wire, 0, 0, glance.questionEnd);
  return wire.subarray(0, answerInPlace(wire, 0, glance, packed, 0, elapsed));
}

function shown(key: string, entry: Entry, now: number): CacheEntryReport {
  const name = nameInKey(key);
  const bytes = entry.packed.length + key.length + ENTRY_BYTES;
  return entryReport({ ...entry, name, packed: packedIn(entry), bytes }, now);
}
