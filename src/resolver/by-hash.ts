/** Something that is looked up by a hash, in one table at a time. */
export abstract class Hashed {
  readonly hash: number;
  /** The table's own: the next one in the same place. */
  next: Hashed | undefined = undefined;

  constructor(hash: number) {
    this.hash = hash;
  }
}

/** So many places, of eight bytes each, serve some thousand things that come and go. */
const PLACES = 1024;

/**
 * Things by hash, for what comes and goes some ten thousand times a second: it needs no text as a key, and what leaves
 * it holds nothing (see `Queue`). Two things may have one hash, so whoever looks compares.
 */
export class ByHash<T extends Hashed> {
  readonly #places = new Array<T | undefined>(PLACES).fill(undefined);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The thing with this hash that `is` the right one. */
  find(hash: number, is: (item: T) => boolean): T | undefined {
    let item = this.#places[hash & (PLACES - 1)];
    for (; item !== undefined; item = item.next as T | undefined)
      if (item.hash === hash && is(item)) return item;
    return undefined;
  }

  /** Take in a thing that stands in no table. */
  add(item: T): void {
    const place = item.hash & (PLACES - 1);
    item.next = this.#places[place];
    this.#places[place] = item;
    this.#size++;
  }

  /** Take a thing out, if it is there. */
  delete(item: T): void {
    const place = item.hash & (PLACES - 1);
    let before: T | undefined;
    let one = this.#places[place];
    while (one !== undefined && one !== item) {
      before = one;
      one = one.next as T | undefined;
    }
    if (one === undefined) return;
    if (before === undefined) this.#places[place] = item.next as T | undefined;
    else before.next = item.next;
    item.next = undefined;
    this.#size--;
  }
}

const FNV_START = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** FNV-1a over some bytes; a secret `seed` keeps others from choosing what comes together. */
export function hashBytes(bytes: Uint8Array, from: number, to: number, seed: number): number {
  let hash = FNV_START ^ seed;
  for (let at = from; at < to; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), FNV_PRIME);
  return hash;
}
