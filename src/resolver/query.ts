import type { Domain } from '../core/domain.ts';
import type { ResponseFacts } from './message-read.ts';
import type { StopSignal } from './stop.ts';
import type { EdnsOption } from './wire.ts';

/** One question as it came from a client, read once; the bytes are never changed. */
export interface Query {
  /** The whole message. */
  readonly wire: Buffer;
  /** The question's name in wire form, lower case: the only thing that names are compared and cached by. */
  readonly name: Buffer;
  /** The same as text where it is a host or service name; other names have no business with local data or routes below the root. */
  readonly domain: Domain | undefined;
  readonly type: number;
  readonly class: number;
  readonly recursionDesired: boolean;
  readonly checkingDisabled: boolean;
  readonly authenticData: boolean;
  readonly dnssecOk: boolean;
  /** EDNS version and the largest answer the client takes over UDP; undefined without EDNS (then 512 bytes). */
  readonly edns:
    | {
        readonly version: number;
        readonly udpSize: number;
        /** The options that came along; those not ours to answer go on to the server, and such a query is not cached. */
        readonly options: readonly EdnsOption[];
      }
    | undefined;
  /** How it came; over TCP nothing is cut. */
  readonly transport: 'udp' | 'tcp';
  /** `full`: everything; `proxy` (127.0.0.54): no local names, no hosts file, no search. */
  readonly service: 'full' | 'proxy';
  /** What a program wants beside what a message can say; left out for clients of the stub, and where it wants nothing. */
  readonly wish?: QueryWish;
}

/** What programs can say of a question over systemd-resolved's interface. What is left out is as for everybody. */
export interface QueryWish {
  /** Key of the only link that may be asked. */
  readonly link?: string;
  /** Single labels may be asked of servers that claim no such domain. */
  readonly singleLabels?: true;
  /** Nothing that has expired, however long the servers are silent. */
  readonly fresh?: true;
}

/** Where an answer came from, for status, statistics and `dnsctl query`. */
export type AnswerOrigin =
  | { readonly kind: 'local' | 'hosts' | 'refused' }
  | { readonly kind: 'cache'; readonly route: string; readonly stale: boolean }
  | { readonly kind: 'upstream'; readonly route: string; readonly server: string; readonly tookMs: number }
  /** `circle`: whoever would have been asked only asks us again. */
  | { readonly kind: 'failure'; readonly route: string | undefined; readonly circle?: boolean };

/** A whole response to one query: id, question with the client's case, and EDNS are as this client needs them. */
export interface Answer {
  readonly wire: Buffer;
  readonly origin: AnswerOrigin;
  /** What the server's response says, where `wire` is that response made this client's: then nobody has to read it again. */
  readonly response?: ResponseFacts;
}

/** Answers a query; never rejects but for an aborted signal, because a failure is an answer too (SERVFAIL with an EDE). */
export type Answerer = (query: Query, signal: StopSignal) => Promise<Answer>;

/** One stage of the resolver: an answerer around the next one. The order stands in resolver/stages.ts. */
export type Stage = (next: Answerer) => Answerer;
