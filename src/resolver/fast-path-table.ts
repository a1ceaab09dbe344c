import {
  answerInPlace,
  type Glance,
  glance,
  hashOf,
  newGlance,
  type PackedAnswer,
  refuseInPlace,
} from './fast-path-answer.ts';

/** Answers by question, in one block of memory. */
export interface FastTable {
  /** Keep an answer from `storedAt` to `expiresAt` (milliseconds since the epoch); the oldest make room. */
  put(key: Buffer, packed: PackedAnswer, storedAt: number, expiresAt: number): void;
  /** Whether the query at `at` has an answer here; if not, the slow path has to look. */
  find(bytes: Buffer, at: number, length: number, variant: number, now: number): boolean;
  /** Turn the query just found into its answer, in place, where 4096 bytes must have room; the answer's length. */
  answer(bytes: Buffer, at: number): number;
  /** Turn the query just looked for into SERVFAIL, where 4096 bytes must have room; its length, or 0 for what was no plain query. */
  refuse(bytes: Buffer, at: number): number;
  /** Whether the answer just found is popular and about to expire, told once: time to ask anew. */
  wantsRefresh(): boolean;
  clear(): void;
  readonly count: number;
}

// An entry: words of four bytes, two times as doubles, the key, the packed answer; a multiple of eight bytes.
const NEXT = 0;
const HASH = 1;
const SIZE = 2;
const KEY_BYTES = 3;
const HITS = 4;
const PACKED_BYTES = 5;
const STORED_AT = 24;
const EXPIRES_AT = 32;
const ENTRY_HEAD = 40;
const NONE = -1;

/** Asked at least so often, an answer in the last tenth of its life is asked for anew before it expires. */
const POPULAR_HITS = 3;
const LAST_PART = 0.1;

const MOST_HITS = 1_000_000_000;

/** A count of hits so low that nobody is told twice. */
const TOLD = -1_000_000_000;

/** No search looks at more entries than this, whatever hashes come together. */
const LONGEST_CHAIN = 16;

/**
 * A table within `totalBytes`. The block is a ring: a new answer goes behind the newest, over the oldest ones, so that
 * nothing is ever moved or compacted. What is still asked for comes back by way of the main cache.
 */
