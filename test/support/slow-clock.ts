import { type Clock, systemClock } from '../../src/system/clock.ts';

/** So many times slower than the machine's. */
const SLOWER = 10;

/**
 * A clock on which things take a tenth of their time, so that a machine that halts for a second makes no server late: for
 * tests that say who is asked how often. Its time of day is the machine's.
 */
export const slowClock: Clock = {
  now: systemClock.now,
  elapsed: () => systemClock.elapsed() / SLOWER,
  after: (ms, task) => systemClock.after(ms * SLOWER, task),
};
