import { closeSync, openSync, writeSync } from 'node:fs';
import { DnskeeperError, messageOf } from '../core/errors.ts';
import type { Log } from './log.ts';

const MOST_BYTES = 64 << 20;

/** A file that lines are appended to, at once and in order, until it holds 64 MiB. */
export interface RecordingFile {
  append(line: string): void;
  close(): void;
}

/** Open a recording for appending; readable by its owner only, because it names networks. */
export function openRecording(path: string, log: Log): RecordingFile {
  let bytes = 0;
  let fd: number | undefined = open(path);
  const stop = (why: string): void => {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
    if (why !== '') log.warn({ path, bytes }, `The recording ended: ${why}.`);
  };
  return {
    append(line) {
      if (fd === undefined) return;
      try {
        bytes += writeSync(fd, `${line}\n`);
      } catch (error) {
        stop(messageOf(error));
      }
      if (bytes >= MOST_BYTES) stop('it reached 64 MiB');
    },
    close: () => stop(''),
  };
}

function open(path: string): number {
  try {
    return openSync(path, 'a', 0o600);
  } catch (error) {
    throw new DnskeeperError(
      'IO',
      `Wanted to record to ${path}, but it cannot be written (${messageOf(error)}).`,
      error,
    );
  }
}
