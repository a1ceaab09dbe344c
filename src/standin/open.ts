import { hostname, uptime } from 'node:os';
import type { Domain } from '../core/domain.ts';
import type { FinishedQuery, Lookup, RememberedLookup } from '../core/lookup.ts';
import type { StatisticsReport } from '../core/statistics.ts';
import type { Status } from '../core/status.ts';
import type { PushedLinks } from '../sources/pushed-links.ts';
import { busCallers } from '../system/bus-callers.ts';
import type { ServiceBus } from '../system/bus-service.ts';
import type { Clock } from '../system/clock.ts';
import type { Files } from '../system/files.ts';
import type { KernelLinks } from '../system/kernel-links.ts';
import type { Log } from '../system/log.ts';
import { machineId } from '../system/machine-id.ts';
import { callerRights } from '../system/polkit.ts';
import { sparingLog } from '../system/sparing-log.ts';
import { sweepAfterStorms } from '../system/sweep.ts';
import { serveVarlink } from '../system/varlink.ts';
import type { Peer, ServiceInfo, VarlinkLimits } from '../system/varlink-interface.ts';
import type { LogControl, StandinGround, Statistics } from './ground.ts';
import { linkStates } from './link-states.ts';
import { type Standin, type StandinNeeds, standin } from './standin.ts';

/** What a stand-in on the machine itself needs from the rest of the daemon. */
export interface OpenStandinNeeds {
  /** systemd-resolved's folder: `/run/systemd/resolve`. */
  readonly folder: string;
  readonly resolvedFiles: StandinNeeds['resolvedFiles'];
  readonly bus: ServiceBus;
  readonly files: Files;
  readonly pushed: PushedLinks;
  readonly links: KernelLinks;
  readonly status: () => Status;
  readonly search: () => readonly Domain[];
  readonly config: StandinGround['config'];
  /** Whether NetworkManager tells its DNS as a source of its own, so that its pushes say nothing new. */
  readonly followsNetworkManager: () => boolean;
  readonly lookup: Lookup;
  readonly onQuery: (listener: (query: FinishedQuery) => void) => () => void;
  readonly onConfiguration: (listener: () => void) => () => void;
  /** Remembered answers, at most so many. */
  readonly remembered: (most: number) => readonly RememberedLookup[];
  /** The kernel's number of the link with this key of the plan; 0 where it has none. */
  readonly ifindexOf: (linkKey: string) => number;
  readonly resolverStatistics: () => StatisticsReport;
  /** Resolves when all that was told is in force. */
  readonly settled: () => Promise<void>;
  readonly flush: () => void;
  /** Give memory back that nobody uses. */
  readonly sweep: () => void;
  readonly forgetServers: () => void;
  readonly logControl: LogControl;
  readonly ownUid: number;
  readonly peerOf: (fd: number) => Peer | undefined;
  readonly info: ServiceInfo;
  readonly clock: Clock;
  readonly log: Log;
}

/** Everybody may connect and nobody may lock others out; what clients send is one name and a few numbers. */
const LIMITS: Partial<VarlinkLimits> = {
  frameBytes: 64 * 1024,
  connections: 4096,
  connectionsPerUser: 1024,
  reservedConnections: 64,
  // Who watches queries gets one for each that ends, and many may end at once.
  outstandingReplies: 4096,
};

/** More remembered answers than this nobody reads. */
const MOST_REMEMBERED = 10_000;

/** So long a caller waits for what it has set to be in force. */
const SETTLED_MS = 1000;

const NETWORKMANAGER = 'org.freedesktop.NetworkManager';

