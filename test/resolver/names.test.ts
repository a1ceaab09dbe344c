import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FrequentItems, MOST_NAMES, MOST_SLOW, watchedNames } from '../../src/resolver/names.ts';
import { queryOf } from '../support/ask.ts';
import { manualClock } from '../support/manual-clock.ts';

describe('names', () => {
  test('are not kept while nobody watches, and are forgotten when the last one ends', () => {
    const names = watchedNames(manualClock());
    expect(names.heard).toBeUndefined();
    const [one, two] = [names.watch(), names.watch()];
    tell(names, 'a.example');
    one.close();
    one.close();
    expect(two.report().asked).toEqual([{ name: 'a.example', count: 1, countedTooHigh: 0 }]);
    two.close();
    expect(names.heard).toBeUndefined();
    expect(names.watch().report().asked).toEqual([]);
  });

  test('that took long are kept for a minute, slowest first', () => {
    const clock = manualClock();
    const names = watchedNames(clock);
    const watch = names.watch();
    tell(names, 'quick.example', 0.4);
    tell(names, 'slow.example', 80);
    clock.advance(50_000);
    tell(names, 'slower.example', 900.04);
    expect(watch.report().slowest).toEqual([
      { name: 'slower.example', type: 'A', tookMs: 900, by: '192.0.2.1 (lo)', time: clock.now() },
      { name: 'slow.example', type: 'A', tookMs: 80, by: '192.0.2.1 (lo)', time: clock.now() - 50_000 },
    ]);
    clock.advance(20_000);
    expect(watch.report().slowest.map(({ name }) => name)).toEqual(['slower.example']);
  });

  test('stay few however many are asked for', () => {
    const names = watchedNames(manualClock());
    const watch = names.watch();
    for (let i = 0; i < 1000; i++) tell(names, `n${i}.example`, 2 + (i % 97));
    const { asked, slowest } = watch.report();
    expect([asked.length, slowest.length]).toEqual([MOST_NAMES, MOST_SLOW]);
    expect(slowest.every(({ tookMs }) => tookMs === 98 || tookMs === 97)).toBe(true);
  });
});

describe('the most frequent', () => {
  test('have counts that are never too low, and too high by no more than is said', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 300 }), (asked) => {
        const items = new FrequentItems(8);
        const real = new Map<string, number>();
        for (const each of asked) {
          const name = `n${each ** 2 % 23}`;
          items.add(name);
          real.set(name, (real.get(name) ?? 0) + 1);
        }
        const list = items.list();
        expect(list.length).toBeLessThanOrEqual(8);
        for (const { name, count, countedTooHigh } of list) {
          expect(count).toBeGreaterThanOrEqual(real.get(name) ?? 0);
          expect(count - countedTooHigh).toBeLessThanOrEqual(real.get(name) ?? 0);
        }
        // Whatever was asked for more often than its share of the slots has one.
        for (const [name, count] of real)
          if (count > asked.length / 8) expect(list.some((one) => one.name === name)).toBe(true);
      }),
    );
  });
});

function tell(names: ReturnType<typeof watchedNames>, name: string, tookMs = 5): void {
  const origin = { kind: 'upstream', route: 'lo', server: '192.0.2.1 (lo)', tookMs } as const;
  names.heard?.(queryOf(name), { wire: Buffer.alloc(12), origin }, tookMs);
}
