import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A method call as bytes; what it says need not make sense. */
export interface RawCall {
  readonly destination: string;
  readonly path: string;
  readonly interface?: string;
  readonly member: string;
  readonly signature?: string;
  /** Marshalled already; `bodyBytes` makes one. */
  readonly body?: Buffer;
  readonly flags?: number;
  /** How many descriptors the message says it carries. */
  readonly descriptors?: number;
}

/** A reply as far as it is read: METHOD_RETURN (2) or ERROR (3), and the error's name and text. */
export interface RawReply {
  readonly type: number;
  readonly serial: number;
  readonly errorName: string | undefined;
  readonly body: Buffer;
}

/** A D-Bus client that sends bytes and reads little more than headers: cheap, and free to send what no library would. */
export interface RawBus {
  readonly socket: Socket;
  /** Set the serial of a message from `callBytes` and send it; resolves with the reply. Rejects when the bus hangs up. */
  send(message: Buffer): Promise<RawReply>;
  /** The same for who writes the bytes: resolves with the reply to the message with this serial. */
  reply(serial: number): Promise<RawReply>;
  /** The same with the reply handed to `onReply`, for those who count. */
  post(message: Buffer, onReply: (reply: RawReply) => void): void;
  close(): void;
}

/** Connect to the bus at the path of its socket; with `descriptors` it may be sent messages that carry some. */
export async function rawBus(path: string, { descriptors = false } = {}): Promise<RawBus> {
  const socket = connect(path);
  const waiting = new Map<number, (reply: RawReply) => void>();
  const gone = Promise.withResolvers<never>();
  gone.promise.catch(() => {});
  let serial = 1;
  let held: Buffer = Buffer.alloc(0);
  await authenticate(socket, descriptors);
  socket.on('error', () => {});
  socket.on('close', () => gone.reject(new Error('the bus hung up')));
  socket.on('data', (chunk: Buffer) => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    for (let size = messageBytes(held); size > 0 && held.length >= size; size = messageBytes(held)) {
      const reply = readReply(held.subarray(0, size));
      held = held.subarray(size);
      const settle = reply === undefined ? undefined : waiting.get(reply.replySerial);
      if (reply === undefined || settle === undefined) continue;
      waiting.delete(reply.replySerial);
      settle(reply);
    }
  });
  const post: RawBus['post'] = (message, onReply) => {
    serial = (serial + 1) >>> 0;
    message.writeUInt32LE(serial, 8);
    waiting.set(serial, onReply);
    socket.write(message);
  };
  const bus: RawBus = {
    socket,
    post,
    reply: (of) => Promise.race([new Promise<RawReply>((resolve) => waiting.set(of, resolve)), gone.promise]),
    send: (message) =>
      Promise.race([new Promise<RawReply>((resolve) => post(Buffer.from(message), resolve)), gone.promise]),
    close: () => socket.destroy(),
  };
  const hello = await bus.send(
    callBytes({ destination: BUS, path: '/org/freedesktop/DBus', interface: BUS, member: 'Hello' }),
  );
  if (hello.type !== METHOD_RETURN) throw new Error(`the bus refused us: ${hello.errorName}`);
  return bus;
}

const BUS = 'org.freedesktop.DBus';

/** METHOD_RETURN of the D-Bus specification. */
export const METHOD_RETURN = 2;

/** A method call in the byte order of the machine that we run on; the serial is set when it is sent. */
export function callBytes(call: RawCall): Buffer {
  const body = call.body ?? Buffer.alloc(0);
  const fields: [code: number, signature: string, value: string | number][] = [
    [1, 'o', call.path],
    ...(call.interface === undefined ? [] : [[2, 's', call.interface] as [number, string, string]]),
    [3, 's', call.member],
    [6, 's', call.destination],
    ...(call.signature === undefined ? [] : [[8, 'g', call.signature] as [number, string, string]]),
    ...(call.descriptors === undefined ? [] : [[9, 'u', call.descriptors] as [number, string, number]]),
  ];
  const header = new BodyWriter();
  for (const [code, signature, value] of fields) {
    header.align(8);
    header.bytes(Buffer.from([code]));
    header.signature(signature);
    if (typeof value === 'number') header.uint32(value);
    else if (signature === 'g') header.signature(value);
    else header.string(value);
  }
  const array = header.take();
  const fixed = Buffer.alloc(16);
  fixed.write('l', 0, 'latin1');
  fixed[1] = 1;
  fixed[2] = call.flags ?? 0;
  fixed[3] = 1;
  fixed.writeUInt32LE(body.length, 4);
  fixed.writeUInt32LE(1, 8);
  fixed.writeUInt32LE(array.length, 12);
  const padding = Buffer.alloc((8 - (array.length % 8)) % 8);
  return Buffer.concat([fixed, array, padding, body]);
}

