import type { Origin } from './plan.ts';

/** The priority of fallback servers: worse than any that counts beside others. */
export const FALLBACK_PRIORITY = 2 ** 31 - 1;

/** Whether a value is one of the configuration's fallback servers. */
export const isFallback = ({ source, priority }: Pick<Origin, 'source' | 'priority'>): boolean =>
  source === 'configuration' && priority === FALLBACK_PRIORITY;
