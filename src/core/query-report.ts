/** What `dnsctl query` tells: the answer, and how it came about. */
export interface QueryReport {
  readonly name: string;
  /** `A`, `HTTPS`, `TYPE1234`. */
  readonly type: string;
  /** `NOERROR`, `NXDOMAIN`, … */
  readonly rcode: string;
  /** `name TTL type data`, one for each record of the answer. */
  readonly answers: readonly string[];
  /** Extended errors (RFC 8914) as `code: text`. */
  readonly errors: readonly string[];
  /** Whether a server that is to be trusted says that it validated the answer. */
  readonly authentic: boolean;
  /** `local`, `hosts`, `refused`, `cache`, `upstream` or `failure`. */
  readonly from: string;
  /** Keys of the links whose servers are asked for the name, parted by `+`. */
  readonly route?: string;
  /** Who answered, when somebody was asked just now. */
  readonly server?: string;
  /** From question to answer, in milliseconds. */
  readonly tookMs: number;
}
