import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { PATIENCE_MS } from './patience.ts';

/** How a command ended. */
export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Run a program to its end; any exit code is an answer, not an error. */
export function run(
  command: string,
  arguments_: readonly string[],
  timeoutMs = PATIENCE_MS,
): Promise<Result> {
  return new Promise((resolve) => {
    const options = { timeout: timeoutMs, killSignal: 'SIGKILL' as const, maxBuffer: 64 << 20 };
    const child = execFile(command, arguments_, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 137;
      resolve({ code, stdout, stderr: error !== null && stderr === '' ? error.message : stderr });
    });
    child.stdin?.end();
  });
}

/** Run a program that has to succeed and give its output. */
export async function succeed(
  command: string,
  arguments_: readonly string[],
  timeoutMs?: number,
): Promise<string> {
  const result = await run(command, arguments_, timeoutMs);
  if (result.code === 0) return result.stdout;
  const said = `${result.stderr}${result.stdout}`.trim().slice(-4000);
  throw new Error(`${command} ${arguments_.join(' ')}\nended with ${result.code}: ${said}`);
}

/**
 * Start a program that the kernel ends together with this process, however this process ends: nothing in the lab
 * has a name of its own on the machine, so nothing stays behind when its processes are gone.
 */
export function hold(command: string, arguments_: readonly string[], logFile?: string): ChildProcess {
  const log = logFile === undefined ? 'ignore' : openSync(logFile, 'a');
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', command, ...arguments_], {
    stdio: ['ignore', log, log],
    env: { ...process.env, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' },
  });
  if (typeof log === 'number') closeSync(log);
  child.on('error', () => {});
  return child;
}

/** End a held program and wait until it is gone. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}
