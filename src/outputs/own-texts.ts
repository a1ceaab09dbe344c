import { createHash } from 'node:crypto';

/**
 * What resolv.conf said in this run. Programs that write /etc/resolv.conf keep a copy of what was there and put it back
 * when they end; by these texts that is told from a file of their own.
 */
export interface OwnTexts {
  remember(bytes: Uint8Array): void;
  /** Whether this is one of them, byte for byte. */
  has(bytes: Uint8Array): boolean;
  /** Whether this is the last of them. */
  isLast(bytes: Uint8Array): boolean;
  /** Nothing was written yet: what is there, an earlier process of ours may have left. */
  readonly isEmpty: boolean;
}

/** A tunnel that outlives more changes than these has a backup that is taken for a file of its own. */
export const MOST_TEXTS = 16;

/** The last texts, as hashes; one that comes again counts as new. */
export function ownTexts(): OwnTexts {
  const hashes = new Set<string>();
  let last: string | undefined;
  return {
    remember(bytes) {
      const hash = hashOf(bytes);
      last = hash;
      hashes.delete(hash);
      hashes.add(hash);
      const [oldest] = hashes;
      if (hashes.size > MOST_TEXTS && oldest !== undefined) hashes.delete(oldest);
    },
    has: (bytes) => hashes.has(hashOf(bytes)),
    isLast: (bytes) => hashOf(bytes) === last,
    get isEmpty() {
      return last === undefined;
    },
  };
}

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('base64');
