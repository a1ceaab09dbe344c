/** What `dnsctl cache` tells: what is remembered now, and what remembering has done so far. */
export interface CacheReport {
  /** Those asked for most often first, and of equals the newest; within the bound that was asked for. */
  readonly entries: readonly CacheEntryReport[];
  /** How many answers match, those beyond the bound too. */
  readonly matching: number;
  readonly statistics: CacheStatistics;
}

/** One remembered answer. */
export interface CacheEntryReport {
  /** Printable (RFC 1035 section 5.1), without a final dot but for the root. */
  readonly name: string;
  /** `A`, `HTTPS`, `TYPE1234`. */
  readonly type: string;
  /** `NOERROR`, `NXDOMAIN`, … */
  readonly rcode: string;
  /** `name TTL type data`, the first few records of the answer, with the TTLs that a client would be told now. */
  readonly records: readonly string[];
  /** How many records the answer has. */
  readonly recordCount: number;
  /** Whole seconds until it expires; below zero when it is kept only in case no server answers (RFC 8767). */
  readonly secondsLeft: number;
  /** Keys of the links that it came by, parted by `+`. */
  readonly route: string;
  /** How often it was given from memory; what the fast path answers is counted there alone. */
  readonly hits: number;
  /** What it takes, its place in the index too. */
  readonly bytes: number;
}

/** Counts since the start, and sizes now. What the fast path answers by itself is not among the hits. */
export interface CacheStatistics {
  /** How many answers are remembered. */
  readonly entries: number;
  /** What they take. */
  readonly bytes: number;
  readonly hits: number;
  readonly misses: number;
  /** Expired answers given because no server answered in time (RFC 8767). */
  readonly staleServed: number;
  /** Answers asked for anew before they expired. */
  readonly prefetched: number;
  /** Answers that went to make room. */
  readonly evictions: number;
  /** How often the cache was made smaller because the machine's memory was short. */
  readonly shrunkByPressure: number;
}
