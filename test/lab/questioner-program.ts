/**
 * `node questioner-program.ts SERVER INTERVAL NAME…`: asks a DNS server for the address of each name again and again, until it is
 * ended; prints a line of JSON for each answer (`Asked` in questioner.ts). A query waits for its answer as long as libc waits.
 */
import { createSocket } from 'node:dgram';
import type { Asked } from './questioner.ts';

const [server = '', interval = '', ...names] = process.argv.slice(2);
const WAIT_MS = 5000;
/** Stands for a label that nobody has asked for before, so that no answer comes from a cache. */
const FRESH = '{fresh}';
const run = Date.now().toString(36);

const waiting = new Map<number, { name: string; at: number; timer: NodeJS.Timeout }>();
let asked = 0;
const socket = createSocket('udp4');
// Nobody listens there for a moment while the resolver comes and goes: the query is lost, as the client sees it.
socket.on('error', () => {});
socket.on('message', (answer) => {
  const id = answer.readUInt16BE(0);
  const question = waiting.get(id);
  if (question === undefined) return;
  waiting.delete(id);
  clearTimeout(question.timer);
  const rcode = (answer[3] ?? 0) & 15;
  tell(question, { rcode, ...(rcode === 0 ? {} : { reason: reasonIn(answer) }) }, addressesIn(answer));
});
socket.bind(0, () => setInterval(() => names.forEach(ask), Number(interval)));

function ask(pattern: string): void {
  const id = ++asked % 65_536;
  const name = pattern.replace(FRESH, `f${asked}-${run}`);
  const at = Date.now();
  const timer = setTimeout(() => {
    waiting.delete(id);
    tell({ name, at });
  }, WAIT_MS);
  waiting.set(id, { name, at, timer });
  const head = Buffer.from('000001000001000000000000', 'hex');
  head.writeUInt16BE(id, 0);
  const labels = name.split('.').flatMap((label) => [Buffer.of(label.length), Buffer.from(label)]);
  head[11] = 1;
  const [end, opt] = [Buffer.from('0000010001', 'hex'), Buffer.from('00002904d0000000000000', 'hex')];
  socket.send(Buffer.concat([head, ...labels, end, opt]), 53, server);
}

function tell(
  { name, at }: { name: string; at: number },
  end: Pick<Asked, 'rcode' | 'reason'> = {},
  addresses: string[] = [],
): void {
  const line: Asked = { name, at, tookMs: Date.now() - at, addresses, ...end };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** The text of an extended error (RFC 8914), which stands at the end of a failure. */
function reasonIn(answer: Buffer): string {
  return /[ -~]*$/.exec(answer.toString('latin1'))?.[0] ?? '';
}

/** Addresses at the end of records whose names are pointers, as all servers here write them. */
function addressesIn(answer: Buffer): string[] {
  const found: string[] = [];
  let at = 12;
  while ((answer[at] ?? 0) > 0) at += (answer[at] ?? 0) + 1;
  at += 5;
  for (let left = answer.readUInt16BE(6); left > 0; left--) {
    while ((answer[at] ?? 0) > 0 && (answer[at] ?? 0) < 192) at += (answer[at] ?? 0) + 1;
    at += (answer[at] ?? 0) >= 192 ? 2 : 1;
    const size = answer.readUInt16BE(at + 8);
    if (answer.readUInt16BE(at) === 1) found.push([...answer.subarray(at + 10, at + 14)].join('.'));
    at += 10 + size;
  }
  return found;
}
