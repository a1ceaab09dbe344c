import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../support/until.ts';
import type { Machine } from './machine.ts';
import { PATIENCE_MS } from './patience.ts';
import { end, hold, run, succeed } from './processes.ts';
import { followQueryLog, type LoggedQuery } from './query-log.ts';

/** What an internet provider hands out. */
export interface NetworkOptions {
  /** Name of the link in the machine: `eth-a`. */
  readonly link: string;
  readonly ipv4?: AddressFamily;
  /** Router advertisements with RDNSS and DNSSL; without `ipv4` the network is IPv6 only. */
  readonly ipv6?: AddressFamily;
  readonly search?: readonly string[];
  /** Replace dnsmasq's DHCP by a server that sends these bytes per option number, however wrong they are. */
  readonly rawDhcp?: Readonly<Record<number, string>>;
  /** Names the provider's servers answer; all of them also answer `who.example` with the gateway's address. */
  readonly answers?: Readonly<Record<string, string>>;
  /** More arguments of its dnsmasq: `--cname=…`. */
  readonly dnsmasq?: readonly string[];
}

/** Addresses of one family. */
export interface AddressFamily {
  /** First part of the subnet: `10.20.0` (a /24) or `fd20::` (a /64). */
  readonly prefix: string;
  /** Servers that are handed out; those inside the subnet really answer. Default: the gateway. */
  readonly dns?: readonly string[];
}

/** A network the machine is plugged into. */
export interface Network {
  readonly link: string;
  /** The router's address: IPv4 where there is one. */
  readonly gateway: string;
  /** What its servers were asked since the last call. */
  takeQueries(): readonly LoggedQuery[];
  /** Host-side id of a process in the provider's network namespace. */
  readonly pid: number;
  /** Run a program of the host on the provider's side. */
  run(command: string, ...arguments_: string[]): Promise<string>;
  /** Start a program of the host on the provider's side; it ends with the network. */
  hold(command: string, arguments_: readonly string[], logFile: string): ChildProcess;
  /** Take the cable out, put it back in. */
  unplug(): Promise<void>;
  plug(): Promise<void>;
  close(): Promise<void>;
}

/** Plug the machine into a new network; NetworkManager inside brings the link up by itself. */
export async function addNetwork(machine: Machine, options: NetworkOptions): Promise<Network> {
  const folder = await mkdtemp(join(tmpdir(), `dk-${process.pid}-${options.link}-`));
  const held: ChildProcess[] = [];
  const close = async (): Promise<void> => {
    // The kernel takes a dead namespace apart in its own time; removed by hand, the link is gone when this returns.
    const provider = String(held[0]?.pid ?? 0);
    await run('nsenter', ['-t', provider, '-n', 'ip', 'link', 'delete', 'dev', 'uplink']);
    for (const child of held.toReversed()) await end(child);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const provider = hold('unshare', ['--net', 'sleep', 'infinity']);
    held.push(provider);
    const network = networkAt(await enteredNamespace(provider), options, held, folder, close);
    await prepareProvider(machine, network, options);
    network.hold('dnsmasq', serverArguments(options, folder), join(folder, 'output.log'));
    if (options.rawDhcp !== undefined) holdRawDhcp(network, options.rawDhcp, join(folder, 'output.log'));
    await until(
      () => readQuietly(join(folder, 'queries.log')).includes('started'),
      'dnsmasq serves',
      PATIENCE_MS,
    );
    await network.plug();
    return network;
  } catch (error) {
    const said = readQuietly(join(folder, 'output.log')) + readQuietly(join(folder, 'queries.log'));
    await close();
    throw new Error(`no network on ${options.link}: ${said}`, { cause: error });
  }
}

function holdRawDhcp(network: Network, options: Readonly<Record<number, string>>, log: string): void {
  const own = Object.fromEntries(
    Object.entries(options).map(([code, bytes]) => [code, Buffer.from(bytes, 'latin1').toString('hex')]),
  );
  const server = join(import.meta.dirname, 'dhcp-server.ts');
  network.hold(process.execPath, [server, network.gateway, JSON.stringify(own)], log);
}

/**
 * A program that changes its credentials, as dnsmasq does, loses the signal that ends it with us; the shell before it
 * does not, and takes its PID namespace along.
 */
const bounded = ['unshare', '--pid', '--fork', '--kill-child', 'sh', '-c', '"$@"; exit $?', 'sh'];

/** unshare needs a moment; before that the process still is in this machine's own namespace. */
async function enteredNamespace(provider: ChildProcess): Promise<number> {
  const pid = provider.pid ?? 0;
  await until(() => readQuietly(`/proc/${pid}/comm`).trim() === 'sleep', 'the namespace stands', PATIENCE_MS);
  return pid;
}

