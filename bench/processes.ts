import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { withoutResolved } from '../test/lab/dnskeeper.ts';
import { bootMachine, type Machine } from '../test/lab/machine.ts';
import { addNetwork } from '../test/lab/network.ts';
import { installPackage } from '../test/lab/package.ts';
import { pidOf } from './lab.ts';
import { figures, type Measurement, median, megabytes, ms, type Row, ratio } from './measurement.ts';
import { memoryOf, processorSeconds } from './process-facts.ts';

const STARTS = 12;
const COMMANDS = 25;
const SETTLE_MS = 10_000;
const TEN_MINUTES = 600;

/**
 * The installed package in a machine with one network: start to the first file, what it costs while nothing happens, and
 * how long dnsctl takes. The peers do the same in the same machine: systemd-resolved is started in turns with ours and
 * writes its stub-resolv.conf, it and NetworkManager idle through the same seconds, resolvectl and nmcli run in turns.
 */
export const processes: Measurement = {
  name: 'processes',
  what: 'start, idle costs and dnsctl status of the installed package',
  lab: true,
  async run(options) {
    await using held = new AsyncDisposableStack();
    const machine = await bootMachine({ suite: 'bookworm', name: 'bench-processes' });
    held.defer(() => machine.destroy());
    await withoutResolved(machine, '# no servers\n');
    await installPackage(machine);
    const network = await addNetwork(machine, { link: 'eth-a', ipv4: { prefix: '10.20.0' } });
    held.defer(() => network.close());
    await machine.until(`grep -q '^nameserver 10.20.0.1$' ${OUR_FILE}`, 'the network is up', 30_000);
    return [
      await starts(machine),
      ...(await idle(machine, options.idleSeconds)),
      ...(await commands(machine)),
    ];
  },
};

const OUR_FILE = '/run/dnskeeper/resolv.conf';
const RESOLVED_FOLDER = '/run/systemd/resolve';

/**
 * From the exec of the main process, as systemd noted it, to the rename of the first file into its empty folder; and to
 * the first one that names NetworkManager's server, which has to be asked over the bus.
 */
async function starts(machine: Machine): Promise<Row> {
  const [ours, named, theirs]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < STARTS; round++) {
    await machine.ok('systemctl stop dnskeeper systemd-resolved; rm -f /run/dnskeeper/*.conf');
    const start = await oneStart(machine, 'dnskeeper', OUR_FILE, /^nameserver 10\.20\.0\.1$/m);
    ours.push(start.first);
    named.push(start.matching);
    await machine.ok('systemctl stop dnskeeper');
    await machine.ok(
      `install -d -o systemd-resolve -g systemd-resolve ${RESOLVED_FOLDER} && rm -f ${RESOLVED_FOLDER}/*.conf`,
    );
    const peer = await oneStart(machine, 'systemd-resolved', `${RESOLVED_FOLDER}/stub-resolv.conf`, /^/);
    theirs.push(peer.first);
  }
  await machine.ok(
    'systemctl stop systemd-resolved; systemctl reset-failed systemd-resolved; systemctl start dnskeeper',
  );
  return {
    what: `start of the daemon, exec to first file (${STARTS} starts, worst ${ms(Math.max(...ours))}; it names NetworkManager's servers after ${ms(median(named))})`,
    must: '<= 300 ms',
    measured: ms(median(ours)),
    peer: `${ms(median(theirs))} (systemd-resolved, exec to stub-resolv.conf)`,
    ratio: ratio(median(ours), median(theirs)),
    reached: median(ours) <= 300,
  };
}

async function oneStart(
  machine: Machine,
  unit: string,
  file: string,
  wanted: RegExp,
): Promise<{ readonly first: number; readonly matching: number }> {
  const path = machine.hostPath(file);
  if (existsSync(path)) throw new Error(`${file} is there before ${unit} starts`);
  const [first, matching] = [Promise.withResolvers<number>(), Promise.withResolvers<number>()];
  const folder = watch(dirname(path), () => {
    const now = Number(process.hrtime.bigint()) / 1e6;
    if (!existsSync(path)) return;
    first.resolve(now);
    if (wanted.test(readFileSync(path, 'utf8'))) matching.resolve(now);
  });
  try {
    // systemd refuses a service that is started too often.
    await machine.ok(`systemctl reset-failed ${unit}; systemctl start ${unit}`);
    const ends = await Promise.race([Promise.all([first.promise, matching.promise]), pause(10_000)]);
    if (ends === undefined) throw new Error(`${unit} wrote no ${file} with ${wanted}`);
    // systemd and Node read the same clock (CLOCK_MONOTONIC).
    const microseconds = await machine.ok(`systemctl show -P ExecMainStartTimestampMonotonic ${unit}`);
    const [firstAt, matchingAt] = ends.map((end) => end - Number(microseconds) / 1000);
    return { first: firstAt ?? Number.NaN, matching: matchingAt ?? Number.NaN };
  } finally {
    folder.close();
  }
}

