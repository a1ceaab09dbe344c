/**
 * `node name-server-program.ts SETTINGS`: a DNS server for a provider's side that behaves as a file tells it, over UDP, TCP
 * and TLS (RFC 7858). The file is read for every query, so that one write changes the behaviour between two queries.
 */
import { createSocket, type RemoteInfo } from 'node:dgram';
import { appendFileSync, readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Behaviour, NameServerSettings } from './name-server.ts';

const settings = JSON.parse(process.argv[2] ?? '') as NameServerSettings;
const { address, port, tls, log, behaviourFile } = settings;
const random = generator(1);

const udp = createSocket('udp4');
udp.on('message', (query, from) => answerDatagram(query, from));
udp.bind(port, address, () => {
  createServer((socket) => serve(socket, 'tcp')).listen(port, address, () => {
    if (tls === undefined) return said('started');
    const files = { key: readFileSync(tls.key), cert: readFileSync(tls.certificate) };
    createTlsServer(files, (socket) => serve(socket, 'tls')).listen(tls.port, address, () => said('started'));
  });
});

function answerDatagram(query: Buffer, from: RemoteInfo): void {
  const behaviour = behave(query, 'udp');
  const isLost = random() < (behaviour.loss ?? 0);
  const answer = isLost ? undefined : answerTo(query, behaviour);
  if (answer !== undefined) udp.send(answer, from.port, from.address);
}

/** Messages of a stream have their length before them (RFC 1035 section 4.2.2). */
function serve(socket: Socket, transport: string): void {
  let buffered: Buffer = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    buffered = Buffer.concat([buffered, chunk]);
    while (buffered.length >= 2 && buffered.length >= 2 + buffered.readUInt16BE(0)) {
      const end = 2 + buffered.readUInt16BE(0);
      const query = buffered.subarray(2, end);
      buffered = buffered.subarray(end);
      const answer = answerTo(query, behave(query, transport));
      if (answer === undefined) continue;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(answer.length);
      socket.write(Buffer.concat([length, answer]));
    }
  });
}

function behave(query: Buffer, transport: string): Behaviour {
  const { name, type } = questionOf(query);
  said(`${type === 1 ? 'A' : type === 28 ? 'AAAA' : `TYPE${type}`} ${name} ${transport}`);
  return JSON.parse(readFileSync(behaviourFile, 'utf8')) as Behaviour;
}

/** Every name has the same address. */
function answerTo(query: Buffer, { mode, answers }: Behaviour): Buffer | undefined {
  if (mode === 'silent') return undefined;
  const { type, end } = questionOf(query);
  const answer = Buffer.from(query.subarray(0, end));
  answer.writeUInt16BE(0x8180 | { answer: 0, servfail: 2, refused: 5 }[mode], 2);
  answer.fill(0, 6, 12);
  if (mode !== 'answer' || type !== 1) return answer;
  answer.writeUInt16BE(1, 6);
  const record = Buffer.from('c00c000100010000012c000400000000', 'hex');
  record.set(answers.split('.').map(Number), 12);
  return Buffer.concat([answer, record]);
}

function questionOf(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let size = query[at] ?? 0; size > 0; size = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + size));
    at += size + 1;
  }
  return { name: labels.join('.'), type: query.readUInt16BE(at + 1), end: at + 5 };
}

function said(line: string): void {
  appendFileSync(log, `${line}\n`);
}

/** The same numbers in every run (Park and Miller, 1988). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
