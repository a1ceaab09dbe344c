import { createSocket } from 'node:dgram';
import { describe, expect, it, onTestFinished } from 'vitest';
import { coalesce } from '../../src/resolver/coalesce.ts';
import { Reception } from '../../src/resolver/listener.ts';
import { listenBoth } from '../../src/resolver/listener-both.ts';
import { readResponse } from '../../src/resolver/message-read.ts';
import { OwnQuestions } from '../../src/resolver/own-questions.ts';
import { askOverUdp, queryOf, queryWire } from '../support/ask.ts';
import { freePort } from '../support/free-port.ts';
import { link } from '../support/links.ts';
import { manualClock } from '../support/manual-clock.ts';
import { recordingLog } from '../support/recording-log.ts';
import { type ResolverUnderTest, resolverOver } from '../support/resolver.ts';
import { must } from '../support/sample-status.ts';
import { addressAnswer, type ScriptedServer, scriptedServer } from '../support/scripted-server.ts';

const LONG = 'a-name-with-many-letters.example.com';
const SHORT = 'a.example';
const REFUSED = 5;

describe('a server that forwards to us', () => {
  it.each([
    ['by the capitals of its name', LONG, 'strips EDNS'],
    ['by the cookie, where the name is short', SHORT, 'keeps all'],
  ] as const)('is found %s, refused, and said in status', async (_, name, manner) => {
    const { resolver, forwarder, asking } = await circle(manner);
    const answer = await asking(name);
    expect(answer).toMatchObject({ rcode: 2 });
    expect(answer.extendedErrors[0]?.text).toContain('circles');
    expect(forwarder.refusals).toBeGreaterThan(0);
    const [report] = resolver.servers();
    expect(report?.trouble).toMatchObject({ kind: 'circle' });
    expect(report?.trouble?.text).toContain(`127.0.0.1:${forwarder.port}`);
  });

  it('is not asked again for a while, and then once more', async () => {
    const { resolver, forwarder, asking, clock } = await circle('strips EDNS');
    await asking(LONG);
    const before = forwarder.forwarded;
    const second = await asking(`b${LONG}`);
    expect(second).toMatchObject({ rcode: 2 });
    expect(second.extendedErrors[0]?.text).toContain('circles');
    expect(forwarder.forwarded).toBe(before);
    forwarder.honest = true;
    clock.advance(61_000);
    expect(await asking(`c${LONG}`)).toMatchObject({ rcode: 0 });
    expect(resolver.servers()[0]?.trouble).toBeUndefined();
  });

  it('is passed over for one that does not', async () => {
    const good = await scriptedServer((question) => addressAnswer(question, '192.0.2.7'));
    const { asking } = await circle('strips EDNS', [good]);
    expect(await asking(LONG)).toMatchObject({ rcode: 0 });
    expect(good.asked.length).toBeGreaterThan(0);
  });
});

describe("a client's question is not taken for ours", () => {
  const asked = { link: 'eth0', server: { address: { family: 4, bytes: [192, 0, 2, 1], kind: 'unicast' } } };
  const noted = (spelled: string) => {
    const questions = new OwnQuestions();
    const wire = queryWire(spelled);
    const forget = questions.note(wire, queryOf(spelled).name.length, asked as never);
    return { questions, forget };
  };

  it.each([
    ['the same spelling', 'A-nAme-With-Many-letters.example', 'A-nAme-With-Many-letters.example', true],
    ['another spelling', 'A-nAme-With-Many-letters.example', 'a-naMe-With-Many-letters.example', false],
    ['no capitals', 'a-name-with-many-letters.example', 'a-name-with-many-letters.example', false],
    ['capitals alone', 'A-NAME-WITH-MANY-LETTERS.EXAMPLE', 'A-NAME-WITH-MANY-LETTERS.EXAMPLE', false],
    ['few letters, which chance could spell alike', 'Ab.cD', 'Ab.cD', false],
  ])('%s', (_, ours, theirs, found) => {
    const { questions } = noted(ours);
    expect(questions.find(queryOf(theirs)) !== undefined).toBe(found);
  });

  it('once ours is answered', () => {
    const name = 'A-nAme-With-Many-letters.example';
    const { questions, forget } = noted(name);
    forget();
    expect(questions.find(queryOf(name))).toBeUndefined();
  });
});

/** Our resolver with a forwarder as its first server that sends everything back to it. */
async function circle(manner: 'strips EDNS' | 'keeps all', others: readonly ScriptedServer[] = []) {
  const clock = manualClock();
  const forwarder = await startForwarder(manner);
  const servers = [forwarder, ...others].map(({ port }) => `dns+udp://127.0.0.1:${port}`);
  const resolver: ResolverUnderTest = resolverOver([link({ interface: 'lo', servers })], {
    clock: { ...clock, now: () => 0, after: (ms, run) => realTimer(ms, run) },
    coalesce: coalesce({ routeKeyOf: () => 'lo' }),
  });
  const reception = new Reception(resolver.answer, recordingLog());
  forwarder.target = await freePort();
  const at = { host: '127.0.0.1', port: forwarder.target, service: 'full' } as const;
  const listeners = await listenBoth(at, reception);
  onTestFinished(async () => {
    reception.close();
    await Promise.all(listeners.map((listener) => listener.close()));
  });
  return {
    resolver,
    forwarder,
    clock,
    async asking(name: string) {
      return must(readResponse(await askOverUdp('127.0.0.1', forwarder.target, queryWire(name))));
    },
  };
}

function realTimer(ms: number, run: () => void): () => void {
  const timer = setTimeout(run, ms);
  return () => clearTimeout(timer);
}

/** A forwarder of dnsmasq's kind: another id, the question as it is, the answer back to whoever asked. */
async function startForwarder(manner: 'strips EDNS' | 'keeps all') {
  const socket = createSocket('udp4');
  const waiting = new Map<number, { readonly id: number; readonly port: number }>();
  const state = { port: 0, target: 0, forwarded: 0, refusals: 0, honest: false };
  socket.on('message', (message, from) => {
    const known = waiting.get(message.readUInt16BE(0));
    if (from.port === state.target && known !== undefined && ((message[2] ?? 0) & 0x80) !== 0) {
      waiting.delete(message.readUInt16BE(0));
      if (((message[3] ?? 0) & 15) === REFUSED) state.refusals++;
      message.writeUInt16BE(known.id, 0);
      socket.send(message, known.port, '127.0.0.1');
      return;
    }
    const question = { name: '', type: 1, transport: 'udp', wire: message, port: from.port } as const;
    if (state.honest) {
      socket.send(addressAnswer(question, '192.0.2.7'), from.port, '127.0.0.1');
      return;
    }
    state.forwarded++;
    const id = (state.forwarded * 7) & 0xffff;
    waiting.set(id, { id: message.readUInt16BE(0), port: from.port });
    const onward = manner === 'keeps all' ? Buffer.from(message) : withoutEdns(message);
    onward.writeUInt16BE(id, 0);
    socket.send(onward, state.target, '127.0.0.1');
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise<void>((resolve) => void socket.close(() => resolve())));
  state.port = socket.address().port;
  return state;
}

function withoutEdns(message: Buffer): Buffer {
  let end = 12;
  while ((message[end] ?? 0) > 0) end += (message[end] ?? 0) + 1;
  const copy = Buffer.from(message.subarray(0, end + 5));
  copy.writeUInt16BE(0, 10);
  return copy;
}
