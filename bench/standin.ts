import { readFileSync, watch } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { type Suite, suites } from '../test/lab/debian.ts';
import { withoutAutomaticProfiles } from '../test/lab/dnskeeper.ts';
import { bootMachine, type Machine } from '../test/lab/machine.ts';
import { addNetwork } from '../test/lab/network.ts';
import { installPackage } from '../test/lab/package.ts';
import { succeed } from '../test/lab/processes.ts';
import { besideMeasured, CORE } from './dns-programs.ts';
import { pidOf } from './lab.ts';
import type { LookupLoad, LookupLoaded } from './lookup-client.ts';
import { figures, type Measurement, median, ms, type Row, ratio } from './measurement.ts';
import { processorSeconds } from './process-facts.ts';
import type { SettingsLoad, SettingsLoaded } from './settings-client.ts';

const ROUNDS = 5;
const SECONDS = 2;
const MANY_CLIENTS = 4;
const LINKS = 50;
const STATUS_CALLS = 15;
const SET_CALLS = 1000;

/**
 * What programs feel who ask systemd-resolved: names over varlink and D-Bus, `resolvectl status`, and settings pushed for
 * a link. Both run in one Debian as they are installed, one after the other in turns, because they have the same names and
 * sockets. Those who ask are the same small programs of this machine, let in by the sockets' paths; what is measured has
 * one core, and they have the other.
 */
export const standin: Measurement = {
  name: 'standin',
  what: 'the interfaces of systemd-resolved',
  lab: true,
  async run() {
    const rows: Row[] = [];
    for (const suite of suites) rows.push(...(await besideResolved(suite)));
    return rows;
  },
};

async function besideResolved(suite: Suite): Promise<readonly Row[]> {
  await using held = new AsyncDisposableStack();
  const machine = await bootMachine({ suite, name: 'bench-standin' });
  held.defer(() => machine.destroy());
  await withoutAutomaticProfiles(machine);
  await machine.ok('systemctl disable --now systemd-resolved && rm -f /etc/resolv.conf');
  await installPackage(machine);
  const names = Array.from({ length: 20 }, (_, index) => `n${index}.bench.example`);
  const network = await addNetwork(machine, {
    link: 'eth-a',
    ipv4: { prefix: '10.20.0' },
    answers: Object.fromEntries(names.map((name, index) => [name, `192.0.2.${index}`])),
  });
  held.defer(() => network.close());
  await machine.ok(
    'nmcli connection add type ethernet con-name bench ifname eth-a && nmcli connection up bench',
  );
  const turns = PEERS.map((name): Turns => ({ name, loads: new Map(), status: [], set: [] }));
  for (let round = 0; round < ROUNDS; round++)
    for (const turn of turns) {
      const pid = await hand(machine, turn.name);
      for (const how of HOWS) await load(machine, names, how, 0.5, pid);
      for (const how of HOWS) {
        const loaded = await load(machine, names, how, SECONDS, pid);
        turn.loads.set(how, [...(turn.loads.get(how) ?? []), loaded]);
      }
    }
  await machine.ok(
    `for n in $(seq ${LINKS}); do ip tuntap add many$n mode tun && ip link set many$n up || exit; done`,
  );
  for (let round = 0; round < 2; round++)
    for (const turn of turns) {
      await hand(machine, turn.name);
      for (let call = 0; call < STATUS_CALLS; call++) turn.status.push(await statusMs(machine));
      turn.set.push(await setLinks(machine, turn.name));
    }
  const [ours, theirs] = turns;
  if (ours === undefined || theirs === undefined) throw new Error('two take turns');
  return rowsOf(suite, ours, theirs);
}

const PEERS = ['dnskeeper', 'systemd-resolved'] as const;
type Peer = (typeof PEERS)[number];

interface Turns {
  readonly name: Peer;
  readonly loads: Map<How, readonly Loaded[]>;
  readonly status: number[];
  readonly set: SetLoaded[];
}

