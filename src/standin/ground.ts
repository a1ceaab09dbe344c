import type { Domain } from '../core/domain.ts';
import type { Lookup } from '../core/lookup.ts';
import type { Pusher } from '../core/pushed-links.ts';
import type { PushedLinks } from '../sources/pushed-links.ts';
import type { IncomingCall } from '../system/bus-service.ts';
import type { CallerRights } from '../system/polkit.ts';
import type { ViewGround } from './view.ts';

/** Counters since the start, or since they were reset. */
export interface Statistics {
  readonly currentTransactions: number;
  readonly totalTransactions: number;
  readonly totalTimeouts: number;
  readonly totalTimeoutsServedStale: number;
  readonly totalFailedResponses: number;
  readonly totalFailedResponsesServedStale: number;
  readonly cacheSize: number;
  readonly cacheHits: number;
  readonly cacheMisses: number;
}

/** What the stand-in does to the resolver. */
export interface ResolverActions {
  flush(): void;
  resetStatistics(): void;
  /** Servers are to be met as if for the first time. */
  forgetServers(): void;
}

/** What `resolvectl log-level` works on; levels are those of syslog. */
export interface LogControl {
  level(): string;
  setLevel(level: string): void;
}

/** Everything the stand-in is made of; main.ts gives the real ones. */
export interface StandinGround extends Omit<ViewGround, 'pushed'> {
  readonly pushed: PushedLinks;
  /** Domains in force that a single label is looked for in. */
  readonly search: () => readonly Domain[];
  readonly lookup: Lookup;
  readonly statistics: () => Statistics;
  readonly actions: ResolverActions;
  readonly rights: CallerRights;
  /** Who calls, for the status. */
  readonly pusherOf: (call: IncomingCall) => Promise<Pusher>;
  /** Resolves when what was pushed is in force, or soon: who sets DNS of a link looks names up next. */
  readonly settled: () => Promise<void>;
  readonly log: LogControl;
}
