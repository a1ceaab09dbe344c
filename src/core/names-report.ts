/** Names that clients asked for while somebody watched, but for those that were more than the main thread could look at. */
export interface NamesReport {
  /** Since when names are kept, in milliseconds since the epoch. */
  readonly since: number;
  /** Most first. A count is never too low, and too high by at most `countedTooHigh`. */
  readonly asked: readonly AskedName[];
  /** Of the last minute, slowest first. */
  readonly slowest: readonly SlowName[];
}

/** How often a name was asked for. */
export interface AskedName {
  readonly name: string;
  readonly count: number;
  readonly countedTooHigh: number;
}

/** One answer that took long. */
export interface SlowName {
  readonly name: string;
  readonly type: string;
  readonly tookMs: number;
  /** Where the answer came from, as in QueryReport, or the server that gave it. */
  readonly by: string;
  readonly time: number;
}

/** Keeps names for one who watches, until it is closed. */
export interface NamesWatch {
  report(): NamesReport;
  close(): void;
}
