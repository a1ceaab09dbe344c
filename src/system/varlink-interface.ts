import type { VarlinkParameters } from './varlink-frames.ts';

/** Who is on the other end of a socket (SO_PEERCRED). */
export interface Peer {
  readonly uid: number;
  readonly pid: number;
}

/** A call as a method sees it. */
export interface VarlinkCall {
  readonly parameters: VarlinkParameters;
  /** Undefined when the kernel could not be asked; such a peer has no rights. */
  readonly peer: Peer | undefined;
  /** For a stream: aborts when the caller hangs up, closes its writing side, or the server closes. */
  readonly signal: AbortSignal;
}

/** What a parameter is; with a question mark it may be left out or null. `bytes` is a list of numbers from 0 to 255. */
export type ParameterKind = `${'string' | 'int' | 'bool' | 'bytes'}${'' | '?'}`;

/** Parameters by name. */
export type ParameterKinds = Readonly<Record<string, ParameterKind>>;

/** One method of an interface; throws a VarlinkError to reply with an error. */
export interface VarlinkMethod {
  /** Parameters it takes: names of strings that are all wanted, or a kind for each. */
  readonly takes?: readonly string[] | ParameterKinds;
  /** A call that wants no answer makes no sense: whoever makes one is dropped. */
  readonly neverOneway?: true;
  /** Answer once. Left out for a method that only makes sense with `more`. */
  readonly answer?: (call: VarlinkCall) => VarlinkParameters | Promise<VarlinkParameters>;
  /** Answer with `more`: calls `send` for every reply until the call's signal aborts. Returns at once. */
  readonly stream?: (call: VarlinkCall, send: (parameters: VarlinkParameters) => void) => void;
}

/** An interface with its description, which is what `varlinkctl introspect` shows. */
export interface VarlinkInterface {
  readonly name: string;
  readonly description: string;
  readonly methods: Readonly<Record<string, VarlinkMethod>>;
}

/** Bounds of a server; nothing a peer does makes it hold more. */
export interface VarlinkLimits {
  /** Bytes of one incoming frame, and of calls that wait their turn on one connection. */
  readonly frameBytes: number;
  readonly connections: number;
  /** How many of them one user may hold, so that no user can lock the others out. */
  readonly connectionsPerUser: number;
  /** Further connections that only root and the daemon's own user may use, so that nobody can lock them out. */
  readonly reservedConnections: number;
  /** Replies that may wait for a slow reader before it is dropped. */
  readonly outstandingReplies: number;
  /** Bytes that may wait for a slow reader before it is dropped. */
  readonly outstandingBytes: number;
}

/** What org.varlink.service.GetInfo says. */
export interface ServiceInfo {
  readonly vendor: string;
  readonly product: string;
  readonly version: string;
  readonly url: string;
}
