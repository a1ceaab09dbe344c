/**
 * `node load.ts RESULT SERVERS KIND…`, inside a machine: asks for names without end, until SIGTERM, in each of these ways,
 * and keeps writing what became of it to the file RESULT as JSON (`Asked` in loaded.ts). It runs on the runtime of the
 * installed package, by itself. SERVERS is an address, or the path of a resolv.conf that is read for every attempt.
 *
 * `udp` and `tcp` ask as libc would: five seconds an attempt, two attempts at each server, a refused one ends at once.
 * `libc` is getent through /etc/resolv.conf by DNS alone, one process for each name. `nss` is getaddrinfo(3) as nsswitch.conf has
 * it: by nss-resolve, and by DNS where nss-resolve finds nobody; EAI_AGAIN is asked again. `bus` is ResolveHostname over
 * D-Bus, one process for each name.
 */
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';

const ATTEMPT_MS = 5000;
const ATTEMPTS = 2;
const PAUSE_MS = 3;
const TELL_MS = 50;
/** Whoever calls while nobody has the name on the bus, or is told to come back later, calls again. */
const CALLS = 50;
const CALL_PAUSE_MS = 100;

const [result = '', servers = '', ...kinds] = process.argv.slice(2);
type Tally = ReturnType<typeof newTally>;
/** Gives how many attempts came to nothing before one succeeded. */
type Ask = (name: string, own: Tally) => Promise<number>;
const WAYS: Readonly<Record<string, readonly Ask[]>> = {
  // Two of them, because one that waits out an attempt would be the only one.
  udp: [(name, own) => attempts(name, overUdp, own), (name, own) => attempts(name, overUdp, own)],
  tcp: [(name, own) => attempts(name, overTcp, own)],
  libc: [(name) => getent('dns', name)],
  nss: [byNss],
  bus: [overBus],
};
const tally = new Map(kinds.map((kind) => [kind, newTally()]));
let ended = false;
let count = 0;
process.once('SIGTERM', () => {
  ended = true;
});
const telling = setInterval(tell, TELL_MS);
await Promise.all(kinds.flatMap((kind) => (WAYS[kind] ?? []).map((ask) => loop(kind, ask))));
clearInterval(telling);
tell();

function newTally() {
  const counts = { asked: 0, failed: 0, repeated: 0, refused: 0, longestMs: 0, lastBegan: 0 };
  return { ...counts, failures: [] as string[] };
}

/** Under another name first: whoever reads it never meets half of it. */
function tell(): void {
  writeFileSync(`${result}.new`, JSON.stringify(Object.fromEntries(tally)));
  renameSync(`${result}.new`, result);
}

async function loop(kind: string, ask: Ask): Promise<void> {
  const own = tally.get(kind) ?? newTally();
  while (!ended) {
    // Every second name is new, so that both the memory and the network are asked.
    const name = count++ % 2 === 0 ? 'who.example' : `n${count}.who.example`;
    const began = Date.now();
    const start = performance.now();
    try {
      own.repeated += await ask(name, own);
    } catch (error) {
      own.failed++;
      if (own.failures.length < 10)
        own.failures.push(`${new Date(began).toISOString()} ${name}: ${String(error)}`);
    }
    own.asked++;
    own.lastBegan = Math.max(own.lastBegan, began);
    own.longestMs = Math.max(own.longestMs, Math.round(performance.now() - start));
    await pause(PAUSE_MS);
  }
}

async function attempts(
  name: string,
  ask: (query: Buffer, server: string) => Promise<Buffer>,
  own: Tally,
): Promise<number> {
  let failed = 0;
  let last: unknown;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++)
    for (const server of serversNow()) {
      try {
        const answer = await ask(queryFor(name), server);
        const rcode = (answer[3] ?? 0) & 15;
        if (rcode !== 0 || answer.readUInt16BE(6) === 0) throw new Error(`rcode ${rcode} by ${server}`);
        return failed;
      } catch (error) {
        failed++;
        if ((error as { code?: string }).code === 'ECONNREFUSED') own.refused++;
        last = error;
      }
    }
  throw last;
}

function serversNow(): readonly string[] {
  if (!servers.startsWith('/')) return [servers];
  return [...readFileSync(servers, 'utf8').matchAll(/^nameserver (\S+)$/gm)].map(([, server = '']) => server);
}

function overUdp(query: Buffer, server: string): Promise<Buffer> {
  const socket = createSocket('udp4');
  return new Promise<Buffer>((resolve, reject) => {
    setTimeout(() => reject(new Error(`no answer by ${server}`)), ATTEMPT_MS).unref();
    socket.on('error', reject);
    socket.on('message', resolve);
    socket.connect(53, server, () => socket.send(query));
  }).finally(() => socket.close());
}

function overTcp(query: Buffer, server: string): Promise<Buffer> {
  const socket = connect({ host: server, port: 53 });
  const length = Buffer.alloc(2);
  length.writeUInt16BE(query.length);
  socket.write(Buffer.concat([length, query]));
  let got = Buffer.alloc(0);
  return new Promise<Buffer>((resolve, reject) => {
    setTimeout(() => reject(new Error(`no answer by ${server}`)), ATTEMPT_MS).unref();
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`closed by ${server}`)));
    socket.on('data', (data) => {
      got = Buffer.concat([got, data]);
      if (got.length >= 2 && got.length >= 2 + got.readUInt16BE(0)) resolve(got.subarray(2));
    });
  }).finally(() => socket.destroy());
}

async function getent(services: string, name: string): Promise<number> {
  const { failure, stdout } = await run('getent', ['-s', services, 'ahostsv4', name]);
  if (failure !== undefined || stdout === '') throw new Error(`getent: ${failure ?? 'nothing'}`);
  return 0;
}

async function byNss(name: string): Promise<number> {
  for (let failed = 0; ; failed++) {
    try {
      await lookup(name, { family: 4 });
      return failed;
    } catch (error) {
      if ((error as { code?: string }).code !== 'EAI_AGAIN' || failed === CALLS || ended) throw error;
    }
    await pause(CALL_PAUSE_MS);
  }
}

async function overBus(name: string): Promise<number> {
  const manager = 'org.freedesktop.resolve1 /org/freedesktop/resolve1 org.freedesktop.resolve1.Manager';
  const call = [
    '--auto-start=no',
    'call',
    ...manager.split(' '),
    'ResolveHostname',
    'isit',
    '0',
    name,
    '2',
    '0',
  ];
  for (let failed = 0; ; failed++) {
    const { failure, stdout } = await run('busctl', call);
    // One address of family 2 with four bytes.
    if (failure === undefined && / 2 4 \d+ \d+ \d+ \d+ /.test(stdout)) return failed;
    if (failed === CALLS || ended) throw new Error(`busctl: ${failure ?? stdout}`);
    await pause(CALL_PAUSE_MS);
  }
}

function run(
  command: string,
  words: readonly string[],
): Promise<{ readonly failure: string | undefined; readonly stdout: string }> {
  return new Promise((resolve) => {
    execFile(command, words, (error, stdout, stderr) =>
      resolve({ stdout, failure: error === null ? undefined : `code ${error.code} ${stderr}`.trim() }),
    );
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}

function queryFor(name: string): Buffer {
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)]);
  const id = Math.floor(Math.random() * 65_536);
  return Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, 0, 1, 0, 1]);
}
