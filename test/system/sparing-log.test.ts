import { expect, test } from 'vitest';
import { sparingLog } from '../../src/system/sparing-log.ts';
import { manualClock } from '../support/manual-clock.ts';
import { recordingLog } from '../support/recording-log.ts';

test('twenty lines a minute are written, and then how many were left out', () => {
  const clock = manualClock();
  const log = recordingLog();
  const sparing = sparingLog(log, clock);
  for (let line = 0; line < 1000; line++) sparing.warn({ line }, 'somebody knocks');
  expect(log.lines).toHaveLength(20);
  clock.advance(60_000);
  sparing.info({ line: 'next' }, 'somebody knocks again');
  sparing.info({}, 'and again');
  expect(log.lines.slice(20)).toEqual([
    { level: 'info', fields: { line: 'next', leftOut: 980 }, text: 'somebody knocks again' },
    { level: 'info', fields: {}, text: 'and again' },
  ]);
});

test('debug lines are all written', () => {
  const log = recordingLog();
  const sparing = sparingLog(log, manualClock());
  for (let line = 0; line < 100; line++) sparing.debug({}, 'detail');
  expect(log.lines).toHaveLength(100);
});
