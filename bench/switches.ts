import { type ChildProcess, spawn } from 'node:child_process';
import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { withoutAutomaticProfiles, withoutResolved } from '../test/lab/dnskeeper.ts';
import { bootMachine, type Machine } from '../test/lab/machine.ts';
import { addNetwork } from '../test/lab/network.ts';
import { installPackage } from '../test/lab/package.ts';
import { addVpnProfile, addVpnServer } from '../test/lab/vpn.ts';
import { parseResolvConf } from '../test/support/parse-resolv-conf.ts';
import { until } from '../test/support/until.ts';
import { type Measurement, median, ms, quantile, type Row, ratio } from './measurement.ts';

const MOST_MEDIAN = 10;
const MOST_WORST = 100;

/**
 * Real switches of profiles by nmcli: from the moment NetworkManager's own file names the new servers to the moment ours
 * does. The folders are watched from outside by inotify; each file is read at each event.
 *
 * NetworkManager 1.42 on Debian works in this order, as strace shows: it calls systemd-resolved, renames its private copy
 * (no-stub-resolv.conf), runs `resolvconf -a` and waits for it, renames its own file (resolv.conf), and then tells the bus.
 * So the delay counts from its own file, and a second line counts from the private copy. Peers: dbus-monitor, which prints
 * a line when the signal arrives and does nothing else, shows how soon anybody on the bus can know; systemd-resolved is
 * off (what we are made for) and on (then we only publish) in turns of eight switches, and is called before the rest.
 */
export const switches: Measurement = {
  name: 'switches',
  what: "from NetworkManager's file to ours, real profile switches",
  lab: true,
  async run(options) {
    await using held = new AsyncDisposableStack();
    const machine = await bootMachine({ suite: 'bookworm', name: 'bench-switches' });
    held.defer(() => machine.destroy());
    const steps = await prepare(machine, held);
    const folders = new WatchedFiles(machine);
    held.defer(() => folders.close());
    const signals = new Signals(machine);
    held.defer(() => signals.close());
    const moments: Moments[] = [];
    for (let count = 0; count < 2 * options.switches; count++) {
      const beside = Math.floor(count / TURN) % 2 === 1;
      if (count % TURN === 0) await turnResolved(machine, beside, folders);
      const step = steps[count % steps.length];
      if (step !== undefined) moments.push(await oneSwitch(machine, step, beside, folders, signals));
    }
    return rowsOf(moments);
  },
};

const TURN = 8;
const BETWEEN_MS = 400;

/** When each of them had the new servers in one switch. */
type Moments = Readonly<Partial<Record<Whose | 'signal', number>>>;

/** One thing a user does, and the servers that the plain file then lists, in order. */
interface Step {
  readonly command: string;
  readonly servers: readonly string[];
  /** What systemd-resolved lists, where it goes by other rules: only links that answer for every name. */
  readonly resolved?: readonly string[];
}

const FILES = {
  privateCopy: '/run/NetworkManager/no-stub-resolv.conf',
  networkManager: '/run/NetworkManager/resolv.conf',
  ours: '/run/dnskeeper/resolv.conf',
  resolved: '/run/systemd/resolve/resolv.conf',
} as const;

type Whose = keyof typeof FILES;

