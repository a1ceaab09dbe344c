import { durationText } from '../core/duration.ts';
import {
  answered,
  answersIn,
  hitRate,
  type Latency,
  type OriginCounts,
  quantileMs,
  type StatisticsReport,
} from '../core/statistics.ts';
import type { ServerReport } from '../core/status.ts';
import type { Terminal } from '../system/terminal.ts';
import { newPage, type Page } from './page.ts';
import { countText, groupedText, percentText, sizeText, timeText } from './time-text.ts';

/** What the local resolver did since it started, for people. */
export function formatStatistics(report: StatisticsReport, terminal: Terminal): string {
  const page = newPage(terminal);
  overview(page, report);
  origins(page, report.origins);
  shares(
    page,
    'Response codes',
    report.outcomes.map(({ rcode, answers }) => [rcode, answers]),
  );
  shares(
    page,
    'Record types',
    report.types.map(({ type, queries }) => [type, queries]),
  );
  latency(page, report.latency);
  servers(page, report.servers);
  cache(page, report);
  connections(page, report);
  return page.end();
}

function overview(page: Page, { clients, since, time, origins: from, fastPath }: StatisticsReport): void {
  const all = clients.udp + clients.tcp;
  const rate = hitRate(from);
  page.text(
    `${countWord(all, 'query', 'queries')} since ${timeText(since, time)}, ${durationText(time - since)}`,
    {
      style: 'strong',
    },
  );
  page.text(
    `${groupedText(clients.udp)} over UDP, ${groupedText(clients.tcp)} over TCP; ${groupedText(clients.inFlight)} under way, ${groupedText(clients.malformed)} malformed`,
    { indent: 2 },
  );
  if (rate !== undefined)
    page.text(`${percentText(rate)} of what servers would have been asked came from memory`, { indent: 2 });
  if (fastPath !== undefined)
    page.text('Response codes, types and times below are without what the fast path answered.', {
      indent: 2,
      style: 'faint',
    });
}

const ORIGINS: Readonly<Record<keyof OriginCounts, string>> = {
  fastPath: 'the fast path',
  cache: 'the cache',
  stale: 'the cache, past its time',
  upstream: 'servers',
  local: "the resolver's own knowledge",
  hosts: 'the hosts file',
  refused: 'nobody: refused',
  failure: 'nobody: no server answered',
};

function origins(page: Page, counts: OriginCounts): void {
  const named = Object.entries(ORIGINS).map(
    ([key, name]) => [name, counts[key as keyof OriginCounts]] as const,
  );
  shares(page, 'Answers came from', named, answered(counts));
}

/** Labels, counts in one column, and what part of all each is; nothing that never happened. */
function shares(
  page: Page,
  title: string,
  counts: readonly (readonly [label: string, count: number])[],
  all = counts.reduce((sum, [, count]) => sum + count, 0),
): void {
  const shown = counts.filter(([, count]) => count > 0);
  if (shown.length === 0) return;
  page.heading(title);
  const label = Math.max(...shown.map(([text]) => text.length));
  const number = Math.max(...shown.map(([, count]) => groupedText(count).length));
  for (const [text, count] of shown)
    page.line(
      `${text.padEnd(label)}  ${groupedText(count).padStart(number)}  ${percentText(count / all).padStart(5)}`,
      { indent: 2 },
    );
}

const BAR = 30;

function latency(page: Page, times: Latency): void {
  const all = answersIn(times.counts);
  if (all === 0) return;
  page.heading('Time to an answer');
  const part = (name: string, of: number): string =>
    `${name} within ${durationText(rounded(quantileMs(times, of)))}`;
  page.text(`${part('half', 0.5)}, ${part('90%', 0.9)}, ${part('99%', 0.99)}`, { indent: 2 });
  const most = Math.max(...times.counts);
  const labels = times.counts.map((_, index) => bucketName(times.boundsMs, index));
  const label = Math.max(...labels.map((text) => text.length));
  const number = groupedText(most).length;
  const first = times.counts.findIndex((count) => count > 0);
  const last = times.counts.findLastIndex((count) => count > 0);
  for (const [index, count] of times.counts.entries()) {
    if (index < first || index > last) continue;
    const bar = '#'.repeat(count === 0 ? 0 : Math.max(1, Math.round((count / most) * BAR)));
    const line = `${(labels[index] ?? '').padEnd(label)}  ${groupedText(count).padStart(number)}  ${bar}`;
    page.line(line.trimEnd(), { indent: 2 });
  }
}

