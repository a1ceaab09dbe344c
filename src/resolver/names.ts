import { recordTypeName } from '../core/dns-parameters.ts';
import type { AskedName, NamesReport, NamesWatch, SlowName } from '../core/names-report.ts';
import type { Clock } from '../system/clock.ts';
import type { Heard } from './statistics.ts';
import { readName } from './wire.ts';

/** Keeps names while somebody watches, and not a moment longer: what people ask for is nobody's business. */
export interface Names {
  /** Where to tell an answer; undefined while nobody watches. */
  readonly heard: Heard | undefined;
  watch(): NamesWatch;
}

/** How many names are told apart. */
export const MOST_NAMES = 64;

/** How many slow answers are kept. */
export const MOST_SLOW = 16;

const SLOW_FOR_MS = 60_000;
const FAST_ENOUGH_MS = 1;

/** All who watch see the same names; the first begins and the last ends it. */
export function watchedNames(clock: Clock): Names {
  let watching = 0;
  let kept: Kept | undefined;
  return {
    get heard() {
      return kept?.heard;
    },
    watch() {
      watching++;
      kept ??= new Kept(clock);
      const own = kept;
      let open = true;
      return {
        report: () => own.report(),
        close() {
          if (open && --watching === 0) kept = undefined;
          open = false;
        },
      };
    },
  };
}

class Kept {
  readonly #clock: Clock;
  readonly #since: number;
  readonly #asked = new FrequentItems(MOST_NAMES);
  #slow: SlowName[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = clock.now();
  }

  readonly heard: Heard = (query, { origin }, tookMs) => {
    const name = readName(query.name);
    this.#asked.add(name);
    if (tookMs < FAST_ENOUGH_MS) return;
    const time = this.#clock.now();
    const by = 'server' in origin ? origin.server : origin.kind;
    const type = recordTypeName(query.type);
    this.#slow.push({ name, type, tookMs: Math.round(tookMs * 10) / 10, by, time });
    if (this.#slow.length > 4 * MOST_SLOW) this.#slow = slowest(this.#slow, time);
  };

  report(): NamesReport {
    this.#slow = slowest(this.#slow, this.#clock.now());
    return { since: this.#since, asked: this.#asked.list(), slowest: this.#slow };
  }
}

const slowest = (all: readonly SlowName[], now: number): SlowName[] =>
  all
    .filter(({ time }) => now - time <= SLOW_FOR_MS)
    .sort((a, b) => b.tookMs - a.tookMs)
    .slice(0, MOST_SLOW);

/**
 * Counts the most frequent of any number of names in few slots (Space-Saving: Metwally, Agrawal, El Abbadi, ICDT 2005):
 * a name without a slot takes that of the rarest, with its count, so that a count is never too low.
 */
export class FrequentItems {
  readonly #most: number;
  readonly #slots = new Map<string, { count: number; tooHigh: number }>();

  constructor(most: number) {
    this.#most = most;
  }

  add(name: string): void {
    const slot = this.#slots.get(name);
    if (slot !== undefined) {
      slot.count++;
      return;
    }
    const rarest = this.#slots.size < this.#most ? undefined : this.#rarest();
    if (rarest !== undefined) this.#slots.delete(rarest.name);
    const tooHigh = rarest?.count ?? 0;
    this.#slots.set(name, { count: tooHigh + 1, tooHigh });
  }

  /** Most first. */
  list(): readonly AskedName[] {
    return [...this.#slots]
      .map(([name, { count, tooHigh }]) => ({ name, count, countedTooHigh: tooHigh }))
      .sort((a, b) => b.count - a.count);
  }

  #rarest(): { readonly name: string; readonly count: number } | undefined {
    let rarest: { readonly name: string; readonly count: number } | undefined;
    for (const [name, { count }] of this.#slots)
      if (rarest === undefined || count < rarest.count) rarest = { name, count };
    return rarest;
  }
}
