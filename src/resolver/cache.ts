import type { CacheEntryReport, CacheReport, CacheStatistics } from '../core/cache-report.ts';
import type { Domain } from '../core/domain.ts';
import { DnskeeperError } from '../core/errors.ts';
import type { RememberedLookup } from '../core/lookup.ts';
import type { Clock } from '../system/clock.ts';
import { NO_SLOT } from './cache-index.ts';
import { nameInKey, numbers, sharedForm, storeKey, typeInKey } from './cache-key.ts';
import {
  type CacheLimits,
  type CachePolicy,
  isStale,
  LIMITS,
  lifetimeOf,
  lowerTtls,
  staleOption,
} from './cache-lifetime.ts';
import { entryReport, type RememberedAnswer, rememberedLookup } from './cache-report.ts';
import { type CacheBounds, cacheStore, type StoredFacts } from './cache-store.ts';
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
import type { StopSignal } from './stop.ts';
import { encodeName, OPTION } from './wire.ts';

/** Remembers answers for as long as their owners allow, each under the route that it came by. */
export interface Cache {
  readonly stage: Stage;
  /** Forget everything, or one name and what is below it; how many answers. */
  flush(name?: Domain): number;
  /** Forget what came by one route. */
  dropRoute(route: string): number;
  /** Forget answers behind an alias: names go other ways than when it was followed. */
  dropAliases(): number;
  /** Ask anew for an answer that is popular and about to expire, as the fast path finds. */
  refresh(query: Query): void;
  /** The machine's memory is short: keep the better half, and no more than that for a while. */
  relieve(): void;
  statistics(): CacheStatistics;
  /** What is remembered now of all names, or of one name and what is below it; at most so many answers. */
  cacheReport(name?: Domain, most?: number): CacheReport;
  /** The answer that is remembered for a question on one route, if any. */
  held(query: Query, route: string): CacheEntryReport | undefined;
  /** Remembered answers with their records, those asked for most often first; at most so many. */
  remembered(most: number): readonly RememberedLookup[];
}

/** What a cache is made with. */
export interface CacheOptions {
  readonly clock: Clock;
  /** The route that a query goes by now; answers of another route are not seen. */
  readonly routeKeyOf: (query: Query) => string;
  readonly bounds?: CacheBounds;
  readonly limits?: Partial<CacheLimits>;
  /** What is to be remembered at all, asked for every answer; everything where left out. */
  readonly policy?: () => CachePolicy;
  /** Our name as a server (RFC 5001). */
  readonly nsid?: Buffer;
  /** An answer was remembered. */
  readonly onRemembered?: () => void;
  /** An answer was asked for again: the fast path may take it. Times in milliseconds since the epoch. */
  readonly onRepeated?: (query: Query, packed: PackedAnswer, storedAt: number, expiresAt: number) => void;
}

const BOUNDS: CacheBounds = { entries: 100_000, bytes: 64 * 1024 * 1024 };

/** RFC 8767 section 5: answer with old data after this, tell a TTL of 30 s, and spare the servers that long. */
const PATIENCE_MS = 1800;
const STALE_TTL = 30;
const RETRY_MS = 30_000;

/** After the machine's memory was short the cache stays small for so long. */
const SMALL_MS = 600_000;
/** It is never made smaller than this: the names of one busy minute. */
const LEAST: CacheBounds = { entries: 1000, bytes: 512 * 1024 };

/** In the last tenth of its life an answer that was asked for so often is asked for anew. */
const LAST_PART = 0.1;
const POPULAR_HITS = 3;
const MOST_PREFETCHES = 64;

/** A listing is for eyes. */
const MOST_REPORTED = 200;

/** Kinds by the number that the store keeps. */
const KINDS: readonly ResponseFacts['kind'][] = ['positive', 'nodata', 'nxdomain', 'failure'];
/** Added to that number where the answer stands behind an alias. */
const ALIASED = 4;

/** An answer as it stood in the store, which may have moved on since. */
interface Entry extends Omit<StoredFacts, 'kind'> {
  readonly kind: ResponseFacts['kind'];
  readonly packed: PackedAnswer;
  readonly hits: number;
  readonly retryAt: number;
}

