import { closeSync, constants, fstatSync, ftruncateSync, openSync, statSync, writeSync } from 'node:fs';
import { DnskeeperError, messageOf } from '../core/errors.ts';
import type { Log } from './log.ts';

const MOST_BYTES = 64 << 20;

/** A file that lines are appended to, at once and in order, until it holds 64 MiB more. */
export interface RecordingFile {
  append(line: string): void;
  close(): void;
}

/**
 * Open a recording for appending; readable by its owner only, because it names networks. `replayed` is the recording
 * that is read at the same time, which must be another file, for it would never end.
 */
export function openRecording(path: string, log: Log, replayed?: string): RecordingFile {
  let bytes = 0;
  let fd: number | undefined = open(path, replayed);
  const before = fstatSync(fd).size;
  const stop = (why: string): void => {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
    if (why !== '') log.warn({ path, bytes }, `The recording ended: ${why}.`);
  };
  return {
    append(line) {
      if (fd === undefined) return;
      try {
        bytes += appendWhole(fd, Buffer.from(`${line}\n`), before + bytes);
      } catch (error) {
        return stop(messageOf(error));
      }
      if (bytes >= MOST_BYTES) stop('it reached 64 MiB');
    },
    close: () => stop(''),
  };
}

/** A full disk takes half a line without an error; a recording that ends in half a line could not be replayed. */
function appendWhole(fd: number, line: Buffer, end: number): number {
  const written = writeSync(fd, line);
  if (written === line.length) return written;
  ftruncateSync(fd, end);
  throw new Error(`only ${written} of ${line.length} bytes of a line were taken, and were taken back`);
}

function open(path: string, replayed: string | undefined): number {
  let fd: number;
  try {
    // O_NONBLOCK, because opening a pipe that nobody reads would wait for ever.
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;
    fd = openSync(path, flags, 0o600);
  } catch (error) {
    throw new DnskeeperError(
      'IO',
      `Wanted to record to ${path}, but it cannot be written (${messageOf(error)}).`,
      error,
    );
  }
  if (replayed === undefined || !isSame(fd, replayed)) return fd;
  closeSync(fd);
  throw new DnskeeperError(
    'USAGE',
    `--record and --replay name the same file, ${path}; record to another one.`,
  );
}

function isSame(fd: number, path: string): boolean {
  const one = fstatSync(fd);
  const other = statSync(path, { throwIfNoEntry: false });
  return other?.ino === one.ino && other.dev === one.dev;
}
