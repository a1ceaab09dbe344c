import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { systemCodeOf } from '../core/errors.ts';

/**
 * The bytes of a plain file; undefined when there is none, a reason when it is something else or has more than `most`. A
 * pipe or a device does not hold us. A link is followed only where the caller says so: in a folder that others write into
 * it leads out of there.
 */
export function readPlainFile(
  path: string,
  most: number,
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
    const bytes = readUpTo(file, most + 1);
    return bytes.length > most ? `wanted at most ${most} bytes, got more` : bytes;
  } catch (error) {
    return `wanted to read it, got ${systemCodeOf(error)}`;
  } finally {
    closeSync(file);
  }
}

const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

/** In pieces: room for the most that is allowed would be taken each time, and files of the kernel come in pieces anyway. */
function readUpTo(file: number, most: number): Buffer {
  const pieces: Buffer[] = [];
  for (let filled = 0; filled < most; ) {
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, most - filled));
    const length = readSync(file, piece, 0, piece.length, null);
    if (length === 0) break;
    pieces.push(piece.subarray(0, length));
    filled += length;
  }
  return Buffer.concat(pieces);
}

const PIECE_BYTES = 16_384;
