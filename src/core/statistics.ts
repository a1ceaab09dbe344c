import type { CacheStatistics } from './cache-report.ts';
import type { ServerReport } from './status.ts';

/** What the local resolver did since it started, and how it is now; `dnsctl statistics` and `metrics` show it. */
export interface StatisticsReport {
  /** When counting began and when this was told, in milliseconds since the epoch. */
  readonly since: number;
  readonly time: number;
  readonly clients: ClientCounts;
  /** Queries by record type, most first; those that the fast path answered are not told apart by type. */
  readonly types: readonly { readonly type: string; readonly queries: number }[];
  /** Answers by response code, most first; the fast path's are not told apart. */
  readonly outcomes: readonly { readonly rcode: string; readonly answers: number }[];
  readonly origins: OriginCounts;
  readonly cache: CacheStatistics;
  /** Absent while no fast path runs. */
  readonly fastPath?: FastPathCounts;
  readonly servers: readonly ServerReport[];
  readonly connections: ConnectionCounts;
  /** How often a bound was reached, and what was refused then. */
  readonly bounds: readonly { readonly bound: string; readonly reached: number }[];
  /** From a query's arrival to its answer; the fast path's take some microseconds and are not in it. */
  readonly latency: Latency;
}

/** Messages from clients. */
export interface ClientCounts {
  readonly udp: number;
  readonly tcp: number;
  readonly malformed: number;
  readonly inFlight: number;
}

/** Where answers came from. */
export interface OriginCounts {
  /** From the fast path's table of remembered answers. */
  readonly fastPath: number;
  readonly cache: number;
  /** Remembered, past their time, given because no server answered (RFC 8767). */
  readonly stale: number;
  readonly local: number;
  readonly hosts: number;
  readonly refused: number;
  readonly upstream: number;
  readonly failure: number;
}

/** The workers that answer what is remembered away from the main thread. */
export interface FastPathCounts {
  readonly hits: number;
  readonly misses: number;
  /** Packets larger than any query. */
  readonly oversized: number;
  /** Told SERVFAIL because the main thread is far behind. */
  readonly refused: number;
  /** Answers that the kernel did not take. */
  readonly unsent: number;
  readonly entries: number;
  /** Workers that died and were replaced. */
  readonly restarts: number;
}

/** Connections to servers. */
export interface ConnectionCounts {
  readonly tcpOpened: number;
  readonly tlsOpened: number;
  /** Of `tlsOpened`, those that took up an earlier session. */
  readonly tlsResumed: number;
  /** Questions that went over a connection that was there already. */
  readonly reused: number;
  /** Connections that could not be made. */
  readonly failed: number;
}

/** A histogram: how many took up to each bound and longer than the one before; the last count has no bound. */
export interface Latency {
  readonly boundsMs: readonly number[];
  readonly counts: readonly number[];
  readonly sumMs: number;
}

/** The bounds of every histogram here, in milliseconds. */
export const LATENCY_BOUNDS_MS: readonly number[] = [
  0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000,
];

/**
 * The time that this part (0 to 1) of the answers did not exceed, in milliseconds, told as the middle way between a bucket's
 * bounds; undefined without answers. Beyond the last bound it is that bound: longer, nobody knows how much.
 */
export function quantileMs({ boundsMs, counts }: Latency, part: number): number | undefined {
  const all = answersIn(counts);
  if (all === 0) return undefined;
  const wanted = all * part;
  let before = 0;
  for (const [index, count] of counts.entries()) {
    const bound = boundsMs[index];
    if (bound === undefined) break;
    if (count > 0 && before + count >= wanted) {
      const lower = boundsMs[index - 1] ?? 0;
      return lower + (bound - lower) * ((wanted - before) / count);
    }
    before += count;
  }
  return boundsMs.at(-1);
}

/** How many answers a histogram holds. */
export const answersIn = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);

/** Queries that were answered, from wherever. */
export const answered = (origins: OriginCounts): number =>
  Object.values(origins).reduce((sum: number, count: number) => sum + count, 0);

/** The part (0 to 1) of the queries for other names than our own that was answered from memory; undefined without any. */
export function hitRate({ fastPath, cache, stale, upstream, failure }: OriginCounts): number | undefined {
  const hits = fastPath + cache + stale;
  const all = hits + upstream + failure;
  return all === 0 ? undefined : hits / all;
}

/** The counts of `later` less those of `earlier`, for what happened between the two. */
export function originsSince(later: OriginCounts, earlier: OriginCounts): OriginCounts {
  const keys = Object.keys(later) as (keyof OriginCounts)[];
  return Object.fromEntries(keys.map((key) => [key, Math.max(0, later[key] - earlier[key])])) as {
    -readonly [K in keyof OriginCounts]: number;
  };
}
