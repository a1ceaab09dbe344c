import type { Bus, BusValue } from './bus.ts';

/**
 * The serving half of the bus port: names of our own, calls that reach us, signals that we send.
 * system/reconnecting-bus.ts carries it out; test/contracts/bus-service.ts holds every implementation.
 */

/** A method call that reached us. */
export interface IncomingCall {
  /** Unique name of the caller, as the bus vouches for it. */
  readonly sender: string;
  readonly path: string;
  /** Empty where the caller left it open, which D-Bus allows. */
  readonly interface: string;
  readonly member: string;
  readonly signature: string;
  /** Plain values; only a variant that is an argument of its own keeps its signature (`Variant`). */
  readonly body: readonly BusValue[];
  /** Whether the caller would wait for somebody to type a password. */
  readonly interactive: boolean;
  /** Aborts when the caller has left the bus, the connection is lost, or the answer takes too long. */
  readonly signal: AbortSignal;
}

/** What a call is answered with. */
export interface MethodReply {
  readonly signature: string;
  readonly body: readonly BusValue[];
}

/** Answers a call; what it throws becomes an error reply: a BusError by its name, anything else without its text. */
export type CallHandler = (call: IncomingCall) => MethodReply | Promise<MethodReply>;

/** An error as D-Bus carries it: thrown by whoever answers a call. */
export class BusError extends Error {
  override readonly name = 'BusError';
  /** Fully qualified: `org.freedesktop.DBus.Error.InvalidArgs`. */
  readonly errorName: string;

  constructor(errorName: string, text: string) {
    super(text);
    this.errorName = errorName;
  }
}

/** A signal as we send it; to everybody who wants it, or to one destination. */
export interface OutgoingSignal {
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature?: string;
  readonly body?: readonly BusValue[];
  readonly destination?: string;
}

/** How a name is asked for (RequestName of the D-Bus specification); without any of these it is had or it is not. */
export interface NameOptions {
  /** Others may take it from us. */
  readonly allowReplacement?: boolean;
  /** Take it from an owner who allows that. */
  readonly replace?: boolean;
  /** Wait in the bus's queue until it is free. */
  readonly queue?: boolean;
}

/** How it stands with a name of ours. */
export type NameState =
  | { readonly state: 'owned' }
  /** We get it when its owner lets go. */
  | { readonly state: 'queued' }
  /** Somebody else has it and we do not wait for it; ask again when it is free. */
  | { readonly state: 'taken' }
  /** The bus's policy does not let us have it. */
  | { readonly state: 'refused'; readonly reason: string }
  /** No connection; it is asked for again with the next one. */
  | { readonly state: 'away' };

/** A bus that others can call us on. */
export interface ServiceBus extends Bus {
  /** Our unique name on the connection that stands, or undefined without one. */
  readonly uniqueName: string | undefined;
  /**
   * Answer the calls that reach us, on this connection and on all later ones, until the returned function is called;
   * calls that come while nobody serves get UnknownMethod. One server at a time.
   */
  serve(handler: CallHandler): () => void;
  /** Send a signal. Without a connection it is dropped, as nobody can hear it. Throws `PROTOCOL` for a wrong body. */
  emit(signal: OutgoingSignal): void;
  /**
   * Own a name, on this connection and on all later ones; `listener` hears of every change, first when the bus has
   * answered. The returned function gives the name up; it resolves when it is free. One owner for each name.
   */
  own(name: string, options: NameOptions, listener: (state: NameState) => void): () => Promise<void>;
}
