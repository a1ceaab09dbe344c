import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { until } from '../test/support/until.ts';
import type { DnsOptions } from './dns-options.ts';
import { addressQuery, type Program, startAuthority, startForwarder, ZONE } from './dns-programs.ts';
import { median } from './measurement.ts';

/** How long questions took, in milliseconds, while one of two servers was silent. */
export interface Waited {
  readonly name: string;
  /** The first question to a forwarder whose first server never spoke. */
  readonly firstOfAll: number;
  /** The first question after the server in use fell silent. */
  readonly firstAfter: number;
  /** The questions after those, of all rounds. */
  readonly later: readonly number[];
}

const ROUNDS = 3;
const LATER = 40;
const LATER_PAUSE_MS = 50;

/**
 * Two servers, and one is silent: it takes packets and says nothing, as behind a firewall or on a stopped machine.
 * Names are new each time. The client repeats its question after five seconds, as glibc does (resolv.conf(5), `timeout`).
 */
export async function deadServer(options: DnsOptions): Promise<readonly Waited[]> {
  const waited: Waited[] = [];
  for (const name of options.servers) {
    const rounds: { firstOfAll: number; firstAfter: number; later: number[] }[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const never = await silentFromStart(name, options);
      const fell = await silentInUse(name, options);
      rounds.push({
        firstOfAll: never.first,
        firstAfter: fell.first,
        later: [...never.later, ...fell.later],
      });
    }
    waited.push({
      name,
      firstOfAll: median(rounds.map((one) => one.firstOfAll)),
      firstAfter: median(rounds.map((one) => one.firstAfter)),
      later: rounds.flatMap((one) => one.later),
    });
  }
  return waited;
}

interface Times {
  readonly first: number;
  readonly later: number[];
}

async function silentFromStart(name: DnsOptions['servers'][number], { folder }: DnsOptions): Promise<Times> {
  await using held = new AsyncDisposableStack();
  const silent = createSocket('udp4').bind(0, '127.0.0.1');
  held.defer(() => void silent.close());
  await once(silent, 'listening');
  const second = held.adopt(await startAuthority(folder), (program) => program.close());
  const servers = [silent.address().port, second.port];
  const forwarder = held.adopt(await startForwarder(name, folder, servers, true), (one) => one.close());
  return await times(forwarder);
}

async function silentInUse(name: DnsOptions['servers'][number], { folder }: DnsOptions): Promise<Times> {
  await using held = new AsyncDisposableStack();
  const first = held.adopt(await startAuthority(folder, { [ZONE]: '192.0.2.1' }), (one) => one.close());
  const second = held.adopt(await startAuthority(folder, { [ZONE]: '192.0.2.2' }), (one) => one.close());
  const servers = [first.port, second.port];
  const forwarder = held.adopt(await startForwarder(name, folder, servers), (one) => one.close());
  for (let i = 1; i < LATER; i++) await ask(forwarder.port);
  // Not every forwarder keeps to the first.
  const inUse = (await ask(forwarder.port)).lastByte === 2 ? second : first;
  process.kill(inUse.pid, 'SIGSTOP');
  await until(() => stands(inUse.pid), 'the server stands still');
  return await times(forwarder);
}

/** Whether all threads of a process are stopped (proc_pid_stat(5)); it takes a moment. */
const stands = (pid: number): boolean =>
  readdirSync(`/proc/${pid}/task`).every((thread) =>
    /\) T /.test(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')),
  );

async function times({ port }: Program): Promise<Times> {
  const first = (await ask(port)).ms;
  const later: number[] = [];
  for (let i = 0; i < LATER; i++) {
    await pause(LATER_PAUSE_MS);
    later.push((await ask(port)).ms);
  }
  return { first, later };
}

const REPEAT_MS = 5000;
const ENOUGH_MS = 20_000;
let asked = 0;

interface Asked {
  /** Until a new name's address is there; infinite when the client gave up or was told of a failure. */
  readonly ms: number;
  /** Of the address, which tells whose it is. */
  readonly lastByte: number | undefined;
}

async function ask(port: number): Promise<Asked> {
  const query = addressQuery(asked & 0xffff, `dead-${asked++}.${ZONE}`);
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const start = performance.now();
  const send = (): void => socket.send(query, port, '127.0.0.1');
  const repeat = setInterval(send, REPEAT_MS);
  try {
    send();
    const answered = once(socket, 'message', { signal: AbortSignal.timeout(ENOUGH_MS) });
    const [answer] = (await answered.catch(() => [])) as [Buffer?];
    const good = answer !== undefined && ((answer[3] ?? 0) & 15) === 0;
    return { ms: good ? performance.now() - start : Number.POSITIVE_INFINITY, lastByte: answer?.at(-1) };
  } finally {
    clearInterval(repeat);
    socket.close();
  }
}
