import type { ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundle } from '../scripts/bundle.ts';
import { end, hold } from '../test/lab/processes.ts';

/** A server that runs for a measurement, on loopback. */
export interface Program {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  close(): Promise<void>;
}

/** Names of the forwarding servers that can be started here. */
export const FORWARDERS = ['dnskeeper', 'dnsmasq', 'unbound'] as const;

/** One of them. */
export type Forwarder = (typeof FORWARDERS)[number];

/** What is under measurement has the first core for itself, those who ask and answer it share the second. */
export const CORE = { measured: '0', others: '1' };

/** Run a program on the core of those who ask. */
export const besideMeasured = (command: readonly string[]): readonly string[] => [
  'taskset',
  '-c',
  CORE.others,
  ...command,
];

/**
 * Run a program on that core, ahead of everything else there (sched(7), SCHED_RR) where we may. The two threads of dnsperf
 * put each other off at every answer otherwise, and from some 150,000 queries a second on it is dnsperf that is measured:
 * a loop in C that does nothing but answer gets no more out of it. Not for what the authoritative server has to answer too.
 */
export const aheadOfOthers = (command: readonly string[]): readonly string[] =>
  besideMeasured(process.getuid?.() === 0 ? ['chrt', '--rr', '1', ...command] : command);

/** The zone that `startAuthority` serves unless told otherwise; a name below it has one address, good for a day. */
export const ZONE = 'bench.example';

/** An authoritative server in C that knows every name below its zones, so that it is never what is waited for. */
export async function startAuthority(
  folder: string,
  zones: Readonly<Record<string, string>> = { [ZONE]: '192.0.2.1' },
): Promise<Program> {
  const port = await freePort();
  const own = join(folder, `knot-${port}`);
  const command = authorityCommand(own, `127.0.0.1@${port}`, zones);
  return start('knot', port, besideMeasured(command), own, `ready.${Object.keys(zones)[0]}`);
}

/** Make the folder of an authoritative server that listens at `address@port`; gives the command that starts it. */
export function authorityCommand(
  folder: string,
  listen: string,
  zones: Readonly<Record<string, string>>,
): readonly string[] {
  mkdirSync(folder);
  for (const [zone, address] of Object.entries(zones)) {
    const soa = `@ 86400 SOA ns.${zone}. hostmaster.${zone}. 1 3600 600 86400 300`;
    const records = [soa, `@ 86400 NS ns.${zone}.`, 'ns 86400 A 127.0.0.1', `* 86400 A ${address}`];
    writeFileSync(join(folder, zone), `$ORIGIN ${zone}.\n${records.join('\n')}\n`);
  }
  const file = join(folder, 'knot.conf');
  writeFileSync(file, knotConfiguration(folder, listen, Object.keys(zones)));
  return ['knotd', '-c', file];
}

/** An authoritative server and forwarders that ask it, all ended with `held`. */
export async function startAll(
  names: readonly Forwarder[],
  folder: string,
  held: AsyncDisposableStack,
): Promise<{ readonly authority: Program; readonly servers: readonly Program[] }> {
  const authority = held.adopt(await startAuthority(folder), (program) => program.close());
  const servers: Program[] = [];
  for (const name of names)
    servers.push(
      held.adopt(await startForwarder(name, folder, [authority.port]), (program) => program.close()),
    );
  return { authority, servers };
}

/**
 * A forwarding server that asks the servers on these ports of 127.0.0.1, in their order where it can be told one. A `cold`
 * one has asked none of them yet.
 */
export async function startForwarder(
  name: Forwarder,
  folder: string,
  servers: readonly number[],
  cold = false,
): Promise<Program> {
  const port = await freePort();
  const own = join(folder, `${name}-${port}`);
  mkdirSync(own);
  const command = await COMMANDS[name](own, port, servers);
  return start(name, port, ['taskset', '-c', CORE.measured, ...command], own, cold ? null : undefined);
}

/** A UDP port of 127.0.0.1 that nobody has now. */
export async function freePort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

/** A query for an address (RFC 1035 section 4), as bytes. */
export function addressQuery(id: number, name: string): Buffer {
  const labels = name.split('.').flatMap((label) => [Buffer.of(label.length), Buffer.from(label, 'latin1')]);
  const head = Buffer.from('000001000001000000000000', 'hex');
  head.writeUInt16BE(id, 0);
  return Buffer.concat([head, ...labels, Buffer.from('0000010001', 'hex')]);
}

type CommandMaker = (
  folder: string,
  port: number,
  servers: readonly number[],
) => Promise<readonly string[]> | readonly string[];

