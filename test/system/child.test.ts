import { describe, expect, it } from 'vitest';
import { startChild } from '../../src/system/child.ts';
import { until } from '../support/until.ts';

describe('a program beside us', () => {
  it.each([
    ['its code and its last words', 'echo first; echo second >&2; exit 3', 'sh ended with 3: second'],
    ['the signal', 'kill -KILL $$', 'sh ended with SIGKILL'],
    ['nothing of what is no text', "printf 'a\\033[31mb\\n'; exit 1", 'sh ended with 1: a?[31mb'],
  ])('tells %s at its end', async (_, script, why) => {
    const child = await startChild('sh', ['-c', script]);
    expect(await child.ended).toBe(why);
  });

  it('tells only the beginning of a line without end', async () => {
    const child = await startChild('sh', ['-c', 'head -c 1000000 /dev/zero | tr "\\0" x; exit 1']);
    const told = await child.ended;
    expect(told).toMatch(/^sh ended with 1: x+.?$/);
    expect(told.length).toBeLessThan(400);
  });

  it('that is not there is told as such', async () => {
    await expect(startChild('no-such-program', [])).rejects.toMatchObject({
      code: 'IO',
      message: 'there is no program no-such-program',
    });
  });

  it('is ended, also when it does not want to', async () => {
    const lines: string[] = [];
    const child = await startChild(
      'sh',
      ['-c', 'trap "" TERM; echo here; while :; do sleep 0.1; done'],
      (line) => lines.push(line),
    );
    await until(() => lines.includes('here'), 'it has begun');
    await child.end();
    expect(await child.ended).toBe('sh ended with SIGKILL');
  });
});
