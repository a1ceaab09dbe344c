import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { unifiedDiff } from '../../src/system/text-diff.ts';
import { temporaryFolder } from '../support/folder.ts';

test.each([
  ['the first file', '', 'a\nb\n'],
  ['a file that becomes empty', 'a\nb\n', ''],
  ['a line in between', 'a\nb\nc\nd\ne\n', 'a\nb\nc\nx\nd\ne\n'],
  ['a line that goes', 'a\nb\nc\nd\ne\n', 'a\nb\nd\ne\n'],
  ['both ends', 'a\nb\nc\nd\ne\nf\ng\nh\n', 'x\nb\nc\nd\ne\nf\ng\n'],
])('%s is told as by diff(1)', (_what, before, after) => {
  const folder = temporaryFolder();
  const [one, two] = [join(folder, 'before'), join(folder, 'after')];
  writeFileSync(one, before);
  writeFileSync(two, after);
  const { stdout } = spawnSync('diff', ['-U2', one, two], { encoding: 'utf8', timeout: 20_000 });
  const ofDiff = stdout.split('\n').slice(2, -1);
  // diff(1) leaves out a count of one line.
  const short = unifiedDiff(before, after).map((line) =>
    line.replace(/^@@.*@@$/, (head) => head.replaceAll(',1 ', ' ')),
  );
  expect(short).toEqual(ofDiff);
});