const COMMANDS: Readonly<Record<Forwarder, CommandMaker>> = {
  dnskeeper: async (folder, port, servers) => [
    await daemonLauncher(),
    '--root',
    daemonRoot(folder, `127.0.0.1:${port}`, servers),
  ],
  dnsmasq: (_, port, servers) => [
    'dnsmasq',
    ...['--keep-in-foreground', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--pid-file='],
    ...['--bind-interfaces', '--listen-address=127.0.0.1', '--cache-size=10000', '--user=root'],
    ...[`--port=${port}`, ...servers.map((server) => `--server=127.0.0.1#${server}`)],
  ],
  unbound: (folder, port, servers) => {
    const file = join(folder, 'unbound.conf');
    writeFileSync(file, unboundConfiguration(folder, port, servers));
    return ['unbound', '-d', '-p', '-c', file];
  },
};

let launcher: Promise<string> | undefined;

/** The daemon as the package has it: bundled, and started by the package's launcher with nothing changed but its folder. */
export function daemonLauncher(): Promise<string> {
  launcher ??= makeLauncher();
  return launcher;
}

async function makeLauncher(): Promise<string> {
  const root = join(import.meta.dirname, '..');
  const folder = join(root, 'dist/bench');
  await bundle(root, folder);
  const shipped = readFileSync(join(root, 'packaging/dnskeeperd'), 'utf8');
  const here = shipped
    .replaceAll('/usr/lib/dnskeeper/node ', `${process.execPath} `)
    .replaceAll('/usr/lib/dnskeeper/', `${folder}/`);
  if (here.includes('/usr/lib')) throw new Error('wanted a launcher whose folder can be replaced');
  const path = join(folder, 'dnskeeperd');
  writeFileSync(path, here);
  chmodSync(path, 0o755);
  return path;
}

/** A root folder for the daemon, with a configuration that listens at `listen` and asks those servers. */
function daemonRoot(folder: string, listen: string, servers: readonly number[]): string {
  mkdirSync(join(folder, 'etc/dnskeeper'), { recursive: true });
  const list = servers.map((port) => `"dns+udp://127.0.0.1:${port}"`).join(', ');
  const text = `[resolver]
listen = ["dns+udp://${listen}"]
[dns]
servers = [${list}]
[networkmanager]
enabled = false
[log]
level = "warn"
`;
  writeFileSync(join(folder, 'etc/dnskeeper/config.toml'), text);
  return folder;
}

function knotConfiguration(folder: string, listen: string, zones: readonly string[]): string {
  return `server:
  rundir: "${folder}"
  listen: ${listen}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
- target: stderr
  any: error
database:
  storage: "${folder}"
control:
  listen: "${folder}/knot.sock"
zone:
${zones.map((zone) => `- domain: ${zone}\n  file: "${folder}/${zone}"\n  zonefile-sync: -1\n  journal-content: none`).join('\n')}
`;
}

function unboundConfiguration(folder: string, port: number, servers: readonly number[]): string {
  return `server:
  interface: 127.0.0.1@${port}
  num-threads: 1
  do-daemonize: no
  chroot: ""
  username: ""
  directory: "${folder}"
  use-syslog: no
  verbosity: 0
  module-config: "iterator"
  do-not-query-localhost: no
  msg-cache-size: 64m
  rrset-cache-size: 64m
remote-control:
  control-enable: no
forward-zone:
  name: "."
${servers.map((server) => `  forward-addr: 127.0.0.1@${server}`).join('\n')}
`;
}

/** How often and how long each time a started server is asked whether it is there. */
const TRIES = 100;
const TRY_MS = 100;

/**
 * Start a program that serves a port of 127.0.0.1, and wait until it has an address for a name; with null until it says
 * anything at all, and has asked nobody yet. What it prints goes to `log` in the folder.
 */
export async function start(
  name: string,
  port: number,
  [program = '', ...words]: readonly string[],
  folder: string,
  ready: string | null = `ready.${ZONE}`,
): Promise<Program> {
  const log = join(folder, 'log');
  const child = hold(program, words, log);
  for (let tries = 0; !(await answers(port, ready)); tries++)
    if (tries > TRIES || child.exitCode !== null) {
      await end(child);
      throw new Error(`${name} does not answer; is it installed? ${readFileSync(log, 'utf8')}`);
    }
  return { name, port, pid: pidOf(child), close: () => end(child) };
}

const pidOf = (child: ChildProcess): number => child.pid ?? 0;

/** version.bind in the class CH, which no forwarder asks others for. */
const VERSION_QUERY = Buffer.from('0001010000010000000000000776657273696f6e0462696e640000100003', 'hex');

async function answers(port: number, ready: string | null): Promise<boolean> {
  const socket = createSocket('udp4');
  try {
    socket.send(ready === null ? VERSION_QUERY : addressQuery(1, ready), port, '127.0.0.1');
    const [answer] = (await once(socket, 'message', { signal: AbortSignal.timeout(TRY_MS) })) as [Buffer];
    return ready === null || (((answer[3] ?? 0) & 15) === 0 && answer.readUInt16BE(6) > 0);
  } catch {
    return false;
  } finally {
    socket.close();
  }
}
