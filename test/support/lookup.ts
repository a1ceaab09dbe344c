import type { LookupOptions, LookupQuestion } from '../../src/core/lookup.ts';

/** A lookup over every link that may be answered in every way. */
export const anyWay: LookupOptions = {
  ifindex: 0,
  local: true,
  cache: true,
  network: true,
  validate: true,
  stale: true,
  singleLabels: false,
  signal: new AbortController().signal,
};

/** A question of class IN, for an IPv4 address unless told otherwise. */
export const question = (name: string, type = 1): LookupQuestion => ({ name, type, class: 1 });
