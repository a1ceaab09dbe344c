import { chownSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { machineId } from '../../src/system/machine-id.ts';
import { ownFolder } from '../../src/system/own-folder.ts';
import { temporaryFolder } from '../support/folder.ts';
import { unless } from '../support/root-only.ts';

const notRoot = process.getuid?.() === 0 ? undefined : 'only root can give a folder to somebody else first';

test('a folder is made with all above it', async () => {
  const folder = join(temporaryFolder(), 'run/systemd/resolve');
  await ownFolder(folder);
  expect(statSync(folder)).toMatchObject({ uid: process.geteuid?.() });
});

test.skipIf(notRoot)(
  unless(notRoot, 'a folder of another user is taken over, and stays as it is otherwise'),
  async () => {
    const folder = join(temporaryFolder(), 'resolve');
    mkdirSync(folder, { mode: 0o750 });
    chownSync(folder, 65534, 65534);
    await ownFolder(folder);
    expect(statSync(folder)).toMatchObject({ uid: 0, gid: 0, mode: 0o40750 });
  },
);

test('a file in its place is not touched', async () => {
  const path = join(temporaryFolder(), 'resolve');
  writeFileSync(path, '');
  await expect(ownFolder(path)).rejects.toMatchObject({ code: 'EEXIST' });
});

test.each([
  ['0123456789abcdef0123456789abcdef\n', '0123456789abcdef0123456789abcdef'],
  ['uninitialized\n', undefined],
  ['', undefined],
])('the machine id in %j is %s', (text, id) => {
  const root = temporaryFolder('etc');
  writeFileSync(join(root, 'etc/machine-id'), text);
  expect(machineId(root)).toBe(id);
  expect(machineId(temporaryFolder())).toBeUndefined();
});
