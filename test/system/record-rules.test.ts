import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DEFAULT_RULES } from '../../src/core/record-rules.ts';
import { recordPaths } from '../../src/system/record-paths.ts';
import { rulesOfMachine, rulesWithFragments, updateScripts } from '../../src/system/record-rules.ts';
import { temporaryFolder } from '../support/folder.ts';

function machine() {
  const root = temporaryFolder('etc/resolvconf/resolv.conf.d');
  const write = (path: string, text: string): void => writeFileSync(join(root, path), text);
  return { root, paths: recordPaths(root), write };
}

test('where there is no file the rules are those of openresolv', () => {
  const { paths } = machine();
  expect(rulesWithFragments(paths)).toEqual({ rules: DEFAULT_RULES, problems: [] });
  expect(updateScripts(paths)).toEqual([]);
});

test('all files together make the rules', () => {
  const { root, paths, write } = machine();
  write('etc/resolvconf.conf', 'deny_keys=eth1\nresolv_conf_sortlist=10.0.0.0\nnamed_zones=/x\n');
  write('etc/resolvconf/interface-order', 'wlan*\n');
  write('etc/resolv.conf.head', 'search a.example\n');
  write('etc/resolvconf/resolv.conf.d/base', 'options rotate\nsortlist 172.16.0.0\n');
  write('etc/resolvconf/resolv.conf.d/original', 'nameserver 192.0.2.99\n');
  symlinkSync('original', join(root, 'etc/resolvconf/resolv.conf.d/tail'));
  expect(rulesWithFragments(paths)).toEqual({
    rules: {
      ...DEFAULT_RULES,
      deny: ['eth1'],
      interfaceOrder: ['wlan*'],
      options: ['rotate'],
      sortlist: ['10.0.0.0', '172.16.0.0'],
      first: { servers: [], searches: ['a.example'] },
      last: { servers: ['192.0.2.99'], searches: [] },
    },
    problems: [
      { line: 3, kind: 'subscriber', got: 'named_zones' },
      { file: '/etc/resolvconf/interface-order', line: 1, kind: 'rest', got: '' },
    ],
  });
  // resolvconf -v prints what records say; an administrator's own lines are no record.
  expect(rulesOfMachine(paths).rules).toMatchObject({ options: [], first: { servers: [], searches: [] } });
});

describe('what is no file that can be read is told, and the rest counts', () => {
  test.each<[string, (path: string) => void]>([
    ['a folder', (path) => mkdirSync(path)],
    ['a pipe that nobody writes to', (path) => void spawnSync('mkfifo', [path])],
    ['an endless device', (path) => symlinkSync('/dev/zero', path)],
    ['more than any such file', (path) => writeFileSync(path, '*\n'.repeat(100_000))],
  ])('%s', (_, make) => {
    for (const name of ['etc/resolvconf/interface-order', 'etc/resolvconf/resolv.conf.d/head']) {
      const { root, paths, write } = machine();
      write('etc/resolvconf.conf', 'deny_keys=eth1\n');
      make(join(root, name));
      const { rules, unreadable } = rulesWithFragments(paths);
      expect(rules).toEqual({ ...DEFAULT_RULES, deny: ['eth1'] });
      expect(unreadable).toContain(join(root, name).slice(-20));
    }
  });
});

test("programs of update.d are those that run-parts(8) would run, and Debian's own is none", () => {
  const { root, paths, write } = machine();
  mkdirSync(join(root, 'etc/resolvconf/update.d'));
  for (const name of ['unbound', 'libc', 'dnsmasq', 'x.dpkg-old', 'a b', 'README']) {
    write(`etc/resolvconf/update.d/${name}`, '#!/bin/sh\n');
    if (name !== 'README') chmodSync(join(root, 'etc/resolvconf/update.d', name), 0o755);
  }
  symlinkSync('/nowhere', join(root, 'etc/resolvconf/update.d/dangling'));
  expect(updateScripts(paths)).toEqual(['dnsmasq', 'unbound']);
});

test('a file in the place of the folder has none', () => {
  const { paths, write } = machine();
  write('etc/resolvconf/update.d', 'x');
  expect(updateScripts(paths)).toEqual([]);
});
