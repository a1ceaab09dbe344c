import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { parseAddress } from '../core/address.ts';
import type { Domain } from '../core/domain.ts';
import { DnskeeperError, messageOf } from '../core/errors.ts';
import type { QueryReport } from '../core/query-report.ts';
import type { ResolverView } from '../core/resolver-view.ts';
import type { Clock } from '../system/clock.ts';
import type { Libc } from '../system/libc.ts';
import { NO_STORE, type SocketPlace, type SocketStore } from '../system/listen-fds.ts';
import type { Log } from '../system/log.ts';
import { type Cache, makeCache } from './cache.ts';
import type { CachePolicy } from './cache-lifetime.ts';
import { coalesce } from './coalesce.ts';
import { type FastUdp, fastUdp } from './fast-path-listener.ts';
import { NO_HOSTS } from './hosts.ts';
import { watchHosts } from './hosts-watch.ts';
import { type ListenAt, type Listener, Reception } from './listener.ts';
import { listenBoth } from './listener-both.ts';
import { listenTcp } from './listener-tcp.ts';
import { allAddresses, machineFacts } from './machine.ts';
import { watchedNames } from './names.ts';
import { cachedFor } from './outlook.ts';
import { reportQuery } from './query-report.ts';
import { makeResolver, type Resolver, type ResolverSettings } from './resolver.ts';
import { serverName } from './server-name.ts';
import { Counters, counting, type Heard } from './statistics.ts';
import { type BindToLink, nodeDatagrams, type UpstreamDatagrams } from './upstream-udp.ts';

/** What a live resolver stands on. */
export interface LiveNeeds {
  readonly hostsFile: string;
  /** Called for every answer that is remembered, and whenever one is looked up there: both leave something to sweep. */
  readonly onRemembered?: () => void;
  /** The machine's own name as it is now; the kernel's where left out. */
  readonly hostName?: () => string;
  readonly clock: Clock;
  readonly log: Log;
  readonly libc: Libc | undefined;
  /** Where sockets wait that an earlier process had. */
  readonly sockets?: SocketStore;
  readonly settings: () => ResolverSettings & CachePolicy;
  /** How many workers the fast path has, asked once when it starts; one where left out. */
  readonly threads?: () => number;
  /** Whether our own sockets stand at an address. */
  readonly isOwn: (host: string, port: number) => boolean;
  /** The back end left a question unanswered. */
  readonly backEndUnanswered?: () => void;
  /** Everything, or all below a name, is to be forgotten: what others remember for us too. */
  readonly onFlush?: (name: Domain | undefined) => void;
}

/** A resolver with its cache, its hosts file and its way in. */
export interface LiveResolver {
  readonly resolver: Resolver;
  readonly reception: Reception;
  readonly cache: Cache;
  /** Take queries on one address, over TCP and UDP; UDP on the fast path where the C library can be reached. */
  listen(at: ListenAt): Promise<readonly Listener[]>;
  /** Have queries over UDP wait at an address until `listen` takes them up; throws when it cannot be had. */
  hold(at: ListenAt): void;
  query(name: Domain, type: string, signal: AbortSignal): Promise<QueryReport>;
  readonly view: ResolverView;
  /**
   * Hear of every answer to a client until the returned function is called. The fast path gives none meanwhile, but for
   * those that the main thread is too busy for, which are not heard of.
   */
  watchAnswers(watcher: Heard): () => void;
  /** Why the hosts file, or part of it, is not in force. */
  readonly problem: string | undefined;
  /** Questions are to be expected: a file names the resolver. */
  expectQuestions(): void;
  close(): Promise<void>;
}

