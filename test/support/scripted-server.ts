import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, TLSSocket, type TlsOptions } from 'node:tls';
import { onTestFinished } from 'vitest';

/** One question that a scripted server was asked. */
export interface AskedQuestion {
  /** In lower case, dots between labels. */
  readonly name: string;
  readonly type: number;
  readonly transport: 'udp' | 'tcp' | 'tls';
  readonly wire: Buffer;
  /** Port that a question over UDP came from. */
  readonly port: number;
}

/** What a script does: give back messages (as they are), or nothing. */
export type Script = (question: AskedQuestion) => Buffer | readonly Buffer[] | undefined;

/** A DNS server that says what a test tells it to. */
export interface ScriptedServer {
  readonly host: string;
  readonly port: number;
  readonly tlsPort: number;
  readonly asked: readonly AskedQuestion[];
  /** How many TCP and TLS connections were opened. */
  readonly connections: number;
  /** How many of them are open. */
  readonly open: number;
  /** How many of them went on with a TLS session of before. */
  readonly resumed: number;
  script: Script;
  /** Send a message from the server's UDP socket. */
  send(message: Buffer, port: number): void;
  /** End all TCP and TLS connections that are open now. */
  dropConnections(): void;
  close(): Promise<void>;
}

/** Start a server on a loopback address; UDP and TCP share a port, TLS has its own when given a certificate. */
export async function scriptedServer(
  script: Script,
  { host = '127.0.0.1', port = 0, tls }: { host?: string; port?: number; tls?: TlsOptions } = {},
): Promise<ScriptedServer> {
  const asked: AskedQuestion[] = [];
  const sockets = new Set<Socket>();
  const state = { script, connections: 0, resumed: 0 };
  const answersTo = (wire: Buffer, transport: AskedQuestion['transport'], port = 0): readonly Buffer[] => {
    const question = { ...readAsked(wire), transport, wire, port };
    asked.push(question);
    const said = state.script(question);
    return said === undefined ? [] : Buffer.isBuffer(said) ? [said] : said;
  };
  const tcp = createServer((socket) => stream(socket, 'tcp'));
  const encrypted = tls === undefined ? undefined : createTlsServer(tls, (socket) => stream(socket, 'tls'));
  const stream = (socket: Socket, transport: 'tcp' | 'tls'): void => {
    state.connections++;
    if (socket instanceof TLSSocket && socket.isSessionReused()) state.resumed++;
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    let buffered: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      buffered = Buffer.concat([buffered, chunk]);
      while (buffered.length >= 2 && buffered.length >= 2 + buffered.readUInt16BE(0)) {
        const end = 2 + buffered.readUInt16BE(0);
        for (const answer of answersTo(buffered.subarray(2, end), transport)) {
          const length = Buffer.alloc(2);
          length.writeUInt16BE(answer.length);
          socket.write(Buffer.concat([length, answer]));
        }
        buffered = buffered.subarray(end);
      }
    });
  };
  const udp = createSocket('udp4');
  udp.on('message', (wire, from) => {
    for (const answer of answersTo(wire, 'udp', from.port)) udp.send(answer, from.port, from.address);
  });
  const bound = await listenOnBoth(tcp, udp, host, port);
  if (encrypted !== undefined) await listen(encrypted, host, 0);
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await Promise.all([
      new Promise<void>((done) => void udp.close(() => done())).catch(() => {}),
      new Promise<void>((done) => void tcp.close(() => done())),
      new Promise<void>((done) => (encrypted === undefined ? done() : void encrypted.close(() => done()))),
    ]);
  };
  let closed: Promise<void> | undefined;
  const closeOnce = (): Promise<void> => {
    closed ??= close();
    return closed;
  };
  onTestFinished(closeOnce);
  return {
    host,
    port: bound,
    tlsPort: encrypted === undefined ? 0 : portOf(encrypted),
    asked,
    get connections() {
      return state.connections;
    },
    get open() {
      return sockets.size;
    },
    get resumed() {
      return state.resumed;
    },
    get script() {
      return state.script;
    },
    set script(next: Script) {
      state.script = next;
    },
    send(message, to) {
      udp.send(message, to, '127.0.0.1');
    },
    dropConnections() {
      for (const socket of sockets) socket.destroy();
    },
    close: closeOnce,
  };
}

const MOST_DRAWS = 20;

/** What the kernel draws for TCP may be taken for UDP, by a socket that asks somebody just then: then it draws again. */
async function listenOnBoth(tcp: Server, udp: UdpSocket, host: string, port: number): Promise<number> {
  for (let draws = 1; ; draws++) {
    await listen(tcp, host, port);
    const bound = portOf(tcp);
    try {
      await bind(udp, host, bound);
      return bound;
    } catch (error) {
      if (port !== 0 || draws === MOST_DRAWS) throw error;
      await new Promise((done) => tcp.close(done));
    }
  }
}

