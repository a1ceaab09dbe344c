import type { Found } from './takeover.ts';
import { ascii } from './text.ts';
import { writerOfTarget } from './writer.ts';

/** How far a quarrel over /etc/resolv.conf has come since the last quiet period. */
export interface Fight {
  /** How often our link was put back. */
  readonly assertions: number;
  /** We stopped putting it back. */
  readonly yielded: boolean;
}

/** No quarrel. */
export const PEACE: Fight = { assertions: 0, yielded: false };

/** What to do about a foreign write: put our link back after a pause, or let the other side have it. */
export type Answer =
  | { readonly do: 'reassert'; readonly afterMs: number; readonly fight: Fight }
  | { readonly do: 'yield'; readonly fight: Fight };

/** Pauses before each re-assertion; the last one repeats. The first is none, because most foreign writes come once. */
const PAUSES_MS = [0, 100, 500, 2000, 10_000] as const;

/** Re-assertions without a quiet period between; two programs that both never stop would wear out the disk and hide each other. */
export const MOST_ASSERTIONS = 10;

/** How long nobody may touch the file until a quarrel counts as over. */
export const QUIET_MS = 5 * 60_000;

/** From how many re-assertions on a quarrel is worth a warning: one foreign write (a DHCP renewal) is everyday life. */
const WORTH_SAYING = 2;

/** Answer a foreign write. */
export function answer(fight: Fight): Answer {
  if (fight.yielded || fight.assertions >= MOST_ASSERTIONS)
    return { do: 'yield', fight: { ...fight, yielded: true } };
  const afterMs = PAUSES_MS[Math.min(fight.assertions, PAUSES_MS.length - 1)] ?? 0;
  return { do: 'reassert', afterMs, fight: { ...fight, assertions: fight.assertions + 1 } };
}

/** Whether the quarrel should show in status. */
export const isFighting = (fight: Fight): boolean => fight.assertions >= WORTH_SAYING;

/** Who the other writer probably is: what the file gives away, and which known writers run. */
export function nameRival(found: Found, running: readonly string[]): string {
  const hint = running.length > 0 ? ` (running and known to write it: ${running.join(', ')})` : '';
  return `${signatureOf(found)}${hint}`;
}

function signatureOf(found: Found): string {
  if (found.kind === 'link')
    return writerOfTarget(found.target) ?? `somebody who made a link to ${ascii(found.target)}`;
  if (found.kind !== 'file') return 'somebody who removed it';
  const { header, program } = found.writer;
  // An edit below our own header must not be blamed on ourselves.
  if (program === 'dnskeeper' || header === '') return 'a writer that leaves no name';
  return program ?? `a writer that begins with "${header}"`;
}
