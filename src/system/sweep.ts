import type { Clock } from './clock.ts';

/** Have V8 give everything that nobody uses back to the kernel, which takes some 20 ms; only where the launcher lets us. */
export function sweep(): void {
  globalThis.gc?.({ type: 'major', flavor: 'last-resort' });
}

/** So long nothing may have happened. */
const QUIET_MS = 2000;

/** So many things leave enough behind for a sweep to be worth its time. */
const WORTH = 5000;

/**
 * A function to call for each thing that leaves something behind. When it was called often and then no more for a while,
 * `clean` is called once: V8 by itself keeps what a storm took until the next one, because it acts only on allocations.
 */
export function sweepAfterStorms(clock: Clock, clean: () => void = sweep): () => void {
  let count = 0;
  let swept = 0;
  let armed = false;
  function arm(): void {
    const before = count;
    armed = true;
    clock.after(QUIET_MS, () => {
      armed = false;
      if (count !== before) return arm();
      if (count - swept < WORTH) return;
      swept = count;
      clean();
    });
  }
  return () => {
    count++;
    if (!armed) arm();
  };
}
