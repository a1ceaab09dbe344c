import { connect, type Socket } from 'node:net';
import { until } from './until.ts';

/** A client that speaks bytes, for what a well-behaved client never sends. */
export interface RawSocket {
  readonly socket: Socket;
  /** Replies so far, parsed. */
  readonly replies: Record<string, unknown>[];
  readonly closed: boolean;
  send(text: string | Uint8Array): void;
  /** Wait for reply number `count` and return it. */
  reply(count: number): Promise<Record<string, unknown>>;
  untilClosed(): Promise<void>;
}

/** Connect to a unix socket; with `deaf` it never reads. */
export async function rawSocket(path: string, { deaf = false } = {}): Promise<RawSocket> {
  const socket = connect({ path, allowHalfOpen: true });
  const replies: Record<string, unknown>[] = [];
  let text = '';
  let closed = false;
  socket.on('error', () => {});
  socket.on('close', () => {
    closed = true;
  });
  socket.on('end', () => socket.end());
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  if (!deaf) {
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
      const parts = text.split('\0');
      text = parts.pop() ?? '';
      for (const part of parts) replies.push(JSON.parse(part) as Record<string, unknown>);
    });
  }
  return {
    socket,
    replies,
    get closed() {
      return closed;
    },
    send: (bytes) => void socket.write(bytes),
    async reply(count) {
      await until(() => replies.length >= count, `reply ${count}`);
      return replies[count - 1] ?? {};
    },
    untilClosed: () => until(() => closed, 'the server to hang up'),
  };
}
