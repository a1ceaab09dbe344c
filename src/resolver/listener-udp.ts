import { createSocket } from 'node:dgram';
import { DnskeeperError } from '../core/errors.ts';
import { clientAt } from './client.ts';
import { type ListenAt, type Listener, mayBeShared, type Reception } from './listener.ts';

/** Bursts of this size wait in the kernel rather than being lost while the loop is busy. */
const RECEIVE_BYTES = 1 << 20;

/** Take queries over UDP. Rejects with a DnskeeperError when the address cannot be had. */
export function listenUdp(at: ListenAt, reception: Reception): Promise<Listener> {
  const socket = createSocket({
    type: at.host.includes(':') ? 'udp6' : 'udp4',
    reuseAddr: at.port !== 0 && mayBeShared(at.port),
    ipv6Only: at.host.includes(':'),
    // Addresses are addresses: without this every answer would wait for a turn of the loop.
    lookup: ((
      host: string,
      _options: unknown,
      found: (error: null, address: string, family: number) => void,
    ) => found(null, host, host.includes(':') ? 6 : 4)) as never,
  });
  let open = true;
  socket.on('message', (message, { address, port }) => {
    reception.take(message, 'udp', at.service, clientAt(address, port), (response) => {
      // What the kernel cannot send is as good as lost on the way; the client asks again.
      if (open) socket.send(response, port, address, () => {});
    });
  });
  return new Promise((resolve, reject) => {
    const refused = (error: Error): void => {
      socket.close();
      reject(
        new DnskeeperError('IO', `${at.host} port ${at.port} (UDP) cannot be had: ${error.message}`, error),
      );
    };
    socket.once('error', refused);
    socket.bind({ address: at.host, port: at.port, exclusive: true }, () => {
      socket.off('error', refused);
      socket.on('error', () => {}); // an ICMP error about some client that is gone
      socket.setRecvBufferSize(RECEIVE_BYTES);
      resolve({
        at: { ...at, port: socket.address().port },
        close: () =>
          new Promise((closed) => {
            open = false;
            socket.close(() => closed());
          }),
      });
    });
  });
}
