import type { Change } from '../core/status.ts';
import type { Clock } from '../system/clock.ts';

/** Why it is decided anew. */
export interface Occasion {
  readonly cause: string;
  readonly source: Change['source'];
  /** When it was told; of the clock's `elapsed`. */
  readonly since: number;
}

/** What a turn does. */
export interface TurnsNeeds {
  readonly clock: Clock;
  /** No turn begins once it aborts. */
  readonly stop: AbortSignal;
  /** How long the files have to wait before their next write, in milliseconds. */
  readonly pause: () => number;
  /** Decide and apply. */
  readonly act: (occasion: Occasion) => Promise<void>;
  /** The same while the files have to wait; `act` follows. */
  readonly actWithoutFiles: (occasion: Occasion) => Promise<void>;
}

/** When it is decided and applied: at once, never twice at the same time, and what comes meanwhile in one more turn. */
export class Turns {
  readonly #needs: TurnsNeeds;
  #pending: Occasion | undefined;
  #running: Promise<void> | undefined;
  /** Who waits until nothing is pending. */
  readonly #settling: (() => void)[] = [];
  #cancelTimer: () => void = () => {};

  constructor(needs: TurnsNeeds) {
    this.#needs = needs;
  }

  /** Whether a turn is under way. */
  get running(): boolean {
    return this.#running !== undefined;
  }

  /** Take a turn, or one more when the present one ends. */
  wake(cause: string, source: Change['source']): void {
    // Of what is folded together the first cause is told; one from outside tells more than one of our own.
    const earlier = this.#pending;
    if (earlier === undefined || earlier.source === 'dnskeeper')
      this.#pending = { cause, source, since: earlier?.since ?? this.#needs.clock.elapsed() };
    this.#begin();
  }

  /** Take a turn after that time, in place of what was to come later before. */
  wakeAfter(ms: number, cause: string): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#needs.clock.after(Math.max(1, ms), () => this.wake(cause, 'dnskeeper'));
  }

  /** Resolves when no turn is under way. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** The same, and nothing is held back for a moment. */
  settled(): Promise<void> {
    if (this.#running === undefined && this.#pending === undefined) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#settling.push(resolve);
    return promise;
  }

  /** Resolves when the last turn has ended, once `stop` has aborted. */
  async close(): Promise<void> {
    this.#cancelTimer();
    await this.idle();
    this.#tellSettled();
  }

  #begin(): void {
    this.#running ??= this.#turn().finally(() => {
      this.#running = undefined;
      if (this.#pending !== undefined && !this.#needs.stop.aborted && !this.#holdBack()) this.#begin();
      this.#tellSettled();
    });
  }

  async #turn(): Promise<void> {
    await Promise.resolve(); // let what arrives in the same turn be folded in
    const occasion = this.#pending;
    if (this.#needs.stop.aborted || occasion === undefined) return;
    if (this.#holdBack()) return this.#needs.actWithoutFiles(occasion);
    this.#pending = undefined;
    await this.#needs.act(occasion);
  }

  /** In a storm of changes the next write waits; the timer wakes us with whatever holds by then. */
  #holdBack(): boolean {
    const pause = this.#needs.pause();
    if (pause > 0) this.wakeAfter(pause, 'a burst of changes was folded');
    return pause > 0;
  }

  #tellSettled(): void {
    if (this.#running !== undefined || (this.#pending !== undefined && !this.#needs.stop.aborted)) return;
    for (const resolve of this.#settling.splice(0)) resolve();
  }
}
