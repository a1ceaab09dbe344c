import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseServer } from '../../src/core/server.ts';
import { NoRoomError } from '../../src/resolver/ede.ts';
import { readResponse } from '../../src/resolver/message-read.ts';
import { upstreamStream } from '../../src/resolver/upstream-stream.ts';
import { queryWire } from '../support/ask.ts';
import { type Certificate, certificateFor } from '../support/certificate.ts';
import { link } from '../support/links.ts';
import { manualClock } from '../support/manual-clock.ts';
import { resolverOver } from '../support/resolver.ts';
import { must } from '../support/sample-status.ts';
import {
  addressAnswer,
  answerTo,
  optionOf,
  type Script,
  type ScriptedServer,
  scriptedServer,
} from '../support/scripted-server.ts';
import { frontOf, silentServer } from '../support/tcp-ports.ts';
import { until } from '../support/until.ts';
import { encrypted, upstreamOf } from '../support/upstream.ts';

const NAME = 'www.example.com';
const KEEPALIVE = 11;
const PADDING = 12;
const good: Script = (question) => addressAnswer(question, '192.0.2.1');
const tlsServer = (script = good): Promise<ScriptedServer> => scriptedServer(script, { tls: own() });
const trusting = () => ({ authorities: [own().cert] });

/** The certificate of all servers here; made by the first test that needs it. */
function own(): Certificate {
  certificate ??= certificateFor('IP:127.0.0.1', 'DNS:dns.example');
  return certificate;
}
let certificate: Certificate | undefined;

describe('one kept connection', () => {
  it('goes on with the session of before when it has to be made anew', async () => {
    const server = await tlsServer();
    const { ask } = upstreamOf(trusting());
    await ask(encrypted(server), NAME);
    for (let i = 2; i <= 4; i++) {
      server.dropConnections();
      await ask(encrypted(server), NAME);
      expect([server.connections, server.resumed]).toEqual([i, i - 1]);
    }
  });

  it('does not go on with it in another network, where nobody is to know us again', async () => {
    const server = await tlsServer();
    const { ask, upstream } = upstreamOf(trusting());
    await ask(encrypted(server), NAME);
    upstream.forget();
    await ask(encrypted(server), NAME);
    expect([server.connections, server.resumed]).toEqual([2, 0]);
  });

  it('takes answers in any order', async () => {
    const held: Buffer[] = [];
    const server = await tlsServer((question) => {
      held.push(addressAnswer(question, '192.0.2.1'));
      return held.length < 50 ? [] : held.reverse();
    });
    const { ask } = upstreamOf(trusting());
    const names = Array.from({ length: 50 }, (_, i) => `host-${i}.example.com`);
    const answers = await Promise.all(names.map((name) => ask(encrypted(server), name)));
    expect(answers.flatMap((answer) => answer.answers)).toEqual(names.map((name) => `${name} A 192.0.2.1`));
    expect(server.connections).toBe(1);
  });

  it('has a most of questions, and what is over it is refused instead of queued', async () => {
    const server = await tlsServer(() => undefined);
    const { ask } = upstreamOf(trusting());
    const stop = new AbortController();
    const asked = Array.from({ length: 260 }, () =>
      ask(encrypted(server), NAME, stop.signal).catch((error: Error) => error.message),
    );
    const over = await Promise.race(asked);
    expect(over).toBe('256 questions wait on the connection to 127.0.0.1');
    await until(() => server.asked.length === 256, 'the others have arrived');
    stop.abort();
    expect((await Promise.all(asked)).filter((text) => text === over).length).toBe(4);
    expect(server.connections).toBe(1);
  });

  it('that is full is no reason to ask in the open where TLS is only hoped for', async () => {
    const server = await tlsServer(() => undefined);
    const { ask } = upstreamOf({ ...trusting(), tlsPort: server.tlsPort }, 'opportunistic');
    const target = must(parseServer('127.0.0.1'));
    const stop = new AbortController();
    const asked = Array.from({ length: 260 }, () => ask(target, NAME, stop.signal).catch(() => {}));
    await until(() => server.asked.length === 256, 'it is full');
    await expect(ask(target, NAME)).rejects.toBeInstanceOf(NoRoomError);
    stop.abort();
    await Promise.all(asked);
    expect(new Set(server.asked.map(({ transport }) => transport))).toEqual(new Set(['tls']));
  });

  it('is asked how long it may stay, and closed by us when the server wants it closed (RFC 7828)', async () => {
    const server = await tlsServer((question) =>
      answerTo(question, { options: [{ code: KEEPALIVE, data: Buffer.of(0, 0) }] }),
    );
    const { ask } = upstreamOf(trusting());
    await ask(encrypted(server), NAME);
    await ask(encrypted(server), NAME);
    expect(server.connections).toBe(2);
    expect(server.asked.map((question) => optionOf(question, KEEPALIVE)?.length)).toEqual([0, 0]);
  });

  it('stays for as long as the server says', async () => {
    const server = await tlsServer((question) =>
      answerTo(question, { options: [{ code: KEEPALIVE, data: Buffer.of(0, 1) }] }),
    );
    await upstreamOf(trusting()).ask(encrypted(server), NAME);
    await until(() => server.open === 0, 'the connection was closed after a tenth of a second');
  });

  it('tells an onlooker nothing by its lengths: all are multiples of 128, and so is padding itself', async () => {
    const server = await tlsServer();
    const { ask } = upstreamOf(trusting());
    for (let i = 1; i < 60; i += 7) await ask(encrypted(server), `${'x'.repeat(i)}.example.com`);
    expect(new Set(server.asked.map(({ wire }) => wire.length))).toEqual(new Set([128]));
    expect(server.asked.every((question) => optionOf(question, PADDING) !== undefined)).toBe(true);
  });
});

