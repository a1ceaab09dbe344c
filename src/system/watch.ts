import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import type { Log } from './log.ts';

/** A watch that is open. */
export interface Watch {
  close(): Promise<void>;
}

/**
 * Tell whenever something may have happened to one file: made, changed, replaced, removed, also while its folder comes
 * and goes. An event means only "go and look"; there may be more of them than changes, never fewer.
 */
export function watchFile(path: string, onEvent: () => void, log: Log): Watch {
  return watchOne(dirname(path), (child) => child === path, onEvent, log);
}

/** The same for everything directly inside some folders, whether they exist yet or not. */
export function watchFolders(folders: readonly string[], onEvent: () => void, log: Log): Watch {
  const watches = folders.map((folder) =>
    watchOne(folder, (child) => dirname(child) === folder, onEvent, log),
  );
  return { close: async () => void (await Promise.all(watches.map((one) => one.close()))) };
}

/**
 * One folder, and beside it its parent (or the nearest ancestor that exists), because a watch on a folder goes blind
 * when that folder is replaced or is not there yet. Whenever the ancestor speaks, both watches are laid anew.
 */
function watchOne(folder: string, wanted: (child: string) => boolean, onEvent: () => void, log: Log): Watch {
  let open: FSWatcher[] = [];
  let closing: Promise<unknown> = Promise.resolve();
  let closed = false;

  const drop = (): void => {
    const old = open;
    open = [];
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
    watcher.on('error', (error) => log.warn({ path: at, error: String(error) }, 'watching a folder failed'));
    open.push(watcher);
  };
  const lay = (): void => {
    if (closed) return;
    drop();
    const ancestor = nearestExisting(dirname(folder));
    const step = stepTowards(ancestor, folder);
    add(ancestor, (path) => path === step, relay);
    if (ancestor === dirname(folder) && existsSync(folder)) add(folder, wanted, onEvent);
    // What happened before the new watches stand is nobody's event: look once when they do.
    const laid = open;
    let waiting = laid.length;
    for (const watcher of laid)
      watcher.once('ready', () => {
        if (--waiting === 0 && laid === open) settle(ancestor, step);
      });
  };
  const settle = (ancestor: string, step: string): void => {
    if (closed) return;
    if (ancestor !== nearestExisting(dirname(folder)) || existsSync(step) !== open.length > 1) lay();
    else onEvent();
  };
  const relay = (): void => {
    lay();
    onEvent();
  };
  lay();
  return {
    async close() {
      closed = true;
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
