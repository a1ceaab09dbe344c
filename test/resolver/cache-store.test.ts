import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesInBlocks, makeBlocks } from '../../src/resolver/cache-blocks.ts';
import { NO_SLOT } from '../../src/resolver/cache-index.ts';
import { type CacheStore, cacheStore, type StoredFacts } from '../../src/resolver/cache-store.ts';

const FACTS: StoredFacts = { route: 1, via: 0, kind: 0, storedAt: 0, expiresAt: 1 };
const LARGE = { entries: 100_000, bytes: 2 ** 30 };

const key = (text: string): Buffer => Buffer.from(text);
const put = (store: CacheStore, name: string, packed = name): void =>
  store.set(key(name), Buffer.from(packed), FACTS);
const has = (store: CacheStore, name: string): boolean => store.find(key(name)) !== NO_SLOT;

/** Ask for a name as a client does. */
function want(store: CacheStore, name: string): string | undefined {
  const slot = store.find(key(name));
  if (slot === NO_SLOT) return undefined;
  store.want(slot);
  return store.packedOf(slot).toString();
}

describe('the store of the cache', () => {
  it('keeps what is asked for while names asked once pass through', () => {
    const store = cacheStore({ entries: 10, bytes: 10_000 });
    for (let i = 0; i < 5; i++) put(store, `often${i}`);
    for (let i = 0; i < 1000; i++) {
      put(store, `once${i}`);
      for (let k = 0; k < 5; k++) expect(want(store, `often${k}`)).toBe(`often${k}`);
    }
    expect([store.count, store.evicted]).toEqual([10, 995]);
  });

  it('looks without marking', () => {
    const store = cacheStore({ entries: 2, bytes: 1000 });
    for (const name of ['a', 'b']) put(store, name);
    expect(has(store, 'a')).toBe(true);
    put(store, 'c');
    expect(has(store, 'a')).toBe(false);
  });

  it('takes nothing that is larger than the whole, and drops what that was to replace', () => {
    const store = cacheStore({ entries: 2, bytes: 400 });
    put(store, 'a');
    put(store, 'a', 'x'.repeat(400));
    expect([store.count, store.bytes]).toEqual([0, 0]);
  });

  it('gives back every number that it took', () => {
    const store = cacheStore(LARGE);
    const facts = {
      route: 65_535,
      via: 7,
      kind: 3,
      storedAt: 1_795_000_000_123,
      expiresAt: 1_795_000_060_123,
    };
    store.set(key('a'), Buffer.from('answer'), facts);
    const slot = store.find(key('a'));
    store.want(slot);
    store.setRetryAt(slot, 1_795_000_070_000);
    expect(store.factsOf(slot)).toEqual(facts);
    expect([store.hitsOf(slot), store.retryAt(slot)]).toEqual([1, 1_795_000_070_000]);
    expect(store.keyOf(slot).toString()).toBe('a');
  });

  it('keeps all that it holds while it grows, shrinks and grows again', () => {
    const store = cacheStore(LARGE);
    const names = Array.from({ length: 5000 }, (_, i) => `${'long-'.repeat(i % 40)}name${i}`);
    for (const name of names) put(store, name);
    store.shrink({ entries: 3000, bytes: 2 ** 30 });
    expect(store.count).toBe(3000);
    const kept = names.slice(2000);
    expect(kept.every((name) => want(store, name) === name)).toBe(true);
    store.widen(LARGE);
    for (const name of names) put(store, name, `${name} again`);
    expect(names.every((name) => want(store, name) === `${name} again`)).toBe(true);
    expect([...store.slots()].length).toBe(5000);
  });

  it('holds no more than its bound after it was made smaller', () => {
    const store = cacheStore(LARGE);
    for (let i = 0; i < 100; i++) put(store, `name${i}`);
    store.shrink({ entries: 10, bytes: 2 ** 30 });
    for (let i = 0; i < 100; i++) put(store, `other${i}`);
    expect(store.count).toBe(10);
  });

  it('keeps its bounds and its books whatever is done to it', () => {
    const name = fc.nat(30).map((number) => `name${number}`);
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('set' as const), name, bytes: fc.nat(200) }) },
      fc.record({ kind: fc.constantFrom<'want' | 'delete'>('want', 'delete'), name }),
      fc.record({ kind: fc.constant('shrink' as const), entries: fc.integer({ min: 1, max: 8 }) }),
      fc.record({ kind: fc.constant('prune' as const), route: fc.nat(3) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const store = cacheStore({ entries: 8, bytes: 2000 });
        const packed = new Map<string, string>();
        let most = 8;
        for (const [number, doing] of steps.entries()) {
          if (doing.kind === 'set') {
            const text = String(number % 10).repeat(doing.bytes);
            store.set(key(doing.name), Buffer.from(text), { ...FACTS, route: number % 4 });
            packed.set(doing.name, text);
          } else if (doing.kind === 'want')
            expect([undefined, packed.get(doing.name)]).toContain(want(store, doing.name));
          else if (doing.kind === 'delete') {
            const slot = store.find(key(doing.name));
            if (slot !== NO_SLOT) store.delete(slot);
            expect(has(store, doing.name)).toBe(false);
          } else if (doing.kind === 'shrink') {
            most = doing.entries;
            store.shrink({ entries: most, bytes: 2000 });
          } else if (doing.kind === 'prune') {
            store.prune((slot) => store.factsOf(slot).route === doing.route);
            expect([...store.slots()].map((slot) => store.factsOf(slot).route)).not.toContain(doing.route);
          }
          const slots = [...store.slots()];
          expect(slots.length).toBe(store.count);
          expect(slots.reduce((sum, slot) => sum + store.bytesOf(slot), 0)).toBe(store.bytes);
          expect(store.count).toBeLessThanOrEqual(most);
          expect(store.bytes).toBeLessThanOrEqual(2000);
          for (const slot of slots) {
            const text = store.keyOf(slot).toString();
            expect(store.find(key(text))).toBe(slot);
            expect(store.packedOf(slot).toString()).toBe(packed.get(text));
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('blocks of bytes', () => {
  it.each([0, 1, 27, 28, 29, 56, 57, 70_000])('give back %i bytes as they were', (length) => {
    const blocks = makeBlocks();
    const before = blocks.write(Buffer.alloc(500, 1));
    const bytes = Buffer.from(Array.from({ length }, (_, i) => i % 251));
    const first = blocks.write(bytes);
    const read = Buffer.alloc(length);
    blocks.read(first, read);
    expect(read.equals(bytes)).toBe(true);
    expect(blocks.beginsWith(first, bytes)).toBe(true);
    expect(blocks.beginsWith(first, Buffer.concat([bytes, Buffer.alloc(29, 9)]))).toBe(false);
    expect(blocks.bytes).toBe(bytesInBlocks(500) + bytesInBlocks(length));
    blocks.free(first);
    blocks.free(before);
    expect(blocks.bytes).toBe(0);
  });

  it('are used again before new ones are taken', () => {
    const blocks = makeBlocks();
    const first = blocks.write(Buffer.alloc(600));
    blocks.free(first);
    expect(blocks.write(Buffer.alloc(300))).toBe(first);
  });
});
