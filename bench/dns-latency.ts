import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DnsOptions } from './dns-options.ts';
import { type Program, startAll, ZONE } from './dns-programs.ts';
import { dnsperf } from './dnsperf.ts';
import { median, quantile } from './measurement.ts';

/** What a way to the authoritative server adds over asking it directly, in milliseconds. */
export interface Added {
  readonly name: string;
  readonly median: number;
  readonly p99: number;
}

/** So many questions a second, hardly ever two at once: a machine that is awake but not loaded. */
const PER_SECOND = 400;

/** dnsperf sleeps for a tenth of a second once it has so many, which would be the pace then. */
const OUTSTANDING = 20;

/** Fewer say nothing about one of a hundred. */
const LEAST = 100;

/**
 * The latency that a forwarder adds to names nobody asked for before: each round asks the authority itself and then every
 * forwarder, and compares within the round.
 */
export async function addedLatency(options: DnsOptions): Promise<readonly Added[]> {
  await using held = new AsyncDisposableStack();
  const { authority, servers } = await startAll(options.servers, options.folder, held);
  for (const server of servers) await latencies(server, options, 'warm');
  const added = servers.map((): { median: number; p99: number }[] => []);
  for (let round = 0; round < options.rounds; round++) {
    const direct = await latencies(authority, options, `round${round}`);
    for (let turn = 0; turn < servers.length; turn++) {
      const index = (turn + round) % servers.length;
      const server = servers[index];
      if (server === undefined) continue;
      const through = await latencies(server, options, `round${round}`);
      added[index]?.push({
        median: median(through) - median(direct),
        p99: quantile(through, 0.99) - quantile(direct, 0.99),
      });
    }
  }
  return servers.map(({ name }, index) => ({
    name,
    median: median((added[index] ?? []).map((one) => one.median)),
    p99: median((added[index] ?? []).map((one) => one.p99)),
  }));
}

/** Milliseconds that each answer took. */
async function latencies(
  { name, port }: Program,
  { folder, seconds }: DnsOptions,
  label: string,
): Promise<number[]> {
  const count = PER_SECOND * seconds;
  const names = join(folder, `latency-${label}`);
  writeFileSync(names, Array.from({ length: count }, (_, i) => `late-${label}-${i}.${ZONE} A\n`).join(''));
  const how = ['-q', String(OUTSTANDING), '-v', '-n', '1', '-l', String(seconds), '-Q', String(PER_SECOND)];
  const text = await dnsperf(port, names, how);
  const times = [...text.matchAll(/^> NOERROR \S+ A ([\d.]+)$/gm)].map((match) => Number(match[1]) * 1000);
  // On a busy machine fewer come to be asked; each that was has to be answered.
  const asked = Number(/Queries sent:\s+(\d+)/.exec(text)?.[1]);
  if (times.length !== asked || asked < LEAST)
    throw new Error(`${name} answered ${times.length} of ${asked}:\n${text}`);
  return times;
}
