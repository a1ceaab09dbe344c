import type { StatisticsReport } from '../core/statistics.ts';
import type { StatusReport } from './report.ts';

/**
 * Status and statistics in Prometheus' text format 0.0.4. No name that anybody asked for, no profile and no Wi-Fi is in it:
 * metrics travel further than the machine.
 */
export function formatMetrics(status: StatusReport, statistics: StatisticsReport): string {
  return [
    ...upFamily(1),
    ...daemonMetrics(status),
    ...resolverMetrics(status, statistics),
    ...serverMetrics(statistics),
  ]
    .map(familyText)
    .join('');
}

/** One metric with all its samples, whose values are told in base units: seconds, bytes. */
interface Family {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly samples: readonly Sample[];
}

interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
  /** `_bucket`, `_sum` or `_count` of a histogram. */
  readonly suffix?: string;
}

const family =
  (type: Family['type']) =>
  (name: string, help: string, samples: number | readonly Sample[]): Family => ({
    name: `dnskeeper_${name}`,
    type,
    help,
    samples: typeof samples === 'number' ? [{ value: samples }] : samples,
  });
const counter = family('counter');
const gauge = family('gauge');

const upFamily = (value: 0 | 1): readonly Family[] => [gauge('up', 'Whether the daemon answers.', value)];

/** What is told while no daemon answers. */
export const ABSENT_METRICS: string = upFamily(0).map(familyText).join('');

