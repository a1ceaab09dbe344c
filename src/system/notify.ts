import { messageOf } from '../core/errors.ts';
import type { Clock } from './clock.ts';
import type { Libc } from './libc.ts';
import type { Log } from './log.ts';

/** What a service tells its service manager (sd_notify(3)). Nothing is sent where nobody asked. */
export interface ServiceNotifier {
  /** Ready to serve. */
  ready(): void;
  stopping(): void;
  /** One line for `systemctl status`. */
  status(text: string): void;
  /** Have the service manager keep a copy of a descriptor and give it to the next process (FileDescriptorStoreMax=). */
  store(name: string, fd: number): void;
  /** Have it close all copies that it keeps under a name. */
  unstore(name: string): void;
  /** Ping the watchdog until the returned function is called, where the service manager wants pings. */
  watchdog(clock: Clock): () => void;
}

/** A notifier for the service manager that `env` names, if any. Trouble is logged, never thrown. */
export function serviceNotifier(
  env: Readonly<Record<string, string | undefined>>,
  libc: Libc | undefined,
  log: Log,
): ServiceNotifier {
  const send = sender(env['NOTIFY_SOCKET'], libc, log);
  return {
    ready: () => send('READY=1'),
    stopping: () => send('STOPPING=1'),
    // FDPOLL=0, or an error on the socket would have the copy closed.
    store: (name, fd) => send(`FDSTORE=1\nFDNAME=${name}\nFDPOLL=0`, [fd]),
    unstore: (name) => send(`FDSTOREREMOVE=1\nFDNAME=${name}`),
    status: (text) => send(`STATUS=${text.replace(/[^\x20-\x7e]/g, ' ').slice(0, 400)}`),
    watchdog: (clock) => ping(clock, watchdogMs(env), () => send('WATCHDOG=1')),
  };
}

function sender(
  socket: string | undefined,
  libc: Libc | undefined,
  log: Log,
): (text: string, descriptors?: readonly number[]) => void {
  if (socket === undefined || socket === '') return () => {};
  if (libc === undefined) {
    log.warn(
      { socket },
      'systemd waits for messages that cannot be sent, because the native library koffi is missing; reinstall dnskeeper',
    );
    return () => {};
  }
  let failed = false;
  return (text, descriptors) => {
    try {
      libc.notify(socket, text, descriptors);
      failed = false;
    } catch (error) {
      if (!failed) log.warn({ socket, error: messageOf(error) }, 'a message to systemd was not sent');
      failed = true;
    }
  };
}

/** Half of what the watchdog allows, as sd_watchdog_enabled(3) advises; undefined when it is meant for nobody or another process. */
function watchdogMs(env: Readonly<Record<string, string | undefined>>): number | undefined {
  const microseconds = Number(env['WATCHDOG_USEC']);
  if (!Number.isFinite(microseconds) || microseconds <= 0) return undefined;
  const pid = env['WATCHDOG_PID'];
  if (pid !== undefined && pid !== String(process.pid)) return undefined;
  return Math.max(1, Math.floor(microseconds / 2000));
}

function ping(clock: Clock, ms: number | undefined, send: () => void): () => void {
  if (ms === undefined) return () => {};
  let cancel = (): void => {};
  const next = (): void => {
    send();
    cancel = clock.after(ms, next);
  };
  next();
  return () => cancel();
}
