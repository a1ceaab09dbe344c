import { addReply, NO_HISTORY, type TopHistory } from '../../src/control/top-history.ts';
import type { CacheReport } from '../../src/core/cache-report.ts';
import type { NamesReport } from '../../src/core/names-report.ts';
import type { Outlook } from '../../src/core/outlook.ts';
import type { ResolverView } from '../../src/core/resolver-view.ts';
import { LATENCY_BOUNDS_MS, type StatisticsReport } from '../../src/core/statistics.ts';
import { SAMPLE_NOW, sampleStatus } from './sample-status.ts';

/** Two hours of a laptop. */
export const sampleStatistics: StatisticsReport = {
  since: SAMPLE_NOW - 7_200_000,
  time: SAMPLE_NOW,
  clients: { udp: 41_203, tcp: 12, malformed: 2, inFlight: 3 },
  types: [
    { type: 'A', queries: 4102 },
    { type: 'AAAA', queries: 4001 },
    { type: 'HTTPS', queries: 611 },
    { type: 'other', queries: 1 },
  ],
  outcomes: [
    { rcode: 'NOERROR', answers: 8310 },
    { rcode: 'NXDOMAIN', answers: 390 },
    { rcode: 'SERVFAIL', answers: 15 },
  ],
  origins: {
    fastPath: 32_500,
    cache: 3900,
    stale: 4,
    local: 61,
    hosts: 12,
    refused: 1,
    upstream: 4720,
    failure: 14,
  },
  cache: {
    entries: 1830,
    bytes: 1_204_000,
    hits: 3900,
    misses: 4738,
    staleServed: 4,
    prefetched: 211,
    evictions: 0,
    shrunkByPressure: 0,
  },
  fastPath: {
    hits: 32_500,
    misses: 8715,
    oversized: 0,
    refused: 0,
    unsent: 0,
    entries: 902,
    restarts: 0,
  },
  servers: sampleStatus.resolver.servers,
  connections: { tcpOpened: 7, tlsOpened: 3, tlsResumed: 2, reused: 95, failed: 1 },
  bounds: [
    { bound: 'clients', reached: 0 },
    { bound: 'connections of clients', reached: 0 },
    { bound: 'fast path', reached: 0 },
    { bound: 'sockets to servers', reached: 2 },
    { bound: 'connections to servers', reached: 0 },
  ],
  latency: {
    boundsMs: LATENCY_BOUNDS_MS,
    counts: [3100, 700, 110, 40, 30, 120, 980, 2600, 760, 210, 40, 10, 8, 4, 2, 1],
    sumMs: 98_431.25,
  },
};

/** Some remembered answers; there are more. */
export const sampleCache: CacheReport = {
  entries: [
    {
      name: 'www.example.com',
      type: 'A',
      rcode: 'NOERROR',
      records: ['www.example.com 260 A 192.0.2.80', 'www.example.com 260 A 192.0.2.81'],
      recordCount: 2,
      secondsLeft: 260,
      route: 'wlan0',
      hits: 1812,
      bytes: 512,
    },
    {
      name: 'git.office.example',
      type: 'AAAA',
      rcode: 'NOERROR',
      records: [],
      recordCount: 0,
      secondsLeft: 12,
      route: 'tun0',
      hits: 31,
      bytes: 480,
    },
    {
      name: 'wrong.example.com',
      type: 'A',
      rcode: 'NXDOMAIN',
      records: [],
      recordCount: 0,
      secondsLeft: 812,
      route: 'wlan0',
      hits: 1,
      bytes: 470,
    },
    {
      name: 'old.example.net',
      type: 'HTTPS',
      rcode: 'NOERROR',
      records: ['old.example.net 0 HTTPS 1 . alpn=h2,h3'],
      recordCount: 9,
      secondsLeft: -35,
      route: 'wlan0',
      hits: 0,
      bytes: 2100,
    },
  ],
  matching: 1830,
  statistics: sampleStatistics.cache,
};

/** A name that goes to the tunnel. */
export const sampleOutlook: Outlook = {
  route: 'tun0',
  exclusive: true,
  servers: [
    {
      link: 'tun0',
      server: '10.8.0.1',
      reason: 'Asked: it is the only one, and it answers within 21 ms.',
    },
  ],
  cached: [
    { type: 'A', rcode: 'NOERROR', secondsLeft: 48, route: 'tun0', used: true },
    { type: 'AAAA', rcode: 'NXDOMAIN', secondsLeft: 300, route: 'wlan0', used: false },
  ],
};

/** What was asked for while somebody watched. */
export const sampleNames: NamesReport = {
  since: SAMPLE_NOW - 40_000,
  asked: [
    { name: 'www.example.com', count: 212, countedTooHigh: 0 },
    { name: 'git.office.example', count: 90, countedTooHigh: 0 },
    {
      name: 'a-very-long-name-of-some-tracker.with-many-labels.advertisers.example',
      count: 41,
      countedTooHigh: 3,
    },
  ],
  slowest: [
    {
      name: 'far.example.org',
      type: 'A',
      tookMs: 812.3,
      by: '192.0.2.53 (wlan0)',
      time: SAMPLE_NOW - 12_000,
    },
    { name: 'gone.example', type: 'HTTPS', tookMs: 4500, by: 'failure', time: SAMPLE_NOW - 50_000 },
  ],
};

/** A minute of `dnsctl top`: load comes and goes, and the second server is late in the middle of it. */
export function sampleHistoryOfTop(): TopHistory {
  let history = addReply(NO_HISTORY, { statistics: { ...sampleStatistics, time: SAMPLE_NOW - 61_000 } });
  const { origins, latency } = sampleStatistics;
  for (let second = 1; second <= 61; second++) {
    const load = Math.round(400 + 400 * Math.sin(second / 8));
    const before = history.statistics ?? sampleStatistics;
    const late = second > 20 && second < 30;
    const statistics: StatisticsReport = {
      ...before,
      time: SAMPLE_NOW - 61_000 + 1000 * second,
      origins: {
        ...before.origins,
        fastPath: before.origins.fastPath + load,
        upstream: before.origins.upstream + 40,
        failure: before.origins.failure + (late ? 3 : 0),
      },
      latency: {
        ...before.latency,
        counts: before.latency.counts.map((count, at) => count + (at === 7 ? 40 : 0)),
      },
      servers: before.servers.map((server, index) => ({
        ...server,
        asked: server.asked + (index === 0 ? 30 : index === 1 && second % 3 === 0 ? 10 : 0),
        failures: server.failures + (index === 1 && late ? 3 : 0),
        ...(server.roundTripMs === undefined
          ? {}
          : { roundTripMs: 8 + index * 3 + (late ? 40 : second % 5) }),
      })),
    };
    history = addReply(history, { statistics, names: sampleNames });
  }
  const told = history.statistics ?? sampleStatistics;
  return { ...history, statistics: { ...told, since: sampleStatistics.since, origins, latency } };
}

/** A resolver that tells the samples. */
export const sampleView: ResolverView = {
  statistics: () => sampleStatistics,
  cache: (_name, most) => ({ ...sampleCache, entries: sampleCache.entries.slice(0, most) }),
  outlook: async () => sampleOutlook,
  watchNames: () => ({ report: () => sampleNames, close: () => {} }),
};
