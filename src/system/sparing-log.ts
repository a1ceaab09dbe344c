import type { Clock } from './clock.ts';
import type { Log } from './log.ts';

/** So many lines within a minute; no administrator reads more, and the journal throws away what comes beyond its own bound. */
const MOST_LINES = 20;
const WITHIN_MS = 60_000;

/**
 * A log for what anybody may cause as often as they like: beyond the bound only how many lines were left out is said, with
 * the first line that is written again. Debug lines are for whoever has asked for all.
 */
export function sparingLog(log: Log, clock: Pick<Clock, 'elapsed'>): Log {
  let since = Number.NEGATIVE_INFINITY;
  let written = 0;
  let leftOut = 0;
  const sparing =
    (level: 'info' | 'warn' | 'error'): Log['warn'] =>
    (fields, text) => {
      const now = clock.elapsed();
      if (now - since >= WITHIN_MS) {
        since = now;
        written = 0;
      }
      if (written >= MOST_LINES) {
        leftOut++;
        return;
      }
      written++;
      log[level](leftOut > 0 ? { ...fields, leftOut } : fields, text);
      leftOut = 0;
    };
  return {
    debug: (fields, text) => log.debug(fields, text),
    info: sparing('info'),
    warn: sparing('warn'),
    error: sparing('error'),
    child: (module) => sparingLog(log.child(module), clock),
  };
}
