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
