import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { machineId } from '../../src/system/machine-id.ts';
import { temporaryFolder } from '../support/folder.ts';
import { ODD_FILES } from '../support/odd-files.ts';

test.each([
  ['0123456789abcdef0123456789abcdef\n', '0123456789abcdef0123456789abcdef'],
  ['uninitialized\n', undefined],
  ['', undefined],
])('the machine id in %j is %s', (text, id) => {
  const root = temporaryFolder('etc');
  writeFileSync(join(root, 'etc/machine-id'), text);
  expect(machineId(root)).toBe(id);
});

test('a machine without the file has no id', () => {
  expect(machineId(temporaryFolder())).toBeUndefined();
});

test.each(ODD_FILES)('a machine that has $what there has no id, and nobody waits', ({ make }) => {
  const root = temporaryFolder('etc');
  make(join(root, 'etc/machine-id'));
  expect(machineId(root)).toBeUndefined();
});
