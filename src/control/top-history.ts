import type { NamesReport } from '../core/names-report.ts';
import { answered, hitRate, originsSince, type StatisticsReport } from '../core/statistics.ts';
import type { TopReply } from './client.ts';

/** What `dnsctl top` remembers: the last minute second by second, and the latest totals. */
export interface TopHistory {
  /** Oldest first, at most `MOST_SECONDS`. */
  readonly seconds: readonly Second[];
  readonly statistics?: StatisticsReport;
  /** Absent where this user may not see names. */
  readonly names?: NamesReport;
}

/** What happened between two reports, per second. */
export interface Second {
  readonly answers: number;
  /** From 0 to 1; undefined when no server had to be asked and nothing remembered was wanted. */
  readonly hitRate: number | undefined;
  readonly failures: number;
  /** Of the answers that the fast path did not give, how many took how long: one count for each bucket of the histogram. */
  readonly latency: readonly number[];
  readonly servers: ReadonlyMap<string, ServerSecond>;
}

/** What one server did in it. */
export interface ServerSecond {
  readonly asked: number;
  readonly failures: number;
  /** Smoothed, as it was at the end. */
  readonly roundTripMs: number | undefined;
}

/** A minute is what one line of a terminal can show. */
export const MOST_SECONDS = 60;

/** Nothing yet. */
export const NO_HISTORY: TopHistory = { seconds: [] };

/** Take in the next report. The first only says where counting stands; a daemon that was restarted begins anew. */
export function addReply(history: TopHistory, { statistics, names }: TopReply): TopHistory {
  const before = history.statistics;
  const seen = names === undefined ? {} : { names };
  if (before === undefined || before.since !== statistics.since) return { seconds: [], statistics, ...seen };
  const seconds = [...history.seconds, between(before, statistics)].slice(-MOST_SECONDS);
  return { seconds, statistics, ...seen };
}

/** The key of a server in `Second.servers`. */
export const serverKey = ({ server, link }: { readonly server: string; readonly link: string }): string =>
  `${server} (${link})`;

function between(before: StatisticsReport, after: StatisticsReport): Second {
  const passed = Math.max(0.001, (after.time - before.time) / 1000);
  const origins = originsSince(after.origins, before.origins);
  const earlier = new Map(before.servers.map((server) => [serverKey(server), server]));
  const servers = after.servers.map((server) => {
    const was = earlier.get(serverKey(server));
    const second: ServerSecond = {
      asked: Math.max(0, server.asked - (was?.asked ?? 0)) / passed,
      failures: Math.max(0, server.failures - (was?.failures ?? 0)) / passed,
      roundTripMs: server.roundTripMs,
    };
    return [serverKey(server), second] as const;
  });
  return {
    answers: answered(origins) / passed,
    hitRate: hitRate(origins),
    failures: origins.failure / passed,
    latency: after.latency.counts.map((count, index) => count - (before.latency.counts[index] ?? 0)),
    servers: new Map(servers),
  };
}
