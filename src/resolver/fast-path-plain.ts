import { randomInt } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { type Address, formatAddress, parseAddress } from '../core/address.ts';
import { messageOf } from '../core/errors.ts';
import type { Clock } from '../system/clock.ts';
import type { Log } from '../system/log.ts';
import { socketAddress } from '../system/socket-address.ts';
import type { FastPathOptions, FastTableKeeper } from './fast-path.ts';
import { fastKey, VARIANT } from './fast-path-answer.ts';
import { fastTable } from './fast-path-table.ts';
import type { Query } from './query.ts';
import { MOST_UDP_BYTES } from './wire.ts';

/** What the plain path is made with. */
export interface PlainPathOptions extends Pick<FastPathOptions, 'onMiss' | 'onRefresh' | 'tableBytes'> {
  readonly listen: readonly {
    readonly address: Address;
    readonly port: number;
    readonly service: Query['service'];
  }[];
  readonly clock: Clock;
  readonly log: Log;
}

/** The plain path has its own sockets. */
export interface PlainPath extends FastTableKeeper {
  close(): Promise<void>;
}

const TABLE_BYTES = 16 * 1024 * 1024;

/**
 * The fast path where koffi cannot be loaded: the same table and the same answers, on Node's own sockets in the main
 * thread. It costs about three times the CPU time per query, and waits when the main thread is busy.
 */
export async function startPlainPath(options: PlainPathOptions): Promise<PlainPath> {
  const { clock, log } = options;
  const table = fastTable(options.tableBytes ?? TABLE_BYTES, randomInt(2 ** 32));
  const counts = { hits: 0, misses: 0, oversized: 0, unsent: 0 };
  const room = Buffer.alloc(MOST_UDP_BYTES);
  const sockets = await Promise.all(options.listen.map(listen));

  async function listen({ address, port, service }: PlainPathOptions['listen'][number]): Promise<Socket> {
    // Answers go to addresses, never names: without a lookup of its own Node makes a tick of every send.
    const lookup = (
      host: string,
      _: unknown,
      done: (e: null, address: string, family: number) => void,
    ): void => done(null, host, address.family);
    const socket = createSocket({ type: address.family === 4 ? 'udp4' : 'udp6', lookup: lookup as never });
    socket.on('message', (packet, from) => take(socket, packet, from, service));
    const listening = once(socket, 'listening');
    socket.bind({ port, address: formatAddress(address), exclusive: true });
    await listening;
    socket.on('error', (error) => log.warn({ error: messageOf(error) }, 'a UDP socket met an error'));
    return socket;
  }

  function take(socket: Socket, packet: Buffer, from: RemoteInfo, service: Query['service']): void {
    const variant = service === 'proxy' ? VARIANT.proxy : 0;
    packet.copy(room);
    if (packet.length > MOST_UDP_BYTES) counts.oversized++;
    else if (table.find(room, 0, packet.length, variant, clock.now())) {
      counts.hits++;
      if (table.wantsRefresh()) options.onRefresh(packet, service);
      // A copy, because the send may wait for its turn while the room is used again.
      send(socket, Buffer.from(room.subarray(0, table.answer(room, 0))), from);
    } else {
      counts.misses++;
      const reply = (response: Buffer): boolean => send(socket, response, from);
      options.onMiss({ packet, service, source: sourceOf(from), reply });
    }
  }

  function send(socket: Socket, response: Buffer, { port, address }: RemoteInfo): boolean {
    try {
      socket.send(response, port, address, (error) => {
        if (error !== null) counts.unsent++;
      });
      return true;
    } catch {
      // Closed meanwhile, or a client with port 0: nobody hears an answer.
      counts.unsent++;
      return false;
    }
  }

  return {
    put: (query, packed, storedAt, expiresAt) => table.put(fastKey(query), packed, storedAt, expiresAt),
    invalidate: () => table.clear(),
    statistics: () => ({ ...counts, refused: 0, entries: table.count, restarts: 0 }),
    async close() {
      await Promise.all(
        sockets.map((socket) => new Promise<void>((done) => void socket.close(() => done()))),
      );
    },
  };
}

function sourceOf({ address, port }: RemoteInfo): Buffer {
  const parsed = parseAddress(address.replace(/%.*$/, ''));
  return parsed.ok ? socketAddress(parsed.value, port) : Buffer.alloc(0);
}
