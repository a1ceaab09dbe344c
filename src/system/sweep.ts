import type { Clock } from './clock.ts';
import type { Libc } from './libc.ts';

/**
 * Give everything that nobody uses back to the kernel, which takes some 20 ms: V8's part only where the launcher lets us,
 * and what lies outside its heap, as messages do, where the C library can be reached.
 */
export function sweep(libc: Pick<Libc, 'trimMemory'> | undefined): void {
  globalThis.gc?.({ type: 'major', flavor: 'last-resort' });
  libc?.trimMemory();
}

/**
 * So long nothing may have happened. A sweep throws compiled code away too, so that what comes next costs a tenth more for
 * some seconds: not between two storms that belong together.
 */
const QUIET_MS = 10_000;

/** So many things leave enough behind for a sweep to be worth its time. */
const WORTH = 5000;

/**
 * A function to call for each thing that leaves something behind. When it was called often and then no more for a while,
 * `clean` is called once: V8 by itself keeps what a storm took until the next one, because it acts only on allocations.
 */
export function sweepAfterStorms(clock: Clock, clean: () => void): () => void {
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
