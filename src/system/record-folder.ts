import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { DnskeeperError, messageOf, systemCodeOf } from '../core/errors.ts';
import { matchesPattern } from '../core/glob.ts';
import {
  formatRecord,
  type InterfaceOf,
  isVanished,
  MOST_FILE_BYTES,
  MOST_RECORDS,
  parseKey,
  parseRecord,
  type RecordSet,
  type StoredRecord,
} from '../core/record.ts';
import { compareText, printable } from '../core/text.ts';
import { readPlainFile } from './plain-file.ts';

/**
 * The folder of resolvconf(8) records, /run/dnskeeper/records. Each record is one file that is replaced as a whole, each
 * pattern of -C is one empty file, so that calls at the same time need no lock and lose nothing. Names that begin with
 * a dot are no records.
 */
export interface RecordFolder {
  /** Everything in it; what is no record is left out and told. Empty when there is no folder. */
  read(): FolderReading;
  /** Put a record in the place of the one with its key; false when that says the same already. */
  store(record: StoredRecord): boolean;
  /** False when there was none. */
  remove(key: string): boolean;
  /** Put keys of a pattern behind all others, or no longer; false when nothing changed. */
  deprecate(pattern: string): boolean;
  restore(pattern: string): boolean;
  /** Whether what changes is to be acted upon. */
  readonly updates: boolean;
  setUpdates(on: boolean): void;
  /** Remove all records. */
  clear(): void;
  /** Remove records whose interface is gone, which nobody else would. */
  sweep(links: readonly InterfaceOf[]): void;
}

/** What lies in the folder. */
export interface FolderReading {
  readonly set: RecordSet;
  readonly problems: readonly { readonly name: string; readonly reason: string }[];
}

/** The folder at a path, which is made when something is stored. Methods that write throw DnskeeperError `IO`. */
export function recordFolder(folder: string): RecordFolder {
  const at = (name: string): string => join(folder, name);
  const changing = <T>(what: string, act: () => T): T => {
    try {
      makeFolder(folder);
      return act();
    } catch (error) {
      if (error instanceof DnskeeperError) throw error;
      const code = systemCodeOf(error) ?? messageOf(error);
      const remedy = /^E(ACCES|PERM)$/.test(code) ? 'run it as root' : `look at ${folder}`;
      throw new DnskeeperError('IO', `wanted to ${what}, got ${code}; ${remedy}`, error);
    }
  };
  return {
    read: () => readFolder(folder),
    store(record) {
      return changing(`store the record ${record.key} in ${folder}`, () => {
        const bytes = Buffer.from(formatRecord(record), 'latin1');
        const before = readRecord(at(record.key));
        if (Buffer.isBuffer(before) && before.equals(bytes)) return false;
        if (before === undefined) refuseTooMany(folder);
        const temporary = at(`.${record.key}.${process.pid}.new`);
        try {
          write(temporary, bytes);
          renameSync(temporary, at(record.key));
        } catch (error) {
          rmSync(temporary, { force: true, recursive: true });
          throw error;
        }
        return true;
      });
    },
    remove: (key) => changing(`remove the record ${key}`, () => removeFile(at(key))),
    deprecate: (pattern) =>
      changing(`note the pattern ${pattern}`, () => {
        const path = at(`${DEPRECATED}${pattern}`);
        if (existsSync(path)) return false;
        makeRoomForPattern(folder);
        write(path, Buffer.alloc(0));
        return true;
      }),
    restore: (pattern) =>
      changing(`forget the pattern ${pattern}`, () => removeFile(at(`${DEPRECATED}${pattern}`))),
    get updates() {
      return !existsSync(at(DISABLED));
    },
    setUpdates: (on) =>
      changing('note whether updates are wanted', () => {
        if (on) removeFile(at(DISABLED));
        else if (!existsSync(at(DISABLED))) write(at(DISABLED), Buffer.alloc(0));
      }),
    clear: () =>
      changing('remove all records', () => {
        for (const name of readdirSync(folder)) rmSync(at(name), { force: true, recursive: true });
      }),
    sweep: (links) =>
      changing('remove old records', () => {
        for (const name of readdirSync(folder)) {
          if (isLeftover(folder, name)) rmSync(at(name), { force: true });
          else if (parseKey(name).ok) sweepOne(folder, name, links);
        }
      }),
  };
}

/** A link in place of a record leads out of the folder. */
const readRecord = (path: string): Buffer | string | undefined => readPlainFile(path, MOST_FILE_BYTES);

const DEPRECATED = '.deprecated:';
const DISABLED = '.updates-disabled';

/** A name may need more bytes than it has characters. */
const MOST_NAMES = 4096;

