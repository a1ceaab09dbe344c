import { describe, expect, test } from 'vitest';
import { failureLines, judge, type Outcome, type Results, slowLines } from '../../scripts/test-results.ts';

const passed = (name: string, file = 'a.test.ts'): Outcome => ({ file, name, state: 'passed', ms: 1 });
const skipped = (name: string, file = 'a.test.ts'): Outcome => ({ file, name, state: 'skipped', ms: 0 });
const failed = (name: string, message = 'no', file = 'a.test.ts'): Outcome => ({
  file,
  name,
  state: 'failed',
  ms: 1,
  failure: { file, name, message },
});
const run = (tests: readonly Outcome[], outside: Results['outside'] = []): Results => ({ tests, outside });
const hook = (file = 'a.test.ts', message = 'the hook failed'): Results['outside'][number] => ({
  file,
  name: 'block',
  message,
});

describe('what counts', () => {
  test.each<{
    readonly what: string;
    readonly first: Results;
    readonly again?: Results;
    readonly counts: readonly [number, number, number];
    readonly unsteady?: readonly string[];
  }>([
    {
      what: 'everything, where nothing ran again',
      first: run([passed('one'), failed('two'), skipped('three')]),
      counts: [1, 1, 1],
    },
    {
      what: 'a test that held the second time has passed, and is named',
      first: run([passed('one'), failed('two')]),
      again: run([passed('one'), passed('two')]),
      counts: [2, 0, 0],
      unsteady: ['two'],
    },
    {
      what: 'a test that failed twice has failed',
      first: run([failed('two')]),
      again: run([failed('two')]),
      counts: [0, 1, 0],
    },
    {
      what: 'a test that failed only the second time is named',
      first: run([passed('one'), failed('two')]),
      again: run([failed('one'), passed('two')]),
      counts: [2, 0, 0],
      unsteady: ['one', 'two'],
    },
    {
      what: 'a test that failed and was not run again has failed',
      first: run([failed('two')]),
      again: run([skipped('two')], [hook()]),
      counts: [0, 1, 0],
      unsteady: ['block'],
    },
    {
      what: 'a test of the same name in another file is another test',
      first: run([failed('one'), failed('one', 'no', 'b.test.ts')]),
      again: run([passed('one')]),
      counts: [1, 1, 0],
      unsteady: ['one'],
    },
    {
      what: 'what a failing hook kept from running counts when it ran the second time',
      first: run([skipped('one'), skipped('two')], [hook()]),
      again: run([passed('one'), passed('two')]),
      counts: [2, 0, 0],
      unsteady: ['block'],
    },
    {
      what: 'a hook that failed twice has failed, and what it kept from running is missing',
      first: run([skipped('one')], [hook()]),
      again: run([skipped('one')], [hook()]),
      counts: [0, 1, 1],
    },
    {
      what: 'a file that could not even be read the second time has failed',
      first: run([skipped('one')], [hook()]),
      again: run([], [hook()]),
      counts: [0, 1, 1],
    },
    {
      what: 'what failed in no file has failed',
      first: run([passed('one')], [hook('')]),
      again: run([passed('one')]),
      counts: [1, 1, 0],
    },
    {
      what: 'an end of the second run that nothing tells of is a failure',
      first: run([failed('one')]),
      again: run([], [hook('', 'it ended with SIGKILL')]),
      counts: [0, 2, 0],
    },
  ])('$what', ({ first, again, counts, unsteady = [] }) => {
    const verdict = judge(first, again);
    expect([verdict.passed, verdict.failed.length, verdict.skipped]).toEqual(counts);
    expect(verdict.unsteady.map(({ name }) => name)).toEqual(unsteady);
  });
});

describe('the lines', () => {
  const failure = { file: 'test/lab/a.test.ts', name: 'block > one', message: 'expected 1 to be 2\n\nmore' };

  test('name file, test, the first line of the message, and the place', () => {
    const place = { file: 'test/lab/machine.ts', line: 7 };
    expect(failureLines([failure, { ...failure, place }])).toEqual([
      ' FAIL  test/lab/a.test.ts > block > one: expected 1 to be 2',
      ' FAIL  test/lab/a.test.ts > block > one: expected 1 to be 2 (at test/lab/machine.ts:7)',
    ]);
  });

  test('are short, whatever is in them, and say the line last', () => {
    const place = { file: failure.file, line: 31 };
    const [line = ''] = failureLines([
      { ...failure, name: 'x'.repeat(500), message: 'y'.repeat(500), place },
    ]);
    expect(line.length).toBeLessThanOrEqual(200);
    expect(line).toMatch(/^ FAIL {2}test\/lab\/a\.test\.ts > x+…x+: y+…y+ \(at line 31\)$/);
  });

  test('are few, and say how many are left out', () => {
    const lines = failureLines(Array.from({ length: 100 }, () => failure));
    expect(lines).toHaveLength(40);
    expect(lines.at(-1)).toContain('and 61 more');
  });

  test('name what took longer than half a minute, the longest first', () => {
    const slow = (name: string, ms: number): Outcome => ({ ...passed(name), ms });
    expect(slowLines(run([slow('short', 30_000), slow('long', 30_400), slow('longer', 61_000)]))).toEqual([
      ' 61 s  a.test.ts > longer',
      ' 30 s  a.test.ts > long',
    ]);
  });
});
