import { execFileSync } from 'node:child_process';
import { appendFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Domain } from '../../src/core/domain.ts';
import { type WatchedHosts, watchHosts } from '../../src/resolver/hosts-watch.ts';
import { silentLog } from '../../src/system/log.ts';
import { temporaryFolder } from '../support/folder.ts';
import { until } from '../support/until.ts';

const open: WatchedHosts[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((hosts) => hosts.close()));
});

function watched(path: string): { readonly hosts: WatchedHosts; readonly changes: () => number } {
  let changes = 0;
  const hosts = watchHosts(path, () => changes++, silentLog);
  open.push(hosts);
  return { hosts, changes: () => changes };
}

const has = (hosts: WatchedHosts, name: string): boolean => hosts.current.names.has(name as Domain);

describe('the hosts file', () => {
  it('is followed as it comes, changes and goes', async () => {
    const path = join(temporaryFolder('etc'), 'hosts');
    const { hosts } = watched(path);
    await writeFile(path, '192.0.2.1 one.example\n');
    await until(() => has(hosts, 'one.example'), 'the file is read');
    await writeFile(path, '192.0.2.1 two.example');
    await until(() => has(hosts, 'two.example') && !has(hosts, 'one.example'), 'the new file is read');
    execFileSync('rm', [path]);
    await until(() => hosts.current.names.size === 0, 'its end is seen');
    expect(hosts.problem).toBeUndefined();
  });

  it('is followed where it is a link, also to what is written, replaced or made anew at its target', async () => {
    // Guards against a watch on the link's folder alone, in which nothing happens then.
    const path = join(temporaryFolder('etc'), 'hosts');
    const target = join(temporaryFolder('elsewhere'), 'hosts');
    await writeFile(target, '192.0.2.1 one.example\n');
    await symlink(target, path);
    const { hosts } = watched(path);
    await until(() => has(hosts, 'one.example'), 'the file is read');
    await appendFile(target, '192.0.2.1 two.example\n');
    await until(() => has(hosts, 'two.example'), 'what was written is read');
    await writeFile(`${target}.new`, '192.0.2.1 three.example\n');
    await rename(`${target}.new`, target);
    await until(() => has(hosts, 'three.example'), 'the new file is read');
    await rm(target);
    await until(() => hosts.current.names.size === 0, 'its end is seen');
    await writeFile(target, '192.0.2.1 four.example\n');
    await until(() => has(hosts, 'four.example'), 'the file is read again');
    await writeFile(`${path}.new`, '192.0.2.1 five.example\n');
    await rename(`${path}.new`, path);
    await until(() => has(hosts, 'five.example'), 'the file in place of the link is read');
  });

  it('of 200,000 lines lets others have their turn while it is read, and is in force all at once', async () => {
    const path = join(temporaryFolder('etc'), 'hosts');
    await writeFile(path, '192.0.2.1 old.example\n');
    const { hosts, changes } = watched(path);
    await until(() => has(hosts, 'old.example'), 'the file is read');
    const before = changes();
    const lines = Array.from({ length: 200_000 }, (_, i) => `0.0.0.0 host${i}.ads.example`);
    await writeFile(`${path}.new`, lines.join('\n'));
    execFileSync('mv', [`${path}.new`, path]);
    let turns = 0;
    const sizes = new Set<number>();
    while (!sizes.has(200_000)) {
      await new Promise((resolve) => setImmediate(resolve));
      turns++;
      sizes.add(hosts.current.names.size);
    }
    expect([...sizes]).toEqual([1, 200_000]);
    expect(turns).toBeGreaterThan(100);
    expect(changes() - before).toBe(1);
    expect(has(hosts, 'host199999.ads.example')).toBe(true);
  });

  it.each<[string, (path: string) => unknown, RegExp]>([
    [
      'too large',
      (path) => truncate(path, 64 * 1024 * 1024 + 1),
      /it has 65 MiB, and at most 64 MiB are taken/,
    ],
    ['a FIFO', (path) => execFileSync('sh', ['-c', `rm ${path} && mkfifo ${path}`]), /no regular file/],
  ])('that is %s is not in force, which is said', async (_, spoil, problem) => {
    const path = join(temporaryFolder('etc'), 'hosts');
    await writeFile(path, '192.0.2.1 one.example\n');
    const { hosts } = watched(path);
    await until(() => has(hosts, 'one.example'), 'the file is read');
    await spoil(path);
    await until(() => hosts.problem !== undefined, 'the trouble is seen');
    expect(hosts.problem).toMatch(problem);
    expect(hosts.current.names.size).toBe(0);
  });

  it('leaves out a line without an end, and takes those around it', async () => {
    const path = join(temporaryFolder('etc'), 'hosts');
    await writeFile(
      path,
      `192.0.2.1 one.example\n192.0.2.2 ${'x '.repeat(100_000)}\n192.0.2.3 two.example\n`,
    );
    const { hosts } = watched(path);
    await until(() => has(hosts, 'two.example'), 'the file is read');
    expect(hosts.current.names.size).toBe(2);
    expect(hosts.problem).toContain('1 names or lines are left out');
  });
});
