/**
 * How long the lab waits for what has to come: long enough for a machine that is many times slower than any of ours.
 * Waiting costs nothing where it succeeds, and a deadline that is met by a hair says nothing about the product.
 */
export const PATIENCE_MS = 60_000;