function familyText({ name, type, help, samples }: Family): string {
  if (samples.length === 0) return '';
  const lines = samples.map(
    ({ labels, value, suffix }) => `${name}${suffix ?? ''}${labelText(labels)} ${value}\n`,
  );
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

function labelText(labels: Sample['labels']): string {
  if (labels === undefined) return '';
  const pairs = Object.entries(labels).map(
    ([name, value]) =>
      `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`,
  );
  return `{${pairs.join(',')}}`;
}

/** One sample for each state that there is, 1 for the one that holds. */
const states = (all: readonly string[], now: string): readonly Sample[] =>
  all.map((state) => ({ labels: { state }, value: state === now ? 1 : 0 }));

const LINK_STATES = [
  'unknown',
  'held',
  'bind-mount',
  'resolved',
  'released',
  'publish-only',
  'fighting',
  'yielded',
  'failed',
];

function daemonMetrics(status: StatusReport): readonly Family[] {
  const { link, resolvConf, sources, files, counters, runtime, findings } = status;
  return [
    gauge('build_info', 'Version of the daemon.', [{ labels: { version: status.version }, value: 1 }]),
    gauge('start_time_seconds', 'When the daemon started, since the epoch.', status.started / 1000),
    gauge('resident_memory_bytes', 'Resident memory of the daemon.', runtime.residentBytes),
    gauge('runtime_bytes', 'Size of everything in the runtime folder.', runtime.bytes),
    gauge('healthy', 'Whether no error and no warning was found.', status.healthy ? 1 : 0),
    gauge(
      'findings',
      'What is wrong or notable, by severity.',
      ['error', 'warning', 'note'].map((severity) => ({
        labels: { severity },
        value: findings.filter((finding) => finding.severity === severity).length,
      })),
    ),
    gauge('link_state', 'Who is in charge of /etc/resolv.conf.', states(LINK_STATES, link.state)),
    gauge('resolv_conf_mode', 'What the file lists: real servers or the stub.', [
      { labels: { mode: 'file' }, value: resolvConf.mode === 'file' ? 1 : 0 },
      { labels: { mode: 'stub' }, value: resolvConf.mode === 'stub' ? 1 : 0 },
    ]),
    gauge('nameservers', 'Servers in the file.', status.plan.nameservers.length),
    gauge(
      'source_up',
      'Whether a source of DNS servers is running.',
      sources.map(({ name, state }) => ({ labels: { source: name }, value: state === 'running' ? 1 : 0 })),
    ),
    gauge(
      'file_failed',
      'Whether a file could not be written.',
      files.map(({ path, state }) => ({ labels: { path }, value: state === 'failed' ? 1 : 0 })),
    ),
    counter('events_total', 'Source events taken in.', counters.events),
    counter('plans_total', 'Decisions made.', counters.plans),
    counter('writes_total', 'Files written.', counters.writes),
    counter('failures_total', 'Attempts to apply a decision that failed.', counters.failures),
    ...lastChangeMetrics(status),
  ];
}

function lastChangeMetrics({ lastChange }: StatusReport): readonly Family[] {
  if (lastChange === undefined) return [];
  const { time, tookMs } = lastChange;
  return [
    gauge('last_change_timestamp_seconds', 'When the file last changed, since the epoch.', time / 1000),
    gauge('last_change_duration_seconds', 'From the event to the written file.', tookMs / 1000),
  ];
}

function resolverMetrics({ resolver }: StatusReport, report: StatisticsReport): readonly Family[] {
  return [
    gauge(
      'resolver_state',
      'Whether the local resolver answers.',
      states(['off', 'bound', 'failed'], resolver.state),
    ),
    ...queryMetrics(report),
    latencyFamily(report),
    ...cacheMetrics(report),
    ...fastPathMetrics(report),
    ...connectionMetrics(report),
  ];
}

/** One sample for each value of a label. */
const by = (label: string, counts: readonly (readonly [string, number])[]): readonly Sample[] =>
  counts.map(([value, count]) => ({ labels: { [label]: value }, value: count }));

function queryMetrics({ clients, types, origins, outcomes }: StatisticsReport): readonly Family[] {
  const transports = [
    ['udp', clients.udp],
    ['tcp', clients.tcp],
  ] as const;
  const typeCounts = types.map(({ type, queries }) => [type, queries] as const);
  const originCounts = Object.entries(origins).map(([key, count]) => [ORIGINS[key] ?? key, count] as const);
  const codes = outcomes.map(({ rcode, answers }) => [rcode, answers] as const);
  return [
    counter('resolver_queries_total', 'Queries from clients.', by('transport', transports)),
    counter('resolver_malformed_total', 'Messages from clients that were no queries.', clients.malformed),
    gauge('resolver_queries_in_flight', 'Queries under way.', clients.inFlight),
    counter(
      'resolver_queries_by_type_total',
      'Queries by record type, without those that the fast path answered.',
      by('type', typeCounts),
    ),
    counter('resolver_answers_total', 'Answers by where they came from.', by('origin', originCounts)),
    counter(
      'resolver_answers_by_rcode_total',
      'Answers by response code, without those of the fast path.',
      by('rcode', codes),
    ),
  ];
}

function cacheMetrics({ cache }: StatisticsReport): readonly Family[] {
  return [
    gauge('resolver_cache_entries', 'Answers remembered.', cache.entries),
    gauge('resolver_cache_bytes', 'What remembered answers take.', cache.bytes),
    counter(
      'resolver_cache_hits_total',
      'Answers from the cache, without those of the fast path.',
      cache.hits,
    ),
    counter('resolver_cache_misses_total', 'Questions that the cache could not answer.', cache.misses),
    counter(
      'resolver_cache_stale_total',
      'Answers given past their time because no server answered.',
      cache.staleServed,
    ),
    counter(
      'resolver_cache_prefetches_total',
      'Answers asked for anew before they expired.',
      cache.prefetched,
    ),
    counter('resolver_cache_evictions_total', 'Answers dropped to make room.', cache.evictions),
    counter(
      'resolver_cache_pressure_total',
      'Times that the cache was made smaller because memory was short.',
      cache.shrunkByPressure,
    ),
  ];
}

function fastPathMetrics({ fastPath }: StatisticsReport): readonly Family[] {
  if (fastPath === undefined) return [];
  const { entries, misses, oversized, unsent, restarts } = fastPath;
  return [
    gauge('resolver_fast_path_entries', 'Answers in the table of the fast path.', entries),
    counter('resolver_fast_path_misses_total', 'Packets that the fast path handed on.', misses),
    counter('resolver_fast_path_oversized_total', 'Packets larger than any query.', oversized),
    counter('resolver_fast_path_unsent_total', 'Answers that the kernel did not take.', unsent),
    counter('resolver_fast_path_restarts_total', 'Workers that died and were replaced.', restarts),
  ];
}

function connectionMetrics({ connections, bounds }: StatisticsReport): readonly Family[] {
  const opened = [
    ['tcp', connections.tcpOpened],
    ['tls', connections.tlsOpened],
  ] as const;
  const reached = bounds.map(({ bound, reached }) => [bound, reached] as const);
  return [
    counter('resolver_connections_total', 'Connections made to servers.', by('protocol', opened)),
    counter(
      'resolver_connections_resumed_total',
      'TLS connections that took up an earlier session.',
      connections.tlsResumed,
    ),
    counter(
      'resolver_connections_reused_total',
      'Questions over a connection that was there already.',
      connections.reused,
    ),
    counter('resolver_connections_failed_total', 'Connections that could not be made.', connections.failed),
    counter('resolver_bound_reached_total', 'Refusals because a bound was reached.', by('bound', reached)),
  ];
}

const ORIGINS: Readonly<Record<string, string>> = { fastPath: 'fast-path' };

/** Buckets are cumulative in this format, and the last has no bound. */
function latencyFamily({ latency }: StatisticsReport): Family {
  const buckets: Sample[] = [];
  let sum = 0;
  for (const [index, count] of latency.counts.entries()) {
    sum += count;
    const bound = latency.boundsMs[index];
    const le = bound === undefined ? '+Inf' : String(bound / 1000);
    buckets.push({ suffix: '_bucket', labels: { le }, value: sum });
  }
  return family('histogram')(
    'resolver_answer_duration_seconds',
    'From a query to its answer, without what the fast path answered.',
    [...buckets, { suffix: '_sum', value: latency.sumMs / 1000 }, { suffix: '_count', value: sum }],
  );
}

function serverMetrics({ servers }: StatisticsReport): readonly Family[] {
  type Server = StatisticsReport['servers'][number];
  const each = (value: (server: Server) => number | undefined): readonly Sample[] =>
    servers.flatMap((server) => {
      const told = value(server);
      return told === undefined
        ? []
        : [{ labels: { server: server.server, link: server.link }, value: told }];
    });
  const failures = servers.flatMap(({ server, link, timeouts, unreachable, malformed }) =>
    Object.entries({ timeout: timeouts, unreachable, malformed }).map(([kind, value]) => ({
      labels: { server, link, kind },
      value,
    })),
  );
  return [
    gauge(
      'server_late',
      'Whether others are asked before it, because it did not answer in time.',
      each(({ state }) => (state === 'late' ? 1 : 0)),
    ),
    gauge(
      'server_round_trip_seconds',
      'Smoothed time to an answer.',
      each(({ roundTripMs }) => roundTripMs && roundTripMs / 1000),
    ),
    counter(
      'server_asked_total',
      'Questions sent to it.',
      each(({ asked }) => asked),
    ),
    counter(
      'server_answers_total',
      'Answers it gave.',
      each(({ answers }) => answers),
    ),
    counter(
      'server_refusals_total',
      'Of its answers, those that refused or failed.',
      each(({ refusals }) => refusals),
    ),
    counter('server_failures_total', 'Questions without a usable answer.', failures),
    counter(
      'server_hedges_won_total',
      'Answers that came before those of a server asked earlier.',
      each(({ hedgesWon }) => hedgesWon),
    ),
  ];
}
