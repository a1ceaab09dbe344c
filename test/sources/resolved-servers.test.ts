import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { resolvedHasServers } from '../../src/sources/resolved-presence.ts';
import { silentLog } from '../../src/system/log.ts';
import { temporaryFolder } from '../support/folder.ts';
import { ODD_FILES } from '../support/odd-files.ts';

const LONG_MS = 10_000_000;

test('a systemd-resolved that knows servers is waited for no longer', async () => {
  await resolvedHasServers(resolved('nameserver 192.0.2.1\n').root, silentLog, LONG_MS);
});

test.each([
  ['an empty list', '# No DNS servers known.\n'],
  [
    'our own list, from before it came',
    '# Written by dnskeeper; changes made here are replaced.\nnameserver 192.0.2.9\n',
  ],
])('one that has not written its servers is waited for: %s', async (_, before) => {
  const { root, file } = resolved(before);
  let ready = false;
  const waiting = resolvedHasServers(root, silentLog, LONG_MS).then(() => {
    ready = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(ready).toBe(false);
  writeFileSync(file, '# by systemd-resolved\nnameserver 192.0.2.1\nsearch .\n');
  await waiting;
});

test('one that learns none is not waited for for ever', async () => {
  await resolvedHasServers(resolved('# No DNS servers known.\n').root, silentLog, 20);
  await resolvedHasServers(temporaryFolder(), silentLog, 20);
});

// Regression: a pipe there, which systemd-resolved's user may make, held the hand-over for ever.
test.each(ODD_FILES)('$what in the place of its list does not hold us up', async ({ make }) => {
  const { root, file } = resolved('');
  rmSync(file);
  make(file);
  await resolvedHasServers(root, silentLog, 20);
});

function resolved(text: string): { readonly root: string; readonly file: string } {
  const root = temporaryFolder();
  const folder = join(root, 'run/systemd/resolve');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'resolv.conf');
  writeFileSync(file, text);
  return { root, file };
}
