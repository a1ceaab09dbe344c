import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { sweepAfterStorms } from '../../src/system/sweep.ts';
import { manualClock } from '../support/manual-clock.ts';

it('what a storm left behind is swept once, when it is over, and little things never', () => {
  const clock = manualClock();
  let sweeps = 0;
  const happened = sweepAfterStorms(clock, () => sweeps++);
  const storm = (count: number): void => {
    for (let i = 0; i < count; i++) happened();
  };
  storm(100);
  clock.advance(60_000);
  expect(sweeps).toBe(0);
  for (let i = 0; i < 6; i++) {
    storm(1000);
    clock.advance(1500);
  }
  expect(sweeps, 'while it goes on').toBe(0);
  clock.advance(20_000);
  expect(sweeps).toBe(1);
  clock.advance(600_000);
  storm(1000);
  clock.advance(60_000);
  expect(sweeps).toBe(1);
  storm(5000);
  clock.advance(20_000);
  expect(sweeps).toBe(2);
});

it('a sweep gives back what lies outside of V8 too, between what is still needed', () => {
  const program = join(import.meta.dirname, '../support/programs/sweeps.ts');
  const env = { ...process.env, MALLOC_ARENA_MAX: '1' };
  const text = execFileSync(process.execPath, ['--expose-gc', program], { env, encoding: 'utf8' });
  const { full, swept, given, kept } = JSON.parse(text) as Record<string, number>;
  expect(kept).toBe(250);
  // 80 MB of messages, of which 75 are not needed any more; V8 alone leaves nearly all of them with malloc.
  expect(given, `${full} MB, ${swept} MB without the messages`).toBeLessThan((swept ?? 0) - 40);
});
