import { describe, expect, it } from 'vitest';
import { manualClock } from '../support/manual-clock.ts';
import {
  type AskedQuestion,
  addressAnswer,
  answerTo,
  optionOf,
  type ScriptedServer,
  scriptedServer,
} from '../support/scripted-server.ts';
import { plain, upstreamOf } from '../support/upstream.ts';

const COOKIE = 10;
const BADCOOKIE = 23;
const FORMERR = 1;
const NAME = 'www.example.com';
const ADDRESS = { type: 1, data: Buffer.from([192, 0, 2, 1]) };
const SERVER_PART = Buffer.from('0102030405060708', 'hex');

/** RFC 7873: the cookie that each question carried, in hexadecimal; empty for none. */
const cookies = (server: ScriptedServer): string[] =>
  server.asked.map((question) => optionOf(question, COOKIE)?.toString('hex') ?? '');
const transports = (server: ScriptedServer): string[] => server.asked.map(({ transport }) => transport);

/** An answer as a server gives it that knows cookies. */
function answerWithCookie(question: AskedQuestion, part = SERVER_PART, rcode = 0): Buffer {
  const sent = optionOf(question, COOKIE);
  if (sent === undefined) return answerTo(question, { answers: [ADDRESS], rcode });
  const data = Buffer.concat([sent.subarray(0, 8), part]);
  return answerTo(question, {
    answers: rcode === 0 ? [ADDRESS] : [],
    rcode,
    options: [{ code: COOKIE, data }],
  });
}

