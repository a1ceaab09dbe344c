/**
 * `npm run bench:dns`: the resolver beside dnsmasq and unbound, in turns within one run. Needs knotd, unbound, dnsmasq,
 * dnsperf and two cores: what is measured has the first, dnsperf and the authoritative server share the second.
 * `--only cached,misses` picks measurements, `--rounds` and `--seconds` say how often and how long each
 * server is loaded, `--servers dnskeeper` leaves peers out.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cachedLoad, type Loaded, missLoad, ratioTo } from './dns-load.ts';
import type { DnsOptions } from './dns-options.ts';
import { FORWARDERS, type Forwarder } from './dns-programs.ts';
import { figures, median } from './measurement.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'cached,misses' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    servers: { type: 'string', default: FORWARDERS.join(',') },
  },
});
const folder = mkdtempSync(join(tmpdir(), 'dnskeeper-bench-'));
const options: DnsOptions = {
  servers: values.servers.split(',') as Forwarder[],
  rounds: Number(values.rounds),
  seconds: Number(values.seconds),
  folder,
};
try {
  for (const only of values.only.split(',')) {
    console.log(only);
    show(only === 'cached' ? await cachedLoad(options) : await missLoad(options));
  }
} finally {
  rmSync(folder, { recursive: true });
}

function show(all: readonly Loaded[]): void {
  const [ours] = all;
  console.log('server        queries/s   CPU µs/query   lost   resident MB   ours/its CPU   ours/its rate');
  for (const one of all) {
    const column = (of: (load: Loaded['rounds'][number]) => number): number => median(one.rounds.map(of));
    const cells = [
      one.name.padEnd(11),
      column((load) => load.queriesPerSecond)
        .toFixed(0)
        .padStart(11),
      figures(column((load) => load.cpuMicroseconds)).padStart(14),
      String(one.rounds.reduce((sum, { lost }) => sum + lost, 0)).padStart(6),
      (one.resident / 1e6).toFixed(0).padStart(13),
      figures(ours === undefined ? Number.NaN : ratioTo(ours, one, (load) => load.cpuMicroseconds)).padStart(
        14,
      ),
      figures(ours === undefined ? Number.NaN : ratioTo(ours, one, (load) => load.queriesPerSecond)).padStart(
        15,
      ),
    ];
    console.log(cells.join(' '));
  }
}
