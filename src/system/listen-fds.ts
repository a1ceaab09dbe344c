import { closeSync } from 'node:fs';
import { formatAddress, parseAddress } from '../core/address.ts';
import type { Libc } from './libc.ts';
import type { SocketFacts } from './libc-sockets.ts';
import type { Log } from './log.ts';
import type { ServiceNotifier } from './notify.ts';

/** A listening socket: what it speaks, and where. */
export interface SocketPlace {
  readonly kind: SocketFacts['kind'];
  /** An IP address as text. */
  readonly host: string;
  readonly port: number;
  /** Whether further sockets share the port (SO_REUSEPORT). */
  readonly reusePort?: boolean;
}

/**
 * Listening sockets that outlive this process: the service manager holds copies of them and gives them to the next one,
 * so that what is asked in between waits in the socket. Sockets of a socket unit come the same way and stay the unit's.
 */
export interface SocketStore {
  /** How many came and were neither taken nor closed yet. */
  readonly waiting: number;
  /** A socket that waits for us at this place, from now on its taker's to close. */
  take(place: SocketPlace): number | undefined;
  /** Have a socket kept from now on. */
  keep(place: SocketPlace, fd: number): void;
  /** Have a socket that is kept already wait at its place until somebody takes it. */
  hold(place: SocketPlace, fd: number): void;
  /** Have none kept at this address any more, over UDP and TCP, but for those that wait to be taken. */
  forget(host: string, port: number): void;
  /** Close what came and was not taken, and have it kept no more. */
  closeRest(): void;
}

/** What the store works with. */
export interface SocketStoreNeeds {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly libc: Libc;
  readonly notifier: Pick<ServiceNotifier, 'store' | 'unstore'>;
  readonly log: Log;
  /** Where a given descriptor really is; tests have no free hand over the numbers from 3 on. */
  readonly descriptorAt?: (fd: number) => number;
}

/** The store of the service manager that started us; it is empty where there is none. */
export function socketStore(needs: SocketStoreNeeds): SocketStore {
  const { libc, notifier, log } = needs;
  const waiting = new Map<number, Waiting>();
  /** Under which names the service manager holds what. */
  const kept = new Map<string, SocketPlace>();

  for (const { fd: number, name } of givenDescriptors(needs.env, needs.pid)) {
    const fd = needs.descriptorAt?.(number) ?? number;
    libc.sockets.closeOnExec(fd);
    const facts = libc.sockets.describe(fd);
    const usable = facts !== undefined && facts.listening === (facts.kind === 'tcp');
    const own = OWN_NAME.test(name);
    if (own && facts !== undefined) kept.set(name, facts);
    if (usable) waiting.set(fd, { name, own, facts });
    else drop(fd, name, own);
  }

  function drop(fd: number, name: string, own: boolean): void {
    log.debug({ fd, name }, 'a socket that was kept over the restart fits nothing wanted and is closed');
    closeSync(fd);
    if (!own) return;
    notifier.unstore(name);
    kept.delete(name);
  }

  return {
    get waiting() {
      return waiting.size;
    },
    take(place) {
      for (const [fd, { facts }] of waiting) {
        if (!isAt(facts, place) || facts.reusePort !== (place.reusePort ?? false)) continue;
        waiting.delete(fd);
        return fd;
      }
      return undefined;
    },
    keep(place, fd) {
      const name = freeName(place, kept);
      kept.set(name, place);
      notifier.store(name, fd);
    },
    hold(place, fd) {
      const facts = { kind: place.kind, host: place.host, port: place.port } as const;
      const own = { ...facts, listening: place.kind === 'tcp', reusePort: place.reusePort ?? false };
      const taken = new Set([...waiting.values()].map(({ name }) => name));
      const [name = ''] = [...kept].findLast(([at, each]) => isAt(each, place) && !taken.has(at)) ?? [];
      waiting.set(fd, { name, own: true, facts: own });
    },
    forget(host, port) {
      const left = new Set([...waiting.values()].map(({ name }) => name));
      for (const [name, place] of kept) {
        if (left.has(name) || !isAt({ ...place, kind: 'udp' }, { host, port, kind: 'udp' })) continue;
        notifier.unstore(name);
        kept.delete(name);
      }
    },
    closeRest() {
      for (const [fd, { name, own }] of waiting) drop(fd, name, own);
      waiting.clear();
    },
  };
}

/** A store that keeps nothing, where there is no service manager or no C library. */
export const NO_STORE: SocketStore = {
  waiting: 0,
  take: () => undefined,
  keep: () => {},
  hold: (_, fd) => closeSync(fd),
  forget: () => {},
  closeRest: () => {},
};

/** A descriptor that the service manager gave us, by the name it has there. */
export interface GivenDescriptor {
  readonly fd: number;
  readonly name: string;
}

/**
 * The descriptors that a service manager gives to the process it starts (sd_listen_fds(3)): LISTEN_FDS of them from 3 on,
 * for the process LISTEN_PID alone. None where the variables are missing, are meant for another process or make no sense.
 */
export function givenDescriptors(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
): readonly GivenDescriptor[] {
  if (env['LISTEN_PID'] !== String(pid)) return [];
  const text = env['LISTEN_FDS'] ?? '';
  const count = /^[1-9][0-9]{0,3}$/.test(text) ? Number(text) : 0;
  const names = (env['LISTEN_FDNAMES'] ?? '').split(':');
  return Array.from({ length: count }, (_, index) => ({
    fd: FIRST_DESCRIPTOR + index,
    name: names[index] ?? '',
  }));
}

/** SD_LISTEN_FDS_START. */
const FIRST_DESCRIPTOR = 3;

interface Waiting {
  readonly name: string;
  /** From our own store, and not from a socket unit. */
  readonly own: boolean;
  readonly facts: SocketFacts;
}

/** The names that `freeName` makes; a socket unit's sockets carry the unit's name. */
const OWN_NAME = /^(?:udp|tcp)-[0-9]+-[0-9a-f._]+-[0-9]+$/;

/** A name tells the place, for `systemctl status` and for those who look; it may hold no colon. */
function freeName({ kind, host, port }: SocketPlace, kept: ReadonlyMap<string, unknown>): string {
  const stem = `${kind}-${port}-${canonical(host).replaceAll(':', '_')}`;
  let number = 0;
  while (kept.has(`${stem}-${number}`)) number++;
  return `${stem}-${number}`;
}

const isAt = (a: SocketPlace, b: SocketPlace): boolean =>
  a.kind === b.kind && a.port === b.port && canonical(a.host) === canonical(b.host);

function canonical(host: string): string {
  const address = parseAddress(host);
  return address.ok ? formatAddress(address.value) : host;
}
