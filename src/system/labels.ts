import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { messageOf } from '../core/errors.ts';
import type { Log } from './log.ts';

/** Give a file that was just made or replaced the label that the security policy wants for it. Never rejects. */
export type Relabel = (path: string) => Promise<void>;

/** Run a program; rejects when it fails or does not end in time. */
export type Run = (program: string, args: readonly string[], deadlineMs: number) => Promise<void>;

/** How long restorecon may take before we go on without it. */
const DEADLINE_MS = 5000;

/**
 * Labels by restorecon(8) where SELinux enforces. A temporary file in /etc gets another label than resolv.conf and keeps
 * it over the rename, and then confined programs may not read it. Whether SELinux enforces is looked up each time,
 * because setenforce(8) flips it. `problem` holds the last failure until a later run goes well.
 */
export function selinuxLabels(
  root: string,
  log: Log,
  run: Run = runProgram,
): { readonly relabel: Relabel; readonly problem: string | undefined } {
  const labels = {
    problem: undefined as string | undefined,
    async relabel(path: string): Promise<void> {
      if (!isEnforcing(`${root}/sys/fs/selinux/enforce`)) return;
      try {
        await run('restorecon', [path], DEADLINE_MS);
        labels.problem = undefined;
      } catch (error) {
        labels.problem = `SELinux enforces, but the label of ${path} could not be restored (${messageOf(error)}); run restorecon ${path}`;
        log.warn({ path, error: messageOf(error) }, 'the SELinux label was not restored');
      }
    },
  };
  return labels;
}

/** A program without shell and input; its output goes nowhere. */
const runProgram: Run = (program, args, deadlineMs) =>
  new Promise((resolve, reject) => {
    const child = execFile(
      program,
      [...args],
      { timeout: deadlineMs, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 },
      (error) => (error === null ? resolve() : reject(error)),
    );
    child.stdin?.end();
  });

function isEnforcing(path: string): boolean {
  try {
    return readFileSync(path, 'latin1').trim() === '1';
  } catch {
    return false;
  }
}
