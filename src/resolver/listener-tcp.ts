import { createServer, type Socket } from 'node:net';
import { DnskeeperError } from '../core/errors.ts';
import { clientAt } from './client.ts';
import type { ListenAt, Listener, Reception } from './listener.ts';
import { CLIENT_IDLE_MS } from './message.ts';
import { MessageReader } from './message-reader.ts';

/** Bounds on what clients may cost over TCP. */
export interface TcpBounds {
  readonly connections: number;
  /** Questions under way on one connection; more wait in the kernel until some are answered. */
  readonly pipelined: number;
  /** Bytes of answers that a client has not taken yet; beyond that it is heard no more. */
  readonly unread: number;
  /** A message that has begun has to be whole after so long. */
  readonly messageMs: number;
  /** A client that says nothing for so long is let go. */
  readonly idleMs: number;
}

const BOUNDS: TcpBounds = {
  connections: 128,
  pipelined: 64,
  unread: 1 << 20,
  messageMs: 10_000,
  idleMs: CLIENT_IDLE_MS,
};

/**
 * Take queries over TCP, several at once on each connection (RFC 7766). Rejects when the address cannot be had.
 * `fd` is a socket that listens there already and is ours from now on.
 */
export function listenTcp(
  at: ListenAt,
  reception: Reception,
  fd?: number,
  bounds: Partial<TcpBounds> = {},
): Promise<Listener> {
  const all = { ...BOUNDS, ...bounds };
  const connections = new Connections(all.connections, () => reception.connectionEnded());
  // A client may close its side behind its last question: the answers still go out (`printf … | nc -N`).
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    const connection = connections.admit(socket);
    if (connection !== undefined) serve(connection, at, reception, all);
  });
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new DnskeeperError('IO', `${at.host} port ${at.port} (TCP) cannot be had: ${error.message}`, error),
      );
    });
    const place = { host: at.host, port: at.port, exclusive: true, ipv6Only: true };
    server.listen(fd === undefined ? place : { fd }, () => {
      const bound = server.address();
      server.on('error', () => {}); // accept(2) ran out of something; the next connection may do better
      resolve({
        at: { ...at, port: typeof bound === 'object' && bound !== null ? bound.port : at.port },
        async pause() {
          server.close();
        },
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            connections.closeAll();
          }),
      });
    });
  });
}

/** One client's connection. */
interface Connection {
  readonly socket: Socket;
  /** Questions that are not answered yet. */
  waiting: number;
  /** It has just been of use. */
  used(): void;
}

/** The open connections, the one that was of use last at the end. */
class Connections {
  readonly #most: number;
  readonly #ended: () => void;
  readonly #open = new Set<Connection>();

  /** `ended` is told of every connection that had to go for want of room. */
  constructor(most: number, ended: () => void) {
    this.#most = most;
    this.#ended = ended;
  }

  /** Take in a connection. When there is no more room, the one that has been idle for longest goes, or else this one. */
  admit(socket: Socket): Connection | undefined {
    if (this.#open.size >= this.#most) {
      this.#ended();
      const idle = [...this.#open].find(({ waiting }) => waiting === 0);
      (idle?.socket ?? socket).destroy();
      if (idle === undefined) return undefined;
      this.#open.delete(idle);
    }
    const connection: Connection = {
      socket,
      waiting: 0,
      used: () => {
        if (this.#open.delete(connection)) this.#open.add(connection);
      },
    };
    this.#open.add(connection);
    socket.once('close', () => this.#open.delete(connection));
    return connection;
  }

  closeAll(): void {
    for (const { socket } of this.#open) socket.destroy();
  }
}

function serve(connection: Connection, { service }: ListenAt, reception: Reception, bounds: TcpBounds): void {
  const { socket } = connection;
  const client = clientAt(socket.remoteAddress ?? '', socket.remotePort ?? 0);
  const reader = new MessageReader();
  let reading = false;
  let ended = false;
  let partial: NodeJS.Timeout | undefined;
  const isFull = (): boolean =>
    connection.waiting >= bounds.pipelined || socket.writableLength > bounds.unread;
  const answered = (response: Buffer): void => {
    connection.waiting--;
    if (socket.destroyed) return;
    const length = Buffer.alloc(2);
    length.writeUInt16BE(response.length);
    socket.write(Buffer.concat([length, response]));
    read();
  };
  /** Whoever sends a message bit by bit may not hold the connection for ever. */
  const watchPartial = (whole: boolean): void => {
    if (whole || !reader.partial) {
      clearTimeout(partial);
      partial = undefined;
    }
    if (!reader.partial || partial !== undefined || isFull()) return;
    partial = setTimeout(() => socket.destroy(), bounds.messageMs);
    partial.unref();
  };
  const read = (): void => {
    if (reading || socket.destroyed) return; // an answer that comes at once leads here again
    reading = true;
    let whole = false;
    while (!socket.destroyed && !isFull()) {
      const message = reader.next();
      if (message === undefined) break;
      whole = true;
      connection.waiting++;
      connection.used();
      // Silence would leave the client waiting for ever on an open connection.
      if (message.length < 12 || ((message[2] ?? 0) & 0x80) !== 0) socket.destroy();
      else reception.take(message, 'tcp', service, client, answered);
    }
    reading = false;
    watchPartial(whole);
    if (isFull()) socket.pause();
    else socket.resume();
    if (ended && connection.waiting === 0 && !isFull()) socket.end();
  };
  socket.setTimeout(bounds.idleMs, () => {
    if (connection.waiting === 0) socket.destroy();
  });
  socket.on('error', () => socket.destroy());
  socket.once('close', () => clearTimeout(partial));
  socket.on('drain', read);
  socket.on('end', () => {
    ended = true;
    read();
  });
  socket.on('data', (chunk) => {
    reader.push(chunk);
    read();
  });
}
