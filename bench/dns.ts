/**
 * `npm run bench:dns`: the resolver beside dnsmasq and unbound, in turns within one run. Needs knotd, unbound, dnsmasq,
 * dnsperf and two cores: what is measured has the first, dnsperf and the authoritative server share the second.
 * `--only cached,misses` picks measurements, `--rounds` and `--seconds` say how often and how long each server is
 * loaded, `--servers dnskeeper` leaves peers out. `resolved` boots machines in the lab, which needs root and a built
 * package. A full run writes bench/results-dns.md and docs/dns-speed.svg.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { drawCharts } from './dns-chart.ts';
import { deadServer } from './dns-dead-server.ts';
import { addedLatency } from './dns-latency.ts';
import { cachedLoad, missLoad } from './dns-load.ts';
import { memoryFilled } from './dns-memory.ts';
import type { Chart, DnsOptions, DnsResult } from './dns-options.ts';
import { FORWARDERS, type Forwarder } from './dns-programs.ts';
import { cachedResult, deadServerResult, latencyResult, memoryResult, missResult } from './dns-rows.ts';
import { besideResolved } from './lab-resolved.ts';
import type { Row } from './measurement.ts';
import { describeMachine, table } from './table.ts';

const MEASUREMENTS: Readonly<Record<string, (options: DnsOptions) => Promise<DnsResult>>> = {
  cached: async (options) => cachedResult(await cachedLoad(options)),
  misses: async (options) => missResult(await missLoad(options)),
  latency: async (options) => latencyResult(await addedLatency(options)),
  memory: async (options) => memoryResult(await memoryFilled(options)),
  dead: async (options) => deadServerResult(await deadServer(options)),
  resolved: besideResolved,
};

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '3' },
    servers: { type: 'string', default: FORWARDERS.join(',') },
  },
});
const folder = mkdtempSync(join(tmpdir(), 'dnskeeper-bench-'));
const options: DnsOptions = {
  servers: chosen('servers', values.servers, FORWARDERS) as readonly Forwarder[],
  rounds: whole('rounds'),
  seconds: whole('seconds'),
  folder,
};
const names = Object.keys(MEASUREMENTS);
const rows: Row[] = [];
const charts: Chart[] = [];
try {
  for (const name of chosen('only', values.only ?? names.join(','), names)) {
    console.error(`measuring: ${name}`);
    const result = await MEASUREMENTS[name]?.(options);
    for (const row of result?.rows ?? []) console.error(`  ${row.what}: ${row.measured}; ${row.peer}`);
    rows.push(...(result?.rows ?? []));
    charts.push(...(result?.charts ?? []));
  }
} finally {
  rmSync(folder, { recursive: true });
}
const text = `${describeMachine()}\n\n${table(rows)}\n`;
console.log(text);
if (values.only === undefined && options.servers.length === FORWARDERS.length) {
  writeFileSync(
    join(import.meta.dirname, 'results-dns.md'),
    `# Results of \`npm run bench:dns\`\n\n${text}\n${legend()}`,
  );
  const caption = `npm run bench:dns on a 2-core VM, one core for each server; medians of ${options.rounds} rounds taken in turns`;
  writeFileSync(join(import.meta.dirname, '../docs/dns-speed.svg'), drawCharts(charts, caption));
}
process.exitCode = rows.some((row) => row.reached === false) ? 1 : 0;

function whole(name: 'rounds' | 'seconds'): number {
  const value = Number(values[name]);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new Error(`wanted a whole number from 1 on for --${name}, got ${values[name]}`);
}

function chosen(name: string, list: string, from: readonly string[]): readonly string[] {
  const words = list.split(',');
  const wrong = words.find((word) => !from.includes(word));
  if (wrong === undefined) return words;
  throw new Error(`wanted --${name} with ${from.join(', ')}, got ${wrong}`);
}

function legend(): string {
  return [
    'Medians unless a line says otherwise; ratios are the median of those within each round, and below 1 is less than the peer.',
    'All run as they are shipped, before one authoritative server (Knot DNS) that has an address for every name; what is',
    'measured has one core, and the authoritative server and dnsperf share the other one. Asking for cached answers dnsperf goes',
    'first there (SCHED_RR, for all servers alike): its threads would put each other off otherwise, and measured would be dnsperf.',
    'Figures of a shared virtual machine move from run to run, ratios less.',
    '',
  ].join('\n');
}