/** One record of a scripted answer; the name is the question's unless given. */
export interface ScriptedRecord {
  readonly name?: string;
  readonly type: number;
  readonly ttl?: number;
  readonly data: Buffer;
}

/** What a scripted answer says. */
export interface ScriptedAnswer {
  readonly rcode?: number;
  readonly answers?: readonly ScriptedRecord[];
  readonly authority?: readonly ScriptedRecord[];
  readonly truncated?: boolean;
  readonly authentic?: boolean;
  /** Without an OPT record, as from a server that knows no EDNS. */
  readonly noEdns?: boolean;
  /** EDNS options of the answer. */
  readonly options?: readonly ScriptedOption[];
}

/** One EDNS option. */
export interface ScriptedOption {
  readonly code: number;
  readonly data: Buffer;
}

/** The data of an EDNS option of a question; the OPT record is the last thing in it. */
export function optionOf({ wire }: AskedQuestion, code: number): Buffer | undefined {
  if (wire.readUInt16BE(10) === 0) return undefined;
  for (let at = questionEnd(wire) + 11; at < wire.length; at += 4 + wire.readUInt16BE(at + 2))
    if (wire.readUInt16BE(at) === code) return wire.subarray(at + 4, at + 4 + wire.readUInt16BE(at + 2));
  return undefined;
}

/** A well-formed answer to a question, its spelling kept. */
export function answerTo({ wire }: AskedQuestion, answer: ScriptedAnswer = {}): Buffer {
  const end = questionEnd(wire);
  const edns = answer.noEdns !== true && wire.readUInt16BE(10) > 0;
  const head = Buffer.from(wire.subarray(0, end));
  const flags =
    0x8180 | (answer.truncated ? 0x0200 : 0) | (answer.authentic ? 0x20 : 0) | ((answer.rcode ?? 0) & 15);
  head.writeUInt16BE(flags, 2);
  head.writeUInt16BE(answer.answers?.length ?? 0, 6);
  head.writeUInt16BE(answer.authority?.length ?? 0, 8);
  head.writeUInt16BE(edns ? 1 : 0, 10);
  const records = [...(answer.answers ?? []), ...(answer.authority ?? [])].map(encodeRecord);
  const options = (answer.options ?? []).map(encodeOption);
  const bytes = options.reduce((sum, option) => sum + option.length, 0);
  const opt = Buffer.from([0, 0, 41, 0x04, 0xd0, (answer.rcode ?? 0) >> 4, 0, 0, 0, bytes >> 8, bytes & 255]);
  return Buffer.concat([head, ...records, ...(edns ? [opt, ...options] : [])]);
}

/** An A record's answer. */
export const addressAnswer = (question: AskedQuestion, address: string, ttl = 300): Buffer =>
  answerTo(question, {
    answers: question.type === 1 ? [{ type: 1, ttl, data: Buffer.from(address.split('.').map(Number)) }] : [],
  });

function encodeOption({ code, data }: ScriptedOption): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(code, 0);
  head.writeUInt16BE(data.length, 2);
  return Buffer.concat([head, data]);
}

function encodeRecord({ name, type, ttl = 300, data }: ScriptedRecord): Buffer {
  const owner = name === undefined ? Buffer.from([0xc0, 12]) : wireNameOf(name);
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(ttl, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([owner, fixed, data]);
}

const wireNameOf = (name: string): Buffer =>
  Buffer.concat([
    ...name.split('.').flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]),
    Buffer.of(0),
  ]);

function readAsked(wire: Buffer): { readonly name: string; readonly type: number } {
  const labels: string[] = [];
  let at = 12;
  for (let size = wire[at] ?? 0; size > 0; size = wire[at] ?? 0) {
    labels.push(wire.toString('latin1', at + 1, at + 1 + size).toLowerCase());
    at += size + 1;
  }
  return { name: labels.join('.'), type: wire.readUInt16BE(at + 1) };
}

function questionEnd(wire: Buffer): number {
  let at = 12;
  while ((wire[at] ?? 0) > 0) at += (wire[at] ?? 0) + 1;
  return at + 5;
}

const listen = (server: Server, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => resolve());
  });

const bind = (socket: UdpSocket, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(port, host, () => resolve());
  });

function portOf(server: Server): number {
  const bound = server.address();
  if (typeof bound !== 'object' || bound === null) throw new Error('a server without a port');
  return bound.port;
}
