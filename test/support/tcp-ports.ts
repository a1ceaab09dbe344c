import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** Where a front leads, and how often it was used. */
export interface Front {
  readonly port: number;
  target: number;
  readonly connections: number;
}

/** A port that leads to another one, or to nothing while that is 0. */
export async function frontOf(target: number): Promise<Front> {
  const state = { port: 0, target, connections: 0 };
  const { port } = await silentServer((socket) => {
    state.connections++;
    if (state.target === 0) return void socket.destroy();
    const onward = connect({ host: '127.0.0.1', port: state.target });
    onward.on('error', () => socket.destroy());
    socket.on('close', () => onward.destroy());
    onward.on('close', () => socket.destroy());
    socket.pipe(onward).pipe(socket);
  });
  state.port = port;
  return state;
}

/** Takes connections and says nothing, or what it is told to. */
export async function silentServer(
  greet: (socket: Socket) => void = () => {},
): Promise<{ readonly port: number }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    greet(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as AddressInfo).port };
}
