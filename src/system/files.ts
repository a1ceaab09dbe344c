import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { DnskeeperError, messageOf, systemCodeOf } from '../core/errors.ts';
import type { Relabel } from './labels.ts';
import type { Libc } from './libc.ts';
import { isMountPoint } from './mounts.ts';

/** What stands at a path, links not followed. */
export interface FileFacts {
  readonly kind: 'file' | 'link' | 'folder' | 'other';
  /** Permission bits only. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly bytes: number;
  /** How many names the file has. */
  readonly names: number;
  /** Where a link points, as written in it. */
  readonly target?: string;
  /** Differs whenever the file was changed or replaced. */
  readonly version: string;
}

/** How a file is to be written. */
export interface WriteOptions {
  /** 0644 unless given, whatever the umask says. */
  readonly mode?: number;
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** Reach the disk before the old file is replaced; needless on tmpfs. */
  readonly durable?: boolean;
}

/**
 * Whole files, the verbs we need. Everything rejects with DnskeeperError `IO` whose cause carries the system's code;
 * a missing file is an answer, not an error.
 */
export interface Files {
  look(path: string): Promise<FileFacts | undefined>;
  /** The bytes behind a path, links followed; undefined when nothing is there; refused when there are more than `most`. */
  read(path: string, most: number): Promise<Buffer | undefined>;
  /** Where a path leads in the end; undefined when it leads nowhere. */
  realPath(path: string): Promise<string | undefined>;
  isMountPoint(path: string): Promise<boolean>;
  /** Undefined where nobody can tell. */
  isImmutable(path: string): boolean | undefined;
  /**
   * Replace a file as a whole: readers see the old bytes or the new ones, never anything between. A file that is a
   * mount point cannot be replaced and is written in place.
   */
  replace(path: string, bytes: Uint8Array, options?: WriteOptions): Promise<'replaced' | 'in place'>;
  /** Write into the file that is there, keeping its inode, mode and owner; for bind mounts. */
  overwrite(path: string, bytes: Uint8Array, durable?: boolean): Promise<void>;
  /** Put a symbolic link in the place of whatever file or link is there. */
  replaceWithLink(path: string, target: string): Promise<void>;
  /**
   * Give the file `existing` a further name (a hard link), in the place of whatever file or link is there. Both have to be
   * on one mount. The file keeps its SELinux label, which is that of its first name.
   */
  replaceWithName(path: string, existing: string): Promise<void>;
  /** Make a folder with its parents; an existing one keeps its mode. */
  makeFolder(path: string, mode: number): Promise<void>;
  /** Remove a file or link; false when nothing was there. */
  remove(path: string): Promise<boolean>;
}

/** Where `replace` and `replaceWithLink` prepare what they then rename; SELinux's `/etc/.resolv.conf.*` rule covers it. */
export const temporaryNameOf = (path: string): string =>
  join(dirname(path), `.${basename(path).replace(/^\./, '')}.dnskeeper`);

/**
 * The files of this machine; `relabel` is told about every file that was made or replaced.
 * Only what waits for a disk goes through Node's thread pool. The rest takes microseconds, in /run on a tmpfs, and each
 * trip through the pool costs two switches of thread, which on a busy machine wait for their turn: thirteen trips for
 * each of two files were most of the time from a change to the files.
 */