/** Put a resolver together on the machine itself. */
export function openResolver(needs: LiveNeeds): LiveResolver {
  const { clock, log, libc, settings, isOwn, sockets = NO_STORE } = needs;
  let fast: FastUdp | undefined;
  let policy: string | undefined;
  const counters = new Counters();
  const names = watchedNames(clock);
  const since = clock.now();
  // The hosts stage stands above the cache, so that a changed file holds from the next query on.
  const hosts = watchHosts(needs.hostsFile, () => fast?.path?.invalidate(), log);
  const nsid = serverName(join(dirname(needs.hostsFile), 'machine-id'));
  const named = nsid === undefined ? {} : { nsid };
  const kept: Cache = makeCache({
    clock,
    ...named,
    ...(needs.onRemembered === undefined ? {} : { onRemembered: needs.onRemembered }),
    routeKeyOf: (query) => resolver.routeKeyOf(query),
    policy: () => settings(),
    onRepeated(...answer) {
      fast?.path?.put(...answer);
      needs.onRemembered?.();
    },
  });
  const cache = forgettingToo(kept, () => fast?.path?.invalidate(), needs.onFlush);
  const made: Resolver = makeResolver({
    clock,
    settings,
    isOwn,
    ...(needs.backEndUnanswered === undefined ? {} : { backEndUnanswered: needs.backEndUnanswered }),
    local: (plan) => machineFacts(plan, needs.hostName ?? hostname),
    ownAddresses: () => new Set(allAddresses()),
    hosts: () => (settings().hosts === false ? NO_HOSTS : hosts.current),
    ...named,
    cache: cache.stage,
    coalesce: coalesce({ routeKeyOf: (query) => resolver.routeKeyOf(query) }),
    dropRoute: (route) => void cache.dropRoute(route),
    dropAliases: () => void cache.dropAliases(),
    counters,
    ...(libc === undefined ? {} : { bindToLink: linkBinder(libc) }),
    datagrams: choosingDatagrams(libc, () => fast?.datagrams),
  });
  const resolver: Resolver = {
    ...made,
    apply(plan, backEnd) {
      made.apply(plan, backEnd);
      forgetIfPolicyChanged();
      fast?.path?.invalidate();
    },
  };
  /** What was kept under other rules may be what is not to be kept now. */
  function forgetIfPolicyChanged(): void {
    const { cache: mode, cacheFromLocalhost, staleMs } = settings();
    const now = JSON.stringify([mode, cacheFromLocalhost, staleMs]);
    if (policy !== undefined && now !== policy) cache.flush();
    policy = now;
  }

  const watchers = new Set<Heard>();
  const toAll: Heard = (...given) => {
    names.heard?.(...given);
    for (const watcher of watchers) watcher(...given);
  };
  const answer = counting(resolver.answer, counters, () => (watchers.size > 0 ? toAll : names.heard));
  const tellFast = (): void => fast?.watched(watchers.size > 0 || names.heard !== undefined);
  const reception = new Reception(answer, log, () => fast?.path?.statistics().hits ?? 0);
  const startFast = (calls: Libc): FastUdp =>
    fastUdp({
      libc: calls,
      clock,
      log,
      reception,
      refresh: (query) => cache.refresh(query),
      sockets,
      threads: needs.threads?.() ?? 1,
    });
  const fastSide = (): FastUdp | undefined => {
    if (libc !== undefined && fast === undefined) {
      fast = startFast(libc);
      tellFast();
    }
    return fast;
  };
  return {
    resolver,
    cache,
    reception,
    hold: (at) => fastSide()?.hold(at),
    async listen(at) {
      const started = fastSide();
      if (libc === undefined || started === undefined) return listenBoth(at, reception);
      try {
        return await listenBoth(at, reception, started.listen, async (place) =>
          listenTcp(place, reception, tcpSocket(libc, sockets, place)),
        );
      } catch (error) {
        // What is closed here would go on listening in the service manager's hands, in the way of the next attempt.
        sockets.forget(at.host, at.port);
        throw error;
      }
    },
    view: {
      statistics: () =>
        counters.report({
          since,
          time: clock.now(),
          traffic: reception.traffic,
          connectionsEnded: reception.connectionsEnded,
          cache: cache.statistics(),
          fastPath: fast?.path?.statistics(),
          servers: resolver.servers(),
        }),
      cache: (name, most) => cache.cacheReport(name, most),
      async outlook(name) {
        return { ...(await resolver.outlook(name)), cached: cachedFor(name, cache, resolver) };
      },
      watchNames() {
        const watch = names.watch();
        tellFast();
        return {
          report: () => watch.report(),
          close() {
            watch.close();
            tellFast();
          },
        };
      },
    },
    watchAnswers(watcher) {
      watchers.add(watcher);
      tellFast();
      return () => {
        watchers.delete(watcher);
        tellFast();
      };
    },
    query: (name, type, signal) => reportQuery(resolver.answer, name, type, signal),
    get problem() {
      return hosts.problem;
    },
    expectQuestions: () => fast?.begin(),
    async close() {
      await hosts.close();
      await fast?.close();
    },
  };
}

/** The listening socket that waits for us there, or a new one, which is kept from now on. */
function tcpSocket(libc: Libc, sockets: SocketStore, { host, port, extra }: ListenAt): number {
  const place: SocketPlace = { kind: 'tcp', host, port };
  const waiting = sockets.take(place);
  if (waiting !== undefined) return waiting;
  const address = parseAddress(host);
  if (!address.ok) throw new DnskeeperError('USAGE', `wanted an IP address to listen on, got ${host}`);
  try {
    const fd = libc.sockets.listenTcp(address.value, port, { freeBind: extra === true });
    sockets.keep(place, fd);
    return fd;
  } catch (error) {
    throw new DnskeeperError('IO', `${host} port ${port} (TCP) cannot be had: ${messageOf(error)}`, error);
  }
}

/** Asking servers by the fast path's sockets once it runs, and by Node's own before and without it. */
function choosingDatagrams(
  libc: Libc | undefined,
  fast: () => UpstreamDatagrams | undefined,
): UpstreamDatagrams {
  const own = nodeDatagrams(libc && linkBinder(libc));
  const now = (): UpstreamDatagrams => fast() ?? own;
  return {
    get most() {
      return now().most;
    },
    ask: (...question) => now().ask(...question),
    renew: () => now().renew(),
  };
}

/** A cache that has the fast path forget whenever it forgets itself. */
function forgettingToo(cache: Cache, invalidate: () => void, onFlush?: LiveNeeds['onFlush']): Cache {
  return {
    ...cache,
    flush(name) {
      invalidate();
      onFlush?.(name);
      return cache.flush(name);
    },
    dropRoute(route) {
      invalidate();
      return cache.dropRoute(route);
    },
    dropAliases() {
      invalidate();
      return cache.dropAliases();
    },
  };
}

const ANY_4 = { family: 4, bytes: [0, 0, 0, 0], kind: 'unspecified' } as const;
const ANY_6 = { family: 6, bytes: new Array<number>(16).fill(0), kind: 'unspecified' } as const;

/** Sockets that use one link only, by way of the C library. */
export const linkBinder =
  (libc: Libc): BindToLink =>
  (family, type, link) =>
    type === 'udp'
      ? libc.datagrams.bindUdp(family === 4 ? ANY_4 : ANY_6, 0, { device: link })
      : libc.tcpSocketOnLink(family, link);
