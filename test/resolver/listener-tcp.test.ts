import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Reception } from '../../src/resolver/listener.ts';
import { listenTcp, type TcpBounds } from '../../src/resolver/listener-tcp.ts';
import { responseTo } from '../../src/resolver/message.ts';
import { readResponse } from '../../src/resolver/message-read.ts';
import { MessageReader } from '../../src/resolver/message-reader.ts';
import type { Answerer } from '../../src/resolver/query.ts';
import { RCODE, TYPE } from '../../src/resolver/wire.ts';
import { askOverTcp, queryOf, queryWire } from '../support/ask.ts';
import { recordingLog } from '../support/recording-log.ts';
import { must } from '../support/sample-status.ts';
import { until } from '../support/until.ts';

const HOST = '127.0.0.1';
const HUGE = Buffer.alloc(60_000, 'x');
const small: Answerer = async (query) => ({
  wire: responseTo(query, { rcode: RCODE.NOERROR }),
  origin: { kind: 'local' },
});
const huge: Answerer = async (query) => {
  const answers = [{ type: TYPE.TXT, ttl: 1, data: HUGE }];
  return { wire: responseTo(query, { rcode: RCODE.NOERROR, answers }), origin: { kind: 'local' } };
};
const later: Answerer = async (query, signal) => {
  await new Promise((done) => setImmediate(done));
  return small(query, signal);
};
const never: Answerer = () => new Promise(() => {});

describe('a connection of a client', () => {
  it.each([
    ['that sends half a length', (framed: Buffer) => framed.subarray(0, 1)],
    ['that sends half a message', (framed: Buffer) => framed.subarray(0, 9)],
    ['that announces 65535 bytes and sends ten', () => Buffer.alloc(12, 0xff)],
  ])('%s is closed after a while', async (_, cut) => {
    const { client } = await listening(small, { messageMs: 20 });
    const socket = await client();
    socket.write(cut(framed(queryWire('a.example'))));
    await once(socket, 'close');
  });

  it('is closed although a byte comes now and then, because the whole message is what counts', async () => {
    const { client } = await listening(small, { messageMs: 100, idleMs: 60_000 });
    const socket = await client();
    const bytes = framed(queryWire('a.example'));
    let at = 0;
    const timer = setInterval(() => void socket.write(bytes.subarray(at, ++at)), 20);
    onTestFinished(() => clearInterval(timer));
    socket.on('error', () => {}); // a byte that arrives after the end is answered with a reset
    await new Promise((closed) => socket.once('close', closed));
    expect(at).toBeLessThan(bytes.length);
  });

  it('that is idle is closed, but not before its question is answered', async () => {
    let answer = (): void => {};
    const slow: Answerer = async (query, signal) => {
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      return small(query, signal);
    };
    const { client, reception } = await listening(slow, { idleMs: 1000 });
    const waiting = await client();
    waiting.write(framed(queryWire('a.example')));
    await until(() => reception.traffic.inFlight === 1, 'the question is under way');
    await once(await client(), 'close');
    expect(waiting.destroyed).toBe(false);
    answer();
    expect(((await once(waiting, 'data'))[0] as Buffer).length).toBeGreaterThan(12);
  });

  it('whose client has closed its side is answered in full, and then closed', async () => {
    // Guards against giving the questions up with the client's FIN, which says only that no more will come.
    const { client } = await listening(later, { pipelined: 2 });
    const socket = await client();
    const questions = ['a.example', 'b.example', 'c.example', 'd.example', 'e.example'];
    socket.end(Buffer.concat(questions.map((name) => framed(queryWire(name)))));
    const reader = new MessageReader();
    for await (const chunk of socket) reader.push(chunk as Buffer);
    const answered = questions.map(() => reader.next()?.readUInt16BE(2) ?? 0);
    expect(answered.map((flags) => flags & 0x8000)).toEqual(questions.map(() => 0x8000));
    expect(reader.partial).toBe(false);
  });

  it('whose client has closed its side in the middle of a message is closed', async () => {
    const { client } = await listening(small);
    const socket = await client();
    socket.end(framed(queryWire('a.example')).subarray(0, 9));
    socket.resume();
    await once(socket, 'close');
  });

  it('that brings its message in single bytes is answered', async () => {
    const { client } = await listening(small);
    const socket = await client();
    for (const byte of framed(queryWire('a.example'))) socket.write(Buffer.of(byte));
    expect(((await once(socket, 'data'))[0] as Buffer).length).toBeGreaterThan(12);
  });

  it('that asks much and reads nothing is heard no more until it reads', async () => {
    const { client, reception } = await listening(huge, { unread: 1 << 16 });
    const socket = await client();
    socket.pause();
    const asked = 1000;
    for (let i = 0; i < asked; i++) socket.write(framed(queryWire('a.example')));
    let before = -1;
    await until(() => {
      const { queries, inFlight } = reception.traffic;
      const still = queries === before && inFlight === 0;
      before = queries;
      return still;
    }, 'nothing moves any more');
    expect(before).toBeLessThan(asked);
    let bytes = 0;
    socket.on('data', (chunk) => {
      bytes += chunk.length;
    });
    socket.resume();
    await until(() => bytes >= asked * HUGE.length, 'all answers have come', 50_000);
  }, 60_000);

  it('has so many questions under way and no more; the rest wait', async () => {
    const { client, reception } = await listening(never, { pipelined: 5 });
    const socket = await client();
    for (let i = 0; i < 50; i++) socket.write(framed(queryWire('a.example')));
    await until(() => reception.traffic.inFlight === 5, 'the first are under way');
    expect(reception.traffic).toMatchObject({ queries: 5, overBound: 0 });
  });

  it.each([
    ['a message shorter than a header', Buffer.from([0, 3, 1, 2, 3])],
    ['an empty message', Buffer.from([0, 0])],
    ['an answer', framed(patchedToAnswer())],
  ])('is closed at %s, because silence would keep the client waiting', async (_, bytes) => {
    const { client } = await listening(small);
    const socket = await client();
    socket.write(bytes);
    await once(socket, 'close');
  });

  it('is told for how long it may be idle when it asks (RFC 7828)', async () => {
    const { port } = await listening(small);
    const query = queryWire('a.example');
    const asking = Buffer.concat([query, Buffer.from([0, 11, 0, 0])]);
    asking.writeUInt16BE(4, query.length - 2);
    const [answer] = await askOverTcp(HOST, port, asking);
    const facts = must(readResponse(answer ?? Buffer.alloc(0)));
    expect(facts.edns?.options).toEqual([{ code: 11, data: Buffer.from([1, 0x2c]) }]);
    expect(queryOf('a.example').edns?.options).toEqual([]);
  });
});

