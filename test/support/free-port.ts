import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/**
 * A port of 127.0.0.1 that nobody has, neither for UDP nor for TCP, and that nobody is given by chance: what the kernel draws
 * for one of them may be taken for the other, by a socket of another test that asks somebody just then.
 */
export async function freePort(): Promise<number> {
  for (let draws = 1; draws <= MOST_DRAWS; draws++) {
    const port = randomInt(FIRST, LAST + 1);
    if ((await isFreeForUdp(port)) && (await isFreeForTcp(port))) return port;
  }
  throw new Error(`found no free port in ${MOST_DRAWS} draws`);
}

/** The kernel draws from 32768 on (ip(7), ip_local_port_range). */
const [FIRST, LAST] = [10_000, 32_767];
const MOST_DRAWS = 20;

function isFreeForUdp(port: number): Promise<boolean> {
  const socket = createSocket('udp4');
  return new Promise((resolve) => {
    socket.once('error', () => socket.close(() => resolve(false)));
    socket.bind({ port, address: '127.0.0.1', exclusive: true }, () => socket.close(() => resolve(true)));
  });
}

function isFreeForTcp(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
