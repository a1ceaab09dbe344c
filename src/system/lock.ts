import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { DnskeeperError, messageOf, systemCodeOf } from '../core/errors.ts';
import type { Libc } from './libc.ts';

/** A lock that is held. */
export interface Lock {
  /** Let go; the file stays, because removing it would let two others in at once. */
  release(): void;
}

/**
 * Hold `path` for this process, or throw `LOCKED` naming who holds it.
 *
 * With the C library the kernel holds the lock (flock(2)) and frees it whatever way the process ends. Without it the
 * file names the holder and a new daemon believes it while that very process (pid and start time) lives: sound against a
 * second daemon started later, but two that start in the same instant after a crash could both get in.
 */
export async function takeLock(path: string, libc: Libc | undefined): Promise<Lock> {
  try {
    return libc === undefined ? await takeByContent(path) : takeByKernel(path, libc);
  } catch (error) {
    if (error instanceof DnskeeperError) throw error;
    throw new DnskeeperError(
      'IO',
      `wanted to lock ${path}, got ${systemCodeOf(error) ?? messageOf(error)}; check the folder and its owner`,
      error,
    );
  }
}

function takeByKernel(path: string, libc: Libc): Lock {
  for (let attempt = 0; attempt < 5; attempt++) {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o644);
    let held = false;
    try {
      if (!libc.lockExclusive(fd)) throw locked(path);
      // Somebody may have removed the file between open and lock: then we hold a file that nobody else will see.
      if (!isStillAt(path, fd)) continue;
      recordHolder(fd);
      held = true;
      return { release: () => closeSync(fd) };
    } finally {
      if (!held) closeSync(fd);
    }
  }
  throw new DnskeeperError(
    'IO',
    `wanted to lock ${path}, but it is removed again and again; find out by whom`,
  );
}

async function takeByContent(path: string): Promise<Lock> {
  for (let attempt = 0; attempt < 5; attempt++) {
    try {
      await writeFile(path, holderLine(), { flag: 'wx', mode: 0o644 });
      return { release: () => {} };
    } catch (error) {
      if (systemCodeOf(error) !== 'EEXIST') throw error;
    }
    const holder = readHolder(path);
    if (holder !== undefined && startOf(holder.pid) === holder.start) throw locked(path);
    await rm(path, { force: true });
  }
  throw new DnskeeperError(
    'IO',
    `wanted to lock ${path}, but it comes back again and again; find out by whom`,
  );
}

function isStillAt(path: string, fd: number): boolean {
  const at = statSync(path, { throwIfNoEntry: false });
  const ours = fstatSync(fd);
  return at !== undefined && at.ino === ours.ino && at.dev === ours.dev;
}

/** For people only, so a full disk is no reason not to run: the lock is the kernel's. */
function recordHolder(fd: number): void {
  ftruncateSync(fd, 0);
  try {
    writeSync(fd, holderLine(), 0);
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOSPC' && systemCodeOf(error) !== 'EDQUOT') throw error;
  }
}

function holderLine(): string {
  return `${process.pid} ${startOf(process.pid) ?? '-'} ${basename(process.argv[1] ?? process.title)}\n`;
}

function locked(path: string): DnskeeperError {
  const holder = readHolder(path);
  const who = holder === undefined ? 'another process' : `process ${holder.pid} (${holder.program})`;
  return new DnskeeperError(
    'LOCKED',
    `${who} already runs dnskeeper here and holds ${path}; stop it first, or use another --root`,
  );
}

/** Content of a lock file; undefined when it is not of this form. */
function readHolder(path: string): { pid: number; start: string; program: string } | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'latin1').slice(0, 200);
  } catch {
    return undefined;
  }
  const match = /^([0-9]{1,9}) ([0-9]{1,20}|-) ([\x20-\x7e]{1,100})\n/.exec(text);
  if (!match) return undefined;
  const [, pid = '', start = '', program = ''] = match;
  return { pid: Number(pid), start, program };
}

/** When a process started, in ticks since boot (field 22 of proc_pid_stat(5)); undefined when there is none. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