/** A cache; its stage stands before the one that asks servers. */
export function makeCache(options: CacheOptions): Cache {
  const { clock, routeKeyOf, nsid, onRepeated } = options;
  const limits = { ...LIMITS, ...options.limits };
  const full = options.bounds ?? BOUNDS;
  const store = cacheStore(full);
  const routes = numbers(() => forget(() => true));
  const counts = { hits: 0, staleServed: 0, misses: 0, prefetched: 0, shrunkByPressure: 0 };
  /** Keys, as text, of what is asked for anew behind the clients' backs. */
  const refreshing = new Set<string>();
  /** Grows with every flush: an answer asked for before it must not come in after it. */
  let epoch = 0;
  let cancelWiden = (): void => {};

  const keyOf = (query: Query): Buffer => storeKey(query, routes.numberOf(routeKeyOf(query)));

  function entryAt(slot: number): Entry {
    const facts = store.factsOf(slot);
    return {
      ...facts,
      kind: KINDS[facts.kind & ~ALIASED] ?? 'failure',
      packed: store.packedOf(slot),
      hits: store.hitsOf(slot),
      retryAt: store.retryAt(slot),
    };
  }

  /** Whatever is on its way is not remembered either. */
  function forget(drop: ((slot: number) => boolean) | undefined): number {
    epoch++;
    return drop === undefined ? 0 : store.prune(drop);
  }

  /** Ask and remember. */
  async function ask(next: Answerer, shared: Query, key: Buffer, signal: StopSignal): Promise<Fetched> {
    const asked = epoch;
    const route = routes.numberOf(routeKeyOf(shared));
    const answer = await next(shared, signal);
    const facts = factsOf(answer);
    if (asked === epoch) remember(key, facts, answer, route);
    return { answer, facts };
  }

  function remember(key: Buffer, facts: ResponseFacts, answer: Answer, route: number): void {
    const seconds = lifetimeOf(facts, answer, limits, options.policy?.());
    const packed = seconds > 0 ? pack(facts, seconds, limits.positive) : undefined;
    if (packed === undefined) return;
    lowerTtls(facts, facts.kind === 'positive' ? limits.positive : seconds);
    const old = store.find(key);
    if (old !== NO_SLOT && facts.kind === 'failure' && entryAt(old).kind !== 'failure') {
      spare(key);
      return;
    }
    const via =
      'route' in answer.origin && answer.origin.route !== undefined
        ? routes.numberOf(answer.origin.route)
        : 0;
    const storedAt = clock.now();
    store.set(key, packed, {
      route,
      via: via === route ? 0 : via,
      kind: KINDS.indexOf(facts.kind) | (facts.aliases.length > 0 ? ALIASED : 0),
      storedAt,
      expiresAt: storedAt + seconds * 1000,
    });
    options.onRemembered?.();
  }

  /** The servers failed to renew what we have: leave them alone for a while. */
  function spare(key: Buffer): void {
    const slot = store.find(key);
    if (slot !== NO_SLOT) store.setRetryAt(slot, clock.now() + RETRY_MS);
  }

  function fresh(next: Answerer, query: Query, shared: Query, key: Buffer, entry: Entry): Answer {
    counts.hits++;
    // The fast path answers everybody alike.
    if (query.wish === undefined) onRepeated?.(query, entry.packed, entry.storedAt, entry.expiresAt);
    const now = clock.now();
    const late = entry.expiresAt - now <= (entry.expiresAt - entry.storedAt) * LAST_PART;
    if (late && entry.hits >= POPULAR_HITS) refresh(next, shared, key, entry);
    return answerFrom(query, entry, Math.floor((now - entry.storedAt) / 1000), false);
  }

  /**
   * Ask anew behind the client's back. The fast path is told by the next client's query: now the hosts file may own the
   * name, or another route, and what it is told would stand there until it expires.
   */
  function refresh(next: Answerer, shared: Query, key: Buffer, entry: Entry): void {
    const mark = key.toString('latin1');
    if (entry.kind === 'failure' || clock.now() < entry.retryAt) return;
    if (refreshing.has(mark) || refreshing.size >= MOST_PREFETCHES) return;
    refreshing.add(mark);
    counts.prefetched++;
    ask(next, shared, key, new AbortController().signal)
      .catch(() => {
        // Nobody waits for it: when the entry has expired, the next client's query meets and tells the same failure.
      })
      .finally(() => refreshing.delete(mark));
  }

  /** Old data when the servers fail or take too long (RFC 8767 section 5). */
  async function staleOr(
    next: Answerer,
    query: Query,
    shared: Query,
    key: Buffer,
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
    const failed = fetched === undefined || fetched.facts.kind === 'failure';
    // It may have gone with its network meanwhile, and the name may go another way.
    if (failed && store.find(key) !== NO_SLOT && keyOf(query).equals(key)) {
      spare(key);
      return old();
    }
    counts.misses++;
    const { answer: given, facts } = fetched ?? (await asking);
    return { ...given, wire: forClient(query, facts, nsid) };
  }

  function answerFrom(query: Query, entry: Entry, elapsed: number, stale: boolean): Answer {
    let { packed } = entry;
    if (stale) packed = withTtl(withOption(packed, staleOption(entry.kind)), STALE_TTL);
    if (nsid !== undefined && query.edns?.options.some(({ code }) => code === OPTION.nsid) === true)
      packed = withOption(packed, { code: OPTION.nsid, data: nsid });
    return {
      wire: answerTo(query, packed, elapsed),
      origin: { kind: 'cache', route: routes.nameOf(entry.route), stale },
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
    // The first is the way to the servers; a later one may lead nowhere.
    inner ??= next;
    return (query, signal) => answer(next, query, signal);
  };

  async function answer(next: Answerer, query: Query, signal: StopSignal): Promise<Answer> {
    const shared = sharedForm(query);
    if (shared === undefined) return next(query, signal);
    const key = keyOf(query);
    const slot = store.find(key);
    if (slot !== NO_SLOT) {
      store.want(slot);
      const entry = entryAt(slot);
      const now = clock.now();
      // A clock that was set back makes ages meaningless.
      const sane = now >= entry.storedAt;
      if (sane && now < entry.expiresAt) return fresh(next, query, shared, key, entry);
      const stale = sane && isStale(entry, now, limits, options.policy?.());
      if (!stale) store.delete(slot);
      else if (query.wish?.fresh !== true) return staleOr(next, query, shared, key, entry);
    }
    counts.misses++;
    const fetched = await ask(next, shared, key, signal);
    return { ...fetched.answer, wire: forClient(query, fetched.facts, nsid) };
  }

  return {
    stage,
    refresh(query) {
      const shared = sharedForm(query);
      const key = keyOf(query);
      const slot = store.find(key);
      if (inner !== undefined && shared !== undefined && slot !== NO_SLOT)
        refresh(inner, shared, key, entryAt(slot));
    },
    flush: (name) => forget(below(name)),
    dropRoute(route) {
      const number = routes.known(route);
      // Nothing came by it, so no answer has to be looked at; what is on its way may still turn out to have.
      if (number === undefined) return forget(undefined);
      return forget((slot) => {
        const facts = store.factsOf(slot);
        return facts.route === number || facts.via === number;
      });
    },
    dropAliases: () => forget((slot) => (store.factsOf(slot).kind & ALIASED) !== 0),
    relieve() {
      counts.shrunkByPressure++;
      store.shrink({
        entries: Math.max(LEAST.entries, Math.floor(store.count / 2)),
        bytes: Math.max(LEAST.bytes, Math.floor(store.bytes / 2)),
      });
      cancelWiden();
      cancelWiden = clock.after(SMALL_MS, () => store.widen(full));
    },
    statistics,
    cacheReport(name, most = MOST_REPORTED) {
      const found = [...store.slots()].filter(below(name));
      const best = found.toSorted((a, b) => store.hitsOf(b) - store.hitsOf(a)).slice(0, most);
      return {
        entries: best.map((slot) => entryReport(rememberedAt(slot), clock.now())),
        matching: found.length,
        statistics: statistics(),
      };
    },
    held(query, route) {
      const slot = store.find(storeKey(query, routes.numberOf(route)));
      return slot === NO_SLOT ? undefined : entryReport(rememberedAt(slot), clock.now());
    },
    remembered: (most) =>
      [...store.slots()]
        .toSorted((a, b) => store.hitsOf(b) - store.hitsOf(a))
        .slice(0, most)
        .map((slot) => rememberedLookup(rememberedAt(slot), clock.now())),
  };

  function below(name: Domain | undefined): (slot: number) => boolean {
    if (name === undefined) return () => true;
    const zone = encodeName(name);
    return (slot) => isBelow(nameInKey(store.keyOf(slot)), zone);
  }

  function rememberedAt(slot: number): RememberedAnswer {
    const key = Buffer.from(store.keyOf(slot));
    const entry = entryAt(slot);
    return {
      ...entry,
      name: nameInKey(key),
      type: typeInKey(key),
      route: routes.nameOf(entry.route),
      bytes: store.bytesOf(slot),
    };
  }
}

function factsOf(answer: Answer): ResponseFacts {
  // One without a question is not packed as it is, and is read with the question that its bytes are given.
  if (answer.response?.question !== undefined) return answer.response;
  const reading = readResponse(answer.wire);
  if (!reading.ok) throw new DnskeeperError('PROTOCOL', `an answer of our own, got ${reading.reason}`);
  return reading.value;
}

interface Fetched {
  readonly answer: Answer;
  readonly facts: ResponseFacts;
}

/** Whether a name is the zone's or ends with it at the border of a label; both in wire form. */
function isBelow(name: Buffer, zone: Buffer): boolean {
  let at = 0;
  while (name.length - at > zone.length) at += (name[at] ?? 0) + 1;
  return zone.compare(name, at) === 0;
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
