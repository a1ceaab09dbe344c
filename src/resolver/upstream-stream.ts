import type { Socket } from 'node:net';
import { DnskeeperError } from '../core/errors.ts';
import { NoRoomError } from './ede.ts';
import { MessageReader } from './message-reader.ts';
import { random16 } from './random.ts';
import type { StopSignal } from './stop.ts';

/** A connection to a server over which messages go with their length in front (RFC 1035 section 4.2.2, RFC 7858). */
export interface UpstreamStream {
  /** Whether it takes questions; a bounded number at a time, and more are refused. */
  readonly usable: boolean;
  /** Whether no answer is waited for. */
  readonly idle: boolean;
  /** Whether anything has come by it. */
  readonly answered: boolean;
  /** Put a question on the connection; answers may come in any order (RFC 7766 section 7). */
  ask(
    question: Buffer,
    accept: (message: Buffer) => boolean,
    deadlineMs: number,
    signal: StopSignal,
  ): Promise<Buffer>;
  /** The server keeps idle connections for so long; 0 means that it wants this one closed (RFC 7828). */
  keep(ms: number): void;
  /** Take no more questions, and close when those under way are answered or given up. */
  retire(): void;
  close(): void;
}

interface Pending {
  readonly accept: (message: Buffer) => boolean;
  readonly resolve: (message: Buffer) => void;
  readonly reject: (error: Error) => void;
}

const MOST_PENDING = 256;
/** Messages that answer nothing which was asked; beyond these and what was given up the server is out of order. */
const MOST_STRANGE = 32;
/** However long a server offers: sockets that nobody uses cost both sides. */
const LONGEST_IDLE_MS = 120_000;

/** Speak DNS over a socket that is connected; `closed` is told once when it can no longer be used. */
export function upstreamStream(
  socket: Socket,
  name: string,
  idleMs: number,
  closed: () => void,
): UpstreamStream {
  const pending = new Map<number, Pending>();
  const reader = new MessageReader();
  let open = true;
  let retired = false;
  let heard = 0;
  let strange = MOST_STRANGE;
  socket.setNoDelay(true);
  socket.setTimeout(idleMs);

  const end = (error: Error): void => {
    if (!open) return;
    open = false;
    socket.destroy();
    for (const one of [...pending.values()]) one.reject(error);
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
    heard++;
    reader.push(chunk);
    while (open) {
      const message = reader.next();
      if (message === undefined) return;
      hear(message);
    }
  });

  function hear(message: Buffer): void {
    const one = message.length < 2 ? undefined : pending.get(message.readUInt16BE(0));
    if (one === undefined) {
      if (--strange < 0) gone('sent many answers to nothing');
      return; // most likely the answer to a question that was given up
    }
    if (one.accept(message)) one.resolve(message);
    else gone('sent an answer to another question');
  }

  function freeId(): number {
    let id = random16();
    while (pending.has(id)) id = (id + 1) & 0xffff;
    return id;
  }

  const endIfRetired = (): void => {
    if (retired && pending.size === 0) gone('was given up for a new one');
  };

  return {
    get usable() {
      return open && !retired;
    },
    get idle() {
      return pending.size === 0;
    },
    get answered() {
      return heard > 0;
    },
    ask: (question, accept, deadlineMs, signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted || !open)
          return reject(new DnskeeperError('IO', `the connection to ${name} is closed`));
        if (pending.size >= MOST_PENDING)
          return reject(new NoRoomError(`${MOST_PENDING} questions wait on the connection to ${name}`));
        const id = freeId();
        question.writeUInt16BE(id, 0);
        const heardBefore = heard;
        const settle = (): void => {
          clearTimeout(timer);
          signal.removeEventListener('abort', stop);
          pending.delete(id);
        };
        const fail = (error: Error): void => {
          settle();
          strange++;
          reject(error);
          endIfRetired();
        };
        const stop = (): void => fail(new DnskeeperError('DEADLINE', 'the query was given up'));
        const timer = setTimeout(() => {
          fail(new DnskeeperError('DEADLINE', `${name} did not answer within ${deadlineMs} ms`));
          // A way that was cut takes questions for minutes without a word; another connection may get through.
          if (heard === heardBefore) gone('went silent');
        }, deadlineMs);
        signal.addEventListener('abort', stop, { once: true });
        pending.set(id, {
          accept,
          reject: fail,
          resolve: (message) => {
            settle();
            resolve(message);
            endIfRetired();
          },
        });
        const length = Buffer.alloc(2);
        length.writeUInt16BE(question.length);
        socket.write(Buffer.concat([length, question])); // one write, so that it is one segment or TLS record
      }),
    keep(ms) {
      if (!open) return;
      if (ms > 0) socket.setTimeout(Math.min(ms, LONGEST_IDLE_MS));
      else this.retire();
    },
    retire() {
      retired = true;
      endIfRetired();
    },
    close: () => gone('was closed by us'),
  };
}
