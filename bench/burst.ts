import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { bundle } from '../scripts/bundle.ts';
import { controlClient } from '../src/control/client.ts';
import type { StatusReport } from '../src/control/report.ts';
import { systemPaths } from '../src/system/paths.ts';
import { connectPeer } from '../test/support/bus-peer.ts';
import { type FakeNetworkManager, fakeNetworkManager } from '../test/support/fake-networkmanager.ts';
import { device, entry, idle } from '../test/support/networkmanager-objects.ts';
import { startPrivateBus } from '../test/support/private-bus.ts';
import { until } from '../test/support/until.ts';
import { figures, type Measurement, median, megabytes, type Row, ratio } from './measurement.ts';
import { memoryOf, processorSeconds } from './process-facts.ts';

const EVENTS = 10_000;
/** V8 grows its heap in steps while its compilers warm up, which takes about ten bursts; a leak would go on after that. */
const WARM = 10;
const BURSTS = 20;
/** After so many messages the bus gets its turn; more would only pile up in this process. */
const AT_ONCE = 100;
const MOST_WRITES = 40;
const MOST_GROWTH = 0.1;

/**
 * 10,000 changes of NetworkManager's DNS as fast as the bus takes them, several times over, each one another plan. Beside
 * the daemon dbus-monitor gets the same signals, which prints one line for each and keeps nothing.
 */
export const burst: Measurement = {
  name: 'burst',
  what: `${EVENTS} changes in a burst`,
  lab: false,
  async run() {
    await using held = new AsyncDisposableStack();
    const root = mkdtempSync(join(tmpdir(), 'dnskeeper-bench-'));
    held.defer(() => rmSync(root, { recursive: true, force: true }));
    mkdirSync(join(root, 'etc'));
    writeFileSync(join(root, 'etc/resolv.conf'), 'nameserver 203.0.113.1\n');
    const bus = await startPrivateBus();
    held.defer(() => bus.close());
    const peer = await connectPeer(bus.address);
    held.defer(() => peer.close());
    const networkManager = fakeNetworkManager(peer);
    await networkManager.appear(idle(), device({ number: 1, interface: 'eth0' }));
    const environment = { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: bus.address };
    const monitor = start('dbus-monitor', ['--address', bus.address, '--profile'], environment, held);
    const daemon = start(await builtDaemon(), ['--root', root], environment, held);
    const bursts: Burst[] = [];
    for (let number = 1; number <= BURSTS; number++)
      bursts.push(await oneBurst({ number, root, networkManager, daemon, monitor }));
    return rowsOf(bursts);
  },
};

interface Burst {
  readonly seconds: number;
  readonly writes: number;
  readonly ours: { readonly processor: number; readonly resident: number };
  readonly theirs: { readonly processor: number; readonly resident: number };
}

async function oneBurst(on: {
  readonly number: number;
  readonly root: string;
  readonly networkManager: FakeNetworkManager;
  readonly daemon: ChildProcess;
  readonly monitor: ChildProcess;
}): Promise<Burst> {
  const { number, root, networkManager } = on;
  const [daemon, monitor] = [on.daemon.pid ?? 0, on.monitor.pid ?? 0];
  await lists(root, networkManager, `10.${number}.255.1`);
  const before = {
    status: await statusOf(root),
    ours: processorSeconds(daemon),
    theirs: processorSeconds(monitor),
  };
  const start = performance.now();
  for (let i = 1; i < EVENTS; i++) {
    networkManager.configure(entry('eth0', [`10.${number}.${i >> 8}.${i & 255}`]));
    if (i % AT_ONCE === 0) await turn();
  }
  await lists(root, networkManager, `10.${number}.255.2`);
  const seconds = (performance.now() - start) / 1000;
  const after = await statusOf(root);
  return {
    seconds,
    writes: after.counters.writes - before.status.counters.writes,
    ours: { processor: processorSeconds(daemon) - before.ours, resident: memoryOf(daemon).resident },
    theirs: { processor: processorSeconds(monitor) - before.theirs, resident: memoryOf(monitor).resident },
  };
}

/** Say one server and wait until the file lists it alone. */
async function lists(root: string, networkManager: FakeNetworkManager, server: string): Promise<void> {
  networkManager.configure(entry('eth0', [server]));
  const { resolvConf } = systemPaths(root);
  await until(() => serversIn(resolvConf) === server, `${server} is in the file`, 60_000);
}

function serversIn(path: string): string | undefined {
  try {
    return [...readFileSync(path, 'utf8').matchAll(/^nameserver (.*)$/gm)].map((match) => match[1]).join(' ');
  } catch {
    return undefined; // not written yet
  }
}

const statusOf = (root: string): Promise<StatusReport> =>
  controlClient(systemPaths(root).socket, AbortSignal.timeout(10_000)).status();

/** The program as it is shipped, its launcher's settings included; below the repository, where it finds koffi. */
async function builtDaemon(): Promise<string> {
  const root = join(import.meta.dirname, '..');
  const folder = join(root, 'dist/bench');
  await bundle(root, folder);
  const launcher = readFileSync(join(root, 'packaging/dnskeeperd'), 'utf8')
    .replace('/usr/lib/dnskeeper/node ', `'${process.execPath}' `)
    .replace('/usr/lib/dnskeeper/dnskeeperd.mjs', `'${join(folder, 'dnskeeperd.mjs')}'`);
  writeFileSync(join(folder, 'dnskeeperd'), launcher, { mode: 0o755 });
  return join(folder, 'dnskeeperd');
}

function start(
  command: string,
  arguments_: readonly string[],
  env: NodeJS.ProcessEnv,
  held: AsyncDisposableStack,
): ChildProcess {
  const child = spawn(command, arguments_, { stdio: 'ignore', env });
  held.defer(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  });
  return child;
}

function rowsOf(bursts: readonly Burst[]): readonly Row[] {
  const [first, warm, last] = [bursts[0], bursts[WARM - 1], bursts.at(-1)];
  if (first === undefined || warm === undefined || last === undefined) throw new Error('there was no burst');
  const writes = Math.max(...bursts.map((one) => one.writes));
  const growth = last.ours.resident / warm.ours.resident - 1;
  const theirGrowth = last.theirs.resident / warm.theirs.resident - 1;
  const [ours, theirs] = [
    median(bursts.map((one) => one.ours.processor)),
    median(bursts.map((one) => one.theirs.processor)),
  ];
  return [
    {
      what: `${EVENTS} changes in a burst (${figures(median(bursts.map((one) => one.seconds)))} s until the last one is in the file): most writes`,
      must: `converges, <= ${MOST_WRITES} writes`,
      measured: `${writes} writes`,
      peer: `${EVENTS} changes sent`,
      ratio: ratio(writes, EVENTS),
      reached: writes <= MOST_WRITES,
    },
    {
      what: `growth of resident memory from burst ${WARM} to burst ${BURSTS} (${[first, warm, last].map((one) => megabytes(one.ours.resident)).join(', ')} after bursts 1, ${WARM}, ${BURSTS})`,
      must: `<= ${percent(MOST_GROWTH)}`,
      measured: percent(growth),
      peer: `${percent(theirGrowth)} (dbus-monitor on the same signals, ${megabytes(last.theirs.resident)})`,
      ratio: '-',
      reached: growth <= MOST_GROWTH,
    },
    {
      what: 'processor time for one burst',
      must: 'no goal',
      measured: `${figures(ours)} s`,
      peer: `${figures(theirs)} s (dbus-monitor --profile on the same signals)`,
      ratio: ratio(ours, theirs),
    },
  ];
}

const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;
