import { type Parsed, parsed, refused } from './parsed.ts';

/** The name of a network namespace, which is one of a folder too (ip-netns(8)). */
export function parseNetnsName(text: string): Parsed<string> {
  return /^[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,63}$/.test(text)
    ? parsed(text)
    : refused('no name of a network namespace (letters, digits, and _ . : @ -, at most 64)');
}