it('a name that is an address is held against the addresses of the certificate, and not sent as a name', async () => {
  const server = await tlsServer();
  const { ask } = upstreamOf(trusting());
  const { answers } = await ask(encrypted(server, '#127.0.0.1'), NAME);
  expect(answers).toEqual([`${NAME} A 192.0.2.1`]);
  await expect(ask(encrypted(server, '#127.0.0.2'), NAME)).rejects.toMatchObject({ fault: 'certificate' });
});

describe('a server that is not what it should be', () => {
  const over = (text: string, authorities: readonly string[] = [own().cert]) =>
    resolverOver([link({ interface: 'lo', servers: [text] })], { authorities });
  const errorsIn = (wire: Buffer): string[] =>
    must(readResponse(wire)).extendedErrors.map(({ code, text }) => `${code}: ${text}`);

  it.each([
    ['for another name', '#other.example', true, 'is for another name or address'],
    ['from an authority that nobody trusts', '#dns.example', false, 'is signed by itself alone'],
  ])('a certificate %s is SERVFAIL that says so, and trouble in status', async (_, name, trusted, why) => {
    const server = await tlsServer();
    const authorities = [trusted ? own().cert : certificateFor('DNS:x.example').cert];
    const resolver = over(`dns+tls://127.0.0.1:${server.tlsPort}${name}`, authorities);
    const answer = await resolver.ask(NAME);
    expect(answer.rcode).toBe('SERVFAIL');
    expect(errorsIn(answer.wire)).toEqual([`23: the certificate of 127.0.0.1 ${why}`]);
    expect(resolver.servers()[0]?.trouble).toMatchObject({ kind: 'certificate' });
    expect(resolver.servers()[0]?.trouble?.text).toContain(why);
    expect(server.asked).toEqual([]);
  });

  it('trouble is over as soon as the server proves itself', async () => {
    const impostor = await scriptedServer(good, { tls: certificateFor('DNS:other.example') });
    const server = await tlsServer();
    const front = await frontOf(impostor.tlsPort);
    const text = `dns+tls://127.0.0.1:${front.port}#dns.example`;
    const { ask, upstream } = upstreamOf(trusting());
    await expect(ask(must(parseServer(text)), NAME)).rejects.toMatchObject({ fault: 'certificate' });
    expect(upstream.troubleOf('eth0', text)).toMatchObject({ kind: 'certificate' });
    front.target = server.tlsPort;
    await ask(must(parseServer(text)), NAME);
    expect(upstream.troubleOf('eth0', text)).toBeUndefined();
  });

  it('a handshake that hangs ends, says so, and the next server is asked meanwhile', async () => {
    const hanging = await silentServer();
    const server = await tlsServer();
    const servers = [hanging.port, server.tlsPort].map((port) => `dns+tls://127.0.0.1:${port}`);
    const resolver = resolverOver([link({ interface: 'lo', servers })], trusting());
    expect((await resolver.ask(NAME)).answers).toEqual([`${NAME} A 192.0.2.1`]);
    await until(() => resolver.servers()[0]?.trouble !== undefined, 'the handshake was given up', 8000);
    expect(resolver.servers()[0]?.trouble?.text).toContain('takes connections but does not speak TLS');
  });

  it('alone, its SERVFAIL says what hangs', async () => {
    const { port } = await silentServer();
    const answer = await over(`dns+tls://127.0.0.1:${port}`).ask(NAME);
    expect(answer.rcode).toBe('SERVFAIL');
    expect(errorsIn(answer.wire)[0]).toMatch(/^23: 127\.0\.0\.1 takes connections but does not speak TLS: /);
  });

  it('that answers nonsense instead of a handshake is told at once', async () => {
    const { port } = await silentServer((socket) => socket.write('220 mail.example ESMTP\r\n'));
    const answer = await over(`dns+tls://127.0.0.1:${port}`).ask(NAME);
    expect(errorsIn(answer.wire)[0]).toMatch(/^23: 127\.0\.0\.1 takes connections but does not speak TLS: /);
  });
});

it('an answer that is cut short though it came encrypted is a failure of the server', async () => {
  const server = await tlsServer((question) => answerTo(question, { truncated: true }));
  await expect(upstreamOf(trusting()).ask(encrypted(server), NAME)).rejects.toMatchObject({
    code: 'PROTOCOL',
  });
});

