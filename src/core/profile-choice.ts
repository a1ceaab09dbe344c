/** A profile that somebody chose by hand. */
export interface ProfileChoice {
  readonly name: string;
  /** When it ends by itself, in milliseconds since the epoch; absent for one that stays until the next choice. */
  readonly until?: number;
}

/** The choice as it is kept in the runtime folder over a restart. */
export const formatProfileChoice = (choice: ProfileChoice): string => `${JSON.stringify(choice)}\n`;

/** Read a kept choice; undefined for anything but one that still holds. */
export function parseProfileChoice(text: string, now: number): ProfileChoice | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { name, until } = (value ?? {}) as Record<string, unknown>;
  if (typeof name !== 'string' || name === '' || name.length > 64 || /\p{C}/u.test(name)) return undefined;
  if (until === undefined) return { name };
  return typeof until === 'number' && until > now && until - now <= LONGEST_CHOICE_MS
    ? { name, until }
    : undefined;
}

/** Whoever wants something for longer than a week wants it in the configuration. */
export const LONGEST_CHOICE_MS = 7 * 86_400_000;