describe('DNS cookies', () => {
  it('ours is the same to one server, and its part comes back to it', async () => {
    const server = await scriptedServer((question) => answerWithCookie(question));
    const { ask } = upstreamOf();
    for (let i = 0; i < 3; i++) await ask(plain(server), NAME);
    const [first = '', second, third] = cookies(server);
    expect(first).toMatch(/^[0-9a-f]{16}$/);
    expect([second, third]).toEqual(new Array(2).fill(`${first}${SERVER_PART.toString('hex')}`));
  });

  it('each server and each link gets another one of ours', async () => {
    const servers = [
      await scriptedServer((question) => answerWithCookie(question)),
      await scriptedServer((question) => answerWithCookie(question)),
    ];
    const here = upstreamOf();
    const there = upstreamOf({}, 'default', { key: 'wlan0' });
    for (const server of servers) {
      await here.ask(plain(server), NAME);
      await there.ask(plain(server), NAME);
    }
    expect(new Set(servers.flatMap(cookies)).size).toBe(4);
  });

  it('all are forgotten when the network changes, so that nobody knows us again', async () => {
    const server = await scriptedServer((question) => answerWithCookie(question));
    const { ask, upstream } = upstreamOf();
    await ask(plain(server), NAME);
    upstream.forget();
    await ask(plain(server), NAME);
    const [before = '', after = ''] = cookies(server);
    expect(after).toMatch(/^[0-9a-f]{16}$/);
    expect(after).not.toBe(before);
  });

  it('a new address of ours is a new cookie, though nobody told of a change', async () => {
    const server = await scriptedServer((question) => answerWithCookie(question));
    const clock = manualClock();
    let addresses = new Set(['2001:db8::1']);
    const { ask } = upstreamOf({ clock, ownAddresses: () => addresses });
    await ask(plain(server), NAME);
    addresses = new Set(['2001:db8::1', '2001:db8::2']);
    clock.advance(10_000);
    await ask(plain(server), NAME);
    const [before, after] = cookies(server);
    expect(after?.slice(0, 16)).not.toBe(before);
  });

  it('an answer with another cookie than ours is passed over, and the right one after it is taken', async () => {
    const server = await scriptedServer((question) => {
      const data = Buffer.concat([Buffer.alloc(8, 0x66), SERVER_PART]);
      const forged = answerTo(question, {
        answers: [{ type: 1, data: Buffer.from([6, 6, 6, 6]) }],
        options: [{ code: COOKIE, data }],
      });
      return [forged, answerWithCookie(question)];
    });
    expect((await upstreamOf().ask(plain(server), NAME)).answers).toEqual([`${NAME} A 192.0.2.1`]);
    expect(transports(server)).toEqual(['udp']);
  });

  it.each([
    ['3 bytes', Buffer.alloc(3)],
    ['our part and 4 bytes', Buffer.alloc(12)],
    ['41 bytes', Buffer.alloc(41)],
  ])('a cookie of %s is no cookie, and its answer is passed over', async (_, data) => {
    const server = await scriptedServer((question) => {
      optionOf(question, COOKIE)?.copy(data, 0, 0, Math.min(8, data.length));
      return [
        answerTo(question, {
          answers: [{ type: 1, data: Buffer.from([6, 6, 6, 6]) }],
          options: [{ code: COOKIE, data }],
        }),
        answerWithCookie(question),
      ];
    });
    expect((await upstreamOf().ask(plain(server), NAME)).answers).toEqual([`${NAME} A 192.0.2.1`]);
  });

  it('an answer without a cookie from a server that has one is only believed over TCP', async () => {
    const server = await scriptedServer((question) => answerWithCookie(question));
    const { ask } = upstreamOf();
    await ask(plain(server), NAME);
    server.script = (question) =>
      question.transport === 'udp' ? addressAnswer(question, '6.6.6.6') : answerWithCookie(question);
    expect((await ask(plain(server), NAME)).answers).toEqual([`${NAME} A 192.0.2.1`]);
    expect(transports(server)).toEqual(['udp', 'udp', 'tcp']);
  });

  it('a server that has given cookies up is asked over TCP once, and without from then on', async () => {
    const server = await scriptedServer((question) => answerWithCookie(question));
    const { ask } = upstreamOf();
    await ask(plain(server), NAME);
    server.script = (question) => addressAnswer(question, '192.0.2.1');
    for (let i = 0; i < 3; i++) await ask(plain(server), NAME);
    expect(transports(server)).toEqual(['udp', 'udp', 'tcp', 'udp', 'udp']);
    expect(cookies(server).slice(3)).toEqual(['', '']);
  });

  it('a server that has given cookies up and takes no connections is asked without', async () => {
    const server: ScriptedServer = await scriptedServer((question) => answerWithCookie(question));
    const { ask } = upstreamOf();
    await ask(plain(server), NAME);
    server.script = (question) => {
      if (question.transport === 'udp') return addressAnswer(question, '192.0.2.1');
      server.dropConnections();
      return undefined;
    };
    for (let i = 0; i < 2; i++)
      expect((await ask(plain(server), NAME)).answers).toEqual([`${NAME} A 192.0.2.1`]);
    const overUdp = server.asked.filter(({ transport }) => transport === 'udp');
    expect(overUdp.map((question) => optionOf(question, COOKIE)?.length ?? 0)).toEqual([8, 16, 0, 0]);
  });

  it('BADCOOKIE is answered with the new cookie', async () => {
    const server = await scriptedServer((question) =>
      optionOf(question, COOKIE)?.length === 16
        ? answerWithCookie(question)
        : answerWithCookie(question, SERVER_PART, BADCOOKIE),
    );
    expect((await upstreamOf().ask(plain(server), NAME)).answers).toEqual([`${NAME} A 192.0.2.1`]);
    expect(cookies(server).map((cookie) => cookie.length)).toEqual([16, 32]);
    expect(transports(server)).toEqual(['udp', 'udp']);
  });

  it('BADCOOKIE twice makes us ask over TCP', async () => {
    const server = await scriptedServer((question) =>
      question.transport === 'tcp'
        ? answerWithCookie(question)
        : answerWithCookie(question, SERVER_PART, BADCOOKIE),
    );
    expect((await upstreamOf().ask(plain(server), NAME)).answers).toEqual([`${NAME} A 192.0.2.1`]);
    expect(transports(server)).toEqual(['udp', 'udp', 'tcp']);
  });

  it('a server that does not know them gets one, and is left alone with them for a while', async () => {
    const server = await scriptedServer((question) => addressAnswer(question, '192.0.2.1'));
    const clock = manualClock();
    const { ask } = upstreamOf({ clock });
    for (let i = 0; i < 3; i++) await ask(plain(server), NAME);
    clock.advance(6 * 60_000);
    await ask(plain(server), NAME);
    expect(cookies(server).map((cookie) => cookie.length)).toEqual([16, 0, 0, 16]);
  });

  it('a server that calls them malformed is asked without, at once', async () => {
    const server = await scriptedServer((question) =>
      optionOf(question, COOKIE) === undefined
        ? addressAnswer(question, '192.0.2.1')
        : answerTo(question, { rcode: FORMERR }),
    );
    const { ask } = upstreamOf();
    expect((await ask(plain(server), NAME)).answers).toEqual([`${NAME} A 192.0.2.1`]);
    await ask(plain(server), NAME);
    expect(cookies(server).map((cookie) => cookie.length)).toEqual([16, 0, 0]);
  });

  it('where questions with a cookie are thrown away the others get through, one alone is tried at a time', async () => {
    const server = await scriptedServer((question) =>
      optionOf(question, COOKIE) === undefined ? addressAnswer(question, '192.0.2.1') : undefined,
    );
    const { ask } = upstreamOf();
    const stop = new AbortController();
    const tried = ask(plain(server), NAME, stop.signal);
    const rest = await Promise.all(Array.from({ length: 20 }, () => ask(plain(server), NAME)));
    expect(rest.map(({ rcode }) => rcode)).toEqual(new Array(20).fill('NOERROR'));
    stop.abort();
    await expect(tried).rejects.toMatchObject({ code: 'DEADLINE' });
    expect(cookies(server).filter((cookie) => cookie !== '').length).toBe(1);
  });
});