describe('opportunistic', () => {
  it('keeps to the open for a while after TLS failed, and goes back to it then', async () => {
    const clock = manualClock();
    const server = await tlsServer();
    const front = await frontOf(0);
    const ports = { tlsPort: front.port, plainPort: server.port };
    const { ask } = upstreamOf({ clock, ...ports }, 'opportunistic');
    const target = must(parseServer('127.0.0.1'));
    for (let i = 0; i < 2; i++) await ask(target, NAME);
    front.target = server.tlsPort;
    await ask(target, NAME);
    clock.advance(6 * 60_000);
    await ask(target, NAME); // nobody waits for the handshake that this one sets off
    await until(() => server.connections === 1, 'TLS was found');
    await until(async () => {
      await ask(target, NAME);
      return server.asked.at(-1)?.transport === 'tls';
    }, 'it is used');
    expect(server.asked.slice(0, 4).map(({ transport }) => transport)).toEqual(new Array(4).fill('udp'));
    expect(front.connections).toBe(2);
  });

  it('tries it again at once in another network', async () => {
    const server = await tlsServer();
    const front = await frontOf(0);
    const ports = { tlsPort: front.port, plainPort: server.port };
    const { ask, upstream } = upstreamOf(ports, 'opportunistic');
    const target = must(parseServer('127.0.0.1'));
    await ask(target, NAME);
    front.target = server.tlsPort;
    upstream.forget();
    await ask(target, NAME);
    expect(server.asked.map(({ transport }) => transport)).toEqual(['udp', 'tls']);
  });
});

describe('a connection', () => {
  const forever = new AbortController().signal;
  const take = (): boolean => true;

  it('that says nothing more is given up for a new one', async () => {
    const { stream, closed } = await streamTo(() => {});
    await expect(stream.ask(queryWire(NAME), take, 30, forever)).rejects.toMatchObject({ code: 'DEADLINE' });
    expect([stream.usable, closed()]).toEqual([false, 1]);
  });

  it('that still answers others outlives a question without an answer', async () => {
    const { stream, closed } = await streamTo((socket, message) => {
      if (!message.includes('two')) return;
      socket.write(answered(message.subarray(message.indexOf('two') - 2 - 13)));
    });
    const lost = stream.ask(queryWire('one.example'), take, 2000, forever).catch((error: unknown) => error);
    await stream.ask(queryWire('two.example'), take, 8000, forever);
    expect(await lost).toMatchObject({ code: 'DEADLINE' });
    expect([stream.usable, closed()]).toEqual([true, 0]);
  });

  it.each([
    [
      'that answers what was not asked',
      (message: Buffer) => [...Array(40)].map((_, i) => answered(message, i + 1)),
    ],
    ['that sends half a message and ends', (message: Buffer) => [answered(message).subarray(0, 9), 'end']],
  ] as const)('%s is closed, and its question fails', async (_, said) => {
    const { stream, closed } = await streamTo((socket, message) => {
      for (const part of said(message)) {
        if (part === 'end') socket.end();
        else socket.write(part);
      }
    });
    await expect(stream.ask(queryWire(NAME), () => false, 8000, forever)).rejects.toMatchObject({
      code: 'IO',
    });
    expect(closed()).toBe(1);
  });

  it('that brings a message in single bytes brings it all the same', async () => {
    const { stream } = await streamTo((socket, message) => {
      const whole = answered(message);
      const step = (at: number): void => {
        if (at < whole.length) socket.write(whole.subarray(at, at + 1), () => step(at + 1));
      };
      step(0);
    });
    const answer = await stream.ask(queryWire(NAME), take, 8000, forever);
    expect(answer.length).toBe(queryWire(NAME).length);
  });

  it('that is retired answers what is under way and takes no more', async () => {
    let answer: (() => void) | undefined;
    const { stream, closed } = await streamTo((socket, message) => {
      answer = () => void socket.write(answered(message));
    });
    const asked = stream.ask(queryWire(NAME), take, 8000, forever);
    stream.retire();
    expect([stream.usable, closed()]).toEqual([false, 0]);
    await until(() => answer !== undefined, 'the question has arrived');
    answer?.();
    await asked;
    expect(closed()).toBe(1);
  });
});

/** The question as its own answer, with its length; `shift` changes the id. */
function answered(framed: Buffer, shift = 0): Buffer {
  const copy = Buffer.from(framed);
  copy[4] = (copy[4] ?? 0) | 0x80;
  copy.writeUInt16BE((copy.readUInt16BE(2) + shift) & 0xffff, 2);
  return copy;
}

/** A stream to a server that does as told with each question (framed). */
async function streamTo(react: (socket: Socket, message: Buffer) => void) {
  const { port } = await silentServer((socket) => void socket.on('data', (chunk) => react(socket, chunk)));
  const socket = connect({ host: '127.0.0.1', port });
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  let closed = 0;
  const stream = upstreamStream(socket, '127.0.0.1', 10_000, () => void closed++);
  return { stream, closed: () => closed };
}
