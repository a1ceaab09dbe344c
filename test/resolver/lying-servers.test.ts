import { createSocket, type Socket } from 'node:dgram';
import { join } from 'node:path';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import { makePlan } from '../../src/core/policy.ts';
import { openResolver } from '../../src/resolver/open.ts';
import { systemClock } from '../../src/system/clock.ts';
import { loadLibc } from '../../src/system/libc.ts';
import { silentLog } from '../../src/system/log.ts';
import { askOverTcp, askOverUdp, queryWire, readAnswer } from '../support/ask.ts';
import { temporaryFolder } from '../support/folder.ts';
import { freePort } from '../support/free-port.ts';
import { link, snapshotOf } from '../support/links.ts';
import {
  type AskedQuestion,
  addressAnswer,
  answerTo,
  type Script,
  type ScriptedServer,
  scriptedServer,
} from '../support/scripted-server.ts';
import { patched } from '../support/upstream.ts';

const TRUTH = '192.0.2.1';
const LIE = '6.6.6.6';
const NAMES = 40;
const SERVFAIL = 2;
const REFUSED = 5;

const lie = (question: AskedQuestion): Buffer => addressAnswer(question, LIE);
const truth: Script = (question) => addressAnswer(question, TRUTH);

/** What each case came to, told at the end: no test depends on how long anything took. */
const figures: string[] = [];
afterAll(() => void process.stdout.write(['', ...figures, ''].join('\n  ')));

const ways = [
  ['with the C library', true],
  ['without', false],
] as const;

const LIARS: readonly (readonly [string, Script])[] = [
  ['sends random bytes', () => bytes(1 + Math.floor(random() * 600))],
  ['sends the right header and random bytes', (q) => Buffer.concat([lie(q).subarray(0, 12), bytes(80)])],
  ['answers with other ids', (q) => patched(lie(q), 0, 1 + Math.floor(random() * 255))],
  ['answers another question', (q) => patched(lie(q), 14, 1)],
  ['answers with a query', (q) => patched(lie(q), 2, 0x80)],
  ['points a name at itself', (q) => pointingAtItself(lie(q))],
  ['cuts a record off', (q) => lie(q).subarray(0, -13)],
  ['promises more records than there are', (q) => patched(lie(q), 7, 200)],
  ['sends nothing but a header', (q) => lie(q).subarray(0, 12)],
  ['says nothing', () => undefined],
  ['refuses', (q) => answerTo(q, { rcode: REFUSED })],
  ['fails', (q) => answerTo(q, { rcode: SERVFAIL })],
  ['refuses without the question', (q) => withoutQuestion(answerTo(q, { rcode: REFUSED }))],
  ['floods', (q) => Array.from({ length: 100 }, (_, i) => patched(lie(q), 0, i + 1))],
  ['truncates, and closes TCP', (q) => (q.transport === 'udp' ? truncated(q) : closing)],
  ['truncates over TCP too', (q) => truncated(q)],
];
/** Those whose messages the two ways of asking treat differently before anybody reads them. */
const BY_BOTH_WAYS = ['sends random bytes', 'says nothing', 'floods', 'truncates, and closes TCP'];

describe.each(ways)('a first server that lies, and an honest second one, %s', (way, withLibc) => {
  it.each(LIARS.filter(([what]) => !withLibc || BY_BOTH_WAYS.includes(what)))(
    '%s: every name is answered by the truth',
    async (what, script) => {
      const liar = await scriptedServer((question) => {
        const said = script(question);
        if (said !== closing) return said;
        setImmediate(() => liar.dropConnections());
        return undefined;
      });
      const honest = await scriptedServer(truth);
      const { asking } = await open(withLibc, liar, honest);
      const result = await asking(NAMES);
      tell(`${way}: a first server that ${what}`, result, liar);
      expect(result.answers).toEqual(new Array(NAMES).fill(TRUTH));
    },
  );
});

