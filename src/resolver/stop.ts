import { DnskeeperError } from '../core/errors.ts';

/**
 * Tells that an answer is not wanted any more. Every AbortSignal is one; within the resolver `Stop` takes its place,
 * because an AbortController, its listeners and the DOMException that it makes cost more than the rest of a query.
 */
export interface StopSignal {
  readonly aborted: boolean;
  /** What promises are rejected with. */
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/**
 * A signal together with the way to give it; each listener is told once. For the few that hear of one question: a list is
 * then less work than a Set.
 */
export class Stop implements StopSignal {
  #aborted = false;
  #listeners: (() => void)[] | undefined;

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): unknown {
    return this.#aborted ? GIVEN_UP : undefined;
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    if (this.#aborted) return;
    if (this.#listeners === undefined) this.#listeners = [listener];
    else if (!this.#listeners.includes(listener)) this.#listeners.push(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const at = this.#listeners?.indexOf(listener) ?? -1;
    if (at >= 0) this.#listeners?.splice(at, 1);
  }

  /** Nobody waits any more; a second time does nothing. */
  abort(): void {
    if (this.#aborted) return;
    this.#aborted = true;
    const listeners = this.#listeners;
    this.#listeners = undefined;
    if (listeners !== undefined) for (const listener of listeners) listener();
  }
}

/** One for all: whoever gave up does not look where. */
const GIVEN_UP = new DnskeeperError('DEADLINE', 'nobody waits for the answer any more');
