import type { Waited } from './dns-dead-server.ts';
import type { Added } from './dns-latency.ts';
import { type Loaded, ratioTo } from './dns-load.ts';
import { FILLED_NAMES, type Filled } from './dns-memory.ts';
import type { Chart, DnsResult } from './dns-options.ts';
import type { Load } from './dnsperf.ts';
import { figures, median, megabytes, ms, quantile, type Row } from './measurement.ts';

/** CPU time and rate of cached answers. */
export function cachedResult(all: readonly Loaded[]): DnsResult {
  const atMost = (peer: number): boolean => peer <= 1;
  const what = 'cached answers, 1,000 names, 200 outstanding';
  return {
    rows: [
      compared(all, `${what}: CPU time per query`, "<= dnsmasq's and unbound's", microseconds, cpu, (_, r) =>
        r.every(atMost),
      ),
      compared(
        all,
        `the same: queries a second on one core${lostIn(all)}`,
        ">= dnsmasq's and unbound's",
        rounded,
        rate,
        (_, r) => r.every((one) => one >= 1),
      ),
    ],
    charts: [chart(all, 'CPU time of a cached answer (less is better)', cpu, microseconds)],
  };
}

/** CPU time and rate of misses. */
export function missResult(all: readonly Loaded[]): DnsResult {
  const what = 'misses, all names new, 100 outstanding';
  const least: Readonly<Record<string, number>> = { dnsmasq: 2, unbound: 2 / 3 };
  const peers = all.slice(1).map(({ name }) => name);
  return {
    rows: [
      compared(
        all,
        `${what}: queries a second on one core${lostIn(all)}`,
        ">= 2 times dnsmasq's, >= 2/3 of unbound's",
        rounded,
        rate,
        (_, ratios) => ratios.every((one, index) => one >= (least[peers[index] ?? ''] ?? 0)),
      ),
      compared(all, 'the same: CPU time per query', '<= 60 µs', microseconds, cpu, (ours) => ours <= 60),
    ],
    charts: [
      chart(all, 'CPU time of a miss (less is better)', cpu, microseconds),
      chart(all, 'Misses a second on one core (more is better)', rate, rounded),
    ],
  };
}

/** What a miss takes longer than asking the authoritative server. */
export function latencyResult(all: readonly Added[]): DnsResult {
  const row = (name: string, part: 'median' | 'p99', most: number): Row => {
    const [ours, ...peers] = all;
    const own = ours?.[part] ?? Number.NaN;
    return {
      what: `added latency of a miss over asking the server itself: ${name}`,
      must: `<= ${ms(most)}`,
      measured: ms(own),
      peer: peers.map((peer) => `${peer.name} ${ms(peer[part])}`).join(', '),
      ratio: '-',
      reached: own <= most,
    };
  };
  return { rows: [row('median', 'median', 0.5), row('99 of 100', 'p99', 3)], charts: [] };
}

/** How long clients wait while the first server is silent. */
export function deadServerResult(all: readonly Waited[]): DnsResult {
  const row = (what: string, must: number, of: (one: Waited) => number, all_: readonly Waited[]): Row => {
    const [ours, ...peers] = all_;
    const own = ours === undefined ? Number.NaN : of(ours);
    return {
      what,
      must: `<= ${ms(must)}`,
      measured: wait(own),
      peer: peers.map((peer) => `${peer.name} ${wait(of(peer))}`).join(', '),
      ratio: '-',
      reached: own <= must,
    };
  };
  const most = (one: Waited | undefined): number => quantile(one?.later ?? [], 0.95);
  const later = (one: Waited | undefined): string => `${wait(median(one?.later ?? []))} / ${wait(most(one))}`;
  const worst = Math.max(...(all[0]?.later ?? []));
  return {
    rows: [
      row('first server silent from the start: first answer', 300, (one) => one.firstOfAll, all),
      row('the server in use falls silent: first answer after', 300, (one) => one.firstAfter, all),
      {
        what: `later answers, median / 95 of 100 (the worst of ${all[0]?.later.length ?? 0} took ${wait(worst)})`,
        must: `<= ${ms(5)}`,
        measured: later(all[0]),
        peer: all
          .slice(1)
          .map((peer) => `${peer.name} ${later(peer)}`)
          .join(', '),
        ratio: '-',
        reached: most(all[0]) <= 5,
      },
    ],
    charts: [],
  };
}