/** Two networks, two profiles on the first and one on the second, a tunnel; eight steps that end where they began. */
async function prepare(machine: Machine, held: AsyncDisposableStack): Promise<readonly Step[]> {
  // A server in the original file would be one of systemd-resolved's own once it is handed back.
  await withoutResolved(machine, '# no servers\n');
  await withoutAutomaticProfiles(machine);
  await installPackage(machine);
  const first = await addNetwork(machine, { link: 'eth-a', ipv4: { prefix: '10.20.0' } });
  held.defer(() => first.close());
  const second = await addNetwork(machine, { link: 'eth-b', ipv4: { prefix: '10.30.0' } });
  held.defer(() => second.close());
  const vpn = await addVpnServer(first);
  held.defer(() => vpn.close());
  await addProfile(machine, 'cafe', 'eth-a', '10.20.0', ['10.20.0.1', '10.20.0.2'], 100);
  await addProfile(machine, 'office', 'eth-a', '10.20.0', ['10.20.0.3'], 100);
  await addProfile(machine, 'home', 'eth-b', '10.30.0', ['10.30.0.1'], 200);
  await addVpnProfile(machine, vpn, { name: 'tunnel', tunnel: 'full' });
  await machine.ok('nmcli connection up cafe');
  const [cafe, office, home] = [['10.20.0.1', '10.20.0.2'], ['10.20.0.3'], ['10.30.0.1']];
  return [
    { command: 'up office', servers: office },
    { command: 'up cafe', servers: cafe },
    { command: 'up home', servers: [...cafe, ...home] },
    { command: 'up office', servers: [...office, ...home] },
    { command: 'down home', servers: office },
    { command: 'up tunnel', servers: [vpn.dns, ...office], resolved: [vpn.dns] },
    { command: 'down tunnel', servers: office },
    { command: 'up cafe', servers: cafe },
  ];
}

async function addProfile(
  machine: Machine,
  name: string,
  link: string,
  net: string,
  servers: readonly string[],
  metric: number,
): Promise<void> {
  await machine.ok(
    `nmcli connection add type ethernet con-name ${name} ifname ${link} connection.autoconnect no ` +
      `ipv4.method manual ipv4.addresses ${net}.77/24 ipv4.gateway ${net}.1 ipv4.route-metric ${metric} ` +
      `ipv4.dns '${servers.join(' ')}' ipv6.method disabled`,
  );
}

async function turnResolved(machine: Machine, on: boolean, files: WatchedFiles): Promise<void> {
  await machine.ok(`systemctl ${on ? 'start' : 'stop'} systemd-resolved`);
  const state = on ? 'resolved' : 'held';
  await machine.until(`dnsctl status --json | grep -q '"state": "${state}"'`, `the link is ${state}`, 20_000);
  files.watchAgain();
}

async function oneSwitch(
  machine: Machine,
  step: Step,
  beside: boolean,
  files: WatchedFiles,
  signals: Signals,
): Promise<Moments> {
  const whose = (Object.keys(FILES) as Whose[]).filter((one) => beside || one !== 'resolved');
  // nmcli alone would switch ten times a second, which is a storm; no person does.
  await pause(BETWEEN_MS);
  files.expect(step);
  await machine.ok(`nmcli connection ${step.command}`, { timeoutMs: 60_000 });
  const all = (): boolean => whose.every((one) => files.reachedAt(one) !== undefined);
  await until(all, `all files name ${step.servers.join(' ')} after ${step.command}`, 15_000).catch(
    (error) => {
      throw new Error(whose.map((one) => files.describe(one)).join('\n'), { cause: error });
    },
  );
  const moments: Partial<Record<Whose | 'signal', number>> = {};
  for (const one of whose) moments[one] = files.reachedAt(one) ?? Number.NaN;
  const signal = signals.firstAfter(moments.privateCopy ?? Number.NaN);
  return signal === undefined ? moments : { ...moments, signal };
}

/** When NetworkManager told the bus about a change of its DNS. */
class Signals {
  readonly #child: ChildProcess;
  #times: readonly number[] = [];

  constructor(machine: Machine) {
    const rule = "type='signal',path='/org/freedesktop/NetworkManager/DnsManager',member='PropertiesChanged'";
    const monitor = ['dbus-monitor', '--system', '--profile', rule];
    this.#child = spawn('nsenter', ['-t', String(machine.pid), '-a', '--', ...monitor], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#child.stdout?.on('data', () => {
      this.#times = [...this.#times.slice(-8), performance.now()];
    });
  }

  firstAfter(time: number): number | undefined {
    return this.#times.find((one) => one >= time);
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}

