import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildDeb } from '../../scripts/deb.ts';
import { debianChangelog } from '../../scripts/deb-control.ts';
import type { Architecture, Runtime } from '../../scripts/deb-runtime.ts';

/** Packages outlive the test that builds them: several look at one. */
const scratch = mkdtempSync(join(tmpdir(), 'dnskeeper-test-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const repository = join(import.meta.dirname, '../..');
const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { version: string };

/** Every file and folder of the package below the first level, with its mode. */
const CONTENTS = `
-rw-r--r-- etc/apparmor.d/abstractions/nameservice-strict.d/dnskeeper
-rw-r--r-- etc/apparmor.d/abstractions/nameservice.d/dnskeeper
-rw-r--r-- etc/dhcp/dhclient-enter-hooks.d/dnskeeper
drwxr-xr-x etc/dnskeeper/conf.d/
drwxr-xr-x etc/dnskeeper/dnsmasq.d/
drwxr-xr-x etc/dnskeeper/hooks.d/
drwxr-xr-x etc/dnskeeper/unbound.d/
-rwxr-xr-x etc/network/if-down.d/dnskeeper
-rwxr-xr-x etc/network/if-up.d/dnskeeper
-rwxr-xr-x etc/ppp/ip-down.d/dnskeeper
-rwxr-xr-x etc/ppp/ip-up.d/dnskeeper
-rwxr-xr-x usr/bin/dnsctl
-rw-r--r-- usr/lib/dbus-1/system-services/org.freedesktop.resolve1.service
drwxr-xr-x usr/lib/dnskeeper/conf.d/
-rw-r--r-- usr/lib/dnskeeper/dnsctl.mjs
-rw-r--r-- usr/lib/dnskeeper/dnskeeperd.mjs
-rw-r--r-- usr/lib/dnskeeper/fast-path-worker.mjs
-rw-r--r-- usr/lib/dnskeeper/hooks.mjs
-rwxr-xr-x usr/lib/dnskeeper/node
-rw-r--r-- usr/lib/dnskeeper/node_modules/@koromix/koffi-linux-NPM/index.js
-rw-r--r-- usr/lib/dnskeeper/node_modules/@koromix/koffi-linux-NPM/linux_NPM/koffi.node
-rw-r--r-- usr/lib/dnskeeper/node_modules/@koromix/koffi-linux-NPM/package.json
-rw-r--r-- usr/lib/dnskeeper/node_modules/koffi/index.cjs
-rw-r--r-- usr/lib/dnskeeper/node_modules/koffi/package.json
-rw-r--r-- usr/lib/dnskeeper/node_modules/koffi/src/koffi/index.cjs
-rw-r--r-- usr/lib/dnskeeper/node_modules/koffi/src/koffi/src/static.cjs
-rwxr-xr-x usr/lib/dnskeeper/resolvconf
-rw-r--r-- usr/lib/dnskeeper/resolvconf.mjs
-rw-r--r-- usr/lib/dnskeeper/systemd-resolved.conf
-rw-r--r-- usr/lib/systemd/system/dnskeeper-hooks.socket
-rw-r--r-- usr/lib/systemd/system/dnskeeper-hooks@.service
-rw-r--r-- usr/lib/systemd/system/dnskeeper.service
-rw-r--r-- usr/lib/systemd/system/dnskeeper.socket
-rwxr-xr-x usr/lib/systemd/system-generators/dnskeeper-generator
-rwxr-xr-x usr/sbin/dnskeeperd
-rw-r--r-- usr/share/bash-completion/completions/dnsctl
-rw-r--r-- usr/share/bash-completion/completions/dnskeeperd
-rw-r--r-- usr/share/dbus-1/system.d/dnskeeper.conf
-rw-r--r-- usr/share/doc/dnskeeper/changelog.gz
-rw-r--r-- usr/share/doc/dnskeeper/copyright
-rw-r--r-- usr/share/doc/dnskeeper/examples/dnskeeper-metrics.service
-rw-r--r-- usr/share/doc/dnskeeper/examples/dnskeeper-metrics.timer
-rw-r--r-- usr/share/doc/dnskeeper/examples/dnskeeper.toml
-rw-r--r-- usr/share/doc/dnskeeper/examples/profiles.toml
-rw-r--r-- usr/share/fish/vendor_completions.d/dnsctl.fish
-rw-r--r-- usr/share/fish/vendor_completions.d/dnskeeperd.fish
-rw-r--r-- usr/share/lintian/overrides/dnskeeper
-rw-r--r-- usr/share/man/man1/dnsctl.1.gz
-rw-r--r-- usr/share/man/man5/dnskeeper.toml.5.gz
-rw-r--r-- usr/share/man/man8/dnskeeper-resolvconf.8.gz
-rw-r--r-- usr/share/man/man8/dnskeeperd.8.gz
-rw-r--r-- usr/share/polkit-1/actions/io.dnskeeper.resolve1.policy
-rw-r--r-- usr/share/zsh/vendor-completions/_dnsctl
-rw-r--r-- usr/share/zsh/vendor-completions/_dnskeeperd
`;

describe.each<{ architecture: Architecture; npm: string }>([
  { architecture: 'amd64', npm: 'x64' },
  { architecture: 'arm64', npm: 'arm64' },
])('the package for $architecture', ({ architecture, npm }) => {
  let file: string;
  beforeAll(async () => {
    const root = sourceTree();
    file = await build(root, architecture, npm);
  });

  test('is named after program, version and architecture', () => {
    expect(file.endsWith(`/dnskeeper_${version}_${architecture}.deb`)).toBe(true);
  });

  test('holds these files with these modes, all owned by root', () => {
    const lines = dpkgDeb('--contents', file).trim().split('\n');
    expect(lines.filter((line) => !/^\S+ root\/root /.test(line))).toEqual([]);
    expect(leaves(lines)).toEqual(CONTENTS.trim().replaceAll('NPM', npm).split('\n'));
  });

  test('says who it is, and needs only what a minimal Debian has', () => {
    const fields = dpkgDeb('--field', file);
    expect(fields).toMatch(
      new RegExp(`^Package: dnskeeper\nVersion: ${version}\nArchitecture: ${architecture}\n`),
    );
    expect(fields).not.toMatch(/@[A-Z_]+@/);
    expect(
      /^Depends: (.*)$/m
        .exec(fields)?.[1]
        ?.split(', ')
        .map((each) => each.split(' ')[0]),
    ).toEqual(['libc6', 'libgcc-s1', 'libstdc++6']);
    expect(Number(/^Installed-Size: (\d+)$/m.exec(fields)?.[1])).toBeGreaterThan(0);
  });

  test('lets dpkg keep changed configuration files and verify the rest', () => {
    const control = unpackControl(file);
    expect(readFileSync(join(control, 'conffiles'), 'utf8')).toBe(
      [
        '/etc/dhcp/dhclient-enter-hooks.d/dnskeeper',
        '/etc/network/if-up.d/dnskeeper',
        '/etc/network/if-down.d/dnskeeper',
        '/etc/ppp/ip-up.d/dnskeeper',
        '/etc/ppp/ip-down.d/dnskeeper',
        '/etc/apparmor.d/abstractions/nameservice.d/dnskeeper',
        '/etc/apparmor.d/abstractions/nameservice-strict.d/dnskeeper',
        '',
      ].join('\n'),
    );
    const sums = readFileSync(join(control, 'md5sums'), 'utf8').trim().split('\n');
    const files = CONTENTS.trim()
      .split('\n')
      .filter((line) => line.startsWith('-') && !line.includes(' etc/'));
    expect(sums).toHaveLength(files.length);
  });

  test('brings the licence of everything it carries', () => {
    const copyright = dpkgFile(file, './usr/share/doc/dnskeeper/copyright').toString();
    for (const part of ['dnskeeper\n===', 'Node.js (', 'the runtime licence', 'koffi (npm)', 'tldts (npm)'])
      expect(copyright).toContain(part);
  });
});

describe('the package', () => {
  test('has the same bytes when built twice', async () => {
    const root = sourceTree();
    const first = readFileSync(await build(root, 'amd64', 'x64'));
    expect(readFileSync(await build(root, 'amd64', 'x64')).equals(first)).toBe(true);
  });

  test('is not built without its documents', async () => {
    const root = sourceTree();
    execFileSync('rm', [join(root, 'docs/man/dnsctl.1')]);
    await expect(build(root, 'amd64', 'x64')).rejects.toThrow(/docs\/man\/dnsctl\.1; documents are made by/);
  });
});

describe('the changelog', () => {
  const markdown = `# Changelog

## Unreleased

- Not yet

## 1.1.0 - 2026-11-20

### Added

- One thing,
  told on two lines
- Another thing

## 1.0.0 - 2026-10-01

- The first
`;

  test('becomes one that Debian understands', () => {
    expect(
      debianChangelog(markdown, '1.1.0', 'A <a@b.example>', 0),
    ).toBe(`dnskeeper (1.1.0) unstable; urgency=medium

  * One thing, told on two lines
  * Another thing

 -- A <a@b.example>  Fri, 20 Nov 2026 00:00:00 +0000

dnskeeper (1.0.0) unstable; urgency=medium

  * The first

 -- A <a@b.example>  Thu, 01 Oct 2026 00:00:00 +0000
`);
  });

  test('must have the version that is built on top', () => {
    expect(() => debianChangelog(markdown, '1.2.0', 'A <a@b.example>', 0)).toThrow(
      'wanted "## 1.2.0 - DATE" as the newest version in CHANGELOG.md, got 1.1.0',
    );
  });
});

/** A source tree with the real packaging and small programs and documents. */
function sourceTree(): string {
  const root = mkdtempSync(join(scratch, 'tree-'));
  for (const name of ['node_modules', 'packaging', 'systemd', 'package.json', 'LICENSE'])
    symlinkSync(join(repository, name), join(root, name));
  const files: Readonly<Record<string, string>> = {
    'src/main.ts':
      "import { parse } from 'tldts';\nprocess.stdout.write(String(parse('a.example').domain));\n",
    'src/dnsctl.ts': 'process.exitCode = await Promise.resolve(0);\n',
    'src/resolvconf.ts': 'process.exitCode = 0;\n',
    'src/system/hooks-program.ts': 'process.exitCode = 0;\n',
    'src/resolver/fast-path-worker.ts': 'process.exitCode = 0;\n',
    'examples/dnskeeper.toml': '# every key\n',
    'examples/profiles.toml': '# rules per network\n',
    'examples/dnskeeper-metrics.service': '[Service]\n',
    'examples/dnskeeper-metrics.timer': '[Timer]\n',
    'CHANGELOG.md': `# Changelog\n\n## ${version} - 2026-11-21\n\n- A version.\n`,
    ...Object.fromEntries(
      ['man/dnsctl.1', 'man/dnskeeper.toml.5', 'man/dnskeeperd.8', 'man/dnskeeper-resolvconf.8']
        .concat(
          ['dnsctl', 'dnskeeperd']
            .flatMap((name) => [`${name}.bash`, `_${name}`, `${name}.fish`])
            .map((name) => `completions/${name}`),
        )
        .map((name) => [`docs/${name}`, `${name}\n`]),
    ),
  };
  for (const [name, text] of Object.entries(files)) write(join(root, name), text);
  return root;
}

const build = (root: string, architecture: Architecture, npm: string): Promise<string> =>
  buildDeb({
    root,
    dist: join(root, 'dist'),
    architecture,
    runtime: smallRuntime(root, npm),
    seconds: 1_795_000_000,
    compression: 'none',
  });

/** A runtime of a few bytes: the package is put together the same way from it. */
function smallRuntime(root: string, npm: string): Runtime {
  const node = join(root, `runtime/${npm}/node`);
  const koffi = join(root, `runtime/${npm}/koffi`);
  write(join(node, 'bin/node'), 'runtime');
  write(join(node, 'LICENSE'), 'the runtime licence');
  for (const file of ['package.json', 'index.js', `linux_${npm}/koffi.node`]) write(join(koffi, file), file);
  return { node, koffi, stripped: true };
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

const dpkgDeb = (...args: readonly string[]): string => execFileSync('dpkg-deb', args, { encoding: 'utf8' });

function unpackControl(file: string): string {
  const folder = `${file}.control`;
  dpkgDeb('--control', file, folder);
  return folder;
}

const dpkgFile = (file: string, path: string): Buffer =>
  execFileSync('tar', ['-xOf', '-', path], {
    input: execFileSync('dpkg-deb', ['--fsys-tarfile', file], { maxBuffer: 1 << 26 }),
  });

/** `mode path` of files and of folders with nothing in them. */
function leaves(lines: readonly string[]): readonly string[] {
  const entries = lines.map((line) => ({ mode: line.split(' ')[0] ?? '', path: line.split(' ./')[1] ?? '' }));
  return entries
    .filter(
      ({ path }) =>
        path !== '' &&
        !entries.some((other) => other.path !== path && other.path.startsWith(path) && path.endsWith('/')),
    )
    .map(({ mode, path }) => `${mode} ${path}`);
}
