import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type TlsOptions } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseServer } from '../../src/core/server.ts';
import { NoRoomError } from '../../src/resolver/ede.ts';
import { MessageReader } from '../../src/resolver/message-reader.ts';
import type { RouteLink } from '../../src/resolver/routing.ts';
import type { UpstreamNeeds } from '../../src/resolver/upstream.ts';
import type { UpstreamDatagrams } from '../../src/resolver/upstream-udp.ts';
import { type AskOptions, queryOf, readAnswer } from '../support/ask.ts';
import { certificateFor } from '../support/certificate.ts';
import { manualClock } from '../support/manual-clock.ts';
import { must } from '../support/sample-status.ts';
import {
  type AskedQuestion,
  addressAnswer,
  answerTo,
  type ScriptedServer,
  scriptedServer,
} from '../support/scripted-server.ts';
import { until } from '../support/until.ts';
import { encrypted, patched, plain, upstreamOf } from '../support/upstream.ts';

const FORMERR = 1;
/** Where an OPT record begins. */
const OPT = Buffer.of(0, 0, 41);
const NAME = 'www.a-name-with-many-letters.example.com';
/** The rest of a header that has nothing behind it. */
const NO_SUCH_NAME = Buffer.of(0x83, 0, 0, 0, 0, 0, 0, 0, 0);

