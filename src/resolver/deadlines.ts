import type { Clock } from '../system/clock.ts';
import { Queue, Queued } from './queue.ts';

/** Something that has to happen within the time; forget it with `delete`. */
export abstract class Due extends Queued {
  /** The deadlines' own: when it ends, on the clock's `elapsed`. */
  dueAt = 0;
  /** The time is over. */
  abstract expired(): void;
}

/**
 * Deadlines of one length for many things at once: those set first end first, so one timer for the oldest is enough,
 * where a timer for each of some ten thousand questions a second would cost a good part of them.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #ms: number;
  readonly #due = new Queue<Due>();
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, ms: number) {
    this.#clock = clock;
    this.#ms = ms;
  }

  add(due: Due): void {
    due.dueAt = this.#clock.elapsed() + this.#ms;
    this.#due.add(due);
    this.#cancel ??= this.#clock.after(this.#ms, this.#look);
  }

  delete(due: Due): void {
    this.#due.delete(due);
  }

  /** Nothing of these expires any more. */
  clear(): void {
    this.#due.clear();
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** The timer stays when its thing was done in time, and then waits for the oldest that is left. */
  readonly #look = (): void => {
    this.#cancel = undefined;
    const now = this.#clock.elapsed();
    for (let due = this.#due.first; due !== undefined; due = this.#due.first) {
      if (due.dueAt > now) {
        this.#cancel = this.#clock.after(due.dueAt - now, this.#look);
        return;
      }
      this.#due.delete(due);
      due.expired();
    }
  };
}
