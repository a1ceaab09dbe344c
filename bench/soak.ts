/**
 * `npm run soak [-- --minutes 30 --queries 20000000 --switch 2 --silence 0]`: load through the daemon as it is shipped, while
 * its links change all the while. A NetworkManager on a private bus has a cable, then a wireless network, then a VPN beside
 * them; each network's server has answers of its own. Every answer is checked against what may be true when it comes: between
 * two plans that of either, as soon as a name never asked before gets the new answer the new one alone. With --silence all
 * servers are held for so many milliseconds every 20 seconds. Prints a table; ends with 1 when anything was lost or wrong or
 * memory grew. Half an hour or more writes bench/results-soak.md.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connectPeer } from '../test/support/bus-peer.ts';
import { fakeNetworkManager } from '../test/support/fake-networkmanager.ts';
import { device, entry, idle } from '../test/support/networkmanager-objects.ts';
import { startPrivateBus } from '../test/support/private-bus.ts';
import { daemonLauncher, freePort, type Program, start, startAuthority } from './dns-programs.ts';
import { figures, median, megabytes, type Row } from './measurement.ts';
import { memoryOf, processorSeconds } from './process-facts.ts';
import { droppedAt, SoakClient, type Truth } from './soak-client.ts';
import { describeMachine, table } from './table.ts';

/** Names of everybody, and those of the office, which a VPN claims. */
const PUBLIC = 'public.example';
const OFFICE = 'office.example';

const SAMPLE_MS = 10_000;
/** Memory may still grow while caches fill; from this part of the run on it must not. */
const FILLED_PART = 1 / 4;
const MOST_GROWTH = 0.05;
const SETTLE_MS = 5000;
const SILENCE_EVERY_MS = 20_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    queries: { type: 'string', default: '20000000' },
    switch: { type: 'string', default: '2' },
    silence: { type: 'string', default: '0' },
  },
});
const minutes = positive('minutes');
const queries = positive('queries');
const switchSeconds = positive('switch');
const silenceMs = Number(values.silence);

await using held = new AsyncDisposableStack();
const folder = mkdtempSync(join(tmpdir(), 'dnskeeper-soak-'));
held.defer(() => rmSync(folder, { recursive: true, force: true }));
const networks = await startNetworks();
const bus = await startPrivateBus();
held.defer(() => bus.close());
const peer = await connectPeer(bus.address);
held.defer(() => peer.close());
const networkManager = fakeNetworkManager(peer);
await networkManager.appear(idle(), device({ number: 1, interface: 'eth0' }));
apply(0);
const daemon = await startDaemon();
const client = held.use(new SoakClient(daemon.port));
const truths = networks.states.map(({ truth }) => truth);
const resident: number[] = [];
const switching = { count: 0, slowestMs: 0, failed: '' };
const silences = { count: 0 };
const report = await soak();
process.stdout.write(`${report.text}\n`);
if (minutes >= 30)
  writeFileSync(
    join(import.meta.dirname, 'results-soak.md'),
    `# Results of \`npm run soak\`\n\n${report.text}`,
  );
process.exitCode = report.good ? 0 : 1;

function positive(name: keyof typeof values): number {
  const value = Number(values[name]);
  if (value > 0) return value;
  throw new Error(`wanted a number above 0 for --${name}, got ${values[name]}`);
}

interface Networks {
  readonly servers: readonly Program[];
  readonly states: readonly { readonly truth: Truth; readonly entries: readonly unknown[] }[];
}

/** A server for each network, and the states that the machine goes through. */
async function startNetworks(): Promise<Networks> {
  const [cable, wireless, vpn] = await Promise.all(
    [1, 2, 3].map(async (number) =>
      held.adopt(
        await startAuthority(folder, { [PUBLIC]: `192.0.2.${number}`, [OFFICE]: `198.51.100.${number}` }),
        (one) => one.close(),
      ),
    ),
  );
  const at = (one: Program | undefined): string[] => [`dns+udp://127.0.0.1:${one?.port}`];
  const tunnel = entry('tun0', at(vpn), { vpn: true, priority: 50, domains: [`~${OFFICE}`] });
  const state = (number: number, withVpn: boolean, entries: readonly unknown[]) => ({
    truth: { public: [192, 0, 2, number], office: [198, 51, 100, withVpn ? 3 : number] },
    entries,
  });
  return {
    servers: [cable, wireless, vpn].filter((one) => one !== undefined),
    states: [
      state(1, false, [entry('eth0', at(cable))]),
      state(2, false, [entry('wlan0', at(wireless))]),
      state(2, true, [entry('wlan0', at(wireless)), tunnel]),
      state(1, true, [entry('eth0', at(cable)), tunnel]),
    ],
  };
}

function apply(index: number): void {
  networkManager.configure(...(networks.states[index % networks.states.length]?.entries ?? []));
}

async function startDaemon(): Promise<Program> {
  const port = await freePort();
  const root = join(folder, 'root');
  mkdirSync(join(root, 'etc/dnskeeper'), { recursive: true });
  const text = `[resolver]\nlisten = ["dns+udp://127.0.0.1:${port}"]\n[log]\nlevel = "warn"\n`;
  writeFileSync(join(root, 'etc/dnskeeper/config.toml'), text);
  const command = ['env', `DBUS_SYSTEM_BUS_ADDRESS=${bus.address}`, await daemonLauncher(), '--root', root];
  return held.adopt(await start('dnskeeper', port, command, root, `ready.${PUBLIC}`), (one) => one.close());
}

