import type { DnskeeperError } from '../core/errors.ts';

/** The C library as calls are bound from it; koffi, which does it, is known to system/libc.ts alone. */
export interface CLibrary {
  /** A call by its declaration in C. What it gives is taken for a number. Throws when the library has none of that name. */
  call(declaration: string): (...values: unknown[]) => number;
  /** The same untyped, for what is more than a call that gives a number. */
  find(declaration: string): unknown;
  /** Where something lies in memory: the bytes of an array as long as its ArrayBuffer lives. */
  addressOf(value: unknown): bigint;
  /** The error number of the call that failed just now. */
  errno(): number;
  /** An error with that number's name, which says what could not be done. */
  failed(what: string): DnskeeperError;
}
