/** The outcome of parsing something from outside: a typed value, or the reason why there is none. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: string };

/** A parsed value. */
export const parsed = <T>(value: T): Parsed<T> => ({ ok: true, value });

/** A refusal; the reason is one clause without the text itself, so that it may be logged and shown. */
export const refused = (reason: string): Parsed<never> => ({ ok: false, reason });
