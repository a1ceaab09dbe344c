import type { Socket } from 'node:net';
import { DnskeeperError } from '../core/errors.ts';
import { random16 } from './random.ts';

/** A connection to a server over which messages go with their length in front (RFC 1035 section 4.2.2, RFC 7858). */
export interface UpstreamStream {
  /** Whether one more question may be put on it. */
  readonly usable: boolean;
  /** Put a question on the connection; answers may come in any order (RFC 7766 section 7). */
  ask(
    question: Buffer,
    accept: (message: Buffer) => boolean,
    deadlineMs: number,
    signal: AbortSignal,
  ): Promise<Buffer>;
  close(): void;
}

interface Pending {
  readonly accept: (message: Buffer) => boolean;
  readonly resolve: (message: Buffer) => void;
  readonly reject: (error: Error) => void;
}

const MOST_PENDING = 256;
/** A length in front and the longest message. */
const MOST_BYTES = 2 + 0xffff;

/** Speak DNS over a socket that connects or is connected; `closed` is told once when it can no longer be used. */
export function upstreamStream(
  socket: Socket,
  name: string,
  idleMs: number,
  closed: () => void,
): UpstreamStream {
  const pending = new Map<number, Pending>();
  let buffered: Buffer = Buffer.alloc(0);
  let open = true;
  socket.setNoDelay(true);
  socket.setTimeout(idleMs);

  const end = (error: Error): void => {
    if (!open) return;
    open = false;
    socket.destroy();
    for (const one of pending.values()) one.reject(error);
    pending.clear();
    closed();
  };
  const gone = (what: string, cause?: unknown): void =>
    end(new DnskeeperError('IO', `the connection to ${name} ${what}`, cause));
  socket.on('error', (error) => gone(`failed: ${error.message}`, error));
  socket.on('close', () => gone('was closed'));
  socket.on('end', () => gone('was ended by the server'));
  socket.on('timeout', () => {
    if (pending.size === 0) gone('was idle');
  });
  socket.on('data', (chunk) => {
    buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk]);
    while (open && buffered.length >= 2) {
      const length = buffered.readUInt16BE(0);
      if (buffered.length < 2 + length) break;
      // A copy, because the message may be kept for hours and must not hold the whole chunk.
      hear(Buffer.from(buffered.subarray(2, 2 + length)));
      buffered = buffered.subarray(2 + length);
    }
    if (buffered.length > MOST_BYTES) gone('sent more than one message holds');
  });

  function hear(message: Buffer): void {
    const one = message.length < 2 ? undefined : pending.get(message.readUInt16BE(0));
    if (one === undefined) return; // the answer to a question that was given up
    if (one.accept(message)) one.resolve(message);
    else gone('sent an answer to another question');
  }

  function freeId(): number {
    let id = random16();
    while (pending.has(id)) id = (id + 1) & 0xffff;
    return id;
  }

  return {
    get usable() {
      return open && pending.size < MOST_PENDING;
    },
    ask: (question, accept, deadlineMs, signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted || !open)
          return reject(new DnskeeperError('IO', `the connection to ${name} is closed`));
        const id = freeId();
        question.writeUInt16BE(id, 0);
        const settle = (): void => {
          clearTimeout(timer);
          signal.removeEventListener('abort', stop);
          pending.delete(id);
        };
        const fail = (error: Error): void => {
          settle();
          reject(error);
        };
        const stop = (): void => fail(new DnskeeperError('DEADLINE', 'the query was given up'));
        const timer = setTimeout(
          () => fail(new DnskeeperError('DEADLINE', `${name} did not answer within ${deadlineMs} ms`)),
          deadlineMs,
        );
        signal.addEventListener('abort', stop, { once: true });
        pending.set(id, {
          accept,
          reject: fail,
          resolve: (message) => {
            settle();
            resolve(message);
          },
        });
        const length = Buffer.alloc(2);
        length.writeUInt16BE(question.length);
        socket.write(Buffer.concat([length, question])); // one write, so that it is one segment or TLS record
      }),
    close: () => gone('was closed by us'),
  };
}