const rounded = (ms: number | undefined): number => Number((ms ?? 0).toPrecision(2));

function bucketName(boundsMs: readonly number[], index: number): string {
  const bound = boundsMs[index];
  return bound === undefined ? `over ${durationText(boundsMs.at(-1) ?? 0)}` : `to ${durationText(bound)}`;
}

function servers(page: Page, reports: readonly ServerReport[]): void {
  if (reports.length === 0) return;
  page.heading('Servers');
  page.rows(
    reports.map((report) => ({
      label: `${report.server} (${report.link})`,
      text: serverText(report),
      style: report.state === 'late' ? 'bad' : 'strong',
    })),
  );
}

function serverText(report: ServerReport): string {
  if (report.asked === 0) return 'not asked yet';
  const kinds: readonly (readonly [number, string])[] = [
    [report.timeouts, 'timeout'],
    [report.refusals, 'refusal'],
    [report.malformed, 'malformed answer'],
    [report.hedgesWon, 'answer before another server'],
  ];
  const more = kinds.filter(([count]) => count > 0).map(([count, what]) => countText(count, what));
  return [
    ...(report.roundTripMs === undefined ? [] : [durationText(report.roundTripMs)]),
    `asked ${countWord(report.asked, 'time', 'times')}`,
    countText(report.answers, 'answer'),
    ...more,
    ...(report.unreachable > 0 ? [`${groupedText(report.unreachable)} times unreachable`] : []),
  ].join(', ');
}

function cache(page: Page, { cache: counts, fastPath }: StatisticsReport): void {
  page.heading('Cache');
  page.text(
    `${countText(counts.entries, 'answer')} in ${sizeText(counts.bytes)}${fastPath === undefined ? '' : `, ${groupedText(fastPath.entries)} on the fast path too`}`,
    { indent: 2 },
  );
  page.text(
    `${countText(counts.hits, 'hit')}, ${groupedText(counts.misses)} misses, ${groupedText(counts.staleServed)} given past their time, ${groupedText(counts.prefetched)} asked for ahead of time, ${groupedText(counts.evictions)} dropped to make room${counts.shrunkByPressure === 0 ? '' : `, made smaller ${countWord(counts.shrunkByPressure, 'time', 'times')} because memory was short`}`,
    { indent: 2 },
  );
}

function connections(page: Page, { connections: made, bounds, fastPath }: StatisticsReport): void {
  const any = made.tcpOpened + made.tlsOpened + made.failed > 0;
  if (any) {
    page.heading('Connections to servers');
    page.text(
      `${groupedText(made.tcpOpened)} over TCP, ${groupedText(made.tlsOpened)} over TLS (${groupedText(made.tlsResumed)} resumed); used again ${countWord(made.reused, 'time', 'times')}; ${groupedText(made.failed)} could not be made`,
      { indent: 2 },
    );
  }
  const reached = bounds
    .filter((each) => each.reached > 0)
    .map(({ bound, reached: count }) => [bound, count] as const);
  const fast: readonly (readonly [string, number])[] =
    fastPath === undefined
      ? []
      : [
          ['packets larger than any query', fastPath.oversized],
          ['answers that the kernel did not take', fastPath.unsent],
          ['workers replaced', fastPath.restarts],
        ];
  const trouble = [...reached, ...fast.filter(([, count]) => count > 0)];
  if (trouble.length === 0) return;
  page.heading('Bounds reached, and trouble');
  page.rows(trouble.map(([label, count]) => ({ label, text: groupedText(count) })));
}

const countWord = (count: number, one: string, many: string): string =>
  `${groupedText(count)} ${count === 1 ? one : many}`;
