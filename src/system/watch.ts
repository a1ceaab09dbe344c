import { existsSync, watch as watchInode } from 'node:fs';
import { dirname } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import { messageOf } from '../core/errors.ts';
import type { Log } from './log.ts';
import { isMountPoint } from './mounts.ts';

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;

/** A watch that is open. */
export interface Watch {
  /** Why something may go unnoticed right now; it is tried again with growing pauses. */
  readonly problem: string | undefined;
  close(): Promise<void>;
}

/**
 * Tell whenever something may have happened to one file: made, changed, replaced, removed, also while its folder comes
 * and goes. An event means only "go and look"; there may be more of them than changes, never fewer.
 */
export function watchFile(path: string, onEvent: () => void, log: Log): Watch {
  return watchOne(dirname(path), (child) => child === path, onEvent, log, path);
}

/** The same for some files of one folder, by their names. */
export function watchNames(folder: string, names: readonly string[], onEvent: () => void, log: Log): Watch {
  const paths = new Set(names.map((name) => `${folder}/${name}`));
  return watchOne(folder, (child) => paths.has(child), onEvent, log);
}

/** The same for everything directly inside some folders, whether they exist yet or not. */
export function watchFolders(folders: readonly string[], onEvent: () => void, log: Log): Watch {
  const watches = folders.map((folder) =>
    watchOne(folder, (child) => dirname(child) === folder, onEvent, log),
  );
  return {
    get problem() {
      return watches.map((one) => one.problem).find((problem) => problem !== undefined);
    },
    close: async () => void (await Promise.all(watches.map((one) => one.close()))),
  };
}

/**
 * One folder, and beside it its parent (or the nearest ancestor that exists), because a watch on a folder goes blind
 * when that folder is replaced or is not there yet. Whenever the ancestor speaks, both watches are laid anew.
 */
function watchOne(
  folder: string,
  wanted: (child: string) => boolean,
  onEvent: () => void,
  log: Log,
  file?: string,
): Watch {
  let open: FSWatcher[] = [];
  let mounted: ReturnType<typeof watchInode> | undefined;
  let closing: Promise<unknown> = Promise.resolve();
  let closed = false;
  let problem: string | undefined;
  let pause = FIRST_PAUSE_MS;
  let retry: NodeJS.Timeout | undefined;

  /** The kernel refuses watches when a user has too many of them, which passes when others let go of theirs. */
  const fail = (at: string, error: unknown): void => {
    if (problem === undefined) log.warn({ path: at, error: String(error) }, 'watching a folder failed');
    problem = `${at} cannot be watched (${messageOf(error)}), so changes there may go unnoticed; raise fs.inotify.max_user_instances with sysctl(8).`;
    if (closed || retry !== undefined) return;
    retry = setTimeout(() => {
      retry = undefined;
      lay();
    }, pause).unref();
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  };
  const drop = (): void => {
    const old = open;
    open = [];
    mounted?.close();
    mounted = undefined;
    closing = Promise.all([closing, ...old.map((watcher) => watcher.close())]);
  };
  const add = (at: string, keep: (path: string) => boolean, told: () => void): void => {
    const watcher = watch(at, {
      // These three together are what misses no swap of a symbolic link (dnskeeper's own trials of chokidar 5 and 6).
      depth: 0,
      followSymlinks: false,
      ignored: (path) => path !== at && !keep(path),
      ignoreInitial: true,
    });
    watcher.on('all', told);
    watcher.on('error', (error) => fail(at, error));
    open.push(watcher);
  };
  const lay = (): void => {
    if (closed) return;
    drop();
    const ancestor = nearestExisting(dirname(folder));
    const step = stepTowards(ancestor, folder);
    add(ancestor, (path) => path === step, relay);
    if (ancestor === dirname(folder) && existsSync(folder)) add(folder, wanted, onEvent);
    if (file !== undefined) void watchMounted(file, open);
    // What happened before the new watches stand is nobody's event: look once when they do.
    const laid = open;
    let waiting = laid.length;
    for (const watcher of laid)
      watcher.once('ready', () => {
        if (--waiting === 0 && laid === open) settle(ancestor, step);
      });
  };
  /**
   * A mounted file is an inode of another folder, so that neither ours nor chokidar, which watches folders only, tells
   * when somebody writes into it.
   */
  const watchMounted = async (path: string, laid: readonly FSWatcher[]): Promise<void> => {
    const isMounted = await isMountPoint(path).catch(() => false);
    if (!isMounted || closed || laid !== open) return;
    try {
      mounted = watchInode(path, onEvent).on('error', (error) => fail(path, error));
      onEvent();
    } catch (error) {
      fail(path, error);
    }
  };
  const settle = (ancestor: string, step: string): void => {
    if (closed) return;
    if (ancestor !== nearestExisting(dirname(folder)) || existsSync(step) !== open.length > 1) lay();
    else {
      if (retry === undefined && problem !== undefined) {
        problem = undefined;
        pause = FIRST_PAUSE_MS;
        log.info({ path: folder }, 'the folder is watched again');
      }
      onEvent();
    }
  };
  const relay = (): void => {
    lay();
    onEvent();
  };
  lay();
  return {
    get problem() {
      return problem;
    },
    async close() {
      closed = true;
      clearTimeout(retry);
      drop();
      await closing;
    },
  };
}

function nearestExisting(path: string): string {
  let at = path;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  return at;
}

/** The child of `ancestor` on the way down to `folder`. */
function stepTowards(ancestor: string, folder: string): string {
  let at = folder;
  while (dirname(at) !== ancestor && dirname(at) !== at) at = dirname(at);
  return at;
}
