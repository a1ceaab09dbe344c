/** Values under keys, within bounds; what is not asked for again goes first. */
export interface CacheStore<T> {
  /** The value, marked as wanted. */
  get(key: string): T | undefined;
  /** The value, unmarked. */
  peek(key: string): T | undefined;
  set(key: string, value: T, bytes: number): void;
  delete(key: string): void;
  /** Drop what `drop` says; how many. */
  prune(drop: (value: T, key: string) => boolean): number;
  /** Keep this part of the entries and bytes, from 0 to 1. */
  shrink(factor: number): void;
  entries(): IterableIterator<[string, T]>;
  readonly count: number;
  readonly bytes: number;
  /** How many went to make room. */
  readonly evicted: number;
}

/** How much a store may hold. */
export interface CacheBounds {
  readonly entries: number;
  readonly bytes: number;
}

interface Node<T> {
  readonly key: string;
  value: T;
  bytes: number;
  visited: boolean;
  newer: Node<T> | undefined;
  older: Node<T> | undefined;
}

/**
 * SIEVE (Zhang et al., NSDI 2024): one queue by age and a hand that goes from the oldest to the newest, sparing once what
 * was asked for since it last came by. Names asked once never push out those asked often, and a hit moves nothing.
 */
export function cacheStore<T>(bounds: CacheBounds): CacheStore<T> {
  const nodes = new Map<string, Node<T>>();
  let newest: Node<T> | undefined;
  let oldest: Node<T> | undefined;
  let hand: Node<T> | undefined;
  let bytes = 0;
  let evicted = 0;

  function remove(node: Node<T>): void {
    nodes.delete(node.key);
    bytes -= node.bytes;
    if (hand === node) hand = node.newer;
    if (node.newer === undefined) newest = node.older;
    else node.newer.older = node.older;
    if (node.older === undefined) oldest = node.newer;
    else node.older.newer = node.newer;
  }

  function evict(): void {
    let node = hand ?? oldest;
    while (node?.visited === true) {
      node.visited = false;
      node = node.newer ?? oldest;
    }
    if (node === undefined) return;
    hand = node;
    remove(node);
    evicted++;
  }

  function reduceTo(entries: number, most: number): void {
    while (nodes.size > entries || bytes > most) evict();
  }

  return {
    get(key) {
      const node = nodes.get(key);
      if (node === undefined) return undefined;
      node.visited = true;
      return node.value;
    },
    peek: (key) => nodes.get(key)?.value,
    set(key, value, size) {
      const old = nodes.get(key);
      if (old !== undefined) {
        bytes += size - old.bytes;
        old.value = value;
        old.bytes = size;
        return reduceTo(bounds.entries, bounds.bytes);
      }
      if (size > bounds.bytes) return;
      reduceTo(bounds.entries - 1, bounds.bytes - size);
      const node: Node<T> = { key, value, bytes: size, visited: false, newer: undefined, older: newest };
      if (newest === undefined) oldest = node;
      else newest.newer = node;
      newest = node;
      nodes.set(key, node);
      bytes += size;
    },
    delete(key) {
      const node = nodes.get(key);
      if (node !== undefined) remove(node);
    },
    prune(drop) {
      const doomed = [...nodes.values()].filter((node) => drop(node.value, node.key));
      for (const node of doomed) remove(node);
      return doomed.length;
    },
    shrink: (factor) => reduceTo(Math.floor(nodes.size * factor), Math.floor(bytes * factor)),
    *entries() {
      for (const node of nodes.values()) yield [node.key, node.value];
    },
    get count() {
      return nodes.size;
    },
    get bytes() {
      return bytes;
    },
    get evicted() {
      return evicted;
    },
  };
}