describe('over UDP', () => {
  it('every question has its own port, id and spelling', async () => {
    const server = await scriptedServer((question) => addressAnswer(question, '192.0.2.1'));
    const { ask } = upstreamOf();
    for (let i = 0; i < 20; i++) await ask(plain(server), 'a-name-with-many-letters.example.com');
    const ids = new Set(server.asked.map(({ wire }) => wire.readUInt16BE(0)));
    const spellings = new Set(server.asked.map(({ wire }) => wire.toString('latin1', 12)));
    expect(ids.size).toBeGreaterThan(15);
    expect(spellings.size).toBeGreaterThan(15);
  });

  it('AD is asked for, the size is 1232, and nothing of the client goes along', async () => {
    const server = await scriptedServer((question) => addressAnswer(question, '192.0.2.1'));
    const { ask } = upstreamOf();
    await ask(plain(server), 'www.example.com');
    await ask(plain(server), 'www.example.com'); // the first carries a cookie, which this server does not know
    const { wire } = server.asked[1] as AskedQuestion;
    expect(wire.readUInt16BE(2)).toBe(0x0120);
    expect(wire.subarray(-11).toString('hex')).toBe('00002904d0000000000000');
  });

  it.each([
    ['another id', (good: Buffer) => patched(good, 1, 1)],
    ['another name', (good: Buffer) => patched(good, 13, 1)],
    ['another type', (good: Buffer) => patched(good, 12 + 17 + 1, 3)],
    ['a query instead of a response', (good: Buffer) => patched(good, 2, 0x80)],
    ['fewer bytes than a header', (good: Buffer) => good.subarray(0, 7)],
    ['nothing', () => Buffer.alloc(0)],
    // Without the question only the id would be left to guess.
    ['“no such name” to no question', (good: Buffer) => Buffer.concat([good.subarray(0, 3), NO_SUCH_NAME])],
  ])('a message with %s is passed over, and the right answer after it is taken', async (_, forge) => {
    const server = await scriptedServer((question) => [
      forge(addressAnswer(question, '6.6.6.6')),
      addressAnswer(question, '192.0.2.1'),
    ]);
    const { answers } = await upstreamOf().ask(plain(server), 'www.example.com');
    expect(answers).toEqual(['www.example.com A 192.0.2.1']);
  });

  it('a perfect forgery from another port is not even seen', async () => {
    const forger = createSocket('udp4');
    onTestFinished(() => void forger.close());
    const server = await scriptedServer(() => undefined);
    server.script = (question) => {
      forger.send(addressAnswer(question, '6.6.6.6'), question.port, '127.0.0.1', () =>
        server.send(addressAnswer(question, '192.0.2.1'), question.port),
      );
      return undefined;
    };
    const { answers } = await upstreamOf().ask(plain(server), 'www.example.com');
    expect(answers).toEqual(['www.example.com A 192.0.2.1']);
  });

  it('garbage behind the right question is a failure, not a crash', async () => {
    const server = await scriptedServer((question) => patched(addressAnswer(question, '192.0.2.1'), 7, 200));
    await expect(upstreamOf().ask(plain(server), 'www.example.com')).rejects.toMatchObject({
      code: 'PROTOCOL',
    });
  });

  it('a flood of wrong answers makes us ask over TCP, where nobody can join in', async () => {
    const server = await scriptedServer((question) =>
      question.transport === 'tcp'
        ? addressAnswer(question, '192.0.2.1')
        : Array.from({ length: 64 }, (_, i) => patched(addressAnswer(question, '6.6.6.6'), 0, i + 1)),
    );
    const { answers } = await upstreamOf().ask(plain(server), 'www.example.com');
    expect(answers).toEqual(['www.example.com A 192.0.2.1']);
    expect(server.asked.map(({ transport }) => transport)).toEqual(['udp', 'tcp']);
  });

  it('a truncated answer is asked for again over TCP', async () => {
    const server = await scriptedServer((question) =>
      question.transport === 'udp'
        ? answerTo(question, { truncated: true })
        : addressAnswer(question, '192.0.2.1'),
    );
    const { answers } = await upstreamOf().ask(plain(server), 'big.example.com');
    expect(answers).toEqual(['big.example.com A 192.0.2.1']);
    expect(server.asked.map(({ transport }) => transport)).toEqual(['udp', 'tcp']);
  });

  it.each<[string, (whole: Buffer) => Buffer]>([
    ['in the middle of a record', (whole) => whole.subarray(0, whole.length - 20)],
    ['behind the question, its counts kept', (whole) => whole.subarray(0, 12 + 'big.example.com'.length + 6)],
    ['in the middle of the EDNS record', (whole) => whole.subarray(0, whole.length - 3)],
  ])('an answer that says it was truncated and was cut %s is asked for again over TCP', async (_, cut) => {
    // Guards against "malformed", after which nobody asked any more: middleboxes cut at 512 bytes, wherever that is.
    const server = await scriptedServer((question) =>
      question.transport === 'udp'
        ? cut(answerTo(question, { truncated: true, answers: [{ type: 16, data: Buffer.alloc(100, 7) }] }))
        : addressAnswer(question, '192.0.2.1'),
    );
    const { answers } = await upstreamOf().ask(plain(server), 'big.example.com');
    expect(answers).toEqual(['big.example.com A 192.0.2.1']);
    expect(server.asked.map(({ transport }) => transport)).toEqual(['udp', 'tcp']);
  });

  it('our capitals do not come back to the client where a server repeats the question before each record', async () => {
    const server = await scriptedServer((question) => {
      const owner = question.wire.subarray(12, 12 + NAME.length + 2);
      const zone = owner.subarray(4);
      return uncompressed(question, [
        [owner, Buffer.from([192, 0, 2, 1])],
        [zone, Buffer.from([192, 0, 2, 2])],
        [Buffer.from('\x03WWW\x07Example\x03NET\0', 'latin1'), Buffer.from([192, 0, 2, 3])],
      ]);
    });
    const { wire } = await upstreamOf().put(plain(server), queryOf(NAME));
    expect(readAnswer(wire).answers).toEqual([
      `${NAME} A 192.0.2.1`,
      'a-name-with-many-letters.example.com A 192.0.2.2',
      'WWW.Example.NET A 192.0.2.3',
    ]);
  });

  it('a server that does not keep the spelling and takes no connections is asked without capitals', async () => {
    const server: ScriptedServer = await scriptedServer((question) =>
      question.transport === 'udp' ? lowerCased(question) : hangUp(server),
    );
    const { ask } = upstreamOf();
    for (let i = 0; i < 2; i++)
      expect((await ask(plain(server), NAME)).answers).toEqual([`${NAME} A 192.0.2.1`]);
    const overUdp = server.asked.filter(({ transport }) => transport === 'udp');
    expect(overUdp.map(({ wire }) => /[A-Z]/.test(wire.toString('latin1', 12, 12 + NAME.length)))).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('a server that does not keep the spelling is asked over TCP once, and without mixed case from then on', async () => {
    const server = await scriptedServer(lowerCased);
    const { ask } = upstreamOf();
    for (let i = 0; i < 3; i++)
      expect((await ask(plain(server), NAME)).answers).toEqual([`${NAME} A 192.0.2.1`]);
    expect(server.asked.map(({ transport }) => transport)).toEqual(['udp', 'tcp', 'udp', 'udp']);
  });

  it('a server from before EDNS is asked without it, and that is remembered', async () => {
    const server = await scriptedServer((question) =>
      question.wire.readUInt16BE(10) > 0
        ? answerTo(question, { rcode: FORMERR, noEdns: true })
        : addressAnswer(question, '192.0.2.1'),
    );
    const { ask } = upstreamOf();
    for (let i = 0; i < 2; i++) await ask(plain(server), 'www.example.com');
    expect(server.asked.map(({ wire }) => wire.readUInt16BE(10))).toEqual([1, 0, 0]);
  });

  describe('a question of which copies were lost', () => {
    const opened = async () => {
      const server = await scriptedServer((question) => addressAnswer(question, '192.0.2.1'));
      const clock = manualClock();
      const { upstream } = upstreamOf({ clock });
      const to = plain(server);
      const link = { key: 'eth0', servers: [to], dnsOverTls: 'default', network: '' } as const;
      const ask = (waitedMs: number, options: AskOptions = {}) =>
        upstream.ask(
          to,
          link,
          queryOf(NAME, 'A', options),
          AbortSignal.timeout(8000),
          waitedMs > 0,
          waitedMs,
        );
      /** The size of the answer that was wanted by each question, 0 without EDNS. */
      const sizes = (): number[] =>
        server.asked.map(({ wire }) =>
          wire.readUInt16BE(10) > 0 ? wire.readUInt16BE(wire.indexOf(OPT) + 3) : 0,
        );
      return { ask, clock, sizes };
    };

    it('wants a small answer after a second, and then goes without EDNS', async () => {
      const { ask, sizes } = await opened();
      for (const waitedMs of [2500, 1500, 0, 999, 1000, 2500]) await ask(waitedMs);
      expect(sizes()).toEqual([0, 0, 1232, 1232, 512, 512]);
    });

    it('keeps EDNS where somebody wants signatures', async () => {
      const { ask, sizes } = await opened();
      await ask(2500, { dnssecOk: true });
      expect(sizes()).toEqual([512]);
    });

    it('changes nothing for the others of the same moment', async () => {
      const { ask, sizes } = await opened();
      for (const waitedMs of [1500, 1500, 0]) await ask(waitedMs);
      expect(sizes(), 'at once it may be a network that comes up').toEqual([0, 0, 1232]);
    });

    it('has the next ones go without EDNS at once when it happens again, and with it after a while', async () => {
      const { ask, clock, sizes } = await opened();
      await ask(1500);
      clock.advance(6000);
      for (const waitedMs of [1500, 0]) await ask(waitedMs);
      clock.advance(5 * 60_000);
      await ask(0);
      expect(sizes()).toEqual([0, 0, 0, 1232]);
    });

    it('keeps EDNS where a question with it was answered before: that one may only be slow', async () => {
      const { ask, clock, sizes } = await opened();
      await ask(0);
      await ask(1500);
      clock.advance(6000);
      for (const waitedMs of [1500, 0]) await ask(waitedMs);
      expect(sizes()).toEqual([1232, 512, 512, 1232]);
    });
  });

  it('nobody at the port is told at once', async () => {
    const server = await scriptedServer(() => undefined);
    await server.close();
    await expect(upstreamOf().ask(plain(server), 'www.example.com')).rejects.toMatchObject({ code: 'IO' });
  });

  it('a question that is given up leaves nothing behind', async () => {
    const server = await scriptedServer(() => undefined);
    const stop = new AbortController();
    const asked = upstreamOf().ask(plain(server), 'www.example.com', stop.signal);
    stop.abort();
    await expect(asked).rejects.toMatchObject({ code: 'DEADLINE' });
  });

  it('more questions than the bound are failures at once, and there is room again when one has ended', async () => {
    const server = await scriptedServer(() => undefined);
    const ended: (() => void)[] = [];
    const datagrams: UpstreamDatagrams = {
      most: 2,
      ask: () => new Promise((_, reject) => void ended.push(() => reject(new Error('over')))),
      renew: () => {},
    };
    const { ask } = upstreamOf({ datagrams });
    const asked = [ask(plain(server), 'a.example.com'), ask(plain(server), 'b.example.com')];
    const over = Promise.allSettled(asked);
    await expect(ask(plain(server), 'c.example.com')).rejects.toThrow('2 questions are on their way');
    expect(ended).toHaveLength(2);
    for (const end of ended) end();
    await over;
    const again = ask(plain(server), 'd.example.com');
    await until(() => ended.length === 3, 'there was room');
    ended[2]?.();
    await expect(again).rejects.toThrow('over');
  });

  it('copies of questions that are on their way get half of the places', async () => {
    const server = await scriptedServer(() => undefined);
    let asked = 0;
    const datagrams: UpstreamDatagrams = {
      most: 4,
      ask: () => {
        asked++;
        return new Promise(() => {});
      },
      renew: () => {},
    };
    const { upstream } = upstreamOf({ datagrams });
    const target = plain(server);
    const link: RouteLink = {
      ...{ key: 'eth0', interface: 'eth0', servers: [target], dnsOverTls: 'default', network: '' },
    };
    const ask = (again: boolean) => {
      const answer = upstream.ask(target, link, queryOf('www.example.com'), AbortSignal.timeout(8000), again);
      answer.catch(() => {});
      return answer;
    };
    for (const again of [false, true]) void ask(again);
    await expect(ask(true)).rejects.toBeInstanceOf(NoRoomError);
    for (const again of [false, false]) void ask(again);
    await expect(ask(false)).rejects.toBeInstanceOf(NoRoomError);
    expect(asked).toBe(4);
  });

  it('our own address is refused as a circle', async () => {
    const server = await scriptedServer(() => undefined);
    const { ask } = upstreamOf({ isOwn: (_, port) => port === server.port });
    await expect(ask(plain(server), 'www.example.com')).rejects.toThrow('circles');
    expect(server.asked).toEqual([]);
  });
});

describe('over TLS', () => {
  const trusting = (cert: string): Partial<UpstreamNeeds> => ({ authorities: [cert] });

  it('strict: the name is checked, one connection serves many questions, padded to 128', async () => {
    const tls = certificateFor('DNS:dns.example');
    const server = await scriptedServer((question) => addressAnswer(question, '192.0.2.1'), { tls });
    const { ask } = upstreamOf(trusting(tls.cert));
    const target = encrypted(server, '#dns.example');
    const names = Array.from({ length: 10 }, (_, i) => `host${'x'.repeat(i)}.example.com`);
    await Promise.all(names.map((name) => ask(target, name)));
    expect(server.connections).toBe(1);
    expect(new Set(server.asked.map(({ transport }) => transport))).toEqual(new Set(['tls']));
    expect(new Set(server.asked.map(({ wire }) => wire.length % 128))).toEqual(new Set([0]));
  });

  it('strict: without a name the address has to be in the certificate', async () => {
    const tls = certificateFor('IP:127.0.0.1');
    const server = await scriptedServer((question) => addressAnswer(question, '192.0.2.1'), { tls });
    const { answers } = await upstreamOf(trusting(tls.cert)).ask(encrypted(server), 'www.example.com');
    expect(answers).toEqual(['www.example.com A 192.0.2.1']);
  });

  it.each([
    ['another name', 'DNS:other.example', '#dns.example'],
    ['another address', 'IP:127.0.0.9', ''],
  ])(
    'strict: a certificate for %s is refused, and nothing is asked in the open',
    async (_, subject, name) => {
      const tls = certificateFor(subject);
      const server = await scriptedServer((question) => addressAnswer(question, '6.6.6.6'), { tls });
      await expect(
        upstreamOf(trusting(tls.cert)).ask(encrypted(server, name), 'www.example.com'),
      ).rejects.toMatchObject({ code: 'IO' });
      expect(server.asked).toEqual([]);
    },
  );

  it('strict: an authority that nobody trusts is refused', async () => {
    const tls = certificateFor('IP:127.0.0.1');
    const server = await scriptedServer((question) => addressAnswer(question, '6.6.6.6'), { tls });
    const { ask } = upstreamOf(trusting(certificateFor('IP:127.0.0.1').cert));
    await expect(ask(encrypted(server), 'www.example.com')).rejects.toMatchObject({ code: 'IO' });
  });

  it('opportunistic: whoever is there is taken', async () => {
    const tls = certificateFor('DNS:whoever.example');
    const server = await scriptedServer((question) => addressAnswer(question, '192.0.2.1'), { tls });
    const { ask } = upstreamOf({}, 'opportunistic');
    await ask({ ...plain(server), port: server.tlsPort }, 'www.example.com');
    expect(server.asked.map(({ transport }) => transport)).toEqual(['tls']);
  });

  it('opportunistic: where a handshake hangs the server is asked in the open, and TLS is not tried again at once', async () => {
    const server = await scriptedServer((question) => addressAnswer(question, '192.0.2.1'));
    const { ask } = upstreamOf({}, 'opportunistic');
    for (let i = 0; i < 3; i++) await ask(plain(server), 'www.example.com');
    expect(server.asked.filter(({ transport }) => transport === 'udp').length).toBe(3);
    expect(server.connections).toBeLessThanOrEqual(1);
  });

  it('a connection that the server closed is made anew without anybody noticing', async () => {
    const tls = certificateFor('IP:127.0.0.1');
    const server = await scriptedServer((question) => addressAnswer(question, '192.0.2.1'), { tls });
    const { ask } = upstreamOf(trusting(tls.cert));
    await ask(encrypted(server), 'one.example.com');
    server.dropConnections();
    await ask(encrypted(server), 'two.example.com');
    expect(server.connections).toBe(2);
  });

  it('a server that ends each connection with its first answer answers all who ask at once', async () => {
    // Guards against giving up with the second connection, by which one more of them was answered and no other.
    const tls = certificateFor('IP:127.0.0.1');
    const port = await oneAnswerEach(tls);
    const { ask } = upstreamOf(trusting(tls.cert));
    const server = must(parseServer(`dns+tls://127.0.0.1:${port}`));
    const all = await Promise.all(Array.from({ length: 8 }, (_, i) => ask(server, `n${i}.example.com`)));
    expect(all.map(({ answers }) => answers[0])).toEqual(all.map((_, i) => `n${i}.example.com A 192.0.2.1`));
  });
});

/** As a server answers that writes every name in small letters. */
function lowerCased(question: AskedQuestion): Buffer {
  const wire = Buffer.from(question.wire);
  const end = 12 + question.name.length + 2;
  wire.write(wire.toString('latin1', 12, end).toLowerCase(), 12, 'latin1');
  return addressAnswer({ ...question, wire }, '192.0.2.1');
}

/** A records with their owners spelled out. */
function uncompressed(question: AskedQuestion, records: readonly (readonly [Buffer, Buffer])[]): Buffer {
  const head = answerTo(question, { noEdns: true });
  head.writeUInt16BE(records.length, 6);
  const fixed = Buffer.from([0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
  return Buffer.concat([head, ...records.flatMap(([owner, address]) => [owner, fixed, address])]);
}

/** End the connection that a question came by, as does a server that wants none. */
function hangUp(server: ScriptedServer): undefined {
  server.dropConnections();
}

/** A server that hears one question on each connection and ends it behind the answer; its port. */
async function oneAnswerEach(tls: TlsOptions): Promise<number> {
  const server = createServer(tls, (socket) => {
    const reader = new MessageReader();
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      reader.push(chunk);
      const wire = socket.writableEnded ? undefined : reader.next();
      if (wire === undefined) return;
      const answer = addressAnswer({ name: '', type: 1, transport: 'tls', wire, port: 0 }, '192.0.2.1');
      const length = Buffer.alloc(2);
      length.writeUInt16BE(answer.length);
      socket.end(Buffer.concat([length, answer]));
    });
  });
  onTestFinished(() => void server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}
