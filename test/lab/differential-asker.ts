import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { askOverTcp } from '../support/ask.ts';
import { nameWire } from './differential-queries.ts';

/** How long an answer may take: longer than any server of the test tries. */
const PATIENCE_MS = 15_000;

/** A client of one server on 127.0.0.1: many questions at once over one UDP socket, and each over TCP on its own. */
export class Asker implements Disposable {
  readonly #socket: Socket;
  readonly #port: number;
  readonly #waiting = new Map<number, (wire: Buffer) => void>();
  #next = 0;

  static async open(port: number): Promise<Asker> {
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new Asker(socket, port);
  }

  private constructor(socket: Socket, port: number) {
    this.#socket = socket;
    this.#port = port;
    socket.on('message', (wire) => this.#waiting.get(wire.readUInt16BE(0))?.(wire));
    socket.on('error', () => {});
  }

  /** Ask with an id of our own; rejects when nobody answers. */
  async ask(
    query: Buffer,
    transport: 'udp' | 'tcp',
  ): Promise<{ readonly id: number; readonly wire: Buffer }> {
    const id = this.#next;
    this.#next = (this.#next + 1) & 0xffff;
    const message = Buffer.from(query);
    message.writeUInt16BE(id, 0);
    if (transport === 'tcp') return { id, wire: await overTcp(this.#port, message) };
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    const timer = setTimeout(
      () => reject(new Error(`no answer from ${this.#port} to ${message.toString('hex')}`)),
      PATIENCE_MS,
    );
    this.#waiting.set(id, resolve);
    this.#socket.send(message, this.#port, '127.0.0.1');
    try {
      return { id, wire: await promise };
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** Whether a zone's start can be had, with its signature where it has to have one. */
  async isServed(zone: string, signed: boolean): Promise<boolean> {
    const head = Buffer.from('000001000001000000000001', 'hex');
    const question = Buffer.concat([nameWire(zone), Buffer.from('00060001', 'hex')]);
    const dnssecOk = Buffer.from('0000290fa0000080000000', 'hex');
    const asked = this.ask(Buffer.concat([head, question, dnssecOk]), 'udp');
    const late = new Promise<undefined>((resolve) => void setTimeout(() => resolve(undefined), 300));
    const answer = await Promise.race([asked.catch(() => undefined), late]);
    if (answer === undefined) return false;
    return ((answer.wire[3] ?? 0) & 15) === 0 && answer.wire.readUInt16BE(6) >= (signed ? 2 : 1);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

async function overTcp(port: number, message: Buffer): Promise<Buffer> {
  const [answer] = await askOverTcp('127.0.0.1', port, message);
  if (answer === undefined) throw new Error(`${port} closed the connection on ${message.toString('hex')}`);
  return answer;
}
