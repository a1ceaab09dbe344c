import { createServer, type Socket } from 'node:net';
import { DnskeeperError } from '../core/errors.ts';
import type { ListenAt, Listener, Reception } from './listener.ts';

const MOST_CONNECTIONS = 128;
/** On one connection; more wait in the kernel until some are answered. */
const MOST_PIPELINED = 64;
/** The same as resolved: a client that says nothing for so long is let go. */
const IDLE_MS = 30_000;

/**
 * Take queries over TCP, several at once on each connection (RFC 7766). Rejects when the address cannot be had.
 * `fd` is a socket that listens there already and is ours from now on.
 */
export function listenTcp(at: ListenAt, reception: Reception, fd?: number): Promise<Listener> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    serve(socket, at, reception);
  });
  server.maxConnections = MOST_CONNECTIONS;
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new DnskeeperError('IO', `${at.host} port ${at.port} (TCP) cannot be had: ${error.message}`, error),
      );
    });
    server.listen(fd === undefined ? { host: at.host, port: at.port, exclusive: true } : { fd }, () => {
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
            for (const socket of sockets) socket.destroy();
          }),
      });
    });
  });
}

function serve(socket: Socket, { service }: ListenAt, reception: Reception): void {
  const client = `tcp ${socket.remoteAddress} ${socket.remotePort}`;
  let buffered: Buffer = Buffer.alloc(0);
  let waiting = 0;
  const answered = (response: Buffer): void => {
    waiting--;
    if (socket.destroyed) return;
    const length = Buffer.alloc(2);
    length.writeUInt16BE(response.length);
    socket.write(Buffer.concat([length, response]));
    read();
  };
  const read = (): void => {
    while (waiting < MOST_PIPELINED && buffered.length >= 2) {
      const end = 2 + buffered.readUInt16BE(0);
      if (buffered.length < end) break;
      const message = Buffer.from(buffered.subarray(2, end));
      buffered = buffered.subarray(end);
      waiting++;
      // Silence would leave the client waiting for ever on an open connection.
      if (message.length < 12 || ((message[2] ?? 0) & 0x80) !== 0) socket.destroy();
      else reception.take(message, 'tcp', service, client, answered);
    }
    if (waiting >= MOST_PIPELINED || socket.writableLength > 1 << 20) socket.pause();
    else socket.resume();
  };
  socket.setTimeout(IDLE_MS, () => {
    if (waiting === 0) socket.destroy();
  });
  socket.on('error', () => socket.destroy());
  socket.on('drain', read);
  socket.on('data', (chunk) => {
    buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk]);
    read();
  });
}