function readFolder(folder: string): FolderReading {
  const records: StoredRecord[] = [];
  const deprecated: string[] = [];
  const problems: { name: string; reason: string }[] = [];
  const names = namesIn(folder).slice(0, MOST_NAMES).sort(compareText);
  for (const name of names) {
    if (name.startsWith(DEPRECATED)) deprecated.push(name.slice(DEPRECATED.length));
    if (name.startsWith('.')) continue;
    const key = parseKey(name);
    const file = key.ok ? readRecord(join(folder, name)) : key.reason;
    if (file === undefined) continue;
    if (records.length >= MOST_RECORDS) problems.push({ name, reason: `more than ${MOST_RECORDS} records` });
    else if (typeof file === 'string') problems.push({ name: printable(name, 60), reason: file });
    else records.push(parseRecord(name, file.toString('latin1')));
  }
  return { set: { records, deprecated }, problems };
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // no folder, no records
  }
}

/** Whoever forgets to delete what it stored must not fill the memory that /run is. */
function refuseTooMany(folder: string): void {
  const count = namesIn(folder).filter((name) => !name.startsWith('.')).length;
  if (count >= MOST_RECORDS)
    throw new DnskeeperError(
      'IO',
      `wanted at most ${MOST_RECORDS} records in ${folder}, got one more; delete some: resolvconf -d PATTERN`,
    );
}

/**
 * Some DHCP clients put the keys of each interface they lose behind all others and never come back to it, on a machine with
 * containers again and again; patterns that fit no record any more are the first to go.
 */
function makeRoomForPattern(folder: string): void {
  const names = namesIn(folder);
  const patterns = names
    .filter((name) => name.startsWith(DEPRECATED))
    .map((name) => name.slice(DEPRECATED.length));
  if (patterns.length < MOST_PATTERNS) return;
  const keys = names.filter((name) => !name.startsWith('.'));
  const idle = patterns.filter((pattern) => !keys.some((key) => matchesPattern(pattern, key)));
  for (const pattern of idle) removeFile(join(folder, `${DEPRECATED}${pattern}`));
  if (idle.length === 0)
    throw new DnskeeperError(
      'IO',
      `wanted at most ${MOST_PATTERNS} patterns behind all others in ${folder}, got one more; take some back: resolvconf -c PATTERN`,
    );
}

/** With as many records and what is under way they stay below the names that are read. */
const MOST_PATTERNS = 1024;

/** Whoever else can write into the folder, or puts a link in its place, could write anywhere through us. */
function makeFolder(folder: string): void {
  for (const each of [dirname(folder), folder]) {
    const facts = lstatSync(each, { throwIfNoEntry: false });
    if (facts === undefined) {
      mkdirSync(each, { recursive: true });
      chmodSync(each, 0o755); // mkdir's mode is cut by the umask
    } else if (!facts.isDirectory() || (facts.mode & 0o022) !== 0)
      throw new DnskeeperError(
        'IO',
        `wanted ${each} to be a folder that nobody else can write into, got something else; remove it`,
      );
  }
}

function write(path: string, bytes: Uint8Array): void {
  const file = openSync(
    path,
    constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW,
    0o644,
  );
  try {
    writeFileSync(file, bytes); // all of them: where room ends, one write(2) takes a part
    fchmodSync(file, 0o644);
  } finally {
    closeSync(file);
  }
}

function removeFile(path: string): boolean {
  try {
    rmSync(path);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** What a killed call left; one that still runs has finished long before. */
function isLeftover(folder: string, name: string): boolean {
  if (!/^\..*\.[0-9]+\.(new|old)$/.test(name)) return false;
  const facts = lstatSync(join(folder, name), { throwIfNoEntry: false });
  return facts !== undefined && Date.now() - facts.mtimeMs > LEFTOVER_MS;
}

const LEFTOVER_MS = 60_000;

/** Taken aside first: should another call have stored a new one in between, it is that one that has to stay. */
function sweepOne(folder: string, key: string, links: readonly InterfaceOf[]): void {
  const isOld = (path: string): boolean => {
    const file = readRecord(path);
    return Buffer.isBuffer(file) && isVanished(parseRecord(key, file.toString('latin1')), links);
  };
  if (!isOld(join(folder, key))) return;
  const aside = join(folder, `.${key}.${process.pid}.old`);
  try {
    renameSync(join(folder, key), aside);
    if (!isOld(aside)) linkSync(aside, join(folder, key));
  } catch (error) {
    // Another call has taken it away, or stored a still newer one.
    if (!/^E(NOENT|EXIST)$/.test(systemCodeOf(error) ?? '')) throw error;
  }
  rmSync(aside, { force: true });
}