describe.each(ways)('one server alone, %s', (way, withLibc) => {
  it('forged answers from another port are not even seen', async () => {
    const forger = await udpSocket();
    const server = await scriptedServer((question) => {
      if (question.transport === 'udp') forger.send(lie(question), question.port, '127.0.0.1');
      return addressAnswer(question, TRUTH);
    });
    const { asking } = await open(withLibc, server);
    const result = await asking(NAMES);
    tell(`${way}: forged answers from another port`, result, server);
    expect(result.answers).toEqual(new Array(NAMES).fill(TRUTH));
  });

  it('a forger at the right address and port who knows all but the id and the spelling loses', async () => {
    const server = await scriptedServer((question) => [
      ...Array.from({ length: question.transport === 'udp' ? 20 : 0 }, (_, i) =>
        patched(lie(question), 1, i + 1),
      ),
      addressAnswer(question, TRUTH),
    ]);
    const { asking } = await open(withLibc, server);
    const result = await asking(NAMES);
    tell(`${way}: 20 guesses before each answer`, result, server);
    expect(result.answers).toEqual(new Array(NAMES).fill(TRUTH));
  });

  it('a loss of 30 % in both directions loses next to no name', async () => {
    const asked = 200;
    const server = await scriptedServer((question) =>
      random() < 0.3 || random() < 0.3 ? undefined : addressAnswer(question, TRUTH),
    );
    const { asking } = await open(withLibc, server);
    const result = await asking(asked, asked);
    tell(`${way}: 30 % of packets lost each way, one server`, result, server);
    expect(new Set(result.answers)).not.toContain(LIE);
    expect(result.answers.filter((answer) => answer === TRUTH).length).toBeGreaterThanOrEqual(asked * 0.95);
  });

  it('answers of any size reach the client, over UDP as much as it takes and the rest over TCP', async () => {
    const sizes = [400, 1200, 1300, 4000, 30_000, 65_000];
    const server = await scriptedServer((question) => {
      const size = Number.parseInt(question.name, 10);
      const big = answerTo(question, { answers: [{ type: 16, data: Buffer.alloc(size, 'x') }] });
      // More than was announced, up to what one datagram holds; the rest over TCP.
      return question.transport === 'udp' && size > 8000 ? answerTo(question, { truncated: true }) : big;
    });
    const { port } = await open(withLibc, server);
    for (const size of sizes) {
      const query = queryWire(`${size}.example.com`, 'TXT');
      const overUdp = await askOverUdp('127.0.0.1', port, query);
      expect(overUdp.length).toBeLessThanOrEqual(1232);
      expect(((overUdp[2] ?? 0) & 2) !== 0).toBe(size > 1180);
      const [overTcp] = await askOverTcp('127.0.0.1', port, query);
      expect(overTcp?.length).toBeGreaterThan(size);
    }
  });

  it('one that gives nothing but garbage is SERVFAIL for all, and bounded questions', async () => {
    const server = await scriptedServer(() => bytes(60));
    const { asking } = await open(withLibc, server);
    const result = await asking(5);
    tell(`${way}: nothing but garbage`, result, server);
    expect(result.answers).toEqual(new Array(5).fill('SERVFAIL'));
    expect(server.asked.length).toBeLessThanOrEqual(5 * 12);
  });
});

const closing = Buffer.from('close the connection');

const truncated = (question: AskedQuestion): Buffer => answerTo(question, { truncated: true });

/** A record's name that is a pointer to where it stands. */
function pointingAtItself(message: Buffer): Buffer {
  const at = message.indexOf(Buffer.from([0xc0, 12]));
  if (at < 0) return message;
  const copy = Buffer.from(message);
  copy.writeUInt16BE(0xc000 | at, at);
  return copy;
}

/** As some servers refuse: a header with counts of nothing. */
function withoutQuestion(message: Buffer): Buffer {
  const head = Buffer.from(message.subarray(0, 12));
  head.fill(0, 4);
  return head;
}

/** The same numbers in each run. */
let state = 20_261_121;
function random(): number {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}

const bytes = (count: number): Buffer => Buffer.from(Array.from({ length: count }, () => random() * 256));

async function udpSocket(): Promise<Socket> {
  const socket = createSocket('udp4');
  onTestFinished(() => new Promise<void>((resolve) => void socket.close(() => resolve())));
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return socket;
}

interface Result {
  /** The address of each answer, or its code where it has none. */
  readonly answers: readonly string[];
  readonly longestMs: number;
}

function tell(what: string, { answers, longestMs }: Result, server: ScriptedServer): void {
  const good = answers.filter((answer) => answer === TRUTH).length;
  figures.push(
    `${what}: ${good} of ${answers.length} answered, longest ${Math.round(longestMs)} ms, ${server.asked.length} questions to it`,
  );
}

/** A resolver on a port of the loopback, as the daemon puts it together. */
async function open(withLibc: boolean, ...servers: readonly ScriptedServer[]) {
  const live = openResolver({
    hostsFile: join(temporaryFolder('etc'), 'hosts'),
    clock: systemClock,
    log: silentLog,
    libc: withLibc ? loadLibc() : undefined,
    settings: () => DEFAULT_CONFIG,
    isOwn: () => false,
  });
  const texts = servers.map(({ port }) => `dns+udp://127.0.0.1:${port}`);
  live.resolver.apply(makePlan(snapshotOf([link({ interface: 'lo', servers: texts })]), DEFAULT_CONFIG));
  const port = await freePort();
  const listeners = await live.listen({ host: '127.0.0.1', port, service: 'full' });
  onTestFinished(async () => {
    await Promise.all(listeners.map((listener) => listener.close()));
    live.resolver.close();
    await live.close();
  });
  const ask = async (name: string): Promise<string> => {
    const { answers, rcode } = readAnswer(await askOverUdp('127.0.0.1', port, queryWire(name)));
    return answers[0]?.split(' ').at(-1) ?? rcode;
  };
  return {
    port,
    async asking(count: number, atOnce = 20): Promise<Result> {
      const names = Array.from({ length: count }, (_, i) => `a-name-of-many-letters-${i}.example.com`);
      const answers: string[] = [];
      let longestMs = 0;
      for (let at = 0; at < count; at += atOnce)
        answers.push(
          ...(await Promise.all(
            names.slice(at, at + atOnce).map(async (name) => {
              const started = performance.now();
              const answer = await ask(name);
              longestMs = Math.max(longestMs, performance.now() - started);
              return answer;
            }),
          )),
        );
      return { answers, longestMs };
    },
  };
}
