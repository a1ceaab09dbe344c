import { closeSync } from 'node:fs';
import { parseAddress } from '../core/address.ts';
import { DnskeeperError } from '../core/errors.ts';
import type { Clock } from '../system/clock.ts';
import type { Libc } from '../system/libc.ts';
import { NO_STORE, type SocketPlace, type SocketStore } from '../system/listen-fds.ts';
import type { Log } from '../system/log.ts';
import { type FastPath, type FastSocket, startFastPath } from './fast-path.ts';
import type { ListenAt, Listener, Reception } from './listener.ts';
import { readQuery } from './message-read.ts';
import type { Query } from './query.ts';

/** The UDP side of the resolver on the fast path. */
export interface FastUdp {
  /** Take queries over UDP, like `listenUdp`. Rejects with a DnskeeperError when the address cannot be had. */
  listen(at: ListenAt): Promise<Listener>;
  readonly path: FastPath;
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
}

/** Bursts of this size wait in the kernel rather than being lost while the worker is replaced. */
const RECEIVE_BYTES = 1 << 20;

/** A fast path whose misses go the way of all other queries. */
export function fastUdp(needs: FastUdpNeeds): FastUdp {
  const { libc, clock, log, reception, refresh, sockets = NO_STORE } = needs;
  const path = startFastPath({
    libc,
    clock,
    log,
    onMiss: ({ packet, service, source, reply }) =>
      reception.take(packet, 'udp', service, source.toString('latin1'), reply),
    onRefresh(packet, service) {
      const reading = readQuery(packet, 'udp', service);
      if (reading.ok) refresh(reading.value);
    },
  });
  return {
    path,
    async listen(at) {
      const socket: FastSocket = { fd: bind(at), service: at.service };
      path.add(socket);
      return {
        at,
        pause: () => path.pause(socket),
        async close() {
          await path.remove(socket);
          closeSync(socket.fd);
        },
      };
    },
    close: () => path.close(),
  };

  function bind(at: ListenAt): number {
    const place: SocketPlace = { kind: 'udp', host: at.host, port: at.port };
    const waiting = sockets.take(place);
    if (waiting !== undefined) return waiting;
    const address = parseAddress(at.host);
    if (!address.ok || at.port === 0)
      throw new DnskeeperError('USAGE', `wanted an address and a port, got ${at.host} port ${at.port}`);
    const fd = libc.datagrams.bindUdp(address.value, at.port, {
      reuseAddress: true,
      receiveBytes: RECEIVE_BYTES,
    });
    sockets.keep(place, fd);
    return fd;
  }
}
