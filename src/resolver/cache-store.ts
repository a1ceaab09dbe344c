import { randomInt } from 'node:crypto';
import { type Blocks, bytesInBlocks, makeBlocks } from './cache-blocks.ts';
import { cacheIndex, INDEX_BYTES_PER_SLOT, NO_SLOT } from './cache-index.ts';
import { hashOf } from './fast-path-answer.ts';

/**
 * Answers under keys, within bounds; what is not asked for again goes first. An answer stands in a slot, whose number
 * holds until the next `set`, `delete`, `prune` or `shrink`.
 */
export interface CacheStore {
  /** The slot of a key's answer, or NO_SLOT. */
  find(key: Buffer): number;
  /** Count the answer as given, and so as worth keeping. */
  want(slot: number): void;
  /** Keep an answer in place of what the key had; not when it is larger than everything may be together. */
  set(key: Buffer, packed: Buffer, facts: StoredFacts): void;
  delete(slot: number): void;
  /** Drop what `drop` says; how many. */
  prune(drop: (slot: number) => boolean): number;
  /** Keep within these bounds from now on, and give the rest of the memory back. */
  shrink(bounds: CacheBounds): void;
  /** Keep within larger bounds again. */
  widen(bounds: CacheBounds): void;
  /** Every slot in use, the newest answer first. */
  slots(): IterableIterator<number>;
  /** The key, good until the next call. */
  keyOf(slot: number): Buffer;
  packedOf(slot: number): Buffer;
  factsOf(slot: number): StoredFacts;
  hitsOf(slot: number): number;
  bytesOf(slot: number): number;
  /** Until when the servers are not asked again because they failed lately; 0 at first. */
  retryAt(slot: number): number;
  setRetryAt(slot: number, time: number): void;
  readonly count: number;
  readonly bytes: number;
  readonly bounds: CacheBounds;
  /** How many went to make room. */
  readonly evicted: number;
}

/** How much a store may hold. */
export interface CacheBounds {
  readonly entries: number;
  readonly bytes: number;
}

/** What is kept with an answer, all of it numbers. */
export interface StoredFacts {
  /** The route that it came by, and another one that part of it came by or 0. */
  readonly route: number;
  readonly via: number;
  readonly kind: number;
  /** Milliseconds since the epoch. */
  readonly storedAt: number;
  readonly expiresAt: number;
}

/** What an answer takes beside its bytes: its numbers, and its places in the index. */
const COLUMN_BYTES = 56;
const SLOT_BYTES = COLUMN_BYTES + INDEX_BYTES_PER_SLOT;

const FIRST_SLOTS = 1024;
const LONGEST_KEY = 300;

type Columns = ReturnType<typeof columnsOf>;

/**
 * One array for each kind of number, where an object for each of 100,000 answers would take five times as much. They lie
 * in one piece of memory, which goes back to the kernel when a larger one replaces it.
 */
function columnsOf(size: number) {
  const memory = new ArrayBuffer(size * COLUMN_BYTES);
  let end = 0;
  const next = <T>(Kind: new (memory: ArrayBuffer, at: number, size: number) => T, bytes: number): T => {
    const column = new Kind(memory, end, size);
    end += size * bytes;
    return column;
  };
  // The widest come first, so that each begins where its kind may.
  return {
    storedAt: next(Float64Array, 8),
    expiresAt: next(Float64Array, 8),
    retryAt: next(Float64Array, 8),
    hash: next(Int32Array, 4),
    first: next(Int32Array, 4),
    packedBytes: next(Uint32Array, 4),
    hits: next(Uint32Array, 4),
    newer: next(Int32Array, 4),
    older: next(Int32Array, 4),
    keyBytes: next(Uint16Array, 2),
    route: next(Uint16Array, 2),
    via: next(Uint16Array, 2),
    kind: next(Uint8Array, 1),
    visited: next(Uint8Array, 1),
  };
}

/**
 * SIEVE (Zhang et al., NSDI 2024): one queue by age and a hand that goes from the oldest to the newest, sparing once what
 * was asked for since it last came by. Names asked once never push out those asked often, and a hit moves nothing.
 */
