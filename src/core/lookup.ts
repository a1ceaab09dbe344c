/**
 * Looking names up, as programs ask for it (systemd-resolved's interfaces) and not as packets: what the resolver
 * offers to the stand-in.
 */

/** The value of a record, where the stand-in has to understand it. */
export type RecordValue =
  | { readonly kind: 'address'; readonly family: 4 | 6; readonly bytes: Uint8Array }
  /** CNAME, DNAME, PTR, NS: another name. */
  | { readonly kind: 'name'; readonly name: string }
  | {
      readonly kind: 'service';
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      readonly host: string;
    }
  | { readonly kind: 'text'; readonly items: readonly Uint8Array[] }
  | { readonly kind: 'other' };

/** One record of an answer. */
export interface LookupRecord {
  /** Owner in presentation form without trailing dot; `.` for the root. Bytes beyond letters, digits, - and _ are escaped. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** Seconds that remain. */
  readonly ttl: number;
  readonly value: RecordValue;
  /** The whole record in wire format, without compression. */
  readonly wire: Uint8Array;
}

/** What is asked. */
export interface LookupQuestion {
  /** Presentation form, with or without trailing dot. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
}

/** How it may be answered. */
export interface LookupOptions {
  /** Only by this link; 0 for all. */
  readonly ifindex: number;
  /** Whether this machine's own names and /etc/hosts count. */
  readonly local: boolean;
  readonly cache: boolean;
  readonly network: boolean;
  /** Whether servers may check signatures for the caller; otherwise they are asked for what there is, checked or not. */
  readonly validate: boolean;
  /** Whether an answer that has expired will do where no server has a new one. */
  readonly stale: boolean;
  /** Whether a single label may be asked of servers that claim no such domain, whatever the configuration says. */
  readonly singleLabels: boolean;
  /** Aborts when the caller has gone. */
  readonly signal: AbortSignal;
}

/** An extended DNS error (RFC 8914); the text is printable and bounded. */
export interface ExtendedError {
  readonly code: number;
  readonly text: string;
}

/** What came of it: a response with a code, which may be an error. */
export interface LookupAnswer {
  readonly rcode: number;
  /** The answer section: aliases first, then what they lead to. */
  readonly records: readonly LookupRecord[];
  readonly error?: ExtendedError;
  /** `local`: this machine's own names and /etc/hosts. */
  readonly from: 'local' | 'cache' | 'network';
  /** Validated by a server that is to be trusted, or local. */
  readonly authenticated: boolean;
  /** It never left the machine unencrypted. */
  readonly confidential: boolean;
  /** The link it came over; 0 where none is known. */
  readonly ifindex: number;
}

/** Why there is no response at all. */
export type LookupFailure =
  | 'no-servers'
  | 'timeout'
  | 'attempts-exhausted'
  | 'network-down'
  | 'invalid-reply'
  | 'stub-loop'
  | 'aborted';

/** Thrown by a lookup that has no response to give. */
export class LookupFailed extends Error {
  override readonly name = 'LookupFailed';
  readonly failure: LookupFailure;

  constructor(failure: LookupFailure) {
    super(`no answer: ${failure}`);
    this.failure = failure;
  }
}

/** Asks one question. Rejects with LookupFailed when there is no response. */
export type Lookup = (question: LookupQuestion, options: LookupOptions) => Promise<LookupAnswer>;

/** A query that has ended, for those who watch. */
export interface FinishedQuery {
  readonly question: LookupQuestion;
  readonly outcome: LookupAnswer | LookupFailure;
}

/** A remembered answer. */
export interface RememberedLookup {
  readonly question: LookupQuestion;
  readonly rcode: number;
  readonly records: readonly LookupRecord[];
  /** Milliseconds that it still holds; negative when it is kept only in case no server answers. */
  readonly remainingMs: number;
  /** Keys of the links that it came by, parted by `+`. */
  readonly route: string;
}
