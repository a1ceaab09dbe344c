import { type Parsed, parsed, refused } from './parsed.ts';

/** One option of resolv.conf(5): `edns0`, or `ndots` with its value. */
export interface ResolvOption {
  readonly name: string;
  readonly value?: number;
}

/** Largest value each numeric option may have in glibc (resolv/res_init.c). */
const NUMERIC: ReadonlyMap<string, number> = new Map([
  ['ndots', 15],
  ['timeout', 30],
  ['attempts', 5],
]);

const FLAGS: ReadonlySet<string> = new Set([
  'debug',
  'edns0',
  'inet6',
  'ip6-bytestring',
  'ip6-dotint',
  'no-aaaa',
  'no-check-names',
  'no-ip6-dotint',
  'no-reload',
  'no-tld-query',
  'rotate',
  'single-request',
  'single-request-reopen',
  'strict-error',
  'trust-ad',
  'use-vc',
]);

/** Parse one option as resolv.conf(5) and NetworkManager know it; a value over glibc's limit is cut to the limit. */
export function parseOption(text: string): Parsed<ResolvOption> {
  const match = /^([a-z0-9-]{1,24})(?::([0-9]{1,9}))?$/.exec(text);
  if (!match) return refused('no option of resolv.conf(5) has this form');
  const [, name = '', value] = match;
  const most = NUMERIC.get(name);
  if (most !== undefined) {
    if (value === undefined) return refused(`${name} wants a number after a colon`);
    return parsed({ name, value: Math.min(Number(value), most) });
  }
  if (!FLAGS.has(name)) return refused('resolv.conf(5) has no such option');
  if (value !== undefined) return refused(`${name} takes no value`);
  return parsed({ name });
}

/** The option as resolv.conf(5) writes it. */
export const formatOption = (option: ResolvOption): string =>
  option.value === undefined ? option.name : `${option.name}:${option.value}`;
