import type { DnskeeperError } from '../core/errors.ts';
import type { BusCall, BusSignal, BusValue } from './bus.ts';
import type { IncomingCall, OutgoingSignal } from './bus-service.ts';

/** How a call ended. */
export type Reply =
  | { readonly ok: true; readonly body: readonly BusValue[] }
  | { readonly ok: false; readonly error: DnskeeperError };

/** A call as a connection reads it; who is still there to wait for the answer is not its business. */
export type ReceivedCall = Omit<IncomingCall, 'signal'>;

/** What goes back to a caller. */
export type SentReply =
  | { readonly ok: true; readonly signature: string; readonly body: readonly BusValue[] }
  | { readonly ok: false; readonly errorName: string; readonly text: string };

/** What one connection tells, each synchronously from its read loop, so that the order of the bus is kept. */
export interface ConnectionEvents {
  /** The bus has greeted us by our unique name; calls may be made from now on. */
  ready(uniqueName: string): void;
  signal(signal: BusSignal): void;
  /** Somebody calls us. `reply` never throws and sends nothing where no reply is expected or nobody can hear it. */
  called(call: ReceivedCall, reply: (sent: SentReply) => void): void;
  /** Once, last: it broke, was refused or was closed. Calls without answer stay without one. */
  closed(reason: string): void;
}

/** One connection to the bus that does not come back: what a D-Bus library has to provide for the Bus port. */
export interface BusConnection {
  /** Send a call; `settle` is called at most once. Throws when it cannot be sent. The returned function forgets it. */
  call(call: BusCall, settle: (reply: Reply) => void): () => void;
  /** Send a signal. Throws when it cannot be sent. */
  emit(signal: OutgoingSignal): void;
  close(reason: string): void;
}

/** Begin to connect; never throws, a failure is told as `closed` later on. */
export type Connect = (events: ConnectionEvents) => BusConnection;