export function fastTable(totalBytes: number, seed: number): FastTable {
  const block = new ArrayBuffer(totalBytes & ~7);
  const bytes = Buffer.from(block);
  const words = new Int32Array(block);
  const times = new Float64Array(block);
  const heads = new Int32Array(2 ** Math.max(4, Math.floor(Math.log2(totalBytes / 128)))).fill(NONE);
  const mask = heads.length - 1;
  const query: Glance = newGlance();
  /** Where the next entry goes, where the oldest one stands, and where the used part ends while the ring wraps. */
  let head = 0;
  let tail = 0;
  let wrap = 0;
  let count = 0;
  let plain = false;
  let found = NONE;
  let foundAt = 0;

  const word = (entry: number, index: number): number => words[(entry >> 2) + index] ?? 0;

  function search(key: Buffer, keyBytes: number, hash: number): number {
    let entry = heads[hash & mask] ?? NONE;
    for (; entry !== NONE; entry = word(entry, NEXT))
      if (word(entry, HASH) === hash && word(entry, KEY_BYTES) === keyBytes && hasKey(entry, key, keyBytes))
        break;
    return entry;
  }

  function hasKey(entry: number, key: Buffer, keyBytes: number): boolean {
    const at = entry + ENTRY_HEAD;
    for (let i = 0; i < keyBytes; i++) if (bytes[at + i] !== key[i]) return false;
    return true;
  }

  /** Take an entry out of its chain; its bytes stay until the ring comes round. */
  function unlink(entry: number): void {
    const index = word(entry, HASH) & mask;
    const next = word(entry, NEXT);
    let before = heads[index] ?? NONE;
    if (before === entry) heads[index] = next;
    else {
      while (before !== NONE && word(before, NEXT) !== entry) before = word(before, NEXT);
      if (before === NONE) return;
      words[(before >> 2) + NEXT] = next;
    }
    count--;
  }

  function dropOldest(): void {
    unlink(tail);
    tail += word(tail, SIZE);
    if (wrap !== 0 && tail >= wrap) {
      tail = 0;
      wrap = 0;
    }
  }

  /** A place for `size` bytes, at most a quarter of the block. The used part is tail..head, or tail..wrap and 0..head. */
  function reserve(size: number): number {
    for (;;) {
      if (wrap === 0 && head + size <= block.byteLength) return head;
      if (wrap !== 0 && head + size <= tail) return head;
      if (wrap !== 0) dropOldest();
      else if (tail === head) clear();
      else {
        wrap = head;
        head = 0;
      }
    }
  }

  function clear(): void {
    heads.fill(NONE);
    head = 0;
    tail = 0;
    wrap = 0;
    count = 0;
  }

  return {
    put(key, packed, storedAt, expiresAt) {
      const size = (ENTRY_HEAD + key.length + packed.length + 7) & ~7;
      if (size * 4 > block.byteLength) return;
      const hash = hashOf(key, seed);
      const old = search(key, key.length, hash);
      if (old !== NONE) unlink(old);
      const entry = reserve(size);
      head = entry + size;
      const index = hash & mask;
      shorten(index);
      const at = entry >> 2;
      words[at + NEXT] = heads[index] ?? NONE;
      words[at + HASH] = hash;
      words[at + SIZE] = size;
      words[at + KEY_BYTES] = key.length;
      words[at + HITS] = 0;
      words[at + PACKED_BYTES] = packed.length;
      times[(entry + STORED_AT) >> 3] = storedAt;
      times[(entry + EXPIRES_AT) >> 3] = expiresAt;
      key.copy(bytes, entry + ENTRY_HEAD);
      packed.copy(bytes, entry + ENTRY_HEAD + key.length);
      heads[index] = entry;
      count++;
    },
    find(packet, at, length, variant, now) {
      found = NONE;
      plain = glance(packet, at, length, variant, seed, query);
      if (!plain) return false;
      const entry = search(query.key, query.keyBytes, query.hash);
      if (entry === NONE) return false;
      const storedAt = times[(entry + STORED_AT) >> 3] ?? 0;
      // A clock that was set back makes ages meaningless.
      if (now >= (times[(entry + EXPIRES_AT) >> 3] ?? 0) || now < storedAt) {
        unlink(entry);
        return false;
      }
      found = entry;
      foundAt = now;
      words[(entry >> 2) + HITS] = Math.min(word(entry, HITS) + 1, MOST_HITS);
      return true;
    },
    answer(packet, at) {
      const elapsed = Math.floor((foundAt - (times[(found + STORED_AT) >> 3] ?? 0)) / 1000);
      return answerInPlace(packet, at, query, bytes, found + ENTRY_HEAD + query.keyBytes, elapsed);
    },
    refuse: (packet, at) => (plain ? refuseInPlace(packet, at, query) : 0),
    wantsRefresh() {
      if (found === NONE || word(found, HITS) < POPULAR_HITS) return false;
      const expiresAt = times[(found + EXPIRES_AT) >> 3] ?? 0;
      const life = expiresAt - (times[(found + STORED_AT) >> 3] ?? 0);
      if (expiresAt - foundAt > life * LAST_PART) return false;
      words[(found >> 2) + HITS] = TOLD;
      return true;
    },
    clear,
    get count() {
      return count;
    },
  };

  function shorten(index: number): void {
    let length = 1;
    let entry = heads[index] ?? NONE;
    for (; entry !== NONE && length < LONGEST_CHAIN; length++) entry = word(entry, NEXT);
    if (entry !== NONE) unlink(entry);
  }
}
