import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { besideMeasured, type Program } from './dns-programs.ts';
import { processorSeconds } from './process-facts.ts';

/** What one run of dnsperf showed of one server. */
export interface Load {
  readonly queriesPerSecond: number;
  /** All threads of the server, per query that was answered. */
  readonly cpuMicroseconds: number;
  readonly lost: number;
}

/** Load a server with dnsperf(1), run as `place` says, and count its CPU time. Every answer has to be NOERROR. */
export const load = (
  server: Program,
  names: string,
  how: readonly string[],
  place = besideMeasured,
): Promise<Load> => counted(server, () => dnsperf(server.port, names, how, place));

/** The same for a server that dnsperf is run against in some other way; `run` gives what it prints. */
export async function counted(
  server: Pick<Program, 'name' | 'pid'>,
  run: () => Promise<string>,
): Promise<Load> {
  const before = processorSeconds(server.pid);
  const text = await run();
  const seconds = processorSeconds(server.pid) - before;
  const number = (pattern: RegExp): number => Number(pattern.exec(text)?.[1]);
  const completed = number(/Queries completed:\s+(\d+)/);
  if (number(/NOERROR (\d+)/) !== completed) throw new Error(`${server.name} gave other answers:\n${text}`);
  return {
    queriesPerSecond: number(/Queries per second:\s+([\d.]+)/),
    cpuMicroseconds: (seconds * 1e6) / completed,
    lost: number(/Queries lost:\s+(\d+)/),
  };
}

/** Run dnsperf against a port of 127.0.0.1 on the core of those who ask; what it prints. */
export async function dnsperf(
  port: number,
  names: string,
  how: readonly string[],
  place = besideMeasured,
): Promise<string> {
  const fixed = ['dnsperf', '-d', names, '-s', '127.0.0.1', '-p', String(port)];
  const [program = '', ...words] = place([...fixed, ...how]);
  const running = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [running.stdout, running.stderr]) stream.on('data', (part) => (text += part));
  const [code] = await once(running, 'close');
  if (code !== 0) throw new Error(`dnsperf ended with ${code}:\n${text}`);
  return text;
}
