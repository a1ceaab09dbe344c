/**
 * `npm run test:lab`: the built package in a real Debian with systemd and NetworkManager.
 *
 * Needs root and a few programs. Where something is missing the closing line says what, and nothing counts as passed;
 * in CI (CI=true) a missing thing is a failure. `--install` installs the programs; other arguments go to vitest.
 *
 * With `--again`, and in CI, files with a failure run once more, on fresh machines: what holds then has passed, and is
 * named as unsteady. The last line is what counts.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pristineTree, suites } from '../test/lab/debian.ts';
import { sweepRemains } from '../test/lab/machine.ts';
import { builtPackage } from '../test/lab/package.ts';
import { RESULTS_VARIABLE } from './failed-first.ts';
import { failureLines, failuresOf, judge, type Results } from './test-results.ts';

const root = join(import.meta.dirname, '..');
const ci = process.env['CI'] === 'true';

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

/** More files than that are no accident, and would take too long. */
const MOST_FILES_AGAIN = 8;

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
  const first = await runTests(forVitest);
  const files = ci || arguments_.includes('--again') ? worthRepeating(first) : [];
  if (files.length > 0) console.log(`lab: once more, because something failed there: ${files.join(' ')}`);
  return conclude(first, files.length > 0 ? await runTests(forVitest, files) : undefined);
}

/** One run of vitest; one that tells no results, or another end than them, is a failure of its own. */
async function runTests(forVitest: readonly string[], files?: readonly string[]): Promise<Results> {
  const folder = mkdtempSync(join(tmpdir(), `dk-${process.pid}-results-`));
  const path = join(folder, 'results.json');
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const ended = spawnSync(process.execPath, [vitest, 'run', '--project', 'lab', ...forVitest], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      [RESULTS_VARIABLE]: path,
      ...(files === undefined ? {} : { LAB_FILES: files.join(' ') }),
    },
  });
  await sweepRemains();
  const results = readResults(path);
  rmSync(folder, { recursive: true, force: true });
  const told = results !== undefined && (ended.status === 0 || failuresOf(results).length > 0);
  if (told) return results;
  const message = `it ended with ${ended.signal ?? ended.status}, and no test tells why`;
  const { tests, outside } = results ?? { tests: [], outside: [] };
  return { tests, outside: [...outside, { file: '', name: 'vitest', message }] };
}

function readResults(path: string): Results | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Results;
  } catch {
    return undefined;
  }
}

function worthRepeating(first: Results): readonly string[] {
  const files = [...new Set(failuresOf(first).map(({ file }) => file))].filter((file) => file !== '');
  if (files.length <= MOST_FILES_AGAIN) return files;
  console.log(
    `lab: something failed in ${files.length} files, which is no accident: none of them runs again`,
  );
  return [];
}

/** Say what counts; gives the exit code. */
function conclude(first: Results, again: Results | undefined): number {
  const { passed, skipped, failed, unsteady } = judge(first, again);
  for (const line of failureLines(unsteady, 'unsteady:')) console.log(line);
  for (const line of again === undefined ? [] : failureLines(failed)) console.log(line);
  console.log(`lab: ${passed} passed, ${failed.length} failed, ${skipped} skipped`);
  return failed.length === 0 ? 0 : 1;
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
