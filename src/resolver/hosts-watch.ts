import { readFile, stat } from 'node:fs/promises';
import { messageOf, systemCodeOf } from '../core/errors.ts';
import type { Log } from '../system/log.ts';
import { watchFile } from '../system/watch.ts';
import { type Hosts, MOST_HOSTS, NO_HOSTS, parseHosts } from './hosts.ts';

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

  const read = async (): Promise<void> => {
    try {
      const found = await stat(path);
      const version = `${found.ino} ${found.size} ${found.mtimeMs} ${found.ctimeMs}`;
      if (version === seen) return;
      if (found.size > MOST_HOSTS.bytes)
        throw new Error(`${found.size} bytes; ${MOST_HOSTS.bytes} is the most`);
      current = parseHosts(await readFile(path, 'latin1'));
      seen = version;
      problem =
        current.leftOut === 0 ? undefined : `${path}: ${current.leftOut} names over the bound are left out.`;
      log.info({ path, names: current.names.size }, 'The hosts file was read.');
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT') problem = `${path} cannot be read: ${messageOf(error)}`;
      else problem = undefined;
      if (problem !== undefined) log.warn({ path }, problem);
      current = NO_HOSTS;
      seen = '';
    }
    changed();
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
      return problem ?? watch.problem;
    },
    async close() {
      await watch.close();
      await reading;
    },
  };
}
