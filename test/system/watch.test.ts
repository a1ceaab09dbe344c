import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { silentLog } from '../../src/system/log.ts';
import { type Watch, watchFile, watchFolders } from '../../src/system/watch.ts';
import { temporaryFolder } from '../support/folder.ts';
import { noMounts, run, unless } from '../support/root-only.ts';
import { until } from '../support/until.ts';

interface Eye {
  events: number;
}

function closeAtEnd(watch: Watch): void {
  onTestFinished(() => watch.close());
}

/** Do something and wait until it was noticed. */
async function noticed(eye: Eye, what: string, act: () => void): Promise<void> {
  const before = eye.events;
  act();
  await until(() => eye.events > before, `an event after: ${what}`);
}

async function watching(path: string): Promise<Eye> {
  const eye = { events: 0 };
  closeAtEnd(watchFile(path, () => eye.events++, silentLog));
  await until(() => eye.events >= 1, 'the watch stands');
  return eye;
}

function swapLink(path: string, text: string): void {
  symlinkSync(text, `${path}.new`);
  renameSync(`${path}.new`, path);
}

describe('watching one file', () => {
  it.skipIf(noMounts !== undefined)(
    unless(noMounts, 'notices what is written into a file that is mounted there from elsewhere'),
    async () => {
      const folder = temporaryFolder('etc');
      const path = join(folder, 'etc/resolv.conf');
      for (const file of [path, join(folder, 'elsewhere')]) writeFileSync(file, '');
      run('mount', '--bind', join(folder, 'elsewhere'), path);
      onTestFinished(() => run('umount', '-l', path));
      const eye = await watching(path);
      await until(() => eye.events >= 2, 'the watch of the mounted file stands too');
      for (const text of ['one', 'two', 'three']) await noticed(eye, text, () => writeFileSync(path, text));
      await noticed(eye, 'by its other name', () => writeFileSync(join(folder, 'elsewhere'), 'four'));
    },
  );

  it('notices every way in which a link is replaced', async () => {
    const folder = temporaryFolder('etc');
    const path = join(folder, 'etc/resolv.conf');
    symlinkSync('first', path);
    const eye = await watching(path);
    await noticed(eye, 'a link swapped', () => swapLink(path, 'second'));
    await noticed(eye, 'a link swapped again', () => swapLink(path, 'third'));
    await noticed(eye, 'a plain file renamed over it', () => {
      writeFileSync(`${path}.new`, 'plain');
      renameSync(`${path}.new`, path);
    });
    await noticed(eye, 'the file written in place', () => writeFileSync(path, 'plain and more'));
    await noticed(eye, 'the file removed', () => rmSync(path));
    await noticed(eye, 'the link made again', () => symlinkSync('fourth', path));
  });

  it('misses none of twenty swaps between dangling targets', async () => {
    const folder = temporaryFolder('etc');
    const path = join(folder, 'etc/resolv.conf');
    symlinkSync('nowhere-0', path);
    const eye = await watching(path);
    for (let swap = 1; swap <= 20; swap++)
      await noticed(eye, `swap ${swap}`, () => swapLink(path, `nowhere-${swap}`));
  });

  it('says nothing about the neighbours of the file', async () => {
    const folder = temporaryFolder('etc');
    const path = join(folder, 'etc/resolv.conf');
    writeFileSync(path, '');
    const eye = await watching(path);
    const before = eye.events;
    writeFileSync(join(folder, 'etc/hosts'), 'x');
    writeFileSync(join(folder, 'etc/.resolv.conf.dnskeeper'), 'x');
    await noticed(eye, 'the file itself', () => writeFileSync(path, 'x'));
    expect(eye.events - before).toBeLessThanOrEqual(2);
  });

  it('goes on when the folder is replaced', async () => {
    const folder = temporaryFolder('etc');
    const path = join(folder, 'etc/resolv.conf');
    const eye = await watching(path);
    await noticed(eye, 'the folder moved away', () => renameSync(join(folder, 'etc'), join(folder, 'old')));
    await noticed(eye, 'a new folder', () => mkdirSync(join(folder, 'etc')));
    const settled = eye.events;
    writeFileSync(path, 'x');
    await until(() => eye.events > settled, 'the file in the new folder is noticed');
  });

  it('is silent after close', async () => {
    const folder = temporaryFolder('etc');
    const path = join(folder, 'etc/resolv.conf');
    const eye = { events: 0 };
    const watch = watchFile(path, () => eye.events++, silentLog);
    const other = await watching(path);
    await watch.close();
    const before = eye.events;
    await noticed(other, 'a write that the open watch sees', () => writeFileSync(path, 'x'));
    expect(eye.events).toBe(before);
  });
});

describe('watching folders', () => {
  it('notices drop-ins in a folder whose parents do not exist yet', async () => {
    const root = temporaryFolder();
    const folder = join(root, 'etc/dnskeeper/conf.d');
    const eye = { events: 0 };
    closeAtEnd(watchFolders([folder, join(root, 'usr/lib/dnskeeper/conf.d')], () => eye.events++, silentLog));
    await until(() => eye.events >= 2, 'the watches stand');
    await noticed(eye, 'the folder made', () => mkdirSync(folder, { recursive: true }));
    await noticed(eye, 'a drop-in made', () => writeFileSync(join(folder, '10-a.toml'), 'a = 1'));
    await noticed(eye, 'the drop-in changed', () => writeFileSync(join(folder, '10-a.toml'), 'a = 22'));
    await noticed(eye, 'all removed', () => rmSync(join(root, 'etc'), { recursive: true }));
    await noticed(eye, 'all made again', () => mkdirSync(folder, { recursive: true }));
    await noticed(eye, 'a drop-in made again', () => writeFileSync(join(folder, '10-a.toml'), 'a = 1'));
  });
});

describe('when the kernel grants no more watches', () => {
  // Seen on a machine with many containers, which share one limit: the daemon went blind and did not say so.
  const inNamespace = (args: readonly string[]) =>
    spawnSync('unshare', ['--user', '--map-root-user', ...args]);
  const able = inNamespace(['true']).status === 0;

  it.skipIf(!able)(
    'says so, and watches as soon as it may (skipped where user namespaces are not allowed)',
    () => {
      const program = join(import.meta.dirname, '../support/programs/crowded-watch.ts');
      const file = join(temporaryFolder('etc'), 'etc/resolv.conf');
      const { stdout, stderr } = inNamespace([process.execPath, program, file]);
      expect(stderr.toString()).toBe('');
      expect(stdout.toString()).toMatch(/cannot be watched .*max_user_instances[\s\S]*noticed/);
    },
  );
});
