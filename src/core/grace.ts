import { isFallback } from './fallback.ts';
import type { Plan } from './plan.ts';

/** The plan to put into force now, and until when an older one is held if it is. */
export interface Held {
  readonly plan: Plan;
  /** Set while the last good plan stands in for one without servers; decide again then. */
  readonly until?: number;
}

/**
 * Keep the last plan that had servers over a gap: a profile switch passes through moments without any, and an empty
 * file would send libc to 127.0.0.1. `since` is when the gap began, if one is open already.
 * Fallback servers close no gap: they are for machines where nobody names any, not for the moment between two networks.
 */
export function holdOverGap(
  last: Plan | undefined,
  next: Plan,
  since: number | undefined,
  now: number,
  graceMs: number,
): Held {
  const gap = last !== undefined && hasServers(last) && !hasServers(next);
  if (!gap) return { plan: next };
  const begun = since ?? now;
  const until = begun + graceMs;
  // A clock that was set back would make the gap last until that time comes again.
  return now >= begun && now < until ? { plan: last, until } : { plan: next };
}

const hasServers = (plan: Plan): boolean => plan.upstream.some(({ origin }) => !isFallback(origin));
