import type { Socket } from 'node:net';
import { messageOf } from '../core/errors.ts';
import type { Log } from './log.ts';
import { frameOf, frameReader, isObject, VarlinkError, type VarlinkParameters } from './varlink-frames.ts';
import type { Peer, VarlinkLimits, VarlinkMethod } from './varlink-interface.ts';
import { type CallMessage, callMessage, checkParameters, type MethodTable } from './varlink-methods.ts';

/**
 * Answer the calls of one connection, one after the other, until either side hangs up. It counts as open until `released`
 * is called, when the call in hand has ended too: who calls and hangs up holds no more of our time than who waits.
 */
export function serveConnection(
  socket: Socket,
  peer: Peer | undefined,
  table: MethodTable,
  limits: VarlinkLimits,
  log: Log,
  released: () => void,
): void {
  const ended = new AbortController();
  const drop = (reason: string): void => {
    log.warn({ peer, reason }, 'dropped a connection to the control socket');
    socket.destroy();
  };
  const send = boundedSender(socket, limits, drop);
  const waiting = callQueue(limits.frameBytes, drop, async (text) => {
    await answerFrame(text, { table, peer, ended: ended.signal, send, drop, log });
    await replyTaken(socket);
  });
  socket.on('data', (chunk: Buffer) => waiting.push(chunk));
  socket.on('end', () => {
    // Nobody can tell a closed writing side from a full hang-up; a stream ends here, a call in hand is answered.
    waiting.end(() => socket.end());
    ended.abort();
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    waiting.clear();
    ended.abort();
    waiting.end(released);
  });
}

/** Who does not read the answers gets no more of them, and is heard no further than the queue's bound. */
async function replyTaken(socket: Socket): Promise<void> {
  if (!socket.writableNeedDrain || socket.destroyed) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.on('drain', done);
    socket.on('close', done);
  });
}

interface Answering {
  readonly table: MethodTable;
  readonly peer: Peer | undefined;
  readonly ended: AbortSignal;
  readonly send: (message: object) => void;
  readonly drop: (reason: string) => void;
  readonly log: Log;
}

async function answerFrame(text: string, to: Answering): Promise<void> {
  const message = parseJson(text);
  if (!isObject(message)) return to.drop('it sent something that is no JSON object');
  let call: CallMessage | undefined;
  try {
    call = callMessage(message);
    const method = to.table.find(call.method);
    if (call.oneway && method.neverOneway) {
      to.drop('it wants no answer of a method that only answers');
      return;
    }
    checkParameters(call.parameters, method.takes ?? []);
    await runMethod(method, call, to);
  } catch (error) {
    if (!(error instanceof VarlinkError)) {
      to.log.error(
        { method: call?.method, error: messageOf(error) },
        'a method of the control socket failed',
      );
      return to.drop('a method failed in a way that has no error of its own');
    }
    if (call?.oneway !== true) to.send({ error: error.error, parameters: error.parameters });
  }
}

async function runMethod(method: VarlinkMethod, message: CallMessage, to: Answering): Promise<void> {
  const call = { parameters: message.parameters, peer: to.peer, signal: to.ended };
  if (message.more && method.stream !== undefined) {
    const { stream } = method;
    // Streams have no last reply: they stand until the caller hangs up, and hold the connection until then.
    await new Promise<void>((resolve) => {
      if (to.ended.aborted) return resolve();
      to.ended.addEventListener('abort', () => resolve(), { once: true });
      stream(call, (parameters: VarlinkParameters) => {
        if (!to.ended.aborted) to.send({ parameters, continues: true });
      });
    });
    return;
  }
  if (method.answer === undefined) throw new VarlinkError('org.varlink.service.ExpectedMore');
  const parameters = await method.answer(call);
  if (!message.oneway) to.send({ parameters });
}

/** Writes replies, and drops a peer that does not read them, so that memory stays bounded. */
function boundedSender(
  socket: Socket,
  limits: VarlinkLimits,
  drop: (reason: string) => void,
): (message: object) => void {
  let outstanding = 0;
  return (message) => {
    if (!socket.writable) return;
    if (outstanding >= limits.outstandingReplies || socket.writableLength > limits.outstandingBytes) {
      return drop(`it left ${outstanding} replies (${socket.writableLength} bytes) unread`);
    }
    outstanding++;
    socket.write(frameOf(message), () => outstanding--);
  };
}

interface CallQueue {
  push(chunk: Buffer): void;
  /** Nothing more comes: call `idle` when the calls in hand are answered. */
  end(idle: () => void): void;
  /** Forget the calls that wait. */
  clear(): void;
}

/** Runs the frames of a byte stream one after the other. Reading never stops, so that a hang-up is seen at once. */
function callQueue(
  limit: number,
  drop: (reason: string) => void,
  run: (text: string) => Promise<void>,
): CallQueue {
  const reader = frameReader(limit);
  const frames: string[] = [];
  let waitingBytes = 0;
  let running = false;
  let whenIdle: (() => void) | undefined;
  const drain = async (): Promise<void> => {
    running = true;
    for (let text = frames.shift(); text !== undefined; text = frames.shift()) {
      waitingBytes -= text.length;
      await run(text);
    }
    running = false;
    whenIdle?.();
  };
  return {
    push(chunk) {
      try {
        for (const text of reader.push(chunk)) {
          frames.push(text);
          waitingBytes += text.length;
        }
      } catch (error) {
        return drop(messageOf(error));
      }
      if (waitingBytes > limit || frames.length > 1024) return drop('it sent more calls than it waits for');
      if (!running) void drain();
    },
    clear() {
      frames.length = 0;
    },
    end(idle) {
      if (running) whenIdle = idle;
      else idle();
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
