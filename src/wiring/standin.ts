import { userInfo } from 'node:os';
import { Listeners } from '../core/listeners.ts';
import type { FinishedQuery } from '../core/lookup.ts';
import { VERSION } from '../core/version.ts';
import type { Daemon } from '../daemon/parts.ts';
import { finishedQuery, resolverLookup } from '../resolver/lookup.ts';
import { levelOfSyslog, syslogLevel } from '../standin/log-level.ts';
import { openStandin } from '../standin/open.ts';
import { systemClock } from '../system/clock.ts';
import { ifindexOf } from '../system/ifindex.ts';
import { kernelLinks } from '../system/kernel-links.ts';
import { sweep } from '../system/sweep.ts';
import type { ServiceInfo } from '../system/varlink-interface.ts';
import type { Ground } from './ground.ts';

/** Be there for systemd-resolved's clients while it is not; `followOutside` tells when. */
export function standInForResolved(ground: Ground, daemon: Daemon): void {
  const { resolve1, live, configuration, libc, log, paths, files, network, resolvedFiles, held } = ground;
  if (resolve1 === undefined) return;
  const { bus, pushed } = resolve1;
  const links = kernelLinks(paths.root, network);
  let latest = daemon.status();
  const linkNumber = (key: string): number =>
    latest.plan.links.find((link) => link.key === key)?.origin.ifindex ?? ifindexOf(key) ?? 0;
  const lookups = new Listeners<FinishedQuery>();
  const made = openStandin({
    folder: paths.resolvedFolder,
    resolvedFiles: {
      begin: () => resolvedFiles.begin(),
      async giveWay() {
        await resolvedFiles.giveWay();
        // systemd may have given them to systemd-resolved's user. Not waited for: who gives way must not wait for a write.
        void daemon.checkFile();
      },
    },
    bus,
    files,
    pushed,
    links,
    status: () => daemon.status(),
    search: () => latest.plan.search.map(({ value }) => value),
    config: () => configuration.current.config,
    followsNetworkManager: () => configuration.current.config.networkmanager,
    lookup: resolverLookup({
      resolver: live.resolver,
      ifindexOf: linkNumber,
      heard: (query) => lookups.tell(query),
    }),
    onQuery(listener) {
      const stopAnswers = live.watchAnswers((query, answer) =>
        listener(finishedQuery(query, answer, linkNumber)),
      );
      const stopLookups = lookups.add(listener);
      return () => {
        stopLookups();
        stopAnswers();
      };
    },
    onConfiguration: (listener) => daemon.onStatus(() => listener()),
    remembered: (most) => live.cache.remembered(most),
    ifindexOf: linkNumber,
    resolverStatistics: () => live.view.statistics(),
    settled: () => daemon.idle(),
    flush: () => void live.cache.flush(),
    sweep: () => sweep(libc),
    forgetServers: () => live.resolver.forgive(),
    logControl: {
      level: () => syslogLevel(log.level),
      setLevel: (level) => log.setLevel(levelOfSyslog(level)),
    },
    ownUid: userInfo().uid,
    peerOf: (fd) => libc?.peerCredentials(fd),
    info: serviceInfo(),
    clock: systemClock,
    log: log.child('standin'),
  });
  ground.standin.current = made;
  held.defer(
    daemon.onStatus((status) => {
      latest = status;
      made.changed();
      // Links that nobody hears of are looked at when something else has happened.
      if (network.problem !== undefined && pushed.all().length > 0)
        pushed.keepOnly(links.all().map(({ ifindex, name }) => ({ ifindex, interface: name })));
    }),
  );
  held.defer(() => made.close());
}

/** What our varlink sockets say of us when asked. */
export function serviceInfo(): ServiceInfo {
  return { vendor: 'dnskeeper', product: 'dnskeeperd', version: VERSION, url: 'man:dnsctl(1)' };
}
