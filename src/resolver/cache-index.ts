/** Slot numbers by hash: open addressing with linear probing, never more than half full. */
export interface CacheIndex {
  /** The slot entered under this hash that `is` the right one, or NO_SLOT. */
  find(hash: number, is: (slot: number) => boolean): number;
  /** Enter a slot that is not there; at most `slots` of them. */
  enter(hash: number, slot: number): void;
  /** Take out a slot that is there. */
  leave(hash: number, slot: number): void;
  /** The same slots, with room for more of them. */
  grown(slots: number): CacheIndex;
}

/** No slot. */
export const NO_SLOT = -1;

/** What a slot's two places take. */
export const INDEX_BYTES_PER_SLOT = 16;

/** An index for so many slots, a power of two. */
export function cacheIndex(slots: number): CacheIndex {
  const mask = slots * 2 - 1;
  const numbers = new Int32Array(slots * 2).fill(NO_SLOT);
  const hashes = new Int32Array(slots * 2);
  const numberAt = (place: number): number => numbers[place] ?? NO_SLOT;
  const hashAt = (place: number): number => hashes[place] ?? 0;

  return {
    find(hash, is) {
      let place = spread(hash) & mask;
      for (; numberAt(place) !== NO_SLOT; place = (place + 1) & mask)
        if (hashAt(place) === hash && is(numberAt(place))) return numberAt(place);
      return NO_SLOT;
    },
    enter(hash, slot) {
      let place = spread(hash) & mask;
      while (numberAt(place) !== NO_SLOT) place = (place + 1) & mask;
      numbers[place] = slot;
      hashes[place] = hash;
    },
    leave(hash, slot) {
      let hole = spread(hash) & mask;
      while (numberAt(hole) !== slot) hole = (hole + 1) & mask;
      // Those behind it that stand there only because it was in their way move up.
      for (let place = (hole + 1) & mask; numberAt(place) !== NO_SLOT; place = (place + 1) & mask) {
        const home = spread(hashAt(place)) & mask;
        if (((place - home) & mask) < ((place - hole) & mask)) continue;
        numbers[hole] = numberAt(place);
        hashes[hole] = hashAt(place);
        hole = place;
      }
      numbers[hole] = NO_SLOT;
    },
    grown(more) {
      const larger = cacheIndex(more);
      for (const [place, slot] of numbers.entries()) if (slot !== NO_SLOT) larger.enter(hashAt(place), slot);
      return larger;
    },
  };
}

/** Let every bit of a hash decide about its place (the end of MurmurHash3): those of names alike differ in few. */
function spread(hash: number): number {
  const once = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  const twice = Math.imul(once ^ (once >>> 13), 0xc2b2ae35);
  return twice ^ (twice >>> 16);
}
