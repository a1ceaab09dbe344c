import { dirname, join } from 'node:path';
import { beyondFile } from '../core/file-mode.ts';
import type { ResolvedPresence } from '../core/takeover.ts';
import type { Daemon } from '../daemon/parts.ts';
import type { LiveResolver } from '../resolver/open.ts';
import { followResolved, resolvedHasServers } from '../sources/resolved-presence.ts';
import { onResume } from '../sources/sleep.ts';
import { followSignals } from '../standin/signals.ts';
import { systemClock } from '../system/clock.ts';
import type { Libc } from '../system/libc.ts';
import type { Log } from '../system/log.ts';
import { watchMemoryPressure } from '../system/memory-pressure.ts';
import { sweep } from '../system/sweep.ts';
import { watchFile, watchFolders } from '../system/watch.ts';
import { type Ground, levelOf } from './ground.ts';

/** How long a systemd-resolved that starts may take to learn servers before /etc/resolv.conf is its. */
const RESOLVED_READY_MS = 500;

/** Everything outside that makes us look again: the files, the configuration, systemd-resolved, waking up, SIGHUP. */
export function followOutside(
  {
    paths,
    options,
    configuration,
    log,
    libc,
    bus,
    resolve1,
    standin,
    link,
    live,
    resolver,
    netns,
    realTime,
    watches,
    held,
  }: Ground,
  daemon: Daemon,
): void {
  const reload = oneAtATime(async (cause) => {
    await daemon.reloadFor(cause);
    log.setLevel(levelOf(options) ?? configuration.current.config.logLevel);
  });
  const hangUp = (): void => void reload('SIGHUP');
  process.on('SIGHUP', hangUp);
  const stopSignals = followSignals({
    status: () => daemon.status(),
    statistics: () => live.view.statistics(),
    flush: () => void live.cache.flush(),
    forgetServers: () => live.resolver.forgive(),
    trim: () => sweep(libc),
    realTime,
    log: log.child('signals'),
  });
  const { followed } = configuration.current;
  if (followed !== undefined)
    watches.push(watchFile(followed, () => void reload('what /etc/resolv.conf led to changed'), log));
  const folders = [dirname(paths.configFile), paths.localConfigFolder, paths.vendorConfigFolder];
  const resolvedFolders = paths.systemdFolders.map((folder) => join(folder, 'resolved.conf.d'));
  watches.push(
    watchFile(paths.etcResolvConf, () => void link.check('/etc/resolv.conf changed'), log),
    watchFile(paths.resolvConf, () => void daemon.checkFile(), log),
    watchFolders(folders, () => void reload('the configuration changed'), log),
    watchFolders(resolvedFolders, () => void reload("systemd-resolved's configuration changed"), log),
    ...paths.systemdFolders.map((folder) =>
      watchFile(
        join(folder, 'resolved.conf'),
        () => void reload("systemd-resolved's configuration changed"),
        log,
      ),
    ),
    watchMemoryPressure({ env: process.env, libc, clock: systemClock, log }, () => relieve(live, libc, log)),
  );
  const replaying = 'replay' in options;
  let resolved: ResolvedPresence = 'unknown';
  held.defer(
    followResolved(
      bus,
      paths.root,
      replaying,
      async (presence) => {
        const started = presence === 'running' && resolved === 'absent';
        resolved = presence;
        const settled = resolver.resolved(presence);
        void standin.current?.resolved(presence);
        // Our file names real servers meanwhile.
        if (started) await resolvedHasServers(paths.root, log, RESOLVED_READY_MS);
        // By a plain file, names of one network would be asked of the servers of another.
        const { plan } = daemon.status();
        if (presence === 'absent' && beyondFile(plan, configuration.current.config).length > 0) await settled;
        if (presence === resolved) void link.resolved(presence);
      },
      (owner) => owner === resolve1?.bus.uniqueName,
    ),
  );
  netns.onChange(() => daemon.recheck("a network namespace's resolv.conf changed"));
  const woke = (): void => {
    live.resolver.forgive();
    daemon.recheck('the machine woke up');
  };
  if (bus !== undefined) held.defer(onResume(bus, woke));
  held.defer(async () => {
    process.off('SIGHUP', hangUp);
    stopSignals();
    await Promise.all(watches.map((watch) => watch.close()));
  });
}

/** Every folder under watch speaks up at the start: what comes while one reading is under way is one more. */
function oneAtATime(work: (cause: string) => Promise<void>): (cause: string) => Promise<void> {
  let running: Promise<void> | undefined;
  let next: string | undefined;
  const run = async (first: string): Promise<void> => {
    for (let cause: string | undefined = first; cause !== undefined; cause = next) {
      next = undefined;
      await work(cause);
    }
  };
  return (cause) => {
    if (running !== undefined) next ??= cause;
    running ??= run(cause).finally(() => {
      running = undefined;
    });
    return running;
  };
}

/** Others need the machine's memory more than remembered names do. */
function relieve({ cache }: LiveResolver, libc: Libc | undefined, log: Log): void {
  const before = cache.statistics().entries;
  cache.relieve();
  sweep(libc);
  const { entries } = cache.statistics();
  if (entries < before)
    log.info({ before, entries }, 'Memory is short: fewer names are remembered for a while.');
}
