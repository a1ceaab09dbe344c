import { messageOf } from '../core/errors.ts';
import type { ListenAt, Listener, Reception } from '../resolver/listener.ts';
import type { Clock } from '../system/clock.ts';
import type { SocketStore } from '../system/listen-fds.ts';
import type { Log } from '../system/log.ts';

/** An address we listen on. */
export interface Place {
  readonly at: ListenAt;
  readonly listeners: readonly Listener[];
}

/** Addresses that come and go without losing what is asked there. */
export interface ListeningPlaces {
  /**
   * Listen on one more. New sockets come before those of `gone` go, unless they stand at the same place. Rejects with a
   * DnskeeperError when it cannot be had.
   */
  add(at: ListenAt, gone: readonly Place[]): Promise<Place>;
  /** Close an address; once for each place. Never rejects. */
  close(place: Place): Promise<void>;
  /** Those on their way out. */
  closing(): Iterable<Place>;
  /** All of those are closed. */
  allClosed(): Promise<void>;
  /** From now on a file may name this host. */
  offer(host: string | undefined): void;
  /** The files are written and name this host; `offered` may be named by the next ones. */
  filesName(host: string | undefined, offered: string | undefined): void;
}

/** What they work with. */
export interface ListeningNeeds {
  readonly reception: Reception;
  readonly listen: (at: ListenAt, reception: Reception) => Promise<readonly Listener[]>;
  readonly sockets: SocketStore;
  /** Whether we end: then the service manager decides about sockets, which a restart keeps and a stop closes. */
  readonly atEnd: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** How long a socket stays open after the files have ceased to name it. */
  readonly lingerMs?: number;
}

/** Who has read the file just before it changed still asks. */
const LINGER_MS = 100;
/** Files that cannot be written must not keep systemd-resolved from its addresses. */
const UNNAMED_DEADLINE_MS = 500;
/** What is in flight when a socket closes gets so long to be answered. */
const DRAIN_MS = 300;

/** No address yet. */
export function listeningPlaces(needs: ListeningNeeds): ListeningPlaces {
  const { reception, sockets, clock, log, lingerMs = LINGER_MS } = needs;
  const closing = new Map<Place, Promise<void>>();
  /** Hosts that a file may name, because status did and no file has been written since that does not. */
  const offered = new Set<string>();
  /** Hosts that a file has named in this run. */
  const named = new Set<string>();
  const unnamedListeners = new Set<() => void>();

  function close(place: Place): Promise<void> {
    const running = closing.get(place);
    if (running !== undefined) return running;
    const done = retire(place)
      .catch((error: unknown) =>
        log.error({ host: place.at.host }, `A socket was not closed: ${messageOf(error)}`),
      )
      .finally(() => closing.delete(place));
    closing.set(place, done);
    return done;
  }

  /** First no file may send anybody here, then those go who have read it before, then what is in flight is answered. */
  async function retire({ at, listeners }: Place): Promise<void> {
    await unnamed(at.host);
    if (named.has(at.host) && lingerMs > 0)
      await new Promise<void>((done) => void clock.after(lingerMs, done));
    await Promise.all(listeners.map((listener) => listener.pause?.()));
    await reception.drained(AbortSignal.timeout(DRAIN_MS));
    await Promise.all(listeners.map((listener) => listener.close()));
    if (!needs.atEnd()) sockets.forget(at.host, at.port);
  }

  function unnamed(host: string): Promise<void> {
    return new Promise((resolve) => {
      if (!offered.has(host)) return resolve();
      const done = (): void => {
        unnamedListeners.delete(look);
        cancel();
        resolve();
      };
      const look = (): void => {
        if (!offered.has(host)) done();
      };
      const cancel = clock.after(UNNAMED_DEADLINE_MS, done);
      unnamedListeners.add(look);
    });
  }

  return {
    async add(at, gone) {
      for (const place of gone) if (isSamePlace(at, place.at)) await close(place);
      for (const [place, done] of closing) if (isSamePlace(at, place.at)) await done;
      return { at, listeners: await needs.listen(at, reception) };
    },
    close,
    closing: () => closing.keys(),
    allClosed: async () => void (await Promise.all(closing.values())),
    offer(host) {
      if (host !== undefined) offered.add(host);
    },
    filesName(host, next) {
      if (host !== undefined) named.add(host);
      for (const old of offered) if (old !== host && old !== next) offered.delete(old);
      for (const look of unnamedListeners) look();
    },
  };
}

/** Whether two are the same in all that they say. */
export const isSame = (a: ListenAt, b: ListenAt): boolean =>
  isSamePlace(a, b) &&
  a.service === b.service &&
  a.transport === b.transport &&
  (a.extra ?? false) === (b.extra ?? false);

const isSamePlace = (a: ListenAt, b: ListenAt): boolean => a.host === b.host && a.port === b.port;
