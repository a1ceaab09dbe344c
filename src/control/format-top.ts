import { durationText } from '../core/duration.ts';
import type { NamesReport } from '../core/names-report.ts';
import { quantileMs, type StatisticsReport } from '../core/statistics.ts';
import { printable } from '../core/text.ts';
import type { Style, Terminal } from '../system/terminal.ts';
import { sparkline } from './sparkline.ts';
import { groupedText, percentText, timeText } from './time-text.ts';
import { type Second, type ServerSecond, serverKey, type TopHistory } from './top-history.ts';
import { columnsOf, cut } from './wrap.ts';

/** How a frame of `dnsctl top` is to look. */
export interface TopView {
  /** Lines that there is room for. */
  readonly rows: number;
  readonly paused: boolean;
  readonly hideNames: boolean;
  /** Whether keys do something. */
  readonly keys: boolean;
}

/** One frame: lines no wider than the terminal and no more than there is room for. */
export function formatTop(history: TopHistory, view: TopView, terminal: Terminal): readonly string[] {
  const frame = new Frame(terminal, view.rows);
  const { statistics, seconds } = history;
  if (statistics === undefined || seconds.length === 0) {
    frame.put('dnsctl top: the first second is being counted', 'strong');
    return frame.lines;
  }
  head(frame, statistics, view);
  curves(frame, seconds, statistics, terminal);
  servers(frame, seconds, statistics, terminal);
  names(frame, history.names, statistics.time, view);
  return frame.lines;
}

/** Collects lines and keeps them within the terminal. Everything that is put in is made printable. */
class Frame {
  readonly lines: string[] = [];
  readonly #terminal: Terminal;
  readonly #rows: number;

  constructor(terminal: Terminal, rows: number) {
    this.#terminal = terminal;
    this.#rows = rows;
  }

  /** Lines that there is still room for. */
  get room(): number {
    return this.#rows - this.lines.length;
  }

  put(text: string, style: Style = 'plain'): void {
    if (this.room <= 0) return;
    this.lines.push(
      this.#terminal.paint(style, cut(printable(text, LONGEST).trimEnd(), this.#terminal.columns)),
    );
  }

  heading(text: string): void {
    if (this.room < 3) return;
    this.put('');
    this.put(text, 'strong');
  }
}

const LONGEST = 400;
/** Where there is no edge, as in a file. */
const WIDTH = 100;
const KEYS = 'q quit  p pause  n names';

function head(frame: Frame, { since, time, clients }: StatisticsReport, { paused, keys }: TopView): void {
  const state = paused ? 'PAUSED' : `${groupedText(clients.inFlight)} under way`;
  frame.put(
    `${timeText(time, time)}  up ${durationText(time - since)}  ${state}${keys ? `  ${KEYS}` : ''}`,
    paused ? 'notice' : 'strong',
  );
}

const LABEL = 13;
const VALUE = 9;

function curves(
  frame: Frame,
  seconds: readonly Second[],
  { latency }: StatisticsReport,
  terminal: Terminal,
): void {
  const last = seconds.at(-1);
  if (last === undefined) return;
  const width = widthOf(terminal) - LABEL - VALUE - 2;
  const put = (label: string, value: string, values: readonly (number | undefined)[], most?: number): void =>
    frame.put(
      `${label.padEnd(LABEL)}${value.padStart(VALUE)}  ${sparkline(values, width, terminal.unicode, most)}`,
      label === 'failures' && last.failures > 0 ? 'bad' : 'plain',
    );
  put(
    'queries',
    `${rateText(last.answers)}/s`,
    seconds.map(({ answers }) => answers),
  );
  put(
    'from memory',
    last.hitRate === undefined ? '-' : percentText(last.hitRate),
    seconds.map(({ hitRate }) => hitRate),
    1,
  );
  put(
    'failures',
    `${rateText(last.failures)}/s`,
    seconds.map(({ failures }) => failures),
  );
  const counts = latency.counts.map((_, index) =>
    seconds.reduce((sum, each) => sum + (each.latency[index] ?? 0), 0),
  );
  const minute = { ...latency, counts };
  const half = quantileMs(minute, 0.5);
  const slow = quantileMs(minute, 0.99);
  if (half !== undefined && slow !== undefined)
    frame.put(`${'answers'.padEnd(LABEL)}half in ${shortMs(half)}, 99% in ${shortMs(slow)}; fast path apart`);
}

