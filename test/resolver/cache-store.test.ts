import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cacheStore } from '../../src/resolver/cache-store.ts';

describe('the store of the cache', () => {
  it('keeps what is asked for while names asked once pass through', () => {
    const store = cacheStore<number>({ entries: 10, bytes: 10_000 });
    for (let i = 0; i < 5; i++) store.set(`often${i}`, i, 10);
    for (let i = 0; i < 1000; i++) {
      store.set(`once${i}`, i, 10);
      for (let k = 0; k < 5; k++) expect(store.get(`often${k}`)).toBe(k);
    }
    expect([store.count, store.evicted]).toEqual([10, 995]);
  });

  it('looks without marking', () => {
    const store = cacheStore<number>({ entries: 2, bytes: 100 });
    store.set('a', 1, 1);
    store.set('b', 2, 1);
    expect(store.peek('a')).toBe(1);
    store.set('c', 3, 1);
    expect(store.peek('a')).toBeUndefined();
  });

  it('takes nothing that is larger than the whole', () => {
    const store = cacheStore<number>({ entries: 2, bytes: 100 });
    store.set('a', 1, 101);
    expect(store.count).toBe(0);
  });

  it('keeps its bounds and its books whatever is done to it', () => {
    const key = fc.nat(30).map(String);
    const step = fc.oneof(
      fc.record({ kind: fc.constant('set' as const), key, bytes: fc.nat(60) }),
      fc.record({ kind: fc.constantFrom<'get' | 'delete'>('get', 'delete'), key }),
      fc.record({ kind: fc.constant('shrink' as const), factor: fc.double({ min: 0, max: 1, noNaN: true }) }),
      fc.record({ kind: fc.constant('prune' as const), below: fc.nat(60), key }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const store = cacheStore<number>({ entries: 8, bytes: 200 });
        const sizes = new Map<string, number>();
        for (const doing of steps) {
          if (doing.kind === 'set') {
            store.set(doing.key, doing.bytes, doing.bytes);
            sizes.set(doing.key, doing.bytes);
          } else if (doing.kind === 'get')
            expect([undefined, sizes.get(doing.key)]).toContain(store.get(doing.key));
          else if (doing.kind === 'delete') store.delete(doing.key);
          else if (doing.kind === 'shrink') {
            const most = store.count * doing.factor;
            store.shrink(doing.factor);
            expect(store.count).toBeLessThanOrEqual(most);
          } else if (doing.kind === 'prune') store.prune((bytes) => bytes < doing.below);
          const held = [...store.entries()];
          expect(held.length).toBe(store.count);
          expect(held.reduce((sum, [, bytes]) => sum + bytes, 0)).toBe(store.bytes);
          expect(store.count).toBeLessThanOrEqual(8);
          expect(store.bytes).toBeLessThanOrEqual(200);
        }
      }),
      { numRuns: 300 },
    );
  });
});
