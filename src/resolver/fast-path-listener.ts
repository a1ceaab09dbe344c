import { closeSync } from 'node:fs';
import { parseAddress } from '../core/address.ts';
import { DnskeeperError } from '../core/errors.ts';
import type { Clock } from '../system/clock.ts';
import type { Libc } from '../system/libc.ts';
import type { BindOptions } from '../system/libc-datagrams.ts';
import { NO_STORE, type SocketPlace, type SocketStore } from '../system/listen-fds.ts';
import type { Log } from '../system/log.ts';
import { clientOf } from './client.ts';
import { doorbell } from './doorbell.ts';
import { type FastPath, type FastSocket, startFastPath } from './fast-path.ts';
import { type ListenAt, type Listener, mayBeShared, type Reception } from './listener.ts';
import { readQuery } from './message-read.ts';
import type { Query } from './query.ts';
import { UpstreamPool } from './upstream-pool.ts';
import type { UpstreamDatagrams } from './upstream-udp.ts';

/** The UDP side of the resolver on the fast path. */
export interface FastUdp {
  /** Take queries over UDP, like `listenUdp`. Rejects with a DnskeeperError when the address cannot be had. */
  listen(at: ListenAt): Promise<Listener>;
  /**
   * Have what is asked there by this machine wait from now on, until `listen` takes it up, though another program still has
   * the address. Throws when it cannot be had.
   */
  hold(at: ListenAt): void;
  /** The workers, from the first packet or `begin` on: where nobody asks they would cost memory for nothing. */
  readonly path: FastPath | undefined;
  /** Asks servers by sockets that the workers hear; undefined while there are none. */
  readonly datagrams: UpstreamDatagrams | undefined;
  /** Questions are to be expected. */
  begin(): void;
  /** Whether somebody watches what is asked. */
  watched(on: boolean): void;
  close(): Promise<void>;
}

/** What the fast UDP side is made with. */
export interface FastUdpNeeds {
  readonly libc: Libc;
  readonly clock: Clock;
  readonly log: Log;
  readonly reception: Reception;
  /** Ask anew for a popular answer that is about to expire: the cache's `refresh`. */
  readonly refresh: (query: Query) => void;
  /** Where sockets wait that an earlier process had. */
  readonly sockets?: SocketStore;
  /** How many workers share each port; one unless told otherwise. */
  readonly threads?: number;
}

/** Bursts of this size wait in the kernel rather than being lost while the worker is replaced. */
const RECEIVE_BYTES = 1 << 20;

/**
 * systemd-resolved binds its stub to this link, and the kernel gives a packet to the socket that fits best: only one that fits
 * as well, and came later, has what is asked from now on. The others would be dropped with that socket.
 */
const LOOPBACK_LINK = 'lo';

/** A fast path whose misses go the way of all other queries. */
export function fastUdp(needs: FastUdpNeeds): FastUdp {
  const { libc, clock, log, reception, refresh, sockets = NO_STORE } = needs;
  const threads = needs.threads ?? 1;
  const pool: UpstreamPool = new UpstreamPool({
    libc,
    clock,
    settled: () => path?.settled() ?? Promise.resolve(),
  });
  /** Sockets that no worker serves yet. */
  const unserved = new Set<FastSocket>();
  const bell = doorbell(libc, begin);
  let path: FastPath | undefined;
  let watchedNow = false;
  let closed = false;

  function begin(): void {
    if (path !== undefined || closed) return;
    const started = startFastPath({
      libc,
      clock,
      log,
      upstream: pool,
      threads,
      onMiss: ({ packet, service, source, reply }) =>
        reception.take(packet, 'udp', service, clientOf(source), reply),
      onRefresh(packet, service) {
        const reading = readQuery(packet, 'udp', service);
        if (reading.ok) refresh(reading.value);
      },
    });
    path = started;
    started.watched(watchedNow);
    for (const socket of unserved) started.add(socket);
    unserved.clear();
    void bell.close();
  }

  const watchUnserved = (): Promise<void> => bell.watch([...unserved].flatMap(({ fds }) => fds));

  async function leave(socket: FastSocket): Promise<void> {
    if (unserved.delete(socket)) await watchUnserved();
  }

  return {
    get path() {
      return path;
    },
    get datagrams() {
      return path === undefined ? undefined : pool;
    },
    begin,
    watched(on) {
      watchedNow = on;
      path?.watched(on);
    },
    hold(at) {
      const place: SocketPlace = { kind: 'udp', host: at.host, port: at.port, reusePort: threads > 1 };
      for (const fd of bindAll(at, LOOPBACK_LINK)) sockets.hold(place, fd);
    },
    async listen(at) {
      const socket: FastSocket = { fds: bindAll(at), service: at.service };
      if (path !== undefined) path.add(socket);
      else {
        unserved.add(socket);
        void watchUnserved();
      }
      return {
        at,
        async pause() {
          await leave(socket);
          await path?.pause(socket);
        },
        async close() {
          await leave(socket);
          await path?.remove(socket);
          for (const fd of socket.fds) closeSync(fd);
        },
      };
    },
    async close() {
      closed = true;
      await bell.close();
      await pool.close();
      await path?.close();
      pool.closeDescriptor();
    },
  };

  /** One socket for each worker. */
  function bindAll(at: ListenAt, device?: string): readonly number[] {
    const how = { freeBind: at.extra === true, ...(device === undefined ? {} : { device }) };
    const place: SocketPlace = { kind: 'udp', host: at.host, port: at.port };
    if (threads === 1) return [sockets.take(place) ?? bind(place, how)];
    const shared: SocketPlace = { ...place, reusePort: true };
    const fds: number[] = [];
    try {
      while (fds.length < threads) fds.push(sockets.take(shared) ?? bind(shared, how));
    } catch (error) {
      for (const fd of fds.splice(0)) closeSync(fd);
      // A socket unit's may stand in the way, which cannot be shared: then one worker has it alone.
      const alone = sockets.take(place);
      if (alone === undefined) throw error;
      fds.push(alone);
    }
    return fds;
  }

  function bind(place: SocketPlace, how: Pick<BindOptions, 'freeBind' | 'device'>): number {
    const address = parseAddress(place.host);
    if (!address.ok || place.port === 0)
      throw new DnskeeperError('USAGE', `wanted an address and a port, got ${place.host} port ${place.port}`);
    const fd = libc.datagrams.bindUdp(address.value, place.port, {
      reuseAddress: mayBeShared(place.port),
      reusePort: place.reusePort ?? false,
      receiveBytes: RECEIVE_BYTES,
      ...how,
    });
    sockets.keep(place, fd);
    return fd;
  }
}