/** A share of the screen, so that a machine with many servers still shows names. */
const LEAST_SERVERS = 3;

function servers(
  frame: Frame,
  seconds: readonly Second[],
  report: StatisticsReport,
  terminal: Terminal,
): void {
  const all = report.servers;
  if (all.length === 0) return;
  const label = Math.min(
    Math.max(24, Math.floor(widthOf(terminal) / 3)),
    Math.max(6, ...all.map((server) => columnsOf(printable(serverKey(server))))),
  );
  frame.heading(`${'server'.padEnd(label)}  round trip   asked/s  failed/s`);
  const most = Math.max(LEAST_SERVERS, Math.floor(frame.room / 2));
  const busiest = all.toSorted((a, b) => askedOf(seconds, b) - askedOf(seconds, a));
  for (const server of busiest.slice(0, most)) {
    const key = serverKey(server);
    const own = seconds.map((second) => second.servers.get(key));
    const now = own.at(-1);
    const name = cut(printable(key), label);
    const state =
      server.state === 'late'
        ? 'late'
        : server.roundTripMs === undefined
          ? 'new'
          : shortMs(server.roundTripMs);
    const numbers = `${state.padStart(10)}  ${rateText(now?.asked ?? 0).padStart(8)}  ${rateText(now?.failures ?? 0).padStart(8)}`;
    const width = widthOf(terminal) - label - 2 - numbers.length - 2;
    const curve = sparkline(own.map(roundTripIn), width, terminal.unicode);
    const pad = ' '.repeat(label - columnsOf(name));
    frame.put(`${name}${pad}  ${numbers}  ${curve}`, server.state === 'late' ? 'bad' : 'plain');
  }
  if (all.length > most) frame.put(`and ${groupedText(all.length - most)} more`, 'faint');
}

/** Only where it was asked: elsewhere the smoothed time says nothing new. */
const roundTripIn = (second: ServerSecond | undefined): number | undefined =>
  second === undefined || second.asked === 0 ? undefined : second.roundTripMs;

const askedOf = (seconds: readonly Second[], server: StatisticsReport['servers'][number]): number =>
  seconds.reduce((sum, second) => sum + (second.servers.get(serverKey(server))?.asked ?? 0), 0);

function names(
  frame: Frame,
  report: NamesReport | undefined,
  now: number,
  { hideNames, keys }: TopView,
): void {
  if (hideNames) {
    frame.heading('names are hidden');
    if (keys) frame.put('n shows them', 'faint');
    return;
  }
  if (report === undefined) {
    frame.heading('names are private');
    frame.put('they are shown to root: sudo dnsctl top', 'faint');
    return;
  }
  // Two headings with their empty lines, and the sentence at the end.
  const each = Number.isFinite(frame.room) ? Math.max(0, Math.floor((frame.room - 6) / 2)) : 10;
  const { slowest, asked } = report;
  frame.heading('slowest names of the last minute');
  if (slowest.length === 0) frame.put('none took a millisecond', 'faint');
  for (const { name, type, tookMs, by, time } of slowest.slice(0, each))
    frame.put(
      `${shortMs(tookMs).padStart(8)}  ${printable(name, 60)} ${type}  ${WAYS[by] ?? by}, ${Math.round((now - time) / 1000)} s ago`,
    );
  frame.heading('most asked names');
  if (asked.length === 0) frame.put('none', 'faint');
  for (const { name, count, countedTooHigh } of asked.slice(0, each))
    frame.put(`${(countedTooHigh > 0 ? `<${groupedText(count)}` : groupedText(count)).padStart(8)}  ${name}`);
  frame.put(`since ${timeText(report.since, now)}`, 'faint');
}

const WAYS: Readonly<Record<string, string>> = { failure: 'no server answered', cache: 'from the cache' };

const widthOf = ({ columns }: Terminal): number => Math.min(columns, WIDTH);
const rateText = (perSecond: number): string =>
  perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : groupedText(perSecond);
const shortMs = (ms: number): string => (ms >= 100 ? durationText(ms) : `${ms.toFixed(ms < 10 ? 1 : 0)} ms`);
