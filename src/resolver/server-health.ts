import { DnskeeperError, messageOf } from '../core/errors.ts';
import type { ServerReport } from '../core/status.ts';
import { printable } from '../core/text.ts';

/** A server nobody knows yet gets this long before another is asked too. */
const FIRST_PATIENCE_MS = 150;
const LEAST_PATIENCE_MS = 30;
const MOST_PATIENCE_MS = 600;
const FIRST_PROBE_MS = 1000;
/** Short enough that a probe which is lost on its way does not keep people on the second server for a minute. */
const LONGEST_PROBE_MS = 10_000;
/** What is known of a server's quickness counts half after so long. */
const HALF_LIFE_MS = 2 * 60_000;

/**
 * What is remembered about one server. Round trips are smoothed as TCP does (RFC 6298). A server that was late or lost
 * is suspect: others are asked first, and it gets a copy of a query now and then until it answers. `now` is always a
 * clock's `elapsed`, which nobody can set.
 */
export class ServerHealth {
  #smoothed: number | undefined;
  #variation = 0;
  #answeredAt = 0;
  #suspect = false;
  #probeAt = 0;
  #probePause = FIRST_PROBE_MS;
  readonly #counts = {
    asked: 0,
    answers: 0,
    refusals: 0,
    hedgesWon: 0,
    failures: 0,
    timeouts: 0,
    unreachable: 0,
    malformed: 0,
  };
  #lastFailure: ServerReport['lastFailure'];

  get suspect(): boolean {
    return this.#suspect;
  }

  /**
   * How long an answer is likely to take; 0 for one that has not answered yet. It halves with time, so that a server
   * which was slow once is tried again some day.
   */
  expectedMs(now: number): number {
    if (this.#smoothed === undefined) return 0;
    return this.#smoothed * 0.5 ** (Math.max(0, now - this.#answeredAt) / HALF_LIFE_MS);
  }

  /** How long it usually takes at most. */
  get patienceMs(): number {
    if (this.#smoothed === undefined) return FIRST_PATIENCE_MS;
    return Math.min(Math.max(this.#smoothed + 4 * this.#variation, LEAST_PATIENCE_MS), MOST_PATIENCE_MS);
  }

  asked(): void {
    this.#counts.asked++;
  }

  /** Its answer sends us to the next server. */
  refused(): void {
    this.#counts.refusals++;
  }

  /** Its answer came before that of a server that was asked earlier. */
  overtook(): void {
    this.#counts.hedgesWon++;
  }

  answered(tookMs: number, now: number): void {
    this.#counts.answers++;
    const isOld = now - this.#answeredAt > 2 * HALF_LIFE_MS;
    this.#answeredAt = now;
    if (this.#smoothed === undefined || isOld) {
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

  /** It did not answer at all, or could not be reached; `time` is the wall clock's, for people. */
  failed(now: number, error: unknown, time: number): void {
    this.#counts.failures++;
    this.#counts[kindOf(error)]++;
    this.#lastFailure = { time, text: printable(messageOf(error), 200) };
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
      state: this.#suspect ? 'late' : this.#counts.answers === 0 ? 'new' : 'good',
      ...(this.#smoothed === undefined ? {} : { roundTripMs: hundredths(this.#smoothed) }),
      patienceMs: hundredths(this.patienceMs),
      ...this.#counts,
      ...(this.#lastFailure === undefined ? {} : { lastFailure: this.#lastFailure }),
    };
  }
}

const hundredths = (ms: number): number => Math.round(ms * 100) / 100;

function kindOf(error: unknown): 'timeouts' | 'unreachable' | 'malformed' {
  const code = error instanceof DnskeeperError ? error.code : 'IO';
  if (code === 'DEADLINE') return 'timeouts';
  return code === 'PROTOCOL' ? 'malformed' : 'unreachable';
}
