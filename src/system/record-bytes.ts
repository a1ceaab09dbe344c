import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { systemCodeOf } from '../core/errors.ts';
import { MOST_RECORD_BYTES } from '../core/record.ts';

/**
 * The bytes of a plain file as small as a record is; undefined when there is none, a reason when it is something else. A pipe
 * or a device does not hold us. A link is followed only where the caller says so: one among records leads out of the folder.
 */
export function readBytes(
  path: string,
  links: 'followed' | 'refused' = 'refused',
): Buffer | string | undefined {
  let file: number;
  try {
    file = openSync(path, links === 'refused' ? FLAGS | constants.O_NOFOLLOW : FLAGS);
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    return code === 'ELOOP' ? 'wanted a file, got a link' : `wanted to read it, got ${code}`;
  }
  try {
    if (!fstatSync(file).isFile()) return 'wanted a file, got something else';
    const buffer = Buffer.alloc(MOST_FILE_BYTES + 1);
    const length = readSync(file, buffer, 0, buffer.length, 0);
    return length > MOST_FILE_BYTES
      ? `wanted at most ${MOST_FILE_BYTES} bytes, got more`
      : buffer.subarray(0, length);
  } finally {
    closeSync(file);
  }
}

const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

/** The input and our first line. */
const MOST_FILE_BYTES = MOST_RECORD_BYTES + 256;