/** A stand-in on the machine itself; it stands when it is told that systemd-resolved is absent. */
export function openStandin(needs: OpenStandinNeeds): Standin {
  const { bus, ownUid, log, clock, links, pushed } = needs;
  const callers = busCallers(bus);
  // A storm of callers would have the daemon hold for good what it took for them.
  const leavesBehind = sweepAfterStorms(clock, needs.sweep);
  const { lookup, counts } = counted(needs.lookup, leavesBehind);
  const counters = sinceReset(() => statisticsOf(needs.resolverStatistics(), counts));
  let networkmanager: string | undefined;
  bus.onOwner(NETWORKMANAGER, (owner) => {
    networkmanager = owner;
  });
  return standin({
    bus,
    clock,
    log,
    machineId,
    resolvedFiles: needs.resolvedFiles,
    linkStates: linkStates({
      folder: `${needs.folder}/netif`,
      files: needs.files,
      pushed,
      links,
      log,
    }),
    ground: {
      status: onceATurn(needs.status),
      search: needs.search,
      config: needs.config,
      links,
      pushed,
      hostname,
      lookup,
      statistics: counters.read,
      actions: { flush: needs.flush, resetStatistics: counters.reset, forgetServers: needs.forgetServers },
      // Anybody may ask for what they have no right to, as often as they like.
      rights: callerRights({ bus, callers, ownUid, log: sparingLog(log, clock) }),
      pusherOf: async ({ sender }) => ({
        name: await callers.describe(sender),
        mirrored: sender === networkmanager && needs.followsNetworkManager(),
      }),
      settled: () => within(SETTLED_MS, needs.settled(), clock),
      log: needs.logControl,
      onQuery: needs.onQuery,
      onConfiguration: needs.onConfiguration,
      remembered: () =>
        needs.remembered(MOST_REMEMBERED).map((each) => ({ ...each, ifindex: needs.ifindexOf(each.route) })),
      sinceBootMs: () => uptime() * 1000,
      ownUid,
    },
    async serve(socket, interfaces) {
      // It stays when systemd-resolved stops, in the hands of its user; root may write there all the same.
      await needs.files.makeFolder(needs.folder, 0o755);
      const { info, peerOf } = needs;
      return serveVarlink({
        path: `${needs.folder}/${socket}`,
        interfaces,
        info,
        log,
        peerOf,
        limits: LIMITS,
        onConnection: leavesBehind,
      });
    },
  });
}

/** Resolves with `work`, or after that time: a file that cannot be written is no reason to keep a caller waiting. */
function within(ms: number, work: Promise<void>, clock: Clock): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const cancel = clock.after(ms, resolve);
  void work.catch(() => {}).then(resolve);
  return promise.finally(cancel);
}

/** The status is put together anew for whoever asks; all who ask in one turn are shown the same. */
function onceATurn(status: () => Status): () => Status {
  let known: Status | undefined;
  return () => {
    if (known === undefined) {
      known = status();
      setImmediate(() => {
        known = undefined;
      });
    }
    return known;
  };
}

/** Counters in systemd-resolved's terms, from the start or from when they were reset. */
function sinceReset(now: () => Statistics): { read(): Statistics; reset(): void } {
  let base: Statistics | undefined;
  return {
    read() {
      const counts = now();
      if (base === undefined) return counts;
      const less = (key: keyof Statistics): number => Math.max(0, counts[key] - (base?.[key] ?? 0));
      return {
        currentTransactions: counts.currentTransactions,
        cacheSize: counts.cacheSize,
        totalTransactions: less('totalTransactions'),
        totalTimeouts: less('totalTimeouts'),
        totalTimeoutsServedStale: less('totalTimeoutsServedStale'),
        totalFailedResponses: less('totalFailedResponses'),
        totalFailedResponsesServedStale: less('totalFailedResponsesServedStale'),
        cacheHits: less('cacheHits'),
        cacheMisses: less('cacheMisses'),
      };
    },
    reset() {
      base = now();
    },
  };
}

/** Lookups with a count of them, because they never pass where the resolver counts its clients' packets. */
function counted(
  lookup: Lookup,
  ended: () => void,
): { readonly lookup: Lookup; readonly counts: LookupCounts } {
  const counts = { open: 0, all: 0 };
  return {
    counts,
    async lookup(question, options) {
      counts.open++;
      counts.all++;
      try {
        return await lookup(question, options);
      } finally {
        counts.open--;
        ended();
      }
    },
  };
}

interface LookupCounts {
  readonly open: number;
  readonly all: number;
}

/** What was served stale is one number here: a server that failed and one that was silent are not told apart. */
function statisticsOf(
  { clients, origins, cache, fastPath, servers }: StatisticsReport,
  lookups: LookupCounts,
): Statistics {
  return {
    currentTransactions: clients.inFlight + lookups.open,
    totalTransactions: clients.udp + clients.tcp + lookups.all,
    totalTimeouts: servers.reduce((sum, { failures }) => sum + failures, 0),
    totalTimeoutsServedStale: origins.stale,
    totalFailedResponses: origins.failure,
    totalFailedResponsesServedStale: 0,
    cacheSize: cache.entries,
    cacheHits: cache.hits + (fastPath?.hits ?? 0),
    cacheMisses: cache.misses,
  };
}
