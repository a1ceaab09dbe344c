import { closeSync, constants, openSync, statSync, writeSync } from 'node:fs';
import { connect, Socket } from 'node:net';
import { DnskeeperError, messageOf } from '../core/errors.ts';
import type { Clock } from './clock.ts';
import { wake } from './event-descriptor.ts';
import type { Libc } from './libc.ts';
import { POLL } from './libc-wait.ts';
import type { Log } from './log.ts';

/** Whoever wants to know when the machine's memory is short. */
export interface MemoryPressure {
  /** Why it cannot be known, though the service manager offers to tell. */
  readonly problem: string | undefined;
  close(): Promise<void>;
}

/** What the watch stands on. */
export interface MemoryPressureNeeds {
  /** MEMORY_PRESSURE_WATCH names the file, MEMORY_PRESSURE_WRITE what is to be written into it first, in base64. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly libc: Libc | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** Told again sooner, nobody can have done more yet. */
const QUIET_MS = 1000;

/**
 * Call `onPressure` whenever memory is short, as systemd tells its services (systemd.io/MEMORY_PRESSURE): by a pressure
 * stall file of the kernel, a FIFO or a Unix socket. Nothing is watched where the service manager says nothing.
 */
export function watchMemoryPressure(needs: MemoryPressureNeeds, onPressure: () => void): MemoryPressure {
  const { env, clock, log } = needs;
  const path = env['MEMORY_PRESSURE_WATCH'] ?? '';
  const none: MemoryPressure = { problem: undefined, close: () => Promise.resolve() };
  if (path === '' || path === '/dev/null') return none;
  let problem: string | undefined;
  let quietUntil = Number.NEGATIVE_INFINITY;
  const watching: Watching = {
    heard() {
      const now = clock.elapsed();
      if (now < quietUntil) return;
      quietUntil = now + QUIET_MS;
      onPressure();
    },
    lost(why) {
      problem = `A shortage of memory goes unnoticed: ${path}: ${why}.`;
      log.warn({ path }, problem);
    },
  };
  let close = none.close;
  try {
    close = open(path, Buffer.from(env['MEMORY_PRESSURE_WRITE'] ?? '', 'base64'), needs.libc, watching);
    log.debug({ path }, 'Memory pressure is watched.');
  } catch (error) {
    watching.lost(messageOf(error));
  }
  return {
    get problem() {
      return problem;
    },
    close: () => close(),
  };
}

/** What is told of a file under watch. */
interface Watching {
  heard(): void;
  lost(why: string): void;
}

type Close = () => Promise<void>;

function open(path: string, text: Buffer, libc: Libc | undefined, watching: Watching): Close {
  if (!path.startsWith('/')) throw new DnskeeperError('IO', 'wanted a whole path');
  const found = statSync(path);
  if (found.isSocket()) return followStream(connect(path), text, watching);
  if (found.isFIFO()) {
    // For writing too, or it would end with whoever writes to it. What we wrote ourselves we would read again.
    const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    return followStream(new Socket({ fd, writable: false }), Buffer.alloc(0), watching);
  }
  if (!found.isFile()) throw new DnskeeperError('IO', 'wanted a file of the kernel, a FIFO or a socket');
  if (libc === undefined) throw new DnskeeperError('IO', 'koffi is needed for it');
  const fd = openSync(path, (text.length > 0 ? constants.O_RDWR : constants.O_RDONLY) | constants.O_NONBLOCK);
  try {
    if (text.length > 0) writeSync(fd, text);
    return followStalls(fd, libc, watching);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Whatever arrives says that memory is short. */
function followStream(stream: Socket, text: Buffer, { heard, lost }: Watching): Close {
  let closing = false;
  const closed = new Promise<void>((resolve) => stream.once('close', () => resolve()));
  stream.on('data', heard);
  stream.on('error', (error) => lost(messageOf(error)));
  stream.on('end', () => {
    if (!closing) lost('nobody is on the other end any more');
  });
  if (text.length > 0) stream.write(text);
  stream.unref();
  return () => {
    closing = true;
    stream.destroy();
    return closed;
  };
}

/** A pressure stall file (kernel documentation, accounting/psi): it becomes ready with priority, once for each stall. */
function followStalls(fd: number, libc: Libc, { heard, lost }: Watching): Close {
  const wakeFd = libc.datagrams.wakeDescriptor();
  let closing = false;
  const wakeUp = (): void => wake(wakeFd);
  async function follow(): Promise<void> {
    while (!closing) {
      const [stalled = 0] = await libc.wait.ready([
        { fd, events: POLL.priority },
        { fd: wakeFd, events: POLL.in },
      ]);
      // The group of processes whose memory it is has gone, as when somebody moved us into another.
      if ((stalled & (POLL.error | POLL.hangUp | POLL.invalid)) !== 0)
        throw new DnskeeperError('IO', 'the kernel watches it no more');
      if ((stalled & POLL.priority) !== 0 && !closing) heard();
    }
  }
  const done = follow()
    .catch((error: unknown) => lost(messageOf(error)))
    .finally(() => {
      process.off('exit', wakeUp);
      closeSync(fd);
      closeSync(wakeFd);
    });
  // Node waits at its end for all threads of the pool, and this one waits in the kernel.
  process.on('exit', wakeUp);
  return async () => {
    if (closing) return;
    closing = true;
    try {
      wakeUp();
    } catch {
      // It is closed: the watch has ended by itself.
    }
    await done;
  };
}