export function openFiles(libc: Libc | undefined, relabel: Relabel = async () => {}): Files {
  const files: Files = {
    look: (path) => wanting(`look at ${path}`, () => look(path)),
    read: (path, most) => wanting(`read ${path}`, () => readBounded(path, most)),
    realPath: (path) => wanting(`follow ${path}`, () => unlessMissingLater(realpath(path))),
    isMountPoint: (path) =>
      wanting(
        `find out whether ${path} is a mount point`,
        async () => (await unlessMissingLater(isMountPoint(path))) ?? false,
      ),
    isImmutable: (path) => libc?.isImmutable(path),
    async replace(path, bytes, options = {}) {
      try {
        await wanting(`replace ${path}`, () =>
          renameOver(path, (temporary) => make(temporary, bytes, options)),
        );
      } catch (error) {
        if (systemCodeOf((error as Error).cause) !== 'EBUSY') throw error;
        await files.overwrite(path, bytes, options.durable);
        return 'in place';
      }
      if (options.durable) await wanting(`flush ${dirname(path)}`, () => flushFolder(dirname(path)));
      await relabel(path);
      return 'replaced';
    },
    overwrite: (path, bytes, durable = false) =>
      wanting(`write into ${path}`, () => overwrite(path, bytes, durable)),
    async replaceWithLink(path, target) {
      await wanting(`link ${path} to ${target}`, () =>
        renameOver(path, (temporary) => symlinkSync(target, temporary)),
      );
      await wanting(`flush ${dirname(path)}`, () => flushFolder(dirname(path)));
      await relabel(path);
    },
    replaceWithName: (path, existing) =>
      wanting(`make ${path} a name of ${existing}`, async () => {
        await renameOver(path, (temporary) => linkSync(existing, temporary));
        rmSync(temporaryNameOf(path), { force: true }); // rename(2) leaves it where both are one file already
      }),
    makeFolder: (path, mode) => wanting(`make the folder ${path}`, () => makeFolder(path, mode)),
    remove: (path) => wanting(`remove ${path}`, () => remove(path)),
  };
  return files;
}

/** What to do about the failures that have one remedy. */
const REMEDY: Readonly<Record<string, string>> = {
  EACCES: 'run dnskeeperd as root, and check SELinux or AppArmor',
  EPERM: 'run dnskeeperd as root, and check for an immutable flag (lsattr)',
  EROFS: 'the file system is read-only: remount it writable',
  ENOSPC: 'make room on the file system',
  EDQUOT: 'make room in the quota',
  ENOENT: 'make the folder it lies in',
  ELOOP: 'a link is in its place: remove it',
  ENXIO: 'a socket or a pipe is in its place: remove it',
  ENOTDIR: 'something on the way to it is no folder: remove that',
  EISDIR: 'a folder is in its place: remove it',
  EXDEV:
    'both have to lie on one mount: look at the unit (ReadWritePaths=, RuntimeDirectory=) and its drop-ins',
};

async function wanting<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof DnskeeperError) throw error;
    const code = systemCodeOf(error) ?? messageOf(error);
    const remedy = REMEDY[code] ?? 'look into the system log';
    throw new DnskeeperError('IO', `wanted to ${what}, got ${code}; ${remedy}`, error);
  }
}

async function look(path: string): Promise<FileFacts | undefined> {
  const stats = unlessMissing(() => lstatSync(path, { bigint: true }));
  if (stats === undefined) return undefined;
  const kind = kindOf(stats);
  const target = kind === 'link' ? unlessMissing(() => readlinkSync(path)) : undefined;
  return {
    kind,
    mode: Number(stats.mode & 0o7777n),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    bytes: Number(stats.size),
    names: Number(stats.nlink),
    ...(target === undefined ? {} : { target }),
    version: `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`,
  };
}

function kindOf(stats: Pick<Stats, 'isFile' | 'isSymbolicLink' | 'isDirectory'>): FileFacts['kind'] {
  if (stats.isFile()) return 'file';
  if (stats.isSymbolicLink()) return 'link';
  return stats.isDirectory() ? 'folder' : 'other';
}

