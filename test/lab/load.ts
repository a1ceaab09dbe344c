/**
 * `node load.ts RESULT`, inside a machine: asks for names without end, until SIGTERM, and writes what became of it to the
 * file RESULT as JSON (`Asked` in resolver-restart.test.ts). It runs on the runtime of the installed package, by itself.
 *
 * `udp` and `tcp` ask 127.0.0.53 as libc would: five seconds an attempt, two attempts, a refused attempt ends at once.
 * `libc` is libc: getent through /etc/resolv.conf, DNS only, one process each.
 */
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';

const SERVER = '127.0.0.53';
const ATTEMPT_MS = 5000;
const ATTEMPTS = 2;
const PAUSE_MS = 3;

const [result = ''] = process.argv.slice(2);
const tally = { udp: newTally(), tcp: newTally(), libc: newTally() };
let ended = false;
let count = 0;
process.once('SIGTERM', () => {
  ended = true;
});

await Promise.all([
  loop('udp', (name) => attempts(name, overUdp)),
  loop('udp', (name) => attempts(name, overUdp)),
  loop('tcp', (name) => attempts(name, overTcp)),
  loop('libc', byLibc),
]);
writeFileSync(result, JSON.stringify(tally));

function newTally() {
  return { asked: 0, failed: 0, repeated: 0, longestMs: 0, failures: [] as string[] };
}

async function loop(kind: keyof typeof tally, ask: (name: string) => Promise<number>): Promise<void> {
  const own = tally[kind];
  while (!ended) {
    // Every second name is new, so that both the memory and the network are asked.
    const name = count++ % 2 === 0 ? 'who.example' : `n${count}.who.example`;
    const start = performance.now();
    try {
      own.repeated += await ask(name);
    } catch (error) {
      own.failed++;
      if (own.failures.length < 10)
        own.failures.push(`${new Date().toISOString()} ${name}: ${String(error)}`);
    }
    own.asked++;
    own.longestMs = Math.max(own.longestMs, Math.round(performance.now() - start));
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** How many attempts came to nothing before one succeeded. */
async function attempts(name: string, ask: (query: Buffer) => Promise<Buffer>): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    try {
      const answer = await ask(queryFor(name));
      const rcode = (answer[3] ?? 0) & 15;
      if (rcode !== 0 || answer.readUInt16BE(6) === 0) throw new Error(`rcode ${rcode}`);
      return attempt;
    } catch (error) {
      if (attempt + 1 >= ATTEMPTS) throw error;
    }
  }
}

function overUdp(query: Buffer): Promise<Buffer> {
  const socket = createSocket('udp4');
  return new Promise<Buffer>((resolve, reject) => {
    setTimeout(() => reject(new Error('no answer')), ATTEMPT_MS).unref();
    socket.on('error', reject);
    socket.on('message', resolve);
    socket.connect(53, SERVER, () => socket.send(query));
  }).finally(() => socket.close());
}

function overTcp(query: Buffer): Promise<Buffer> {
  const socket = connect({ host: SERVER, port: 53 });
  const length = Buffer.alloc(2);
  length.writeUInt16BE(query.length);
  socket.write(Buffer.concat([length, query]));
  let got = Buffer.alloc(0);
  return new Promise<Buffer>((resolve, reject) => {
    setTimeout(() => reject(new Error('no answer')), ATTEMPT_MS).unref();
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed')));
    socket.on('data', (data) => {
      got = Buffer.concat([got, data]);
      if (got.length >= 2 && got.length >= 2 + got.readUInt16BE(0)) resolve(got.subarray(2));
    });
  }).finally(() => socket.destroy());
}

function byLibc(name: string): Promise<number> {
  return new Promise((resolve, reject) => {
    execFile('getent', ['-s', 'dns', 'ahostsv4', name], (error, stdout) => {
      if (error === null && stdout !== '') resolve(0);
      else reject(new Error(`getent ended with ${error?.code ?? 0}`));
    });
  });
}

function queryFor(name: string): Buffer {
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)]);
  const id = Math.floor(Math.random() * 65_536);
  return Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, 0, 1, 0, 1]);
}
