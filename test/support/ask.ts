import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { decode, encode, RECURSION_DESIRED } from 'dns-packet';
import { readQuery } from '../../src/resolver/message-read.ts';
import type { Query } from '../../src/resolver/query.ts';

/** What a client got. dns-packet reads it, so that our own reader is not its own judge. */
export interface ClientAnswer {
  readonly rcode: string;
  readonly truncated: boolean;
  readonly authentic: boolean;
  /** `name TYPE data`, in the order of the answer. */
  readonly answers: readonly string[];
  readonly wire: Buffer;
}

/** What a client asks, beside name and type. */
export interface AskOptions {
  readonly flags?: number;
  readonly edns?: boolean;
  readonly dnssecOk?: boolean;
  readonly id?: number;
}

/** A query as a client of libc's kind sends it. */
export function queryWire(name: string, type = 'A', options: AskOptions = {}): Buffer {
  const additionals =
    options.edns === false
      ? []
      : [{ type: 'OPT', name: '.', udpPayloadSize: 1232, flags: options.dnssecOk ? 0x8000 : 0, options: [] }];
  return encode({
    type: 'query',
    id: options.id ?? 4242,
    flags: options.flags ?? RECURSION_DESIRED,
    questions: [{ type, name }],
    additionals,
  } as never);
}

/** The same, read. */
export function queryOf(
  name: string,
  type = 'A',
  options: AskOptions & { service?: Query['service'] } = {},
): Query {
  const read = readQuery(queryWire(name, type, options), 'udp', options.service ?? 'full');
  if (!read.ok) throw new Error(read.reason);
  return read.value;
}

/** Read an answer for a test. */
export function readAnswer(wire: Buffer): ClientAnswer {
  const packet = decode(wire) as unknown as {
    rcode: string;
    flag_tc: boolean;
    flag_ad: boolean;
    answers: readonly { name: string; type: string; data: unknown }[];
  };
  return {
    rcode: packet.rcode,
    truncated: packet.flag_tc,
    authentic: packet.flag_ad,
    answers: packet.answers.map(({ name, type, data }) => `${name} ${type} ${String(data)}`),
    wire,
  };
}

/** Send messages over UDP, and resolve to the first answer; fails when none comes. */
export async function askOverUdp(
  host: string,
  port: number,
  ...messages: readonly Buffer[]
): Promise<Buffer> {
  const socket = createSocket('udp4');
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise((resolve, reject) => {
      timer = setTimeout(() => reject(new Error('no answer over UDP')), 15_000);
      socket.once('message', resolve);
      socket.once('error', reject);
      for (const message of messages) socket.send(message, port, host);
    });
  } finally {
    clearTimeout(timer);
    socket.close();
  }
}

/** Ask over one TCP connection; resolves to as many answers as there were questions, in the order they came. */
export async function askOverTcp(
  host: string,
  port: number,
  ...messages: readonly Buffer[]
): Promise<Buffer[]> {
  const socket = connect({ host, port });
  const answers: Buffer[] = [];
  let buffered: Buffer = Buffer.alloc(0);
  for (const message of messages) {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(message.length);
    socket.write(Buffer.concat([length, message]));
  }
  try {
    for await (const chunk of socket) {
      buffered = Buffer.concat([buffered, chunk as Buffer]);
      while (buffered.length >= 2 && buffered.length >= 2 + buffered.readUInt16BE(0)) {
        answers.push(Buffer.from(buffered.subarray(2, 2 + buffered.readUInt16BE(0))));
        buffered = buffered.subarray(2 + buffered.readUInt16BE(0));
      }
      if (answers.length === messages.length) break;
    }
    return answers;
  } finally {
    socket.destroy();
  }
}
