import type { Domain } from '../core/domain.ts';
import type { QueryReport } from '../core/query-report.ts';
import type { Clock } from '../system/clock.ts';
import type { Libc } from '../system/libc.ts';
import type { Log } from '../system/log.ts';
import { type Cache, makeCache } from './cache.ts';
import { coalesce } from './coalesce.ts';
import { watchHosts } from './hosts-watch.ts';
import { Reception } from './listener.ts';
import { allAddresses, machineFacts } from './machine.ts';
import { reportQuery } from './query-report.ts';
import { makeResolver, type Resolver, type ResolverSettings } from './resolver.ts';
import type { BindToLink } from './upstream-udp.ts';

/** What a live resolver stands on. */
export interface LiveNeeds {
  readonly hostsFile: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly libc: Libc | undefined;
  readonly settings: () => ResolverSettings;
  /** Whether our own sockets stand at an address. */
  readonly isOwn: (host: string, port: number) => boolean;
}

/** A resolver with its cache, its hosts file and its way in. */
export interface LiveResolver {
  readonly resolver: Resolver;
  readonly reception: Reception;
  readonly cache: Cache;
  query(name: Domain, type: string, signal: AbortSignal): Promise<QueryReport>;
  /** Why the hosts file, or part of it, is not in force. */
  readonly problem: string | undefined;
  close(): Promise<void>;
}

/** Put a resolver together on the machine itself. */
export function openResolver(needs: LiveNeeds): LiveResolver {
  const { clock, log, libc, settings, isOwn } = needs;
  // The hosts stage stands above the cache, so that a changed file holds from the next query on.
  const hosts = watchHosts(needs.hostsFile, () => {}, log);
  const cache: Cache = makeCache({ clock, routeKeyOf: (query) => resolver.routeKeyOf(query) });
  const resolver: Resolver = makeResolver({
    clock,
    settings,
    isOwn,
    local: machineFacts,
    ownAddresses: () => new Set(allAddresses()),
    hosts: () => hosts.current,
    cache: cache.stage,
    coalesce: coalesce({ routeKeyOf: (query) => resolver.routeKeyOf(query) }),
    dropRoute: (route) => void cache.dropRoute(route),
    ...(libc === undefined ? {} : { bindToLink: linkBinder(libc) }),
  });
  return {
    resolver,
    cache,
    reception: new Reception(resolver.answer, log),
    query: (name, type, signal) => reportQuery(resolver.answer, name, type, signal),
    get problem() {
      return hosts.problem;
    },
    close: () => hosts.close(),
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
