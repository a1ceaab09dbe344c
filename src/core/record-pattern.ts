import { matchesPattern } from './glob.ts';

/** Whether a key is one of an interface pattern of openresolv's lists, which also stand for `pattern:*` and `pattern.*`. */
export const matchesKey = (pattern: string, key: string): boolean =>
  [pattern, `${pattern}:*`, `${pattern}.*`].some((each) => matchesPattern(each, key));