/** The three files and when each began to name the servers that are waited for, and went on doing so. */
class WatchedFiles {
  readonly #machine: Machine;
  #watches: FSWatcher[] = [];
  #wanted: Readonly<Partial<Record<Whose, string>>> = {};
  #reached = new Map<Whose, number>();

  constructor(machine: Machine) {
    this.#machine = machine;
    this.watchAgain();
  }

  /** systemd removes a service's folder in /run when it stops. */
  watchAgain(): void {
    this.close();
    for (const whose of Object.keys(FILES) as Whose[]) this.#watch(whose);
  }

  expect({ servers, resolved = servers }: Step): void {
    const all = sorted(servers);
    this.#wanted = { privateCopy: all, networkManager: all, ours: all, resolved: sorted(resolved) };
    this.#reached = new Map();
  }

  reachedAt(whose: Whose): number | undefined {
    return this.#reached.get(whose);
  }

  /** What stands in a file now, for when it never names the servers. */
  describe(whose: Whose): string {
    return `${FILES[whose]}: ${serversIn(this.#machine.hostPath(FILES[whose])).join(' ')}`;
  }

  close(): void {
    for (const one of this.#watches) one.close();
    this.#watches = [];
  }

  #watch(whose: Whose): void {
    const path = this.#machine.hostPath(FILES[whose]);
    try {
      const look = (): void => this.#look(whose, path);
      this.#watches.push(watch(join(path, '..'), look).on('error', () => {}));
    } catch {
      // No such folder: the service has not run yet, or is off.
    }
  }

  #look(whose: Whose, path: string): void {
    const now = performance.now();
    if (sorted(serversIn(path)) !== this.#wanted[whose]) this.#reached.delete(whose);
    else if (!this.#reached.has(whose)) this.#reached.set(whose, now);
  }
}

/** The order is left out: NetworkManager 1.42 and systemd-resolved have orders of their own. */
const sorted = (servers: readonly string[]): string => servers.toSorted().join(' ');

function serversIn(path: string): readonly string[] {
  try {
    return parseResolvConf(readFileSync(path, 'utf8')).nameservers;
  } catch {
    return [];
  }
}

function rowsOf(all: readonly Moments[]): readonly Row[] {
  const alone = all.filter((one) => one.resolved === undefined);
  const beside = all.filter((one) => one.resolved !== undefined);
  const [ours, signal] = [delays(alone, 'networkManager', 'ours'), delays(alone, 'networkManager', 'signal')];
  const [late, called] = [delays(beside, 'privateCopy', 'ours'), delays(beside, 'privateCopy', 'resolved')];
  const resolvconf = delays(alone, 'privateCopy', 'networkManager');
  return [
    {
      what: `NetworkManager's own file to ours, ${ours.length} profile switches`,
      must: `median <= ${MOST_MEDIAN} ms, worst <= ${MOST_WORST} ms`,
      measured: summary(ours),
      peer: `${summary(signal)} (NetworkManager's signal reaches dbus-monitor)`,
      ratio: ratio(median(ours), median(signal)),
      reached: median(ours) <= MOST_MEDIAN && Math.max(...ours) <= MOST_WORST,
    },
    {
      what: `NetworkManager's private copy to ours, ${late.length} switches that systemd-resolved follows too; in between NetworkManager runs resolvconf(8), ${ms(median(resolvconf))}`,
      must: 'no goal',
      measured: summary(late),
      peer: `${summary(called)} (to the file of systemd-resolved, which NetworkManager calls first)`,
      ratio: ratio(median(late), median(called)),
    },
  ];
}

const delays = (all: readonly Moments[], from: keyof Moments, to: keyof Moments): readonly number[] =>
  all
    .map((one) => (one[to] ?? Number.NaN) - (one[from] ?? Number.NaN))
    .filter((delay) => !Number.isNaN(delay));

const summary = (values: readonly number[]): string =>
  `median ${ms(median(values))}, 95 % ${ms(quantile(values, 0.95))}, worst ${ms(Math.max(...values))}`;
