import type { BackEndStatus } from './back-end.ts';
import type { Plan } from './plan.ts';
import type { ProfileChoice } from './profile-choice.ts';
import type { SourceHealth, SourceName } from './snapshot.ts';

/**
 * Who is in charge of /etc/resolv.conf.
 * `fighting`: re-asserting against another writer; `yielded`: stopped fighting; `publish-only`: the file cannot be
 * changed (immutable, read-only) or must not (user mode, takeover = "never"); `bind-mount`: written in place.
 */
export type LinkState =
  | 'unknown'
  | 'held'
  | 'bind-mount'
  | 'resolved'
  | 'released'
  | 'publish-only'
  | 'fighting'
  | 'yielded'
  | 'failed';

/** Whether programs on this machine really read our file through /etc/resolv.conf. */
export const isInForce = (state: LinkState): boolean =>
  state === 'held' || state === 'bind-mount' || state === 'fighting';

/** What status says about /etc/resolv.conf. */
export interface LinkStatus {
  readonly state: LinkState;
  /** Who is in charge, in two or three words: `dnskeeper`, `systemd-resolved`, `the administrator (immutable file)`. */
  readonly inCharge: string;
  /** One sentence: why it is so, and what to do if it is not wanted. */
  readonly reason: string;
  /** Whether something is wrong (exit code 1 of `dnsctl status`). */
  readonly degraded: boolean;
  /** The last foreign write that was seen, if any. */
  readonly foreign?: { readonly time: number; readonly writer: string; readonly count: number };
  /** Whether an original is saved that `dnsctl release` would put back. */
  readonly originalSaved: boolean;
}

/** What status says about one written file. */
export interface FileStatus {
  readonly path: string;
  readonly state: 'written' | 'unchanged' | 'failed' | 'pending';
  readonly bytes: number;
  readonly error?: string;
}

/** One change of the files, newest last in the history. */
export interface Change {
  readonly time: number;
  /** The source's cause: `DnsManager.Configuration changed`. */
  readonly cause: string;
  readonly source: SourceName | 'dnskeeper';
  readonly before: string;
  readonly after: string;
  /** Milliseconds from the source event to the renamed file. */
  readonly tookMs: number;
  /** The reason of each line that is in the file now. */
  readonly reasons: readonly { readonly line: string; readonly reason: string }[];
}

/** One thing that is wrong or notable, with the command that mends it where there is one. */
export interface Finding {
  readonly severity: 'error' | 'warning' | 'note';
  readonly id: string;
  readonly text: string;
  readonly mend?: string;
}

/** What resolv.conf lists. */
export type FileMode = 'file' | 'stub';

/** What is wrong with a server beyond being slow or silent. */
export interface ServerTrouble {
  /**
   * `certificate`: who answers cannot prove to be it; `handshake`: it takes connections but speaks no TLS, though it has
   * to; `circle`: it sends our own questions back to us.
   */
  readonly kind: 'certificate' | 'handshake' | 'circle';
  /** One sentence for status. */
  readonly text: string;
}

/** How one server did. */
export interface ServerReport {
  /** Key of the link that it belongs to. */
  readonly link: string;
  /** In NetworkManager's syntax. */
  readonly server: string;
  /** `new`: not asked yet; `late`: others are asked first until it answers again. */
  readonly state: 'new' | 'good' | 'late';
  /** Smoothed, in milliseconds; absent before the first answer. */
  readonly roundTripMs?: number;
  /** How long it is waited for before the next server is asked too. */
  readonly patienceMs: number;
  /** Questions sent to it. */
  readonly asked: number;
  readonly answers: number;
  /** Of the answers, those that refused or failed, so that the next server was asked. */
  readonly refusals: number;
  /** Answers that came before those of a server that was asked earlier. */
  readonly hedgesWon: number;
  /** Questions without a usable answer: the three kinds that follow, together. */
  readonly failures: number;
  readonly timeouts: number;
  /** It could not be reached, or no safe connection to it made. */
  readonly unreachable: number;
  /** What it sent was no answer. */
  readonly malformed: number;
  readonly lastFailure?: { readonly time: number; readonly text: string };
  readonly trouble?: ServerTrouble;
}

/** What the resolver remembers, in short. */
export interface MemoryStatus {
  readonly answers: number;
  readonly bytes: number;
  /** What part (0 to 1) of the queries that servers would have been asked came from memory; absent before the first. */
  readonly hitRate?: number;
}

/** Links behind a captive portal whose servers are to be asked encrypted alone. */
export interface PortalReport {
  /** Their keys. */
  readonly links: readonly string[];
  /** Whether encryption gives way to the portal for as long as that lasts (`resolver.portal`). */
  readonly relaxed: boolean;
}

/** What status says about the local resolver. */
export interface ResolverStatus {
  /** `off`: not wanted now; `bound`: it answers; `failed`: it could not get its addresses. */
  readonly state: 'off' | 'bound' | 'failed';
  /** One sentence: why. */
  readonly reason: string;
  /** `127.0.0.53:53` and so on; empty unless bound. */
  readonly addresses: readonly string[];
  /** The address that a resolv.conf may name; absent where there is none on port 53. */
  readonly nameserver?: string;
  readonly servers: readonly ServerReport[];
  /** Absent while there is none. */
  readonly portal?: PortalReport;
  /** Why it does not listen on some of the further addresses that it is to; absent while it does. */
  readonly unbound?: readonly string[];
  /** The other resolver that asks the servers; absent while the built-in one is to. */
  readonly backEnd?: BackEndStatus;
  /** What is remembered; absent while it answers nobody. */
  readonly memory?: MemoryStatus;
  readonly queries: number;
  readonly malformed: number;
  /** Answered with SERVFAIL because a bound was reached. */
  readonly overBound: number;
  readonly inFlight: number;
}

/** Everything the daemon publishes about itself; `dnsctl status --json` prints it (docs/status.md). */
export interface Status {
  readonly version: string;
  readonly pid: number;
  readonly mode: 'system' | 'user';
  readonly root: string;
  readonly started: number;
  readonly healthy: boolean;
  readonly link: LinkStatus;
  /** `file`: the plain file with real servers; `stub`: our own resolver. */
  readonly resolvConf: { readonly mode: FileMode; readonly reason: string };
  readonly resolver: ResolverStatus;
  readonly plan: Plan;
  readonly files: readonly FileStatus[];
  readonly sources: readonly ({ readonly name: SourceName } & SourceHealth)[];
  /** The profile that somebody chose by hand. */
  readonly profileByHand?: ProfileChoice;
  /** A configuration that is tried out, and when it ends unless it is kept. */
  readonly trial?: { readonly name: string; readonly until: number };
  /** Holding the last good servers over a gap, until then. */
  readonly graceUntil?: number;
  readonly lastChange?: { readonly time: number; readonly cause: string; readonly tookMs: number };
  readonly counters: {
    readonly events: number;
    readonly plans: number;
    readonly writes: number;
    readonly failures: number;
  };
  readonly runtime: { readonly bytes: number; readonly residentBytes: number };
  readonly findings: readonly Finding[];
  readonly configuration: { readonly files: readonly string[]; readonly problems: readonly ConfigProblem[] };
}

/** What is wrong in a configuration file. */
export interface ConfigProblem {
  readonly file: string;
  readonly line?: number;
  readonly key?: string;
  readonly wanted: string;
  readonly got: string;
}
