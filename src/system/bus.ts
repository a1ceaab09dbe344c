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
  /** Call a method. Rejects with DnskeeperError `BUS`, `DEADLINE` or, when the connection goes, `BUS`; never hangs. */
  call(
    call: BusCall,
    options?: { readonly deadlineMs?: number; readonly signal?: AbortSignal },
  ): Promise<readonly BusValue[]>;
  /** Hear matching signals, also after every reconnection, until the returned function is called. */
  onSignal(match: SignalMatch, listener: (signal: BusSignal) => void): () => void;
  /**
   * Follow the owner of a well-known name: called with its unique name or undefined, first as soon as the bus answers,
   * then at every change; undefined also when the connection is lost. Until the returned function is called.
   */
  onOwner(name: string, listener: (owner: string | undefined) => void): () => void;
  /** Called with true or false whenever the connection comes or goes, and once at the start. */
  onConnected(listener: (connected: boolean) => void): () => void;
  close(): Promise<void>;
}
