import { DnskeeperError } from '../core/errors.ts';
import type { BusCall, BusValue } from './bus.ts';
import type { Reply } from './bus-connection.ts';
import type { Clock } from './clock.ts';

/** How long a call waits for its answer where the caller does not say. */
export const DEADLINE_MS = 5_000;

/** Send a call; `settle` is told the answer. Throws when it cannot be sent; the returned function forgets it. */
export type Send = (call: BusCall, settle: (reply: Reply) => void) => () => void;

/** When a call is given up. */
export interface CallOptions {
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

/** Calls without an answer yet, sent or waiting for a connection; each settles once, at its deadline at the latest. */
export class PendingCalls {
  readonly #clock: Clock;
  readonly #calls = new Set<{ start(send: Send): void; fail(error: unknown): void }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Begin a call; without `send` it waits for `startWaiting`. */
  begin(call: BusCall, options: CallOptions, send: Send | undefined): Promise<readonly BusValue[]> {
    const what = `${call.interface}.${call.member} at ${call.destination}`;
    const { signal, deadlineMs = DEADLINE_MS } = options;
    if (signal?.aborted) return Promise.reject(abortedError(what, signal));
    if (this.#calls.size >= MOST_CALLS)
      return Promise.reject(new DnskeeperError('BUS', `More than ${MOST_CALLS} bus calls wait for answers.`));
    const { promise, resolve, reject } = Promise.withResolvers<readonly BusValue[]>();
    let sent: { forget(): void } | undefined;
    const finish = (): void => {
      this.#calls.delete(entry);
      cancelDeadline();
      signal?.removeEventListener('abort', abort);
      sent?.forget();
    };
    const fail = (error: unknown): void => {
      finish();
      reject(error);
    };
    const settle = (reply: Reply): void => {
      finish();
      if (reply.ok) resolve(reply.body);
      else reject(reply.error);
    };
    const start = (by: Send): void => {
      if (sent !== undefined) return;
      try {
        sent = { forget: by(call, settle) };
      } catch (error) {
        fail(error);
      }
    };
    const entry = { start, fail };
    const abort = (): void => fail(abortedError(what, signal));
    const cancelDeadline = this.#clock.after(deadlineMs, () =>
      fail(deadlineError(what, deadlineMs, sent !== undefined)),
    );
    signal?.addEventListener('abort', abort, { once: true });
    this.#calls.add(entry);
    if (send !== undefined) start(send);
    return promise;
  }

  /** Send what waited for a connection; nothing is ever sent twice. */
  startWaiting(send: Send): void {
    for (const call of [...this.#calls]) call.start(send);
  }

  /** Reject all. */
  failAll(error: DnskeeperError): void {
    for (const call of [...this.#calls]) call.fail(error);
  }
}

const MOST_CALLS = 10_000;

const abortedError = (what: string, signal: AbortSignal | undefined): DnskeeperError =>
  new DnskeeperError('BUS', `The call ${what} was given up.`, signal?.reason);

const deadlineError = (what: string, ms: number, sent: boolean): DnskeeperError =>
  new DnskeeperError(
    'DEADLINE',
    sent
      ? `No answer to ${what} within ${ms} ms.`
      : `No message bus to send ${what} over within ${ms} ms; is dbus running?`,
  );
