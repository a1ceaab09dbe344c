/**
 * `node dhcp-server.ts GATEWAY OPTIONS`: a DHCP server (RFC 2131) with one lease, whose options are the bytes it was
 * given, however wrong. A real server refuses to send what the hostile scenarios need.
 */
import { createSocket } from 'node:dgram';

const [gateway = '', optionsText = '{}'] = process.argv.slice(2);
const hostile = Object.entries(JSON.parse(optionsText) as Record<string, string>);
const DISCOVER = 1;
const OFFER = 2;
const ACKNOWLEDGE = 5;

const bytesOf = (address: string): number[] => address.split('.').map(Number);
const gatewayBytes = bytesOf(gateway);
const lease = [...gatewayBytes.slice(0, 3), 66];

const socket = createSocket('udp4');
socket.on('message', (question) => {
  if (question.length < 240 || question[0] !== 1) return;
  const answer = Buffer.concat([
    head(question),
    options(messageType(question) === DISCOVER ? OFFER : ACKNOWLEDGE),
  ]);
  socket.send(answer, 68, '255.255.255.255');
});
socket.bind(67, () => socket.setBroadcast(true));

/** The fixed part: the question's ids with our lease in it, then the magic cookie. */
function head(question: Buffer): Buffer {
  const answer = Buffer.alloc(240);
  question.copy(answer, 0, 0, 44);
  answer[0] = 2;
  answer.set(lease, 16);
  answer.set(gatewayBytes, 20);
  answer.set([99, 130, 83, 99], 236);
  return answer;
}

function options(type: number): Buffer {
  const day = [0, 1, 81, 128];
  const honest: [number, readonly number[]][] = [
    [53, [type]],
    [54, gatewayBytes],
    [51, day],
    [1, [255, 255, 255, 0]],
    [3, gatewayBytes],
  ];
  const own = hostile.map(([code, hex]): [number, readonly number[]] => [
    Number(code),
    [...Buffer.from(hex, 'hex')],
  ]);
  const given = own.some(([code]) => code === 6)
    ? own
    : [...own, [6, gatewayBytes] as [number, readonly number[]]];
  return Buffer.from([...[...honest, ...given].flatMap(encode), 255]);
}

/** An option over 255 bytes comes in several parts (RFC 3396). */
function encode([code, bytes]: [number, readonly number[]]): number[] {
  const parts: number[] = [];
  for (let at = 0; at === 0 || at < bytes.length; at += 255) {
    const part = bytes.slice(at, at + 255);
    parts.push(code, part.length, ...part);
  }
  return parts;
}

function messageType(question: Buffer): number {
  for (let at = 240; at + 2 < question.length && question[at] !== 255; ) {
    if (question[at] === 53) return question[at + 2] ?? 0;
    at += question[at] === 0 ? 1 : 2 + (question[at + 1] ?? 0);
  }
  return 0;
}
