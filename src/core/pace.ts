const FREE = 16;
const WINDOW_MS = 2000;
const STEP_MS = 25;
const MOST_MS = 250;
/** More would only lengthen a pause that is the longest already. */
const KEPT = FREE + MOST_MS / STEP_MS;

/**
 * How long to wait before the next write of the files, given when the last ones were made (newest last).
 * A person's switches and a script that goes through profiles one after the other are never held up: each is two or
 * three writes. In a storm of changes the pause grows with every write, which comes out at some ten writes a second, so
 * that even the last change of a storm is in the files within about a tenth of a second.
 */
export function pauseBeforeWrite(writes: readonly number[], now: number): number {
  // A clock that was set back says nothing about the writes before that.
  const recent = writes.filter((time) => time <= now && now - time < WINDOW_MS);
  const last = recent.at(-1);
  if (last === undefined) return 0;
  const pause = Math.min(MOST_MS, STEP_MS * Math.max(0, recent.length - FREE + 1));
  return Math.max(0, last + pause - now);
}

/** The times worth keeping for the next question. */
export const rememberWrite = (writes: readonly number[], now: number): readonly number[] =>
  [...writes, now].slice(-KEPT);

/** The pause before the n-th try (from 1) of something that failed: 1 s, doubling, at most a minute. */
export const retryPause = (attempt: number): number => Math.min(60_000, 1000 * 2 ** Math.min(attempt - 1, 6));
