import type { Clock } from '../system/clock.ts';

/** Something that has to happen within the time; forget it with `delete`. */
export interface Due {
  /** The time is over. */
  expired(): void;
}

/**
 * Deadlines of one length for many things at once: those set first end first, so one timer for the oldest is enough,
 * where a timer for each of some ten thousand questions a second would cost a good part of them.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #ms: number;
  /** In the order in which they end; the value is when, on the clock's `elapsed`. */
  readonly #due = new Map<Due, number>();
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, ms: number) {
    this.#clock = clock;
    this.#ms = ms;
  }

  add(due: Due): void {
    this.#due.set(due, this.#clock.elapsed() + this.#ms);
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
    for (const [due, at] of this.#due) {
      if (at > now) {
        this.#cancel = this.#clock.after(at - now, this.#look);
        return;
      }
      this.#due.delete(due);
      due.expired();
    }
  };
}