type How = (typeof HOWS)[number];
const HOWS = [
  { transport: 'varlink', clients: 1 },
  { transport: 'varlink', clients: MANY_CLIENTS },
  { transport: 'dbus', clients: 1 },
  { transport: 'dbus', clients: MANY_CLIENTS },
] as const;

/** Have one of the two take everything over; gives its main process, which has the first core from now on. */
async function hand(machine: Machine, to: Peer): Promise<number> {
  const verb = to === 'dnskeeper' ? 'stop' : 'start';
  await machine.ok(`systemctl reset-failed systemd-resolved; systemctl ${verb} systemd-resolved`);
  const process = to === 'dnskeeper' ? 'dnskeeperd' : 'systemd-resolve';
  const owner = `busctl status org.freedesktop.resolve1 | grep -q '^Comm=${process}'`;
  await machine.until(`${owner} && resolvectl query n0.bench.example`, `${to} answers`, 15_000);
  const pid = await pidOf(machine, to);
  await succeed('taskset', ['-acp', CORE.measured, String(pid)]);
  return pid;
}

interface Loaded extends LookupLoaded {
  readonly cpuMicroseconds: number;
}

async function load(
  machine: Machine,
  names: readonly string[],
  { transport, clients }: How,
  seconds: number,
  pid: number,
): Promise<Loaded> {
  const socket = machine.hostPath(transport === 'varlink' ? RESOLVE : SYSTEM_BUS);
  const before = processorSeconds(pid);
  const loaded: LookupLoaded = await client(machine, 'lookup-client.ts', {
    transport,
    socket,
    clients,
    seconds,
    names,
  } satisfies LookupLoad);
  return { ...loaded, cpuMicroseconds: ((processorSeconds(pid) - before) * 1e6) / loaded.calls };
}

const RESOLVE = '/run/systemd/resolve/io.systemd.Resolve';
const SYSTEM_BUS = '/run/dbus/system_bus_socket';

/**
 * Run one of the small programs on the core of those who ask; the line that it prints. systemd-resolved hangs up on a peer
 * that has no number in its own PID namespace.
 */
async function client<T>(machine: Machine, program: string, what: object): Promise<T> {
  const words = [process.execPath, `${import.meta.dirname}/${program}`, JSON.stringify(what)];
  const enter = ['-t', String(machine.pid), '-p', '--', ...besideMeasured(words)];
  return JSON.parse(await succeed('nsenter', enter, 120_000)) as T;
}

/** Inside, so that no entry into the machine is counted. */
async function statusMs(machine: Machine): Promise<number> {
  const [before = 0, after = 0] = (
    await machine.ok('date +%s%N; resolvectl --no-pager status > /run/bench-status; date +%s%N')
  )
    .split('\n')
    .map(Number);
  const listed = await machine.ok('grep -c "(many" /run/bench-status');
  if (Number(listed) !== LINKS) throw new Error(`resolvectl status lists ${listed} links`);
  return (after - before) / 1e6;
}

interface SetLoaded extends SettingsLoaded {
  /** How often the file that names all servers was replaced. */
  readonly writes: number;
}

