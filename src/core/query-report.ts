/** What `dnsctl query` tells: the answer, and how it came about. */
export interface QueryReport {
  readonly name: string;
  /** `A`, `HTTPS`, `TYPE1234`. */
  readonly type: string;
  /** `NOERROR`, `NXDOMAIN`, … */
  readonly rcode: string;
  /** `name TTL type data`, one for each record of the answer. */
  readonly answers: readonly string[];
  /** Extended errors (RFC 8914) as `code (what it stands for): text`. */
  readonly errors: readonly string[];
  /** Header bits that are set, of `AA`, `TC`, `RA`, `AD` and `CD`. */
  readonly flags: readonly string[];
  /** Whether a server that is to be trusted says that it validated the answer. */
  readonly authentic: boolean;
  /** `local`, `hosts`, `refused`, `cache`, `cache (stale)`, `upstream` or `failure`. */
  readonly from: string;
  /** Keys of the links whose servers are asked for the name, parted by `+`. */
  readonly route?: string;
  /** Who answered, with its link, when somebody was asked just now: `192.0.2.1 (wlan0)`. */
  readonly server?: string;
  /** From question to answer, in milliseconds. */
  readonly tookMs: number;
}
