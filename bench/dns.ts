/**
 * `node bench/dns.ts [--rounds 5] [--seconds 4] [--servers dnskeeper,dnsmasq,unbound,plain]`: cached answers for 1,000
 * names, asked by dnsperf with 200 outstanding. All servers warm up from the same upstream server and then take turns,
 * so that whatever else the machine does meets all of them; compared is within a round. Servers run on the first core,
 * dnsperf on the second.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { responseTo } from '../src/resolver/message.ts';
import { readQuery } from '../src/resolver/message-read.ts';

const NAMES = 1000;
const OUTSTANDING = 200;
const TICKS_PER_SECOND = Number(spawnSync('getconf', ['CLK_TCK']).stdout.toString());

interface Measure {
  readonly queriesPerSecond: number;
  readonly cpuMicroseconds: number;
  readonly latencyMicroseconds: number;
  readonly lost: number;
}

interface Server {
  readonly name: string;
  readonly port: number;
  readonly process: ChildProcess;
  readonly measures: Measure[];
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    servers: { type: 'string', default: 'dnskeeper,dnsmasq,unbound' },
  },
});
const folder = mkdtempSync(join(tmpdir(), 'dnskeeper-bench-'));
const upstream = await startUpstream();
const servers: Server[] = [];
try {
  const names = join(folder, 'names');
  writeFileSync(names, Array.from({ length: NAMES }, (_, i) => `host${i}.bench.example A\n`).join(''));
  for (const name of values.servers.split(',')) servers.push(await startServer(name));
  for (const server of servers) for (let i = 0; i < 3; i++) await dnsperf(server, names, ['-n', '1']);
  for (let round = 0; round < Number(values.rounds); round++)
    for (const server of rotated(servers, round)) server.measures.push(await measure(server, names));
  report();
} finally {
  for (const server of servers) server.process.kill();
  await Promise.all(servers.map((server) => server.process.exitCode ?? once(server.process, 'exit')));
  upstream.close();
  rmSync(folder, { recursive: true });
}

function report(): void {
  const first = servers[0];
  console.log(
    'server                 queries/s   CPU µs/query   latency µs   lost   resident MB   CPU ratio (median of rounds)',
  );
  for (const { name, process, measures } of servers) {
    const column = (of: (measure: Measure) => number): number => median(measures.map(of));
    const ratio = median(
      measures.map((own, i) => (first?.measures[i]?.cpuMicroseconds ?? Number.NaN) / own.cpuMicroseconds),
    );
    console.log(
      [
        name.padEnd(20),
        column((m) => m.queriesPerSecond)
          .toFixed(0)
          .padStart(12),
        column((m) => m.cpuMicroseconds)
          .toFixed(2)
          .padStart(14),
        column((m) => m.latencyMicroseconds)
          .toFixed(0)
          .padStart(12),
        String(measures.reduce((sum, { lost }) => sum + lost, 0)).padStart(6),
        (residentKilobytes(process.pid ?? 0) / 1024).toFixed(0).padStart(13),
        `${first?.name} : ${name} = ${ratio.toFixed(2)}`.padStart(35),
      ].join(' '),
    );
  }
}

async function measure(server: Server, names: string): Promise<Measure> {
  const before = cpuTicks(server.process.pid ?? 0);
  const text = await dnsperf(server, names, ['-l', values.seconds]);
  const ticks = cpuTicks(server.process.pid ?? 0) - before;
  const number = (pattern: RegExp): number => Number(pattern.exec(text)?.[1]);
  const completed = number(/Queries completed:\s+(\d+)/);
  if (number(/NOERROR (\d+)/) !== completed) throw new Error(`${server.name} gave other answers:\n${text}`);
  return {
    queriesPerSecond: number(/Queries per second:\s+([\d.]+)/),
    cpuMicroseconds: ((ticks / TICKS_PER_SECOND) * 1e6) / completed,
    latencyMicroseconds: number(/Average Latency \(s\):\s+([\d.]+)/) * 1e6,
    lost: number(/Queries lost:\s+(\d+)/),
  };
}

async function dnsperf(server: Server, names: string, how: readonly string[]): Promise<string> {
  const fixed = ['-d', names, '-s', '127.0.0.1', '-p', String(server.port), '-q', String(OUTSTANDING)];
  const running = spawn('taskset', ['-c', '1', 'dnsperf', ...fixed, ...how], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [running.stdout, running.stderr]) stream.on('data', (part) => (text += part));
  const [code] = await once(running, 'close');
  if (code !== 0) throw new Error(`dnsperf ended with ${code}:\n${text}`);
  return text;
}

async function startServer(name: string): Promise<Server> {
  const port = await freePort();
  const child = spawn('taskset', ['-c', '0', ...commandOf(name, port)], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  child.on('error', (error) => console.error(`${name}: ${error.message}`));
  for (let tries = 0; !(await answers(port)); tries++)
    if (tries > 50 || child.exitCode !== null) throw new Error(`${name} does not answer; is it installed?`);
  return { name, port, process: child, measures: [] };
}

function commandOf(name: string, port: number): string[] {
  const from = String(upstream.address().port);
  if (name === 'dnskeeper' || name === 'plain')
    return [process.execPath, join(import.meta.dirname, 'dns-server.ts'), String(port), from, name];
  if (name === 'dnsmasq')
    return [
      'dnsmasq',
      ...['--keep-in-foreground', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--pid-file='],
      ...['--bind-interfaces', '--listen-address=127.0.0.1', '--cache-size=10000', '--user=root'],
      ...[`--server=127.0.0.1#${from}`, `--port=${port}`],
    ];
  if (name !== 'unbound') throw new Error(`wanted dnskeeper, plain, dnsmasq or unbound, got ${name}`);
  const file = join(folder, 'unbound.conf');
  writeFileSync(file, unboundConfiguration(port, from));
  return ['unbound', '-d', '-p', '-c', file];
}

function unboundConfiguration(port: number, from: string): string {
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
  msg-cache-size: 16m
  rrset-cache-size: 16m
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@${from}
`;
}

/** A server that has one address for every name. */
async function startUpstream() {
  const socket = createSocket('udp4');
  socket.on('message', (packet, { port, address }) => {
    const reading = readQuery(packet, 'udp', 'full');
    if (!reading.ok) return;
    const answers = [{ type: 1, ttl: 86_400, data: Buffer.of(192, 0, 2, 1) }];
    socket.send(responseTo(reading.value, { rcode: 0, answers }), port, address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

/** Whether somebody answers a question within 200 ms. */
async function answers(port: number): Promise<boolean> {
  const socket = createSocket('udp4');
  const query = Buffer.from(
    '00010100000100000000000005686f7374300562656e6368076578616d706c650000010001',
    'hex',
  );
  try {
    socket.send(query, port, '127.0.0.1');
    await once(socket, 'message', { signal: AbortSignal.timeout(200) });
    return true;
  } catch {
    return false;
  } finally {
    socket.close();
  }
}

/** User and system time of all threads (proc_pid_stat(5)). */
function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

function residentKilobytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

function rotated<T>(list: readonly T[], by: number): T[] {
  return list.map((_, i) => list[(i + by) % list.length] as T);
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
