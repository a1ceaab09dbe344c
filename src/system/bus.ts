/**
 * A message bus as we need it: D-Bus by raw messages with deadlines, reconnection and counted match rules.
 * The port; system/dbus-next-bus.ts carries it out. One contract suite (test/contracts/bus.ts) holds every implementation.
 */

/** A value in a message body: string, number, boolean, bigint (x, t), array, struct as array, dict as object, variant. */
export type BusValue = unknown;

/** A variant with its signature, as bodies carry them. */
export interface Variant {
  readonly signature: string;
  readonly value: BusValue;
}

/** A method call on another peer. */
export interface BusCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature?: string;
  readonly body?: readonly BusValue[];
  /** Start the service if it does not run: only for those that are there to be started, such as polkit. */
  readonly mayStart?: true;
}

/** A signal as it arrived. `sender` is always a unique name. */
export interface BusSignal {
  readonly sender: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature: string;
  readonly body: readonly BusValue[];
}

/** Which signals are wanted; fields as in a match rule. */
export interface SignalMatch {
  readonly sender?: string;
  readonly path?: string;
  readonly pathNamespace?: string;
  readonly interface?: string;
  readonly member?: string;
  readonly arg0?: string;
}

/** One connection that comes back by itself. Variants in bodies that arrive are unwrapped to plain values. */
export interface Bus {
  /** Whether a connection stands right now. */
  readonly connected: boolean;
  /**
   * Call a method; without a connection the call waits for one. Rejects with DnskeeperError `BUS` (an error reply, a
   * lost connection, an abort), `DEADLINE` (5 s unless said otherwise) or `PROTOCOL` (it cannot be sent). Sent at most
   * once, and no reason for the bus to start a service unless the call says so.
   */
  call(
    call: BusCall,
    options?: { readonly deadlineMs?: number; readonly signal?: AbortSignal },
  ): Promise<readonly BusValue[]>;
  /**
   * Hear matching signals, also after every reconnection, until the returned function is called. With a well-known
   * name as sender only its owner of that moment is heard, whoever else addresses us.
   */
  onSignal(match: SignalMatch, listener: (signal: BusSignal) => void): () => void;
  /**
   * Follow the owner of a well-known name: called with its unique name or undefined, first as soon as the bus answers
   * (again after every reconnection), then at every change; undefined also when the connection is lost, which
   * `connected` tells apart. Until the returned function is called.
   */
  onOwner(name: string, listener: (owner: string | undefined) => void): () => void;
  /** Called with true or false whenever the connection comes or goes, and once at the start. */
  onConnected(listener: (connected: boolean) => void): () => void;
  close(): Promise<void>;
}
