import { reportOf } from '../control/report.ts';
import type { Daemon } from '../daemon/parts.ts';
import { type Hooks, hooks } from '../outputs/hooks.ts';
import { runHooksOutside } from '../system/hooks-outside.ts';
import type { Log } from '../system/log.ts';
import type { Paths } from '../system/paths.ts';
import type { Ground } from './ground.ts';

/** How long one program may take. */
const DEADLINE_MS = 10_000;

/** The administrator's programs; none for a daemon that only tries something out, as a user or below a root folder. */
export function openHooks(paths: Paths, log: Log): Hooks | undefined {
  if (paths.mode === 'user' || paths.root !== '') return undefined;
  const folder = paths.hooksFolder;
  return hooks({
    folder,
    log: log.child('hooks'),
    run: (stdin, cause, signal) =>
      runHooksOutside(
        { folder, stdin, signal, deadlineMs: DEADLINE_MS, environment: { DNSKEEPER_CAUSE: cause } },
        paths.hooksSocket,
      ),
  });
}

/** Run them after every change of resolv.conf, with what changed and the plan as one JSON object. */
export function runHooksAfterChanges({ hooks: made, held }: Ground, daemon: Daemon): void {
  if (made === undefined) return;
  held.defer(
    daemon.onChange(({ time, cause, source, before, after }) => {
      const { schema, plan, resolvConf } = reportOf(daemon.status());
      const told = { schema, change: { time, cause, source, before, after }, resolvConf, plan };
      made.changed(`${JSON.stringify(told)}\n`, cause);
    }),
  );
  held.defer(() => made.close());
}
