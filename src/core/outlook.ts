import { durationText } from './duration.ts';
import type { ServerReport } from './status.ts';

/** What a question for a name would meet at this moment. */
export interface Outlook {
  /** What answers before any server is asked, in one sentence; absent when servers or the cache have to. */
  readonly own?: string;
  /** Keys of the links that are asked, parted by `+`; absent when nobody is. */
  readonly route?: string;
  /** No other link is ever asked for the name. */
  readonly exclusive: boolean;
  /** Servers of each link of the route in the order in which they are asked; links are asked at the same time. */
  readonly servers: readonly RankedServer[];
  /** Answers for the very name that are remembered. */
  readonly cached: readonly CachedOutlook[];
}

/** A server and why it stands where it does. */
export interface RankedServer {
  readonly link: string;
  readonly server: string;
  readonly reason: string;
}

/** A remembered answer for the name. */
export interface CachedOutlook {
  readonly type: string;
  readonly rcode: string;
  /** Below zero: expired, and only given when no server answers. */
  readonly secondsLeft: number;
  readonly route: string;
  /** Whether it came by the route that the name goes now; otherwise it is not given. */
  readonly used: boolean;
}

/** Why the servers of one link, in the order in which they are asked now, stand where they do. `plan` is their order there. */
export function rankServers(
  ranked: readonly ServerReport[],
  plan: readonly string[],
  policy: 'strict' | 'fastest',
): readonly RankedServer[] {
  return ranked.map((report, index) => {
    const before = ranked[index - 1];
    const reason =
      before === undefined ? reasonOfFirst(report, ranked, plan, policy) : reasonOfNext(report, before);
    return { link: report.link, server: report.server, reason };
  });
}

function reasonOfFirst(
  first: ServerReport,
  ranked: readonly ServerReport[],
  plan: readonly string[],
  policy: 'strict' | 'fastest',
): string {
  if (ranked.length === 1) return `Asked: it is the only one, and ${howItIs(first)}.`;
  if (first.state === 'late') return `Asked first: none of them answered lately, and ${howItIs(first)}.`;
  if (policy === 'fastest') return `Asked first: the quickest is preferred, and ${howItIs(first)}.`;
  return first.server === plan[0]
    ? `Asked first: it comes first in the plan, and ${howItIs(first)}.`
    : `Asked first: those before it in the plan do not answer, and ${howItIs(first)}.`;
}

function reasonOfNext(report: ServerReport, before: ServerReport): string {
  const when = `when ${before.server} refuses, fails, or has not answered within ${durationText(before.patienceMs)}`;
  return `Asked ${when}; ${howItIs(report)}.`;
}

function howItIs({ state, roundTripMs, lastFailure }: ServerReport): string {
  if (state === 'new') return 'it has not been asked yet';
  if (state === 'late')
    return lastFailure === undefined ? 'it was late to answer' : `it failed (${lastFailure.text})`;
  return roundTripMs === undefined ? 'it answers' : `it answers within ${durationText(roundTripMs)}`;
}