/** All three through the same seconds, with nothing going on. */
async function idle(machine: Machine, seconds: number): Promise<readonly Row[]> {
  await machine.ok('systemctl start systemd-resolved');
  await pause(SETTLE_MS);
  const pids = {
    ours: await pidOf(machine, 'dnskeeper'),
    networkManager: await pidOf(machine, 'NetworkManager'),
    resolved: await pidOf(machine, 'systemd-resolved'),
  };
  const before = each(pids, processorSeconds);
  await pause(seconds * 1000);
  const after = each(pids, processorSeconds);
  const memory = each(pids, memoryOf);
  const used = each(pids, (_, who) => ((after[who] - before[who]) * TEN_MINUTES) / seconds);
  const peers = (of: (who: 'networkManager' | 'resolved') => string): string =>
    `NetworkManager ${of('networkManager')}, systemd-resolved ${of('resolved')}`;
  return [
    {
      what: 'resident memory, idle (RSS)',
      must: '<= 80 MB',
      measured: megabytes(memory.ours.resident),
      peer: peers((who) => megabytes(memory[who].resident)),
      ratio: ratios(memory.ours.resident, memory.networkManager.resident, memory.resolved.resident),
      reached: memory.ours.resident <= 80e6,
    },
    {
      what: 'the same with shared pages shared out (PSS)',
      must: 'no goal',
      measured: megabytes(memory.ours.proportional),
      peer: peers((who) => megabytes(memory[who].proportional)),
      ratio: ratios(
        memory.ours.proportional,
        memory.networkManager.proportional,
        memory.resolved.proportional,
      ),
    },
    {
      what: `processor time, idle, ${seconds === TEN_MINUTES ? 'ten minutes' : `${seconds} s scaled to ten minutes`}`,
      must: '< 0.1 s',
      measured: `${figures(used.ours)} s`,
      peer: peers((who) => `${figures(used[who])} s`),
      ratio: ratios(used.ours, used.networkManager, used.resolved),
      reached: used.ours < 0.1,
    },
  ];
}

const ratios = (ours: number, ...theirs: readonly number[]): string =>
  theirs.map((one) => ratio(ours, one)).join(', ');

type Who = 'ours' | 'networkManager' | 'resolved';

const each = <T>(
  pids: Readonly<Record<Who, number>>,
  of: (pid: number, who: Who) => T,
): Readonly<Record<Who, T>> => ({
  ours: of(pids.ours, 'ours'),
  networkManager: of(pids.networkManager, 'networkManager'),
  resolved: of(pids.resolved, 'resolved'),
});

/** Whole processes in turns, the entry into the machine's namespaces included for each. */
async function commands(machine: Machine): Promise<readonly Row[]> {
  const lines = [
    ['dnsctl', 'status'],
    ['resolvectl', 'status'],
    ['nmcli', 'device', 'show'],
  ];
  const times = lines.map((): number[] => []);
  for (let round = 0; round <= COMMANDS; round++)
    for (const [index, line] of lines.entries()) {
      const took = await oneCommand(machine, line);
      if (round > 0) times[index]?.push(took); // the first of each reads its files from the disk
    }
  const [ours = Number.NaN, resolvectl = Number.NaN, nmcli = Number.NaN] = times.map(median);
  return [
    {
      what: `dnsctl status, whole process (${COMMANDS} runs, worst ${ms(Math.max(...(times[0] ?? [])))})`,
      must: '<= 100 ms',
      measured: ms(ours),
      peer: `resolvectl status ${ms(resolvectl)}, nmcli device show ${ms(nmcli)}`,
      ratio: ratios(ours, resolvectl, nmcli),
      reached: ours <= 100,
    },
  ];
}

async function oneCommand(machine: Machine, line: readonly string[]): Promise<number> {
  const start = performance.now();
  const child = spawn('nsenter', ['-t', String(machine.pid), '-a', '--', ...line], { stdio: 'ignore' });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${line.join(' ')} ended with ${code}`);
  return performance.now() - start;
}
