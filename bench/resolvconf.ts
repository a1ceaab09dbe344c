import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { bundle } from '../scripts/bundle.ts';
import { unpackOpenresolv } from '../test/lab/openresolv.ts';
import { until } from '../test/support/until.ts';
import { type Measurement, median, ms, quantile, type Row, ratio } from './measurement.ts';

const ROOT = join(import.meta.dirname, '..');
const ROUNDS = 40;
/** So that dnskeeperd does not take the calls for a storm, which it makes fewer writes of. */
const BETWEEN_MS = 200;
const MOST_START = 60;

/**
 * `resolvconf -a` with a new server, from exec to its end: both then have written the file, which is checked each time.
 * Ours is the program of the package, with a daemon that runs below a folder and has it in force when the call ends; the peer is Debian's
 * openresolv with its libc subscriber alone, in a folder of its own, which asks no init system for services to restart.
 * They take turns, so that what else the machine does hits both.
 */
export const resolvconf: Measurement = {
  name: 'resolvconf',
  what: 'resolvconf -a to the written file',
  lab: false,
  async run() {
    await using held = new AsyncDisposableStack();
    const theirs = await unpackOpenresolv();
    held.defer(() => theirs.remove());
    const ours = await startOurs(held);
    const times = { ours: [] as number[], theirs: [] as number[], start: [] as number[] };
    for (let round = 0; round < ROUNDS; round++) {
      const server = `10.0.${Math.floor(round / 250)}.${(round % 250) + 1}`;
      const add = (program: string, file: string, words: readonly string[]): number => {
        const took = timed([program, ...words, '-a', 'eth0'], `nameserver ${server}\n`);
        if (!readFileSync(file, 'utf8').includes(`nameserver ${server}\n`))
          throw new Error(`wanted ${server} in ${file} when ${program} ended, but it is not there`);
        return took;
      };
      times.ours.push(add(ours.program, ours.file, ['--root', ours.root]));
      times.theirs.push(add(theirs.program, join(theirs.root, 'etc/resolv.conf'), []));
      times.start.push(timed([ours.program, '--version'], ''));
      await pause(BETWEEN_MS);
    }
    return rowsOf(times);
  },
};

function rowsOf({
  ours,
  theirs,
  start,
}: Readonly<Record<'ours' | 'theirs' | 'start', readonly number[]>>): readonly Row[] {
  return [
    {
      what: `resolvconf -a to the written file (${ours.length} calls, 95 % ${ms(quantile(ours, 0.95))})`,
      must: "<= openresolv's",
      measured: ms(median(ours)),
      peer: `openresolv ${ms(median(theirs))}, 95 % ${ms(quantile(theirs, 0.95))}`,
      ratio: ratio(median(ours), median(theirs)),
      reached: median(ours) <= median(theirs),
    },
    {
      what: 'start of resolvconf where it needs Node.js (--version, whole process)',
      must: `<= ${MOST_START} ms`,
      measured: ms(median(start)),
      peer: '',
      ratio: '',
      reached: median(start) <= MOST_START,
    },
  ];
}

/** Our daemon below a folder, without a bus, and our program behind the launcher of the package. */
async function startOurs(
  held: AsyncDisposableStack,
): Promise<{ readonly root: string; readonly program: string; readonly file: string }> {
  const root = mkdtempSync(join(tmpdir(), `dk-${process.pid}-bench-`));
  held.defer(() => rmSync(root, { recursive: true, force: true }));
  for (const folder of ['run', 'etc', 'lib']) mkdirSync(join(root, folder));
  const bundles = join(root, 'lib/bundle');
  await bundle(ROOT, bundles);
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'lib/node_modules'));
  const launcher = readFileSync(join(ROOT, 'packaging/resolvconf'), 'utf8')
    .replaceAll('/usr/lib/dnskeeper/node', process.execPath)
    .replaceAll('/usr/lib/dnskeeper/', `${bundles}/`);
  const program = join(root, 'resolvconf');
  writeFileSync(program, launcher);
  chmodSync(program, 0o755);
  const daemon = spawn(
    process.execPath,
    ['--max-semi-space-size=2', '--expose-gc', join(bundles, 'dnskeeperd.mjs'), '--root', root],
    {
      stdio: 'ignore',
      env: { PATH: process.env['PATH'] ?? '', DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${root}/nobody` },
    },
  );
  held.defer(() => ended(daemon));
  const file = join(root, 'run/dnskeeper/resolv.conf');
  await until(() => exists(file), 'the daemon has written its first file', 20_000);
  return { root, program, file };
}

function timed([program = '', ...words]: readonly string[], input: string): number {
  const begun = performance.now();
  const { status, stderr } = spawnSync(program, words, { input, encoding: 'utf8', timeout: 20_000 });
  const took = performance.now() - begun;
  if (status !== 0) throw new Error(`${program} ${words.join(' ')} ended with ${status}: ${stderr}`);
  return took;
}

async function ended(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await gone;
}

function exists(path: string): boolean {
  try {
    return readFileSync(path).length > 0;
  } catch {
    return false;
  }
}
