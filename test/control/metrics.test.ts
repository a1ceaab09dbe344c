import { describe, expect, test } from 'vitest';
import { ABSENT_METRICS, formatMetrics } from '../../src/control/format-metrics.ts';
import { reportOf } from '../../src/control/report.ts';
import { sampleStatus, serverReport } from '../support/sample-status.ts';
import { sampleStatistics } from '../support/sample-view.ts';

interface Metric {
  readonly type: string;
  readonly help: string;
  /** By sample name and labels in their order. */
  readonly samples: Map<string, number>;
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\[\\\\n"])*"';
const SAMPLE = new RegExp(`^(${NAME})(\\{${LABEL}(?:,${LABEL})*\\})? ([-+]?(?:[0-9.eE+-]+|Inf|NaN))$`);

/** A strict reader of the text format 0.0.4 (Prometheus, "Exposition formats"): whatever is not in it throws. */
function parse(text: string): Map<string, Metric> {
  const metrics = new Map<string, Metric>();
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  let help: readonly [name: string, text: string] | undefined;
  let current: readonly [name: string, metric: Metric] | undefined;
  for (const line of text.slice(0, -1).split('\n')) {
    const told = new RegExp(`^# (HELP|TYPE) (${NAME}) (.+)$`).exec(line);
    if (told?.[1] === 'HELP') {
      if (metrics.has(told[2] ?? '')) throw new Error(`${told[2]} comes twice`);
      help = [told[2] ?? '', told[3] ?? ''];
    } else if (told?.[1] === 'TYPE') {
      if (help?.[0] !== told[2]) throw new Error(`TYPE without HELP: ${line}`);
      if (!['counter', 'gauge', 'histogram'].includes(told[3] ?? '')) throw new Error(`no type: ${line}`);
      current = [told[2] ?? '', { type: told[3] ?? '', help: help?.[1] ?? '', samples: new Map() }];
      metrics.set(...current);
    } else {
      const sample = SAMPLE.exec(line);
      if (sample === null) throw new Error(`no sample: ${JSON.stringify(line)}`);
      const [, name = '', labels = '', value = ''] = sample;
      const suffixes = current?.[1].type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      if (!suffixes.some((suffix) => name === `${current?.[0]}${suffix}`))
        throw new Error(`${name} stands under ${current?.[0]}`);
      if (!Number.isFinite(Number(value))) throw new Error(`no number: ${line}`);
      if (current?.[1].samples.has(name + labels)) throw new Error(`${name}${labels} comes twice`);
      current?.[1].samples.set(name + labels, Number(value));
    }
  }
  return metrics;
}

const metrics = (statistics = sampleStatistics, status = sampleStatus): Map<string, Metric> =>
  parse(formatMetrics(reportOf(status), statistics));

describe('the metrics', () => {
  test('follow the grammar, and end in _total where they only grow', () => {
    const all = metrics();
    expect(all.size).toBeGreaterThan(40);
    for (const [name, { type, help }] of all) {
      expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter']);
      expect(name).toMatch(/^dnskeeper_[a-z_]+$/);
      expect(help).toMatch(/^[A-Z].*\.$/);
      expect(name).not.toMatch(/_ms$|milliseconds|_kb/);
    }
  });

  test('say what the status and the statistics say, in seconds', () => {
    const all = metrics();
    const value = (name: string, labels = ''): number | undefined =>
      all.get(name)?.samples.get(name + labels);
    expect(value('dnskeeper_up')).toBe(1);
    expect(value('dnskeeper_build_info', '{version="0.1.0"}')).toBe(1);
    expect(value('dnskeeper_start_time_seconds')).toBe(sampleStatus.started / 1000);
    expect(value('dnskeeper_link_state', '{state="held"}')).toBe(1);
    expect(value('dnskeeper_link_state', '{state="yielded"}')).toBe(0);
    expect(value('dnskeeper_resolver_queries_total', '{transport="udp"}')).toBe(41_203);
    expect(value('dnskeeper_resolver_answers_total', '{origin="fast-path"}')).toBe(32_500);
    expect(value('dnskeeper_server_round_trip_seconds', '{server="10.8.0.1",link="tun0"}')).toBe(0.0214);
    expect(
      value('dnskeeper_server_failures_total', '{server="192.0.2.53",link="wlan0",kind="timeout"}'),
    ).toBe(12);
    // A server that has not answered has no time yet.
    expect(all.get('dnskeeper_server_round_trip_seconds')?.samples.size).toBe(2);
  });

  test('have a histogram whose buckets only grow, up to the count at +Inf', () => {
    const samples = [...(metrics().get('dnskeeper_resolver_answer_duration_seconds')?.samples ?? [])];
    const buckets = samples.filter(([name]) => name.includes('_bucket{le='));
    const values = buckets.map(([, value]) => value);
    expect(values).toEqual(values.toSorted((a, b) => a - b));
    expect(buckets[0]?.[0]).toContain('le="0.0001"');
    expect(buckets.at(-1)?.[0]).toContain('le="+Inf"');
    expect(samples.at(-1)).toEqual(['dnskeeper_resolver_answer_duration_seconds_count', values.at(-1)]);
    expect(samples.at(-2)).toEqual(['dnskeeper_resolver_answer_duration_seconds_sum', 98.43125]);
  });

  test('escape what a server or link is called', () => {
    const servers = [serverReport('a"b\\c\nd', 'dns+tls://192.0.2.1#x', {})];
    const all = metrics({ ...sampleStatistics, servers });
    expect([...(all.get('dnskeeper_server_asked_total')?.samples.keys() ?? [])]).toEqual([
      'dnskeeper_server_asked_total{server="dns+tls://192.0.2.1#x",link="a\\"b\\\\c\\nd"}',
    ]);
  });

  test('hold no name, no profile and no Wi-Fi', () => {
    const text = formatMetrics(reportOf(sampleStatus), sampleStatistics);
    for (const secret of ['example', 'Home Wi-Fi', 'Office', 'Café', 'uuid'])
      expect(text).not.toContain(secret);
  });

  test('leave out what there is none of', () => {
    const { fastPath, ...rest } = sampleStatistics;
    const { lastChange, ...status } = sampleStatus;
    const all = metrics({ ...rest, servers: [], types: [], outcomes: [] }, status);
    expect(
      [...all.keys()].filter((name) => /server_|fast_path|by_type|by_rcode|last_change/.test(name)),
    ).toEqual([]);
  });

  test('without a daemon say just that', () => {
    expect([...parse(ABSENT_METRICS)].map(([name, { samples }]) => [name, [...samples]])).toEqual([
      ['dnskeeper_up', [['dnskeeper_up', 0]]],
    ]);
  });
});

describe('the reader that judges them', () => {
  test.each([
    ['a sample without a type', 'dnskeeper_up 1\n'],
    ['a label that is not closed', '# HELP a A.\n# TYPE a gauge\na{b="c} 1\n'],
    ['a raw backslash', '# HELP a A.\n# TYPE a gauge\na{b="\\x"} 1\n'],
    ['the same sample twice', '# HELP a A.\n# TYPE a gauge\na 1\na 2\n'],
    ['no last line end', '# HELP a A.\n# TYPE a gauge\na 1'],
    ['no number', '# HELP a A.\n# TYPE a gauge\na undefined\n'],
  ])('refuses %s', (_what, text) => {
    expect(() => parse(text)).toThrow();
  });
});
