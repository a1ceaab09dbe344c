import type { ResolvedPresence } from '../core/takeover.ts';
import { writerOfText } from '../core/writer.ts';
import type { Bus } from '../system/bus.ts';
import type { Log } from '../system/log.ts';
import { readPlainFile } from '../system/plain-file.ts';
import { acceptsConnections } from '../system/unix-socket.ts';
import { watchFile } from '../system/watch.ts';

/** Far more than systemd-resolved lists. */
const MOST_LIST_BYTES = 256 * 1024;

/** How long the bus may stay silent before systemd-resolved's own socket is asked instead. */
const SILENCE_MS = 1000;

/**
 * Follow whether systemd-resolved runs, by the owner of its bus name; tells at once and at every change, until the
 * returned function is called. While the bus is away the last known value stands: resolved does not stop with it.
 * The name is also ours while we stand in: `isOurs` knows the unique names of our own connections.
 */
export function watchResolved(
  bus: Bus,
  listener: (presence: ResolvedPresence) => void,
  isOurs: (owner: string) => boolean = () => false,
): () => void {
  let told: ResolvedPresence | undefined;
  const tell = (presence: ResolvedPresence): void => {
    if (presence === told) return;
    told = presence;
    listener(presence);
  };
  tell('unknown');
  return bus.onOwner('org.freedesktop.resolve1', (owner) => {
    if (owner !== undefined && !isOurs(owner)) tell('running');
    else if (bus.connected) tell('absent');
  });
}

/**
 * Wait until a systemd-resolved that has just started was told servers, so that who is sent to it gets answers; no longer
 * than `deadlineMs`, because there may be none. Its own list of servers tells.
 */
export async function resolvedHasServers(root: string, log: Log, deadlineMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const file = `${root}/run/systemd/resolve/resolv.conf`;
  const look = (): void => {
    // Whoever is systemd-resolved's user may have put a pipe there, which would hold us.
    const bytes = readPlainFile(file, MOST_LIST_BYTES, 'followed');
    const text = Buffer.isBuffer(bytes) ? bytes.toString('latin1') : '';
    // Before it has written its list for the first time, ours may still be there.
    if (/^nameserver /m.test(text) && writerOfText(text).program !== 'dnskeeper') resolve();
  };
  const watch = watchFile(file, look, log);
  const timer = setTimeout(resolve, deadlineMs);
  look();
  await promise;
  clearTimeout(timer);
  await watch.close();
}

/**
 * Follow systemd-resolved for the daemon: where no bus answers in time, resolved's varlink socket tells; a replay has no resolved.
 * `root` is the prefix of all paths.
 */
export function followResolved(
  bus: Bus | undefined,
  root: string,
  replaying: boolean,
  listener: (presence: ResolvedPresence) => void,
  isOurs?: (owner: string) => boolean,
): () => void {
  if (bus === undefined || replaying) {
    listener('absent');
    return () => {};
  }
  let known = false;
  const timer = setTimeout(async () => {
    const running = await acceptsConnections(`${root}/run/systemd/resolve/io.systemd.Resolve`, 1000);
    if (!known) listener(running ? 'running' : 'absent');
  }, SILENCE_MS);
  const tell = (presence: ResolvedPresence): void => {
    known = presence !== 'unknown';
    if (known) clearTimeout(timer);
    listener(presence);
  };
  const stop = watchResolved(bus, tell, isOurs);
  return () => {
    clearTimeout(timer);
    stop();
  };
}