async function soak(): Promise<{ readonly text: string; readonly good: boolean }> {
  const startedAt = performance.now();
  const processorBefore = processorSeconds(daemon.pid);
  const over = AbortSignal.timeout(minutes * 60_000);
  client.settled(truths[0] as Truth);
  const loading = client.load(queries, minutes * 60, PUBLIC, OFFICE);
  const others = [sample(over), ...(silenceMs > 0 ? [silence(over)] : [])];
  await switchLinks(over);
  await Promise.all(others);
  const counts = await loading;
  const seconds = (performance.now() - startedAt) / 1000;
  const processor = processorSeconds(daemon.pid) - processorBefore;
  return tell({ ...counts, seconds, processor });
}

async function sample(over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    resident.push(memoryOf(daemon.pid).resident);
    await pause(SAMPLE_MS, undefined, { signal: over }).catch(() => {});
  }
  resident.push(memoryOf(daemon.pid).resident);
}

async function silence(over: AbortSignal): Promise<void> {
  const tell = (signal: 'SIGSTOP' | 'SIGCONT'): void => {
    for (const { pid } of networks.servers) process.kill(pid, signal);
  };
  while (!over.aborted) {
    await pause(SILENCE_EVERY_MS, undefined, { signal: over }).catch(() => {});
    if (over.aborted) return;
    tell('SIGSTOP');
    await pause(silenceMs);
    tell('SIGCONT');
    silences.count++;
  }
}

async function switchLinks(over: AbortSignal): Promise<void> {
  while (!over.aborted && switching.failed === '') {
    await pause(switchSeconds * 1000, undefined, { signal: over }).catch(() => {});
    if (over.aborted) return;
    switching.count++;
    const truth = truths[switching.count % truths.length] as Truth;
    client.changing(truth);
    const since = performance.now();
    apply(switching.count);
    while (!(await client.tells(truth, PUBLIC, OFFICE)))
      if (performance.now() - since > SETTLE_MS) {
        switching.failed = `after switch ${switching.count} the old answers went on for ${SETTLE_MS} ms`;
        break;
      }
    client.settled(truth);
    switching.slowestMs = Math.max(switching.slowestMs, performance.now() - since);
  }
}

function tell(
  counts: Awaited<ReturnType<SoakClient['load']>> & { readonly seconds: number; readonly processor: number },
): { readonly text: string; readonly good: boolean } {
  const filled = resident.slice(Math.ceil(resident.length * FILLED_PART));
  const early = median(filled.slice(0, Math.ceil(filled.length / 3)));
  const late = median(filled.slice(-Math.ceil(filled.length / 3)));
  const growth = late / early - 1;
  const at = (part: number): string =>
    megabytes(resident[Math.floor((resident.length - 1) * part)] ?? Number.NaN);
  const second = resident[Math.min(resident.length - 1, 120_000 / SAMPLE_MS)] ?? Number.NaN;
  const row = (what: string, must: string, measured: string, reached: boolean): Row => ({
    ...{ what, must, measured, reached },
    ...{ peer: '', ratio: '' },
  });
  const sent = counts.sent.toLocaleString('en-US');
  const failures = [...counts.failures].map(([code, count]) => `${count} of code ${code}`).join(', ');
  const rows: Row[] = [
    row(
      `queries in ${figures(counts.seconds / 60)} minutes, ${Math.round(counts.sent / counts.seconds)} a second`,
      queries.toLocaleString('en-US'),
      sent,
      counts.sent >= queries,
    ),
    row(
      `switches of links, one every ${switchSeconds} s (slowest in force after ${Math.ceil(switching.slowestMs)} ms)`,
      'each in force',
      switching.failed === '' ? String(switching.count) : switching.failed,
      switching.count > 0 && switching.failed === '',
    ),
    row(
      `queries lost: no answer within 5 s (${droppedAt(daemon.port)} of them thrown away by the kernel before the daemon)`,
      '0',
      String(counts.lost),
      counts.lost === 0,
    ),
    ...(silenceMs > 0
      ? [row(`times that all servers were silent for ${silenceMs} ms`, '', String(silences.count), true)]
      : []),
    row('answers that were not true any more, or never', '0', String(counts.wrong), counts.wrong === 0),
    row('failures told', '0', failures === '' ? '0' : failures, failures === ''),
    row(
      `resident memory after 2 minutes ${megabytes(second)}, at half time ${at(0.5)}, at the end ${at(1)}; growth from the second to the last quarter`,
      `<= ${MOST_GROWTH * 100} %`,
      `${(growth * 100).toFixed(1)} %`,
      growth <= MOST_GROWTH,
    ),
    {
      ...row('CPU time per query', '', `${figures((counts.processor * 1e6) / counts.sent)} µs`, true),
    },
  ];
  const examples = counts.examples.map((example) => `- ${example}\n`).join('');
  const mix =
    '1,000 names again and again, 1 of 10 from 100,000 names, 1 of 20 never asked for before; half of them in a split domain.';
  return {
    text: `${describeMachine()} ${mix}\n\n${table(rows)}\n${examples === '' ? '' : `\n${examples}`}`,
    good: rows.every(({ reached }) => reached !== false),
  };
}
