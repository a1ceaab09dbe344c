const FREE = 8;
const WINDOW_MS = 2000;
const PAUSE_MS = 250;

/**
 * How long to wait before the next write of the files, given when the last ones were made (newest last).
 * A person's switches are never held up; a storm of changes is slowed to a few writes a second.
 */
export function pauseBeforeWrite(writes: readonly number[], now: number): number {
  const recent = writes.filter((time) => now - time < WINDOW_MS);
  const last = recent.at(-1);
  return recent.length < FREE || last === undefined ? 0 : Math.max(0, last + PAUSE_MS - now);
}

/** The times worth keeping for the next question. */
export const rememberWrite = (writes: readonly number[], now: number): readonly number[] =>
  [...writes, now].slice(-FREE);

/** The pause before the n-th try (from 1) of something that failed: 1 s, doubling, at most a minute. */
export const retryPause = (attempt: number): number => Math.min(60_000, 1000 * 2 ** Math.min(attempt - 1, 6));