function networkAt(
  pid: number,
  options: NetworkOptions,
  held: ChildProcess[],
  folder: string,
  close: () => Promise<void>,
): Network {
  const inside = (command: string, ...arguments_: string[]): Promise<string> =>
    succeed('nsenter', ['-t', String(pid), '-n', command, ...arguments_]);
  const log = followQueryLog(join(folder, 'queries.log'));
  return {
    link: options.link,
    gateway: gatewayOf(options.ipv4 ?? options.ipv6),
    takeQueries: () => log.take(),
    pid,
    run: inside,
    hold(command, arguments_, logFile) {
      const child = hold('nsenter', ['-t', String(pid), '-n', ...bounded, command, ...arguments_], logFile);
      held.push(child);
      return child;
    },
    unplug: async () => void (await inside('ip', 'link', 'set', 'dev', 'uplink', 'down')),
    async plug() {
      await inside('ip', 'link', 'set', 'dev', 'uplink', 'up');
      await inside('ip', 'route', 'replace', '255.255.255.255', 'dev', 'uplink');
      // A link that goes down loses its IPv6 addresses.
      for (const address of ownAddresses(options))
        await inside('ip', 'address', 'replace', address, 'dev', 'uplink');
    },
    close,
  };
}

/** The cable is plugged in last, so that the machine's first question finds a server that answers. */
async function prepareProvider(machine: Machine, network: Network, options: NetworkOptions): Promise<void> {
  const peer = ['peer', 'name', network.link, 'netns', String(machine.pid)];
  await network.run('ip', 'link', 'set', 'lo', 'up');
  await network.run('ip', 'link', 'add', 'name', 'uplink', 'type', 'veth', ...peer);
  // Duplicate address detection would keep the router silent for its first second.
  await network.run('sysctl', '-qw', 'net.ipv6.conf.uplink.accept_dad=0');
  for (const address of ownAddresses(options)) {
    await network.run('ip', 'address', 'add', address, 'dev', 'uplink');
  }
}

function ownAddresses({ ipv4, ipv6 }: NetworkOptions): string[] {
  const inside = (family: AddressFamily | undefined, length: number): string[] =>
    family === undefined
      ? []
      : [...new Set([gatewayOf(family), ...(family.dns ?? [])])]
          .filter((address) => address.startsWith(family.prefix))
          .map((address) => `${address}/${length}`);
  return [...inside(ipv4, 24), ...inside(ipv6, 64)];
}

function gatewayOf(family: AddressFamily | undefined): string {
  if (family === undefined) throw new Error('a network needs ipv4 or ipv6');
  return family.prefix.endsWith(':') ? `${family.prefix}1` : `${family.prefix}.1`;
}

function serverArguments(options: NetworkOptions, folder: string): string[] {
  const { ipv4, ipv6, search = [], rawDhcp, answers = {}, dnsmasq = [] } = options;
  const given = (option: string, values: readonly string[]): string[] =>
    values.length === 0 ? [] : [`--dhcp-option-force=${option},${values.join(',')}`];
  return [
    ...[
      '--keep-in-foreground',
      '--conf-file=/dev/null',
      '--no-resolv',
      '--no-hosts',
      '--user=root',
      '--no-ping',
    ],
    ...['--interface=uplink', '--bind-dynamic', '--dhcp-authoritative', '--log-queries', '--local-ttl=3600'],
    ...[`--log-facility=${join(folder, 'queries.log')}`, `--dhcp-leasefile=${join(folder, 'leases')}`],
    ...[`--pid-file=${join(folder, 'pid')}`, ...dnsmasq],
    ...Object.entries({ 'who.example': gatewayOf(ipv4 ?? ipv6), ...answers }).map(
      ([name, address]) => `--address=/${name}/${address}`,
    ),
    ...(ipv4 === undefined || rawDhcp !== undefined
      ? []
      : [
          `--dhcp-range=${ipv4.prefix}.50,${ipv4.prefix}.150,255.255.255.0,1h`,
          ...given('option:dns-server', ipv4.dns ?? [gatewayOf(ipv4)]),
          ...given('option:domain-search', search),
        ]),
    ...(ipv6 === undefined
      ? []
      : [
          ...['--enable-ra', '--ra-param=uplink,4,1800', `--dhcp-range=${ipv6.prefix},ra-stateless,64,1h`],
          ...given(
            'option6:dns-server',
            (ipv6.dns ?? [gatewayOf(ipv6)]).map((address) => `[${address}]`),
          ),
          ...given('option6:domain-search', search),
        ]),
  ];
}

function readQuietly(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
