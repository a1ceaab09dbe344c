import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { builtPackage } from './package.ts';

test('lintian finds no error in the built package', async () => {
  const { error, status, stdout, stderr } = spawnSync(
    'lintian',
    ['--allow-root', '--fail-on', 'error', await builtPackage()],
    { encoding: 'utf8' },
  );
  if (error !== undefined)
    throw new Error('wanted to run lintian; on Debian: apt install lintian', { cause: error });
  expect(status, `${stdout}${stderr}`).toBe(0);
});
