/**
 * `npm run test:lab`: the built package in a real Debian with systemd and NetworkManager.
 *
 * Needs root and a few programs. Where something is missing the closing line says what, and nothing counts as passed;
 * in CI (CI=true) a missing thing is a failure. `--install` installs the programs; other arguments go to vitest.
 *
 * With `--again`, and in CI, files with a failure run once more, on fresh machines. The last line is what counts.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pristineTree, suites } from '../test/lab/debian.ts';
import { sweepRemains } from '../test/lab/machine.ts';
import { builtPackage } from '../test/lab/package.ts';
import { ci, root, runTests } from './run-tests.ts';

/** Program and the Debian package it comes in. */
const NEEDED = [
  ['debootstrap', 'debootstrap'],
  ['systemd-nspawn', 'systemd-container'],
  ['dnsmasq', 'dnsmasq-base'],
  ['openvpn', 'openvpn'],
  ['openssl', 'openssl'],
  ['ip', 'iproute2'],
  ['sysctl', 'procps'],
  ['setpriv', 'util-linux'],
  ['dpkg-deb', 'dpkg'],
  ['knotd', 'knot'],
  ['unbound', 'unbound'],
] as const;

/** What the package is made of; when one is newer, it is built again. */
const SOURCES = ['src', 'packaging', 'systemd', 'scripts', 'docs', 'package.json', 'package-lock.json'];

const arguments_ = process.argv.slice(2);
process.exitCode = await lab(arguments_.filter((argument) => !['--install', '--again'].includes(argument)));

async function lab(forVitest: readonly string[]): Promise<number> {
  const reason = whyNot(arguments_.includes('--install') || ci);
  if (reason !== undefined) {
    console.log(`lab: skipped, nothing was tested: ${reason}`);
    return ci ? 1 : 0;
  }
  await sweepRemains();
  if (await isOutdated()) run('npm', ['run', '--silent', 'deb']);
  console.log(`lab: ${suites.join(' and ')}; the first time each is built, which takes a minute or two`);
  await Promise.all(suites.map((suite) => pristineTree(suite)));
  const again = ci || arguments_.includes('--again');
  return runTests({ project: 'lab', arguments: forVitest, again, after: sweepRemains });
}

function whyNot(install: boolean): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'it needs Linux and root; run: sudo npm run test:lab';
  const missing = (): string[] => NEEDED.filter(([program]) => !exists(program)).map(([, from]) => from);
  if (missing().length > 0 && install) {
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    run('apt-get', ['update', '-qq'], environment);
    run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing()], environment);
  }
  const still = missing();
  if (still.length > 0)
    return `programs are missing; run: apt-get install ${still.join(' ')}   (or add --install)`;
  const namespaces = spawnSync('unshare', ['--mount', '--pid', '--net', '--fork', 'true']);
  return namespaces.status === 0
    ? undefined
    : `this machine grants no namespaces: ${String(namespaces.stderr).trim()}`;
}

function exists(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
}

function run(command: string, commandArguments: readonly string[], environment = process.env): void {
  execFileSync(command, commandArguments, {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: environment,
  });
}

async function isOutdated(): Promise<boolean> {
  try {
    const built = statSync(await builtPackage()).mtimeMs;
    return SOURCES.some((source) => newest(join(root, source)) > built);
  } catch {
    return true;
  }
}

function newest(path: string): number {
  const facts = statSync(path);
  if (!facts.isDirectory()) return facts.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))));
}
