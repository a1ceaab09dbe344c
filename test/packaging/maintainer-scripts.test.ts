import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { scriptText } from '../../scripts/deb-control.ts';
import { temporaryFolder } from '../support/folder.ts';

const packaging = join(import.meta.dirname, '../../packaging');
const hasShellcheck = spawnSync('shellcheck', ['--version']).error === undefined;

const REAL =
  '# Written by dnskeeper; changes made here are replaced.\nnameserver 192.0.2.53\nsearch lab.example\n';
const COPY =
  '# The last DNS servers that dnskeeper knew. Nothing updates this file now.\nnameserver 192.0.2.53\nsearch lab.example\n';

describe.each(['dhclient', 'if-up', 'if-down', 'ppp-up', 'ppp-down'])('the hook for %s', (name) => {
  test.skipIf(!hasShellcheck)('passes shellcheck (skipped where it is not installed)', () => {
    const text = readFileSync(join(packaging, 'callers', name), 'utf8');
    // dhclient's variables come from the script that reads the hook.
    const { stdout } = spawnSync('shellcheck', ['-s', 'sh', '-e', 'SC2154', '-'], {
      input: text,
      encoding: 'utf8',
    });
    expect(stdout).toBe('');
  });
});

describe.each(['postinst', 'prerm', 'postrm'])('%s', (name) => {
  test('is a POSIX shell script with every include in place', () => {
    const text = scriptText(packaging, name);
    expect(text).not.toContain('#INCLUDE');
    expect(spawnSync('sh', ['-n'], { input: text, encoding: 'utf8' })).toMatchObject({
      status: 0,
      stderr: '',
    });
  });

  test.skipIf(!hasShellcheck)('passes shellcheck (skipped where it is not installed)', () => {
    const { stdout } = spawnSync('shellcheck', ['-s', 'sh', '-'], {
      input: scriptText(packaging, name),
      encoding: 'utf8',
    });
    expect(stdout).toBe('');
  });
});

interface Removal {
  readonly name: string;
  /** What /etc/resolv.conf is when the package goes. */
  readonly before: { readonly link: string } | { readonly file: string };
  /** What `dnsctl release` leaves there: undefined nothing, 'fails' its failure, 'leaves' what was there. */
  readonly release: { readonly link: string } | { readonly file: string } | 'none' | 'fails' | 'leaves';
  readonly resolved?: boolean;
  readonly upstream?: string;
  readonly after: { readonly link: string } | { readonly file: string } | 'none';
}

const OURS = { link: '/run/dnskeeper/resolv.conf' };

const removals: readonly Removal[] = [
  {
    name: 'puts the original file back',
    before: OURS,
    release: { file: 'nameserver 10.0.0.1' },
    after: { file: 'nameserver 10.0.0.1' },
  },
  {
    name: 'leaves a link to systemd-resolved that runs',
    before: { link: '../run/systemd/resolve/stub-resolv.conf' },
    release: 'leaves',
    resolved: true,
    after: { link: '../run/systemd/resolve/stub-resolv.conf' },
  },
  {
    name: 'keeps the last servers where the original was a link to the stub of a systemd-resolved that is gone',
    before: OURS,
    release: { link: '../run/systemd/resolve/stub-resolv.conf' },
    after: { file: COPY },
  },
  {
    name: 'keeps the last servers where the original was a dangling link',
    before: OURS,
    release: { link: '../run/nowhere/resolv.conf' },
    after: { file: COPY },
  },
  {
    name: 'keeps the last servers where there was no file',
    before: OURS,
    release: 'none',
    after: { file: COPY },
  },
  {
    name: 'keeps the last servers where the release fails',
    before: OURS,
    release: 'fails',
    after: { file: COPY },
  },
  {
    name: 'leaves what somebody else wrote, even when it names no server',
    before: { file: '# empty on purpose\n' },
    release: 'leaves',
    after: { file: '# empty on purpose\n' },
  },
  {
    name: 'leaves the original as it is when no server was ever in force',
    before: OURS,
    release: { link: '../run/nowhere/resolv.conf' },
    upstream: '# nothing\n',
    after: { link: '../run/nowhere/resolv.conf' },
  },
];

