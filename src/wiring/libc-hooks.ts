import { isInForce } from '../core/status.ts';
import type { Daemon } from '../daemon/parts.ts';
import { type Hooks, hooks } from '../outputs/hooks.ts';
import { runHooksOutside } from '../system/hooks-outside.ts';
import type { Log } from '../system/log.ts';
import type { Paths } from '../system/paths.ts';
import type { Ground } from './ground.ts';

/** Where packages put programs that want to know of a new /etc/resolv.conf: for Debian's resolvconf and for openresolv. */
const FOLDERS = [
  '/etc/resolvconf/update-libc.d',
  '/usr/lib/resolvconf/libc.d',
  '/usr/libexec/resolvconf/libc.d',
];

/** How long one program may take. */
const DEADLINE_MS = 10_000;

/** One runner for each folder; none for a daemon that only tries something out, as a user or below a root folder. */
export function openLibcHooks(
  paths: Pick<Paths, 'mode' | 'root' | 'hooksSocket'>,
  log: Log,
): readonly Hooks[] {
  if (paths.mode === 'user' || paths.root !== '') return [];
  return FOLDERS.map((folder) =>
    hooks({
      folder,
      log: log.child('libc-hooks'),
      run: (stdin, _cause, signal) =>
        runHooksOutside(
          { folder, stdin, signal, deadlineMs: DEADLINE_MS, environment: {} },
          paths.hooksSocket,
        ),
    }),
  );
}

/** Run them whenever programs read something else in /etc/resolv.conf; while it is somebody else's, that one has to. */
export function runLibcHooksAfterChanges({ libcHooks, held }: Ground, daemon: Daemon): void {
  held.defer(
    daemon.onChange(({ cause }) => {
      if (!isInForce(daemon.status().link.state)) return;
      for (const each of libcHooks) each.changed('', cause);
    }),
  );
  held.defer(async () => void (await Promise.all(libcHooks.map((each) => each.close()))));
}