/** Set another server on one link a thousand times, each call as soon as the one before is answered. */
async function setLinks(machine: Machine, peer: Peer): Promise<SetLoaded> {
  const file = peer === 'dnskeeper' ? '/run/dnskeeper/upstream.conf' : '/run/systemd/resolve/resolv.conf';
  const ifindex = Number(await machine.ok('cat /sys/class/net/many1/ifindex'));
  const folder = machine.hostPath(file.replace(/\/[^/]*$/, ''));
  let writes = 0;
  const watcher = watch(folder, (event, name) => {
    // A file that is replaced by a rename is told once for each.
    if (event === 'rename' && name === file.replace(/^.*\//, '')) writes++;
  });
  const loaded: SettingsLoaded = await client(machine, 'settings-client.ts', {
    socket: machine.hostPath(SYSTEM_BUS),
    ifindex,
    calls: SET_CALLS,
  } satisfies SettingsLoad);
  await machine.until(`resolvectl dns many1 | grep -qF '${loaded.last}'`, 'the last setting is in force');
  const text = (): string => readFileSync(machine.hostPath(file), 'utf8');
  // The file follows the answer, in systemd-resolved too.
  for (let tries = 0; !text().includes(loaded.last) && tries < 100; tries++) await pause(50);
  if (peer === 'dnskeeper' && !text().includes(loaded.last)) throw new Error(`${file} lacks ${loaded.last}`);
  watcher.close();
  await machine.ok('resolvectl revert many1');
  return { ...loaded, writes };
}

function rowsOf(suite: Suite, ours: Turns, theirs: Turns): readonly Row[] {
  const where = suite === 'bookworm' ? 'Debian 12 (systemd 252)' : 'Debian 13 (systemd 257)';
  const status = [median(ours.status), median(theirs.status)] as const;
  return [
    ...HOWS.flatMap((how) => lookupRows(where, how, ours.loads.get(how) ?? [], theirs.loads.get(how) ?? [])),
    {
      what: `${where}: \`resolvectl status\` with ${LINKS} links`,
      must: '<= 150 ms',
      measured: ms(status[0]),
      peer: `${ms(status[1])} (systemd-resolved)`,
      ratio: ratio(...status),
      reached: status[0] <= 150,
    },
    setRow(where, ours.set, theirs.set),
  ];
}

const NAMES = { varlink: 'varlink', dbus: 'D-Bus' } as const;

function lookupRows(
  where: string,
  { transport, clients }: How,
  ours: readonly Loaded[],
  theirs: readonly Loaded[],
): readonly Row[] {
  const of = (all: readonly Loaded[], what: (one: Loaded) => number): number => median(all.map(what));
  const rate = (one: Loaded): number => one.calls / one.seconds;
  const least = transport === 'varlink' ? 1 : 0.5;
  const gained = median(ours.map((one, index) => rate(one) / rate(theirs[index] ?? one)));
  const late = of(ours, (one) => one.median / 1000);
  const who = `${where}: ResolveHostname over ${NAMES[transport]}, cached, ${clients === 1 ? 'one client' : `${clients} clients`}`;
  const cpu = (all: readonly Loaded[]): string => `${figures(of(all, (one) => one.cpuMicroseconds))} µs`;
  return [
    {
      what: `${who}: calls a second`,
      must: `>= ${least} times the peer's`,
      measured: `${Math.round(of(ours, rate))} (${cpu(ours)} of CPU time each)`,
      peer: `${Math.round(of(theirs, rate))} (systemd-resolved; ${cpu(theirs)})`,
      ratio: figures(gained),
      reached: gained >= least,
    },
    {
      what: `${who}: time of a call (99th of 100: ${ms(of(ours, (one) => one.p99 / 1000))})`,
      must: '<= 2 ms',
      measured: ms(late),
      peer: `${ms(of(theirs, (one) => one.median / 1000))} (systemd-resolved)`,
      ratio: ratio(
        late,
        of(theirs, (one) => one.median / 1000),
      ),
      reached: late <= 2,
    },
  ];
}

function setRow(where: string, ours: readonly SetLoaded[], theirs: readonly SetLoaded[]): Row {
  const time = (all: readonly SetLoaded[]): number => median(all.map(({ milliseconds }) => milliseconds));
  const writes = (all: readonly SetLoaded[]): number => Math.max(...all.map((one) => one.writes));
  return {
    what: `${where}: ${SET_CALLS} SetLinkDNS in a row, the last in force`,
    must: `files written at most ${SET_CALLS} times`,
    measured: `${ms(time(ours))}, written ${writes(ours)} times`,
    peer: `${ms(time(theirs))}, written ${writes(theirs)} times (systemd-resolved)`,
    ratio: ratio(time(ours), time(theirs)),
    reached: writes(ours) <= SET_CALLS,
  };
}