/** O_NONBLOCK so that a FIFO or a device cannot hang us. */
async function readBounded(path: string, most: number): Promise<Buffer | undefined> {
  const file = unlessMissing(() => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
  if (file === undefined) return undefined;
  try {
    refuseEndless(fstatSync(file), path);
    return readAll(file, path, most);
  } finally {
    closeSync(file);
  }
}

/** A pipe would read as an empty file, a device never ends. /dev/null is how administrators switch a file off. */
function refuseEndless(facts: Stats, path: string): void {
  const isDevice = facts.isCharacterDevice() || facts.isBlockDevice();
  if (!facts.isFIFO() && !(isDevice && facts.rdev !== DEV_NULL)) return;
  const what = isDevice ? 'a device' : 'a pipe';
  throw new DnskeeperError('IO', `wanted a file at ${path}, got ${what}; put a plain file there`);
}

/** Numbers 1 and 3 (null(4)), as stat(2) packs them. */
const DEV_NULL = 0x103;

/** In pieces: files are small, and room for the most that is allowed would be taken and given back each time. */
function readAll(file: number, path: string, most: number): Buffer {
  const pieces: Buffer[] = [];
  let filled = 0;
  for (;;) {
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, most + 1 - filled));
    const bytesRead = readSync(file, piece, 0, piece.length, filled);
    if (bytesRead === 0) return Buffer.concat(pieces, filled);
    pieces.push(piece.subarray(0, bytesRead));
    filled += bytesRead;
    if (filled > most)
      throw new DnskeeperError(
        'IO',
        `wanted at most ${most} bytes in ${path}, got more; put a sane file there`,
      );
  }
}

const PIECE_BYTES = 4096;

/** Prepare something beside the target and rename it there; nothing is left behind when that fails. */
async function renameOver(path: string, prepare: (temporary: string) => Promise<void> | void): Promise<void> {
  const temporary = temporaryNameOf(path);
  rmSync(temporary, { force: true }); // a leftover of a run that was killed
  try {
    await prepare(temporary);
    renameSync(temporary, path);
  } catch (error) {
    try {
      rmSync(temporary, { force: true });
    } catch {
      // The first failure is the one to tell.
    }
    throw error;
  }
}

async function make(path: string, bytes: Uint8Array, options: WriteOptions): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const file = openSync(path, flags, 0o600);
  try {
    writeFileSync(file, bytes);
    if (options.owner !== undefined) fchownSync(file, options.owner.uid, options.owner.gid);
    fchmodSync(file, options.mode ?? 0o644); // after chown, which clears some bits
    if (options.durable) await flush(file);
  } finally {
    closeSync(file);
  }
}

const flush = promisify(fsync);

/**
 * The new bytes, filled up with line ends to the old length, go out in one write and the rest is cut off after that. A
 * reader in between never finds an empty file, which libc would take for "ask 127.0.0.1", but for some microseconds it
 * can find the head of the new text with the tail of the old one: writing in place has no more to give (tried on ext4).
 * A link would lead to a file that nobody asked us to write.
 */
async function overwrite(path: string, bytes: Uint8Array, durable: boolean): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    const { size } = await file.stat();
    const padded = Buffer.alloc(Math.max(bytes.length, Math.min(size, 1 << 20)), '\n');
    padded.set(bytes);
    const { bytesWritten } = await file.write(padded, 0, padded.length, 0);
    if (bytesWritten < bytes.length)
      throw new DnskeeperError(
        'IO',
        `wanted to write ${bytes.length} bytes into ${path}, got ${bytesWritten}; make room`,
      );
    await file.truncate(bytes.length);
    if (durable) await file.sync();
  } finally {
    await file.close();
  }
}

/** A rename is on the disk only when its folder is. */
async function flushFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function makeFolder(path: string, mode: number): Promise<void> {
  const first = mkdirSync(path, { recursive: true, mode });
  if (first !== undefined) chmodSync(path, mode); // mkdir's mode is cut by the umask
}

async function remove(path: string): Promise<boolean> {
  return (
    unlessMissing(() => {
      rmSync(path);
      return true;
    }) ?? false
  );
}

/** What `act` gives, or undefined when what was asked for does not exist. */
function unlessMissing<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (MISSING.includes(systemCodeOf(error))) return undefined;
    throw error;
  }
}

async function unlessMissingLater<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (MISSING.includes(systemCodeOf(error))) return undefined;
    throw error;
  }
}

const MISSING: readonly (string | undefined)[] = ['ENOENT', 'ENOTDIR', 'ELOOP'];
