import { spawn } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, systemCodeOf } from '../core/errors.ts';
import { type HookCall, type HookResult, MOST_HOOKS } from '../core/hook-call.ts';
import { ascii, compareText } from '../core/text.ts';

/** What the programs of a folder are given, until `signal` aborts. */
export interface HookRun extends HookCall {
  readonly signal: AbortSignal;
}

/** Of what a program says when it fails, so much is told. */
const MOST_SAID = 400;

/**
 * Run the programs of a folder one after the other by name, as run-parts(8) chooses them: regular files that may be executed.
 * Only root's count (or this user's), and none that others may write. Never rejects; a folder that is not there has none.
 */
export async function runHooks(run: HookRun): Promise<readonly HookResult[]> {
  const results: HookResult[] = [];
  const names = await hookNames(run.folder);
  const open = names.length > 0 && (await whyNotFolder(run.folder));
  if (open) return [{ name: '', problem: open }];
  for (const name of names.slice(0, MOST_HOOKS)) {
    if (run.signal.aborted) break;
    const problem = (await whyNot(join(run.folder, name))) ?? (await runOne(join(run.folder, name), run));
    results.push(problem === undefined ? { name } : { name, problem });
  }
  for (const name of names.slice(MOST_HOOKS))
    results.push({ name, problem: `it is one of more than ${MOST_HOOKS} and was not run` });
  return results;
}

/** Names of what lies in a folder and may be a program, in the order in which they are run. */
export async function hookNames(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((name) => /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(name) && !LEFT_OVER.test(name))
    .sort(compareText);
}

/** What package managers and editors leave beside a file. */
const LEFT_OVER = /\.(dpkg-[a-z]+|ucf-[a-z]+|rpm[a-z]+|bak|orig|swp)$/;

/** Whoever may write into the folder can have any program of root's run, by a link to it. */
async function whyNotFolder(path: string): Promise<string | undefined> {
  try {
    const facts = await stat(path);
    if (facts.uid !== 0 && facts.uid !== process.geteuid?.())
      return `the folder belongs to uid ${facts.uid}, not to root, so none of it is run`;
    return (facts.mode & 0o022) === 0
      ? undefined
      : 'others than its owner may write the folder, so none of it is run';
  } catch (error) {
    return `the folder cannot be looked at: ${messageOf(error)}`;
  }
}

async function whyNot(path: string): Promise<string | undefined> {
  try {
    const facts = await stat(path);
    if (!facts.isFile()) return 'it is no file';
    if (facts.uid !== 0 && facts.uid !== process.geteuid?.())
      return `it belongs to uid ${facts.uid}, not to root`;
    if ((facts.mode & 0o022) !== 0) return 'others than its owner may write it';
    return (facts.mode & 0o100) === 0 ? 'it may not be executed' : undefined;
  } catch (error) {
    return `it cannot be looked at: ${messageOf(error)}`;
  }
}

function runOne(
  path: string,
  { stdin, environment, deadlineMs, signal }: HookRun,
): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  // A process group of its own, so that what it leaves running ends with it.
  const child = spawn(path, [], {
    cwd: '/',
    detached: true,
    env: {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      LC_ALL: 'C.UTF-8',
      ...environment,
    },
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  let said = '';
  const kill = (why: string): void => {
    if (child.pid !== undefined) endGroup(child.pid);
    child.stderr?.destroy();
    resolve(why);
  };
  const timer = setTimeout(
    () => kill(`it took longer than ${deadlineMs / 1000} s and was killed`),
    deadlineMs,
  );
  const abort = (): void => kill('dnskeeperd ended before it did');
  signal.addEventListener('abort', abort, { once: true });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    if (said.length < MOST_SAID) said += text.slice(0, MOST_SAID);
  });
  child.stdin?.on('error', () => {}).end(stdin); // one that does not read is no fault
  child.once('error', (error) => resolve(`it cannot be run: ${systemCodeOf(error) ?? messageOf(error)}`));
  // Not `close`, which a process that it left behind with our pipe would hold back.
  child.once('exit', (code, name) => {
    const words = said.trim() === '' ? '' : `: ${ascii(said.trim(), MOST_SAID)}`;
    resolve(code === 0 ? undefined : `it ended with ${code ?? name}${words}`);
  });
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
    child.stderr?.destroy();
  });
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // it has ended just now
  }
}
