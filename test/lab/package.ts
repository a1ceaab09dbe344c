import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Machine } from './machine.ts';
import { succeed } from './processes.ts';

/** Where `npm run deb` puts it, or wherever the package to be tested lies. */
const dist = process.env['DNSKEEPER_DIST'] ?? join(import.meta.dirname, '../../dist');

/** The package under test, as `npm run deb` made it for this processor. */
export async function builtPackage(): Promise<string> {
  const architecture = { x64: 'amd64', arm64: 'arm64' }[process.arch as string] ?? process.arch;
  const names = existsSync(dist) ? await readdir(dist) : [];
  const name = names
    .sort()
    .findLast((entry) => entry.startsWith('dnskeeper_') && entry.endsWith(`_${architecture}.deb`));
  if (name === undefined)
    throw new Error(`wanted dist/dnskeeper_<version>_${architecture}.deb; run: npm run deb`);
  return join(dist, name);
}

/** Install a package as `dpkg` does, without any network. */
export async function installPackage(machine: Machine, file?: string): Promise<void> {
  const source = file ?? (await builtPackage());
  const inside = `/var/tmp/${basename(source)}`;
  await machine.copyIn(source, inside);
  await machine.ok(`DEBIAN_FRONTEND=noninteractive dpkg --install '${inside}'`, { timeoutMs: 120_000 });
  await machine.ok(`rm '${inside}'`);
}

/** The same package with a version below every real one, to upgrade from; in a folder that the caller removes. */
export async function olderPackage(): Promise<{
  readonly file: string;
  readonly remove: () => Promise<void>;
}> {
  const folder = await mkdtemp(join(tmpdir(), `dk-${process.pid}-older-`));
  const tree = join(folder, 'tree');
  await succeed('dpkg-deb', ['--raw-extract', await builtPackage(), tree]);
  const control = join(tree, 'DEBIAN/control');
  await writeFile(control, (await readFile(control, 'utf8')).replace(/^Version: .*$/m, 'Version: 0.0.0~lab'));
  const file = join(folder, 'dnskeeper_0.0.0~lab.deb');
  await succeed('dpkg-deb', ['-Znone', '--root-owner-group', '--build', tree, file], 120_000);
  return { file, remove: () => rm(folder, { recursive: true, force: true }) };
}
