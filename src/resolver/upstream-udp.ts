import { createSocket, type Socket } from 'node:dgram';
import { DnskeeperError } from '../core/errors.ts';

/** Where a server is reached. */
export interface Endpoint {
  /** With a zone for link-local addresses. */
  readonly host: string;
  readonly port: number;
  readonly family: 4 | 6;
  /** Kernel name of the link through which alone it is to be reached. */
  readonly interface?: string;
}

/** Gives a datagram socket that is tied to a link, as a file descriptor. */
export type BindToLink = (family: 4 | 6, type: 'udp' | 'tcp', link: string) => number;

/** More wrong messages than this on one socket are an attempt to guess the answer, and end the attempt. */
const MOST_WRONG = 32;

/**
 * Send one message and resolve to the first that `accept` takes. Every question has a socket of its own on a port that
 * the kernel draws, connected, so that only the server's address and port can answer and its ICMP errors are heard.
 */
export function askUdp(
  endpoint: Endpoint,
  question: Buffer,
  accept: (message: Buffer) => boolean,
  deadlineMs: number,
  signal: AbortSignal,
  bindToLink: BindToLink | undefined,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(gaveUp());
    let wrong = 0;
    let socket: Socket | undefined;
    const finish = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      socket?.close();
      socket = undefined;
    };
    const fail = (error: Error): void => {
      if (socket === undefined) return;
      finish();
      reject(error);
    };
    const stop = (): void => fail(gaveUp());
    const timer = setTimeout(
      () => fail(new DnskeeperError('DEADLINE', `${endpoint.host} did not answer within ${deadlineMs} ms`)),
      deadlineMs,
    );
    try {
      const open = openSocket(endpoint, bindToLink);
      socket = open;
      signal.addEventListener('abort', stop, { once: true });
      open.on('error', (error) => fail(unreachable(endpoint, error)));
      open.on('message', (message) => {
        if (socket === undefined) return;
        if (accept(message)) {
          finish();
          resolve(message);
        } else if (++wrong > MOST_WRONG)
          fail(new DnskeeperError('PROTOCOL', `${endpoint.host} sent ${wrong} messages that answer nothing`));
      });
      open.connect(endpoint.port, endpoint.host, () => {
        if (socket !== undefined)
          open.send(question, (error) => {
            if (error) fail(unreachable(endpoint, error));
          });
      });
    } catch (error) {
      finish();
      reject(unreachable(endpoint, error));
    }
  });
}

/** The address is one already, so nothing is looked up, and nothing waits for the next turn of the loop. */
function lookup(
  host: string,
  _options: unknown,
  callback: (error: null, address: string, family: number) => void,
): void {
  callback(null, host, host.includes(':') ? 6 : 4);
}

function openSocket({ family, interface: link }: Endpoint, bindToLink: BindToLink | undefined): Socket {
  const type = family === 4 ? 'udp4' : 'udp6';
  const fd = link === undefined ? undefined : bindToLink?.(family, 'udp', link);
  const socket = createSocket({ type, lookup: lookup as never });
  if (fd !== undefined) socket.bind({ fd, exclusive: true });
  return socket;
}

const gaveUp = (): DnskeeperError => new DnskeeperError('DEADLINE', 'the query was given up');

const unreachable = ({ host }: Endpoint, error: unknown): DnskeeperError =>
  error instanceof DnskeeperError ? error : new DnskeeperError('IO', `${host} cannot be reached`, error);
