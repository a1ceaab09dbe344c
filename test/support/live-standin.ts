import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import type { FinishedQuery } from '../../src/core/lookup.ts';
import { makePlan } from '../../src/core/policy.ts';
import type { LinkDns } from '../../src/core/snapshot.ts';
import type { StatisticsReport } from '../../src/core/statistics.ts';
import { finishedQuery, resolverLookup } from '../../src/resolver/lookup.ts';
import { type LiveResolver, openResolver } from '../../src/resolver/open.ts';
import { type PushedLinks, pushedLinks } from '../../src/sources/pushed-links.ts';
import { openStandin } from '../../src/standin/open.ts';
import { systemClock } from '../../src/system/clock.ts';
import { openBus } from '../../src/system/dbus-next-bus.ts';
import { openFiles } from '../../src/system/files.ts';
import { loadLibc } from '../../src/system/libc.ts';
import { silentLog } from '../../src/system/log.ts';
import { link, snapshotOf } from './links.ts';
import { type PrivateBus, startPrivateBus } from './private-bus.ts';
import { sampleStatus } from './sample-status.ts';
import { LINKS } from './standin.ts';

/** A stand-in as the daemon has it, with a real resolver behind it, on a bus and in a folder of its own. */
export interface LiveStandin {
  readonly bus: PrivateBus;
  /** The path of the bus's socket. */
  readonly busSocket: string;
  /** Where io.systemd.Resolve and io.systemd.Resolve.Monitor are. */
  readonly folder: string;
  readonly live: LiveResolver;
  readonly pushed: PushedLinks;
  /** Follow these links from now on. */
  plan(links: readonly LinkDns[]): void;
  close(): Promise<void>;
}

/** Start one that asks the server (`dns+udp://…`) for everything, and resolves when its bus name is had. */
export async function liveStandin(server: string): Promise<LiveStandin> {
  const folder = mkdtempSync(join(tmpdir(), 'dnskeeper-standin-'));
  const bus = await startPrivateBus();
  const libc = loadLibc();
  const hosts = join(folder, 'hosts');
  writeFileSync(hosts, '192.0.2.200 from-hosts.example\n');
  const live = openResolver({
    hostsFile: hosts,
    hostName: () => 'laptop.home.example',
    clock: systemClock,
    log: silentLog,
    libc,
    settings: () => DEFAULT_CONFIG,
    isOwn: () => false,
  });
  const plan = (links: readonly LinkDns[]): void =>
    live.resolver.apply(makePlan(snapshotOf(links), DEFAULT_CONFIG));
  plan([link({ servers: [server] })]);
  const ifindexOf = (key: string): number => LINKS.find(({ name }) => name === key)?.ifindex ?? 0;
  const watchers = new Set<(query: FinishedQuery) => void>();
  const pushed = pushedLinks(silentLog);
  const service = openBus({ address: bus.address, log: silentLog, clock: systemClock });
  const made = openStandin({
    folder,
    resolvedFiles: { begin: async () => {}, giveWay: async () => {} },
    bus: service,
    files: openFiles(libc),
    pushed,
    links: { all: () => LINKS, byIndex: (ifindex) => LINKS.find((each) => each.ifindex === ifindex) },
    status: () => sampleStatus,
    search: () => [],
    config: () => DEFAULT_CONFIG,
    followsNetworkManager: () => true,
    lookup: resolverLookup({
      resolver: live.resolver,
      ifindexOf,
      heard: (query) => {
        for (const watcher of watchers) watcher(query);
      },
    }),
    onQuery(listener) {
      const stop = live.watchAnswers((query, answer) => listener(finishedQuery(query, answer, ifindexOf)));
      watchers.add(listener);
      return () => {
        watchers.delete(listener);
        stop();
      };
    },
    onConfiguration: () => () => {},
    remembered: (most) => live.cache.remembered(most),
    ifindexOf,
    resolverStatistics: () => live.view.statistics() as StatisticsReport,
    settled: async () => {},
    flush: () => void live.cache.flush(),
    sweep: () => {},
    forgetServers: () => live.resolver.forgive(),
    logControl: { level: () => 'info', setLevel: () => {} },
    ownUid: process.getuid?.() ?? 0,
    peerOf: (fd) => libc?.peerCredentials(fd),
    info: { vendor: 'dnskeeper', product: 'dnskeeperd', version: '0', url: 'man:dnsctl(1)' },
    clock: systemClock,
    log: silentLog,
  });
  const owned = Promise.withResolvers<void>();
  service.onOwner('org.freedesktop.resolve1', (owner) => {
    if (owner !== undefined) owned.resolve();
  });
  await made.resolved('absent');
  await owned.promise;
  return {
    bus,
    busSocket: bus.address.replace('unix:path=', ''),
    folder,
    live,
    pushed,
    plan,
    async close() {
      await made.close();
      await service.close();
      await live.close();
      live.reception.close();
      live.resolver.close();
      await bus.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
