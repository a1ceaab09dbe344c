/**
 * The main job without root, NetworkManager or systemd: events that a real NetworkManager sent are replayed into the
 * real daemon under a folder of its own, and each resulting change of resolv.conf is shown with its reasons.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { controlClient } from '../src/control/client.ts';
import { formatHistory } from '../src/control/format-history.ts';
import { systemPaths } from '../src/system/paths.ts';
import { terminalOf } from '../src/system/terminal.ts';

const RECORDINGS = join(import.meta.dirname, 'recordings');
const MAIN = join(import.meta.dirname, '../src/main.ts');
const DNSCTL = join(import.meta.dirname, '../src/dnsctl.ts');

/** What was done in the lab and when, written beside the recording. */
interface Step {
  readonly time: number;
  readonly title: string;
}

const steps = JSON.parse(readFileSync(join(RECORDINGS, 'demo.steps.json'), 'utf8')) as readonly Step[];
const terminal = terminalOf(process.stdout, process.env);
const root = mkdtempSync(join(tmpdir(), 'dnskeeper-demo-'));
mkdirSync(join(root, 'etc'));
writeFileSync(join(root, 'etc/resolv.conf'), 'nameserver 203.0.113.1\n');
const daemon = spawn(process.execPath, [MAIN, '--root', root, '--replay', join(RECORDINGS, 'demo.jsonl')], {
  stdio: ['ignore', 'ignore', 'pipe'],
});
try {
  await replayed(daemon);
  await showChanges();
  console.log('\n== And what dnsctl status says in the end ==\n');
  await showStatus();
} finally {
  daemon.kill('SIGTERM');
  if (daemon.exitCode === null) await once(daemon, 'exit');
  rmSync(root, { recursive: true, force: true });
}

/** The daemon says on its log when the recording has been replayed. */
async function replayed(child: ChildProcess): Promise<void> {
  if (child.stderr === null) throw new Error('the daemon has no log');
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stderr })) {
    said.push(line);
    if (line.includes('The recording was replayed.')) return;
  }
  throw new Error(`the daemon ended before the recording did:\n${said.join('\n')}`);
}

async function showChanges(): Promise<void> {
  const changes = await controlClient(systemPaths(root).socket, AbortSignal.timeout(10_000)).history();
  for (const [index, step] of steps.entries()) {
    const end = steps[index + 1]?.time ?? Number.POSITIVE_INFINITY;
    const own = changes.filter(({ time }) => time >= step.time && time < end);
    console.log(`\n== ${step.title} ==\n`);
    if (own.length === 0) console.log('Nothing changed: the servers in the file hold.');
    else process.stdout.write(formatHistory(own, Date.now(), terminal));
  }
}

async function showStatus(): Promise<void> {
  const child = spawn(process.execPath, [DNSCTL, '--root', root, 'status'], { stdio: 'inherit' });
  await once(child, 'exit');
}
