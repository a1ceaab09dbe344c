import { Listeners } from '../core/listeners.ts';
import { pauseBeforeWrite, rememberWrite } from '../core/pace.ts';
import type { Change } from '../core/status.ts';
import type { DaemonParts } from './parts.ts';
import type { Occasion } from './turns.ts';

const KEPT = 64;

/** How resolv.conf changed, and how fast it may change again. */
export class History {
  readonly #clock: DaemonParts['clock'];
  readonly #log: DaemonParts['log'];
  readonly #changes: Change[] = [];
  readonly #listeners = new Listeners<Change>();
  #recent: readonly number[] = [];
  #writes = 0;

  constructor({ clock, log }: Pick<DaemonParts, 'clock' | 'log'>) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Newest last. */
  get changes(): readonly Change[] {
    return this.#changes;
  }

  /** How often resolv.conf was written, also before what is kept here. */
  get writes(): number {
    return this.#writes;
  }

  /** Call the listener on every change until the returned function is called. */
  onChange(listener: (change: Change) => void): () => void {
    return this.#listeners.add(listener);
  }

  /** How long to wait before the next write, in milliseconds. */
  pause(): number {
    return pauseBeforeWrite(this.#recent, this.#clock.now());
  }

  /** resolv.conf was written just now. */
  add({ cause, source, since }: Occasion, what: Pick<Change, 'before' | 'after' | 'reasons'>): void {
    const time = this.#clock.now();
    const tookMs = Math.round((this.#clock.elapsed() - since) * 100) / 100;
    this.#writes++;
    this.#recent = rememberWrite(this.#recent, time);
    const change: Change = { time, cause, source, tookMs, ...what };
    this.#changes.push(change);
    if (this.#changes.length > KEPT) this.#changes.shift();
    this.#log.info({ cause, source, tookMs, reasons: what.reasons }, 'resolv.conf was written.');
    this.#listeners.tell(change);
  }
}