describe('when all connections are taken', () => {
  it('the one that was idle for longest makes room', async () => {
    const { client } = await listening(small, { connections: 3 });
    const open = [await client(), await client(), await client()];
    open[0]?.write(framed(queryWire('a.example')));
    await once(open[0] as Socket, 'data');
    const fourth = await client();
    fourth.write(framed(queryWire('a.example')));
    await once(fourth, 'data');
    await until(() => open[1]?.destroyed === true, 'the second was closed');
    expect(open.map((socket) => socket.destroyed)).toEqual([false, true, false]);
  });

  it('those with questions under way stay, and the new one is turned away', async () => {
    const { client, reception } = await listening(never, { connections: 2 });
    const open = [await client(), await client()];
    for (const socket of open) socket.write(framed(queryWire('a.example')));
    await until(() => reception.traffic.inFlight === 2, 'both are under way');
    const third = await client();
    await once(third, 'close');
    expect(open.map((socket) => socket.destroyed)).toEqual([false, false]);
    expect(reception.connectionsEnded).toBe(1);
  });
});

it.each([1, 2, 3, 7, 100, 5000])(
  'messages come out whole, however they are cut: %i bytes at a time',
  (step) => {
    const messages = [12, 0, 300, 1, 1232, 4000].map((size, i) => Buffer.alloc(size, i + 1));
    const stream = Buffer.concat(messages.map(framed));
    const reader = new MessageReader();
    const heard: Buffer[] = [];
    for (let at = 0; at < stream.length; at += step) {
      reader.push(stream.subarray(at, at + step));
      for (let message = reader.next(); message !== undefined; message = reader.next()) heard.push(message);
    }
    expect(heard.map((message) => message.toString('hex'))).toEqual(
      messages.map((message) => message.toString('hex')),
    );
    expect(reader.partial).toBe(false);
  },
);

function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

function patchedToAnswer(): Buffer {
  const message = queryWire('a.example');
  message[2] = (message[2] ?? 0) | 0x80;
  return message;
}

async function listening(answer: Answerer, bounds: Partial<TcpBounds> = {}) {
  const reception = new Reception(answer, recordingLog());
  const listener = await listenTcp({ host: HOST, port: 0, service: 'full' }, reception, undefined, bounds);
  onTestFinished(async () => {
    reception.close();
    await listener.close();
  });
  const { port } = listener.at;
  return {
    port,
    reception,
    async client(): Promise<Socket> {
      const socket = connect({ host: HOST, port });
      socket.on('error', () => {});
      onTestFinished(() => void socket.destroy());
      await once(socket, 'connect');
      socket.resume();
      return socket;
    },
  };
}
