import { type Parsed, parsed, refused } from './parsed.ts';
import { PROFILE_KEYS, type Profile } from './profile-keys.ts';
import { editDistance } from './text.ts';

/** What is wrong with one key of a profile. */
export interface ProfileProblem {
  /** As it is written below `[[profile]]`: `servers`, `when.ssid`. */
  readonly key: string;
  readonly value: unknown;
  readonly wanted: string;
  /** Absent for a key that there is not. */
  readonly reason?: string;
}

/** Read one `[[profile]]` table; every problem is told. */
export function readProfile(table: Readonly<Record<string, unknown>>): {
  readonly profile?: Profile;
  readonly problems: readonly ProfileProblem[];
} {
  const problems: ProfileProblem[] = [];
  const when: Record<string, unknown> = {};
  const rest: Record<string, unknown> = {};
  for (const [key, value] of flatten(table)) {
    const known = PROFILE_KEYS.find((entry) => entry.key === key);
    const result: Parsed<unknown> | undefined = known?.parse(value);
    if (key === 'when') problems.push({ key, value, wanted: CONDITIONS, reason: 'no table' });
    else if (known === undefined) problems.push({ key, value, wanted: `a key of a profile${hintFor(key)}` });
    else if (result?.ok !== true)
      problems.push({ key, value, wanted: known.type, reason: result?.reason ?? '' });
    else if (key.startsWith('when.')) when[key.slice('when.'.length)] = result.value;
    else rest[key] = result.value;
  }
  const whole = problems.length > 0 ? refused('') : checkWhole(rest);
  if (whole.ok) return { profile: { ...rest, when, name: String(rest['name']) }, problems };
  if (whole.reason !== '')
    problems.push({ key: 'name', value: rest['name'] ?? 'nothing', wanted: whole.reason, reason: '' });
  return { problems };
}

const CONDITIONS = 'a table of conditions such as { ssid = "Home" }';

/** The key that is meant where one is near, also one of `when` that stands outside it; all of them otherwise. */
function hintFor(key: string): string {
  const plain = (name: string): string => name.replace(/^when\./, '').slice(0, 64);
  const near = PROFILE_KEYS.map((entry) => ({
    key: entry.key,
    distance: editDistance(plain(key), plain(entry.key)),
  })).sort((a, b) => a.distance - b.distance)[0];
  if (near !== undefined && near.distance <= 2) return `; did you mean ${near.key}?`;
  return ` (${PROFILE_KEYS.map((entry) => entry.key).join(', ')})`;
}

function checkWhole(rest: Readonly<Record<string, unknown>>): Parsed<true> {
  if (rest['name'] === undefined) return refused('a profile with a name');
  if (Object.keys(rest).length === 1) return refused('a profile that changes something, such as servers');
  return parsed(true);
}

/** `when` is a table within the table. */
function flatten(table: Readonly<Record<string, unknown>>): [string, unknown][] {
  return Object.entries(table).flatMap(([key, value]): [string, unknown][] =>
    key === 'when' && typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.entries(value).map(([inner, condition]) => [`when.${inner}`, condition])
      : [[key, value]],
  );
}
