import type { CacheStatistics } from '../core/cache-report.ts';
import { recordTypeName, responseCodeName } from '../core/dns-parameters.ts';
import {
  type ConnectionCounts,
  type FastPathCounts,
  LATENCY_BOUNDS_MS,
  type OriginCounts,
  type StatisticsReport,
} from '../core/statistics.ts';
import type { ServerReport } from '../core/status.ts';
import type { Traffic } from './listener.ts';
import type { Answer, Answerer, Query } from './query.ts';

/** What happened on the way of queries since the start. Plain fields and typed arrays: counting one costs some nanoseconds. */
export class Counters {
  readonly connections: { -readonly [K in keyof ConnectionCounts]: number } = {
    tcpOpened: 0,
    tlsOpened: 0,
    tlsResumed: 0,
    reused: 0,
    failed: 0,
  };
  /** Refusals for want of room, beside those that the reception counts. */
  readonly bounds = { sockets: 0, connections: 0 };
  readonly #origins: { -readonly [K in Exclude<keyof OriginCounts, 'fastPath'>]: number } = {
    cache: 0,
    stale: 0,
    local: 0,
    hosts: 0,
    refused: 0,
    upstream: 0,
    failure: 0,
  };
  readonly #types = new Float64Array(MOST_TYPES + 1);
  readonly #rcodes = new Float64Array(16);
  readonly #latency = new Float64Array(LATENCY_BOUNDS_MS.length + 1);
  #udp = 0;
  #tcp = 0;
  #latencySumMs = 0;

  asked({ type, transport }: Query): void {
    if (transport === 'udp') this.#udp++;
    else this.#tcp++;
    add(this.#types, Math.min(type, MOST_TYPES));
  }

  answered({ wire, origin }: Answer, tookMs: number): void {
    this.#origins[origin.kind === 'cache' && origin.stale ? 'stale' : origin.kind]++;
    add(this.#rcodes, (wire[3] ?? 0) & 15);
    this.#latencySumMs += tookMs;
    let bucket = 0;
    while (bucket < BOUNDS.length && tookMs > (BOUNDS[bucket] ?? 0)) bucket++;
    add(this.#latency, bucket);
  }

  /** Everything as it is now. */
  report(around: Surroundings): StatisticsReport {
    const { traffic, fastPath, cache, servers } = around;
    return {
      since: around.since,
      time: around.time,
      clients: {
        udp: this.#udp + (fastPath?.hits ?? 0),
        tcp: this.#tcp,
        malformed: traffic.malformed,
        inFlight: traffic.inFlight,
      },
      types: counted(this.#types, (type) => (type === MOST_TYPES ? 'other' : recordTypeName(type))).map(
        ([type, queries]) => ({ type, queries }),
      ),
      outcomes: counted(this.#rcodes, responseCodeName).map(([rcode, answers]) => ({ rcode, answers })),
      origins: { fastPath: fastPath?.hits ?? 0, ...this.#origins },
      cache,
      ...(fastPath === undefined ? {} : { fastPath }),
      servers,
      connections: { ...this.connections },
      bounds: [
        { bound: 'clients', reached: traffic.overBound },
        { bound: 'connections of clients', reached: around.connectionsEnded },
        { bound: 'fast path', reached: fastPath?.refused ?? 0 },
        { bound: 'sockets to servers', reached: this.bounds.sockets },
        { bound: 'connections to servers', reached: this.bounds.connections },
      ],
      latency: {
        boundsMs: LATENCY_BOUNDS_MS,
        counts: [...this.#latency],
        sumMs: Math.round(this.#latencySumMs * 1000) / 1000,
      },
    };
  }
}

/** What others count, for the report. */
export interface Surroundings {
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly time: number;
  readonly traffic: Traffic;
  /** Connections of clients that went for want of room. */
  readonly connectionsEnded: number;
  readonly cache: CacheStatistics;
  readonly fastPath: FastPathCounts | undefined;
  readonly servers: readonly ServerReport[];
}

/** Hears of every answer that went to a client, with how long it took. */
export type Heard = (query: Query, answer: Answer, tookMs: number) => void;

/** An answerer whose queries are counted, and told to `heard` while there is somebody. */
export function counting(answer: Answerer, counters: Counters, heard: () => Heard | undefined): Answerer {
  return async (query, signal) => {
    const started = performance.now();
    counters.asked(query);
    const given = await answer(query, signal);
    const tookMs = performance.now() - started;
    counters.answered(given, tookMs);
    heard()?.(query, given, tookMs);
    return given;
  };
}

/** Types above are counted together: the last that anybody uses is CAA. */
const MOST_TYPES = 258;
const BOUNDS = Float64Array.from(LATENCY_BOUNDS_MS);

function add(counts: Float64Array, index: number): void {
  counts[index] = (counts[index] ?? 0) + 1;
}

/** What was counted at all, most first. */
function counted(counts: Float64Array, name: (index: number) => string): [string, number][] {
  return [...counts.entries()]
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([index, count]) => [name(index), count]);
}