/** Memory with many names. */
export function memoryResult(all: readonly Filled[]): DnsResult {
  const [ours, ...peers] = all;
  const own = ours?.rested ?? Number.NaN;
  const part = (one: Filled): string => `${Math.round(one.known * 100)} of 100 kept`;
  const row: Row = {
    what: `resident memory with ${FILLED_NAMES.toLocaleString('en-US')} names asked for twice (with one name ${megabytes(ours?.idle ?? Number.NaN)}, at the end of the load ${megabytes(ours?.twice ?? Number.NaN)}; ${ours === undefined ? '' : part(ours)})`,
    must: '<= 160 MB',
    measured: megabytes(own),
    peer: peers.map((peer) => `${peer.name} ${megabytes(peer.rested)} (${part(peer)})`).join(', '),
    ratio: peers.map((peer) => figures(own / peer.rested)).join(', '),
    reached: own <= 160e6,
  };
  return { rows: [row], charts: [] };
}

/** Cached answers and misses beside systemd-resolved, in a Debian of the lab. */
export function resolvedRows(
  system: string,
  cached: readonly Loaded[],
  misses: readonly Loaded[],
): readonly Row[] {
  const atLeast = (least: number) => (_: number, ratios: readonly number[]) =>
    ratios.every((one) => one >= least);
  const row = (all: readonly Loaded[], what: string, times: number): Row =>
    compared(
      all,
      `${what}${lostIn(all)}`,
      `>= ${times} times systemd-resolved's`,
      rounded,
      rate,
      atLeast(times),
    );
  const time = (all: readonly Loaded[], what: string): Row => {
    const { measured, peer, ratio } = compared(all, what, '', microseconds, cpu, () => true);
    return { what, must: 'no goal', measured, peer, ratio };
  };
  return [
    row(cached, `${system}, cached answers: queries a second on one core`, 8),
    time(cached, 'the same: CPU time per query'),
    row(misses, `${system}, misses: queries a second on one core`, 2),
    time(misses, 'the same: CPU time per query'),
  ];
}

const cpu = (load: Load): number => load.cpuMicroseconds;
const rate = (load: Load): number => load.queriesPerSecond;
const microseconds = (value: number): string => `${figures(value)} µs`;
const rounded = (value: number): string => Math.round(value).toLocaleString('en-US');
const wait = (value: number): string => (Number.isFinite(value) ? ms(value) : 'none within 20 s');

/** A line of the table about one quantity, whose ratios are taken within each round. */
export function compared(
  all: readonly Loaded[],
  what: string,
  must: string,
  text: (value: number) => string,
  of: (load: Load) => number,
  reached: (ours: number, ratios: readonly number[]) => boolean,
): Row {
  const [ours, ...peers] = all;
  const middle = (one: Loaded | undefined): number => median((one?.rounds ?? []).map(of));
  const ratios = ours === undefined ? [] : peers.map((peer) => ratioTo(ours, peer, of));
  return {
    what,
    must,
    measured: text(middle(ours)),
    peer: peers.map((peer) => `${peer.name} ${text(middle(peer))}`).join(', '),
    ratio: ratios.map(figures).join(', '),
    reached: reached(middle(ours), ratios),
  };
}

/** Lost questions of all rounds, so that no rate is bought with them. */
function lostIn(all: readonly Loaded[]): string {
  const lost = all.map(({ name, rounds }) => `${name} ${rounds.reduce((sum, one) => sum + one.lost, 0)}`);
  return ` (lost: ${lost.join(', ')})`;
}

function chart(
  all: readonly Loaded[],
  title: string,
  of: (load: Load) => number,
  text: (value: number) => string,
): Chart {
  const bars = all.map(({ name, rounds }) => {
    const value = median(rounds.map(of));
    return { name, value, text: text(value) };
  });
  return { title, bars };
}
