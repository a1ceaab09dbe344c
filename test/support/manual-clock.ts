import type { Clock } from '../../src/system/clock.ts';

/** A clock that moves only when told. */
export interface ManualClock extends Clock {
  /** Move on and run what is due, in order. */
  advance(ms: number): void;
  /** How many tasks wait. */
  readonly waiting: number;
}

/** A clock that stands at `start`. */
export function manualClock(start = 1_700_000_000_000): ManualClock {
  let now = start;
  const tasks = new Set<{ readonly due: number; readonly run: () => void }>();
  return {
    now: () => now,
    elapsed: () => now,
    after(ms, run) {
      const task = { due: now + ms, run };
      tasks.add(task);
      return () => void tasks.delete(task);
    },
    advance(ms) {
      const end = now + ms;
      for (;;) {
        const [next] = [...tasks].filter((task) => task.due <= end).sort((a, b) => a.due - b.due);
        if (next === undefined) break;
        tasks.delete(next);
        now = Math.max(now, next.due);
        next.run();
      }
      now = end;
    },
    get waiting() {
      return tasks.size;
    },
  };
}