describe('removal', () => {
  test.each(removals)('$name', (removal) => {
    const root = machine(removal);
    expect(run(root, 'prerm', 'remove')).toMatchObject({ status: 0 });
    expect(resolvConf(root)).toEqual(removal.after);
    expect(existsSync(join(root, 'var/lib/dnskeeper/released')), 'the note of a release').toBe(false);
    expect(readdirSync(join(root, 'etc')).filter((name) => name.startsWith('resolv.conf.'))).toEqual([]);
  });

  test('keeps the note of an administrator who had released the link before', () => {
    const root = machine({ before: { file: 'nameserver 10.0.0.1\n' }, release: 'leaves' });
    writeFileSync(join(root, 'var/lib/dnskeeper/released'), '');
    run(root, 'prerm', 'remove');
    expect(existsSync(join(root, 'var/lib/dnskeeper/released'))).toBe(true);
  });

  test('stops the daemon before anything is put back', () => {
    const root = machine({ before: OURS, release: { file: 'nameserver 10.0.0.1\n' } });
    run(root, 'prerm', 'remove');
    // The socket before the service, which a query would otherwise start again.
    expect(calls(root)).toEqual([
      // Without its further names first: who uses them would have it started again.
      'systemctl --system daemon-reload',
      'deb-systemd-invoke stop dnskeeper.socket dnskeeper-hooks.socket dnskeeper.service',
      'dnsctl release',
    ]);
  });

  test('takes our files under systemd-resolved’s names with it, and nobody else’s', () => {
    const root = machine({ before: { link: '../run/systemd/resolve/resolv.conf' }, release: 'leaves' });
    const folder = join(root, 'run/systemd/resolve');
    writeFileSync(join(folder, 'resolv.conf'), REAL);
    run(root, 'prerm', 'remove');
    expect(readdirSync(folder)).toEqual(['stub-resolv.conf']);
    expect(resolvConf(root)).toEqual({ link: '../run/systemd/resolve/resolv.conf' });
  });

  test.each(['upgrade', 'failed-upgrade', 'deconfigure'])('touches nothing on %s', (action) => {
    const root = machine({ before: OURS, release: 'fails' });
    expect(run(root, 'prerm', action)).toMatchObject({ status: 0, output: '' });
    expect(calls(root)).toEqual([]);
    expect(resolvConf(root)).toEqual(OURS);
  });
});

describe('purge', () => {
  test('leaves no folder of ours', () => {
    const root = machine({ before: { file: 'nameserver 10.0.0.1\n' }, release: 'leaves' });
    mkdirSync(join(root, 'etc/dnskeeper/conf.d'), { recursive: true });
    expect(run(root, 'postrm', 'purge')).toMatchObject({ status: 0 });
    for (const folder of ['etc/dnskeeper', 'run/dnskeeper', 'var/lib/dnskeeper'])
      expect(existsSync(join(root, folder)), folder).toBe(false);
    expect(resolvConf(root)).toEqual({ file: 'nameserver 10.0.0.1\n' });
  });

  test('leaves no link to a folder that is gone, even when removal could not do its work', () => {
    const root = machine({ before: OURS, release: 'fails' });
    expect(run(root, 'postrm', 'purge')).toMatchObject({ status: 0 });
    expect(resolvConf(root)).toEqual({ file: COPY });
  });
});

describe('configuration', () => {
  test.each([
    { name: 'a first installation', args: ['configure', ''], action: 'start', apparmor: true },
    { name: 'an upgrade', args: ['configure', '0.0.1'], action: 'restart', apparmor: false },
    { name: 'a removal that was given up', args: ['abort-remove'], action: 'start', apparmor: false },
  ])(
    'makes systemd read the new unit before it starts the daemon after $name',
    ({ args, action, apparmor }) => {
      const root = machine({ before: { file: 'nameserver 10.0.0.1\n' }, release: 'leaves' });
      expect(run(root, 'postinst', ...args)).toMatchObject({ status: 0 });
      const made = calls(root);
      expect(made.slice(-2)).toEqual([
        'systemctl --system daemon-reload',
        `deb-systemd-invoke ${action} dnskeeper.service`,
      ]);
      expect(made.includes('deb-systemd-invoke reload apparmor.service')).toBe(apparmor);
      expect(made).toContain('deb-systemd-helper enable dnskeeper.service');
    },
  );

  test('refuses an argument that dpkg does not know', () => {
    const root = machine({ before: OURS, release: 'leaves' });
    expect(run(root, 'postinst', 'nonsense')).toMatchObject({ status: 1 });
  });
});

