import type { ServerReport } from '../core/status.ts';

/** A server nobody knows yet gets this long before another is asked too. */
const FIRST_PATIENCE_MS = 150;
const LEAST_PATIENCE_MS = 30;
const MOST_PATIENCE_MS = 600;
const FIRST_PROBE_MS = 1000;
const LONGEST_PROBE_MS = 30_000;

/**
 * What is remembered about one server. Round trips are smoothed as TCP does (RFC 6298). A server that was late or lost
 * is suspect: others are asked first, and it gets a copy of a query now and then until it answers.
 */
export class ServerHealth {
  #smoothed: number | undefined;
  #variation = 0;
  #suspect = false;
  #probeAt = 0;
  #probePause = FIRST_PROBE_MS;
  #answers = 0;
  #failures = 0;

  get suspect(): boolean {
    return this.#suspect;
  }

  /** 0 for one that has not answered yet. */
  get roundTripMs(): number {
    return this.#smoothed ?? 0;
  }

  /** How long it usually takes at most. */
  get patienceMs(): number {
    if (this.#smoothed === undefined) return FIRST_PATIENCE_MS;
    return Math.min(Math.max(this.#smoothed + 4 * this.#variation, LEAST_PATIENCE_MS), MOST_PATIENCE_MS);
  }

  answered(tookMs: number): void {
    this.#answers++;
    if (this.#smoothed === undefined) {
      this.#smoothed = tookMs;
      this.#variation = tookMs / 2;
    } else {
      this.#variation = 0.75 * this.#variation + 0.25 * Math.abs(this.#smoothed - tookMs);
      this.#smoothed = 0.875 * this.#smoothed + 0.125 * tookMs;
    }
    this.forgive();
  }

  /** It has not answered within its usual time; it may still. */
  late(now: number): void {
    if (this.#suspect) return;
    this.#suspect = true;
    this.#probeAt = now + this.#probePause;
  }

  /** It did not answer at all, or could not be reached. */
  failed(now: number): void {
    this.#failures++;
    this.late(now);
  }

  /** Whether a copy of a query is due for it; then the next one is due after a longer pause. */
  takeProbe(now: number): boolean {
    if (!this.#suspect || now < this.#probeAt) return false;
    this.#probePause = Math.min(this.#probePause * 2, LONGEST_PROBE_MS);
    this.#probeAt = now + this.#probePause;
    return true;
  }

  forgive(): void {
    this.#suspect = false;
    this.#probePause = FIRST_PROBE_MS;
  }

  report(link: string, server: string): ServerReport {
    return {
      link,
      server,
      state: this.#suspect ? 'late' : this.#answers === 0 ? 'new' : 'good',
      ...(this.#smoothed === undefined ? {} : { roundTripMs: Math.round(this.#smoothed * 100) / 100 }),
      answers: this.#answers,
      failures: this.#failures,
    };
  }
}