export function cacheStore(firstBounds: CacheBounds): CacheStore {
  const seed = randomInt(2 ** 32);
  const scratch = Buffer.alloc(LONGEST_KEY);
  let bounds = firstBounds;
  let blocks: Blocks = makeBlocks();
  let columns: Columns = columnsOf(FIRST_SLOTS);
  let index = cacheIndex(FIRST_SLOTS);
  /** Slots that were freed, called one after the other by `older`; slots from `fresh` on were never used. */
  let freed = NO_SLOT;
  let fresh = 0;
  let newest = NO_SLOT;
  let oldest = NO_SLOT;
  let hand = NO_SLOT;
  let count = 0;
  let evicted = 0;

  const at = (column: keyof Columns, slot: number): number => columns[column][slot] ?? 0;
  const bytes = (): number => blocks.bytes + count * SLOT_BYTES;

  function find(key: Buffer): number {
    const is = (slot: number): boolean =>
      at('keyBytes', slot) === key.length && blocks.beginsWith(at('first', slot), key);
    return index.find(hashOf(key, seed), is);
  }

  function remove(slot: number): void {
    index.leave(at('hash', slot), slot);
    const [newer, older] = [at('newer', slot), at('older', slot)];
    if (hand === slot) hand = newer;
    if (newer === NO_SLOT) newest = older;
    else columns.older[newer] = older;
    if (older === NO_SLOT) oldest = newer;
    else columns.newer[older] = newer;
    blocks.free(at('first', slot));
    columns.older[slot] = freed;
    freed = slot;
    count--;
  }

  function evict(): void {
    let slot = hand === NO_SLOT ? oldest : hand;
    while (slot !== NO_SLOT && at('visited', slot) === 1) {
      columns.visited[slot] = 0;
      slot = at('newer', slot) === NO_SLOT ? oldest : at('newer', slot);
    }
    if (slot === NO_SLOT) return;
    hand = slot;
    remove(slot);
    evicted++;
  }

  function reduceTo(entries: number, most: number): void {
    while (count > 0 && (count > entries || bytes() > most)) evict();
  }

  function takeSlot(): number {
    if (freed !== NO_SLOT) {
      const slot = freed;
      freed = at('older', slot);
      return slot;
    }
    if (fresh === columns.hash.length) grow();
    return fresh++;
  }

  function grow(): void {
    const larger = columnsOf(columns.hash.length * 2);
    for (const name of Object.keys(larger) as (keyof Columns)[]) larger[name].set(columns[name]);
    columns = larger;
    index = index.grown(columns.hash.length);
  }

  function* slots(): IterableIterator<number> {
    for (let slot = newest; slot !== NO_SLOT; slot = at('older', slot)) yield slot;
  }

  function append(slot: number): void {
    columns.newer[slot] = NO_SLOT;
    columns.older[slot] = newest;
    if (newest === NO_SLOT) oldest = slot;
    else columns.newer[newest] = slot;
    newest = slot;
    count++;
  }

  function fill(slot: number, key: Buffer, packed: Buffer, facts: StoredFacts): void {
    columns.first[slot] = blocks.write(Buffer.concat([key, packed]));
    columns.packedBytes[slot] = packed.length;
    columns.route[slot] = facts.route;
    columns.via[slot] = facts.via;
    columns.kind[slot] = facts.kind;
    columns.storedAt[slot] = facts.storedAt;
    columns.expiresAt[slot] = facts.expiresAt;
    columns.retryAt[slot] = 0;
    columns.hits[slot] = 0;
  }

  /** Move everything into new memory of the size that it needs, so that the old can go. */
  function compact(): void {
    const [oldColumns, oldBlocks, from, handAt] = [columns, blocks, [...slots()].toReversed(), hand];
    const size = 2 ** Math.ceil(Math.log2(Math.max(FIRST_SLOTS, count)));
    columns = columnsOf(size);
    blocks = makeBlocks();
    index = cacheIndex(size);
    [freed, fresh, newest, oldest, hand, count] = [NO_SLOT, 0, NO_SLOT, NO_SLOT, NO_SLOT, 0];
    for (const old of from) {
      const slot = fresh++;
      for (const name of Object.keys(columns) as (keyof Columns)[])
        columns[name][slot] = oldColumns[name][old] ?? 0;
      const whole = Buffer.allocUnsafe(at('keyBytes', slot) + at('packedBytes', slot));
      oldBlocks.read(oldColumns.first[old] ?? NO_SLOT, whole);
      columns.first[slot] = blocks.write(whole);
      append(slot);
      index.enter(at('hash', slot), slot);
      if (old === handAt) hand = slot;
    }
  }

  return {
    find,
    want(slot) {
      columns.visited[slot] = 1;
      columns.hits[slot] = at('hits', slot) + 1;
    },
    set(key, packed, facts) {
      const old = find(key);
      const size = bytesInBlocks(key.length + packed.length) + SLOT_BYTES;
      if (size > bounds.bytes || key.length > LONGEST_KEY) {
        if (old !== NO_SLOT) remove(old);
        return;
      }
      // What is renewed keeps its place in the queue: that alone does not make it wanted.
      if (old !== NO_SLOT) {
        blocks.free(at('first', old));
        fill(old, key, packed, facts);
        return reduceTo(bounds.entries, bounds.bytes);
      }
      reduceTo(bounds.entries - 1, bounds.bytes - size);
      const slot = takeSlot();
      const hash = hashOf(key, seed);
      columns.hash[slot] = hash;
      columns.keyBytes[slot] = key.length;
      columns.visited[slot] = 0;
      fill(slot, key, packed, facts);
      append(slot);
      index.enter(hash, slot);
    },
    delete: remove,
    prune(drop) {
      const doomed = [...slots()].filter(drop);
      for (const slot of doomed) remove(slot);
      if (doomed.length > count) compact();
      return doomed.length;
    },
    shrink(smaller) {
      bounds = smaller;
      reduceTo(bounds.entries, bounds.bytes);
      compact();
    },
    widen(larger) {
      bounds = larger;
    },
    slots,
    keyOf(slot) {
      const key = scratch.subarray(0, at('keyBytes', slot));
      blocks.read(at('first', slot), key);
      return key;
    },
    packedOf(slot) {
      const keyBytes = at('keyBytes', slot);
      const whole = Buffer.allocUnsafe(keyBytes + at('packedBytes', slot));
      blocks.read(at('first', slot), whole);
      return whole.subarray(keyBytes);
    },
    factsOf: (slot) => ({
      route: at('route', slot),
      via: at('via', slot),
      kind: at('kind', slot),
      storedAt: at('storedAt', slot),
      expiresAt: at('expiresAt', slot),
    }),
    hitsOf: (slot) => at('hits', slot),
    bytesOf: (slot) => bytesInBlocks(at('keyBytes', slot) + at('packedBytes', slot)) + SLOT_BYTES,
    retryAt: (slot) => at('retryAt', slot),
    setRetryAt(slot, time) {
      columns.retryAt[slot] = time;
    },
    get count() {
      return count;
    },
    get bytes() {
      return bytes();
    },
    get bounds() {
      return bounds;
    },
    get evicted() {
      return evicted;
    },
  };
}
