import { createSocket, type Socket } from 'node:dgram';
import { DnskeeperError } from '../core/errors.ts';
import type { StopSignal } from './stop.ts';

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

/** Asks servers over UDP, one message for one. */
export interface UpstreamDatagrams {
  /** So many questions may be under way; its caller keeps the bound. */
  readonly most: number;
  /**
   * Send a question, which may be given another id, and resolve to the first message that `accept` takes. Rejects with a
   * DnskeeperError: DEADLINE when none came in time or `signal` told to stop, PROTOCOL when too many wrong ones came, IO
   * when the server cannot be reached.
   */
  ask(
    endpoint: Endpoint,
    question: Buffer,
    accept: (message: Buffer) => boolean,
    signal: StopSignal,
  ): Promise<Buffer>;
  /** Ask from other sockets from now on: addresses of ours, or links, are others than before. */
  renew(): void;
}

/** How long a server has for its answer. */
export const UDP_MS = 2000;

/** More wrong messages than this on one socket are an attempt to guess the answer, and end the attempt. */
export const MOST_WRONG = 32;

/** Below the usual limit of 1024 open files. */
const MOST_SOCKETS = 512;

/**
 * Questions by Node's own sockets. Every question has one of its own on a port that the kernel draws, connected, so that
 * only the server's address and port can answer and its ICMP errors are heard.
 */
export const nodeDatagrams = (bindToLink: BindToLink | undefined): UpstreamDatagrams => ({
  most: MOST_SOCKETS,
  ask: (endpoint, question, accept, signal) => askUdp(endpoint, question, accept, signal, bindToLink),
  renew() {}, // no socket is used twice
});

function askUdp(
  endpoint: Endpoint,
  question: Buffer,
  accept: (message: Buffer) => boolean,
  signal: StopSignal,
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
    const timer = setTimeout(() => fail(noAnswer(endpoint.host)), UDP_MS);
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
        } else if (++wrong > MOST_WRONG) fail(tooManyWrong(endpoint.host, wrong));
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

/** Nobody waits for the answer any more. */
export const gaveUp = (): DnskeeperError => new DnskeeperError('DEADLINE', 'the query was given up');

/** The server's time is over. */
export const noAnswer = (host: string): DnskeeperError =>
  new DnskeeperError('DEADLINE', `${host} did not answer within ${UDP_MS} ms`);

/** Somebody guesses at answers, or the server is out of order. */
export const tooManyWrong = (host: string, count: number): DnskeeperError =>
  new DnskeeperError('PROTOCOL', `${host} sent ${count} messages that answer nothing`);

/** The kernel says that the server cannot be reached. */
export const unreachable = ({ host }: Endpoint, error: unknown): DnskeeperError =>
  error instanceof DnskeeperError ? error : new DnskeeperError('IO', `${host} cannot be reached`, error);

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
