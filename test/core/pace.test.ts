import { expect, it } from 'vitest';
import { pauseBeforeWrite, rememberWrite } from '../../src/core/pace.ts';

/** Writes at these times, oldest first. */
const made = (...times: readonly number[]): readonly number[] =>
  times.reduce((writes: readonly number[], time) => rememberWrite(writes, time), []);

const storm = (count: number, end: number): readonly number[] =>
  made(...Array.from({ length: count }, (_, i) => end - count + 1 + i));

it.each([
  ['nothing was written yet', made(), 0],
  ['a person switches', made(9000, 9500, 9990), 0],
  ['sixteen writes came in a row', storm(16, 10_000), 25],
  ['a storm goes on', storm(100, 10_000), 250],
  ['a storm goes on and some of the pause is over', storm(100, 9900), 150],
  ['a storm is over', storm(100, 7000), 0],
  ['the clock was set back after one write', made(3_610_000), 0],
  ['the clock was set back after a storm', storm(100, 3_610_000), 0],
])('the pause when %s', (_what, writes, pause) => {
  expect(pauseBeforeWrite(writes, 10_000)).toBe(pause);
});