describe('the command resolvconf', () => {
  const OUR_COMMAND = '../lib/dnskeeper/resolvconf';
  const command = (root: string): string => join(root, 'usr/sbin/resolvconf');

  test.each([
    ['configure', ''],
    ['configure', '0.0.1'],
    ['triggered', '/usr/sbin/resolvconf'],
  ])('is made where there is none: %s %s', (...args) => {
    const root = machine({ before: OURS, release: 'leaves' });
    expect(run(root, 'postinst', ...args)).toMatchObject({ status: 0 });
    expect(readlinkSync(command(root))).toBe(OUR_COMMAND);
  });

  test("is left to systemd-resolved's, also where that leads nowhere", () => {
    const root = machine({ before: OURS, release: 'leaves' });
    symlinkSync('../bin/resolvectl', command(root));
    expect(run(root, 'postinst', 'configure', '')).toMatchObject({ status: 0 });
    expect(run(root, 'prerm', 'remove')).toMatchObject({ status: 0 });
    expect(readlinkSync(command(root))).toBe('../bin/resolvectl');
  });

  test('goes when the package is removed, and stays over an upgrade', () => {
    const root = machine({ before: OURS, release: 'leaves' });
    run(root, 'postinst', 'configure', '');
    run(root, 'prerm', 'upgrade', '0.0.2');
    expect(readlinkSync(command(root))).toBe(OUR_COMMAND);
    run(root, 'prerm', 'remove');
    expect(lstatSync(command(root), { throwIfNoEntry: false })).toBeUndefined();
  });

  test('starts no daemon when only a trigger asks for it', () => {
    const root = machine({ before: OURS, release: 'leaves' });
    run(root, 'postinst', 'triggered', '/usr/sbin/resolvconf');
    expect(calls(root)).toEqual([]);
  });
});

/** A machine in a folder: /etc, /run, /var, and stand-ins for the programs that the scripts call, which note each call. */
function machine(of: Pick<Removal, 'before' | 'release' | 'resolved' | 'upstream'>): string {
  const root = temporaryFolder(
    'etc',
    'run/dnskeeper',
    'run/systemd/system',
    'run/systemd/resolve',
    'var/lib/dnskeeper',
    'usr/sbin',
    'bin',
  );
  writeFileSync(join(root, 'run/dnskeeper/upstream.conf'), of.upstream ?? REAL);
  writeFileSync(join(root, 'run/dnskeeper/resolv.conf'), REAL);
  // The file of systemd-resolved outlives it.
  writeFileSync(join(root, 'run/systemd/resolve/stub-resolv.conf'), 'nameserver 127.0.0.53\n');
  put(root, of.before);
  const active = of.resolved ? 'systemd-resolved.service|apparmor.service' : 'apparmor.service';
  program(
    root,
    'systemctl',
    `case "$*" in *is-active*) case "$3" in ${active}) exit 0 ;; *) exit 3 ;; esac ;; esac`,
  );
  for (const name of ['deb-systemd-invoke', 'deb-systemd-helper']) program(root, name, 'exit 0');
  program(root, 'dnsctl', releaseScript(root, of.release));
  return root;
}

function put(root: string, what: { readonly link: string } | { readonly file: string }): void {
  const path = join(root, 'etc/resolv.conf');
  if ('link' in what) symlinkSync(what.link.startsWith('/') ? `${root}${what.link}` : what.link, path);
  else writeFileSync(path, what.file);
}

/** What the real program does to the file, as test/outputs holds it. */
function releaseScript(root: string, release: Removal['release']): string {
  const noted = `touch ${root}/var/lib/dnskeeper/released`;
  const cleared = `rm -f ${root}/etc/resolv.conf`;
  if (release === 'fails') return `${noted}; exit 1`;
  if (release === 'leaves') return noted;
  if (release === 'none') return `${noted}; ${cleared}`;
  return 'link' in release
    ? `${noted}; ${cleared}; ln -s ${release.link} ${root}/etc/resolv.conf`
    : `${noted}; ${cleared}; printf '${release.file}' >${root}/etc/resolv.conf`;
}

/** A stand-in that notes how it was called; questions are not noted. */
function program(root: string, name: string, body: string): void {
  const note = `[ "$2" = is-active ] || echo "${name} $*" >>${root}/calls`;
  writeFileSync(join(root, 'bin', name), `#!/bin/sh\n${note}\n${body}\n`);
  chmodSync(join(root, 'bin', name), 0o755);
}

function calls(root: string): readonly string[] {
  const file = join(root, 'calls');
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
}

/** Run a maintainer script with every path of the machine moved below `root`. */
function run(
  root: string,
  name: string,
  ...args: readonly string[]
): { status: number | null; output: string } {
  const moved = scriptText(packaging, name).replace(/(?<![\w*.])\/(etc|run|var|usr)\//g, `${root}/$1/`);
  // Shell patterns begin with a star; any other path left would be one of the machine that runs the tests.
  expect(moved.replaceAll(root, '*')).not.toMatch(/(?<!\*)\/(etc|run|var|usr)\//);
  const { status, stdout, stderr } = spawnSync('sh', ['-s', '--', ...args], {
    input: moved,
    encoding: 'utf8',
    env: { PATH: `${join(root, 'bin')}:/usr/bin:/bin` },
  });
  return { status, output: `${stdout}${stderr}` };
}

/** What stands at /etc/resolv.conf. */
function resolvConf(root: string): { link: string } | { file: string } | 'none' {
  const path = join(root, 'etc/resolv.conf');
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return 'none';
  return found.isSymbolicLink()
    ? { link: readlinkSync(path).replace(root, '') }
    : { file: readFileSync(path, 'utf8') };
}
