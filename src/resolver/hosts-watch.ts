import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { DnskeeperError, messageOf, systemCodeOf } from '../core/errors.ts';
import type { Log } from '../system/log.ts';
import { type Watch, watchFile } from '../system/watch.ts';
import { type Hosts, hostsReader, MOST_HOSTS, NO_HOSTS } from './hosts.ts';

/** The hosts file as it is now. */
export interface WatchedHosts {
  readonly current: Hosts;
  /** Why the file, or part of it, is not in force. */
  readonly problem: string | undefined;
  close(): Promise<void>;
}

/** Keep the hosts file in mind; `changed` is told after every reading that differs. */
export function watchHosts(path: string, changed: () => void, log: Log): WatchedHosts {
  let current = NO_HOSTS;
  let problem: string | undefined;
  let seen = '';
  let reading: Promise<void> | undefined;
  let again = false;
  let closed = false;
  /** Where the file is a link to, and the watch there. */
  let target: { readonly path: string; readonly watch: Watch } | undefined;

  /** In one step, so that nothing is answered from the old file any more once the new one is in force. */
  function settle(hosts: Hosts, version: string, trouble: string | undefined): void {
    current = hosts;
    seen = version;
    problem = trouble;
    if (trouble !== undefined) log.warn({ path }, trouble);
    changed();
  }

  /** Whoever writes into the file that a link leads to does nothing in the link's own folder. */
  const followLink = async (): Promise<void> => {
    // Between the old file and the new one it leads nowhere for a moment.
    const real = await realpath(path).catch(() => target?.path ?? path);
    if (closed || real === (target?.path ?? path)) return;
    const old = target?.watch;
    target = real === path ? undefined : { path: real, watch: watchFile(real, look, log) };
    await old?.close();
  };

  const read = async (): Promise<void> => {
    await followLink();
    try {
      // A FIFO in place of the file must not hang us.
      await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
      const found = await file.stat();
      const version = `${found.ino} ${found.size} ${found.mtimeMs} ${found.ctimeMs}`;
      if (version === seen) return;
      if (!found.isFile()) throw new DnskeeperError('IO', 'it is no regular file');
      if (found.size > MOST_HOSTS.bytes)
        throw new DnskeeperError('IO', `it has ${mebibytes(found.size)}, and at most 64 MiB are taken`);
      const hosts = await readSlowly(file);
      log.info({ path, names: hosts.names.size }, 'The hosts file was read.');
      settle(hosts, version, leftOutText(path, hosts.leftOut));
    } catch (error) {
      const missing = systemCodeOf(error) === 'ENOENT';
      const text = `Nothing of ${path} is in force, because it cannot be read: ${messageOf(error)}.`;
      settle(NO_HOSTS, '', missing ? undefined : text);
    }
  };
  /** One reading at a time; what happens meanwhile is one more reading. */
  const look = (): void => {
    again = true;
    reading ??= (async () => {
      while (again) {
        again = false;
        await read();
      }
      reading = undefined;
    })();
  };
  const watch = watchFile(path, look, log);
  look();
  return {
    get current() {
      return current;
    },
    get problem() {
      return problem ?? watch.problem ?? target?.watch.problem;
    },
    async close() {
      closed = true;
      await watch.close();
      await target?.watch.close();
      await reading;
    },
  };
}

/** So much is read in one go: a thousand lines or two, which take a few milliseconds. */
const PIECE_BYTES = 32 * 1024;

/** Read a file with a turn for everybody else between its pieces: 200,000 lines at once would hold up all for 0.4 s. */
async function readSlowly(file: FileHandle): Promise<Hosts> {
  const reader = hostsReader();
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  for (let total = 0; total <= MOST_HOSTS.bytes; ) {
    const { bytesRead } = await file.read(piece, 0, PIECE_BYTES, null);
    if (bytesRead === 0) return reader.end();
    total += bytesRead;
    reader.take(piece.toString('latin1', 0, bytesRead));
    await nextTurn();
  }
  throw new DnskeeperError('IO', 'it grew beyond 64 MiB while it was read');
}

const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 1024 / 1024)} MiB`;

const leftOutText = (path: string, count: number): string | undefined =>
  count === 0 ? undefined : `${path} says more than the bounds allow: ${count} names or lines are left out.`;