/** Writes a body value by value, little-endian, aligned as D-Bus wants it. */
export class BodyWriter {
  #parts: Buffer[] = [];
  #length = 0;

  align(to: number): this {
    return this.bytes(Buffer.alloc((to - (this.#length % to)) % to));
  }

  bytes(bytes: Uint8Array): this {
    this.#parts.push(Buffer.from(bytes));
    this.#length += bytes.length;
    return this;
  }

  uint32(value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value >>> 0);
    return this.align(4).bytes(bytes);
  }

  uint64(value: bigint): this {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(value);
    return this.align(8).bytes(bytes);
  }

  /** A string, or bytes that should be one and are not. */
  string(text: string | Uint8Array): this {
    const bytes = Buffer.from(text as string);
    return this.uint32(bytes.length).bytes(bytes).bytes(Buffer.alloc(1));
  }

  signature(text: string): this {
    return this.bytes(Buffer.from([text.length])).bytes(Buffer.from(`${text}\0`, 'latin1'));
  }

  /** An array whose elements are aligned to `alignment`. */
  array(alignment: number, write: (inner: BodyWriter) => void): this {
    this.uint32(0);
    const lengthAt = this.#length - 4;
    this.align(alignment);
    const start = this.#length;
    write(this);
    const all = this.take();
    all.writeUInt32LE(all.length - start, lengthAt);
    this.#parts = [all];
    return this;
  }

  take(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

/** The SASL handshake as the user that we are (D-Bus specification, "Authentication Protocol"). */
async function authenticate(socket: Socket, descriptors: boolean): Promise<void> {
  await once(socket, 'connect');
  const uid = Buffer.from(String(process.getuid?.() ?? 0)).toString('hex');
  socket.write(`\0AUTH EXTERNAL ${uid}\r\n`);
  const [answer] = (await once(socket, 'data')) as [Buffer];
  if (!answer.toString('latin1').startsWith('OK ')) throw new Error(`the bus said ${answer}`);
  if (descriptors) {
    socket.write('NEGOTIATE_UNIX_FD\r\n');
    await once(socket, 'data');
  }
  socket.write('BEGIN\r\n');
}

/** The bytes of the message that begins here; 0 while that is not known yet. */
function messageBytes(held: Buffer): number {
  if (held.length < 16) return 0;
  return 16 + Math.ceil(number(held, 12) / 8) * 8 + number(held, 4);
}

const number = (bytes: Buffer, at: number): number =>
  bytes[0] === 0x6c ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);

function readReply(bytes: Buffer): (RawReply & { readonly replySerial: number }) | undefined {
  const type = bytes[1] ?? 0;
  if (type !== METHOD_RETURN && type !== ERROR) return undefined;
  const end = 16 + number(bytes, 12);
  let replySerial = 0;
  let errorName: string | undefined;
  for (let at = 16; at < end; ) {
    const code = bytes[at] ?? 0;
    const signature = String.fromCharCode(bytes[at + 2] ?? 0);
    at += 4;
    if (signature === 'g') {
      at += 2 + (bytes[at] ?? 0);
    } else if (signature === 'u') {
      if (code === 5) replySerial = number(bytes, at);
      at += 4;
    } else {
      const length = number(bytes, at);
      if (code === 4) errorName = bytes.toString('latin1', at + 4, at + 4 + length);
      at += 5 + length;
    }
    at = Math.ceil(at / 8) * 8;
  }
  return {
    type,
    serial: number(bytes, 8),
    replySerial,
    errorName,
    body: bytes.subarray(Math.ceil(end / 8) * 8),
  };
}

const ERROR = 3;
