import { describe, expect, it } from 'vitest';
import { DnskeeperError } from '../../src/core/errors.ts';
import { clientAt } from '../../src/resolver/client.ts';
import { CircleError, EDE, extendedErrorOf } from '../../src/resolver/ede.ts';
import { EncryptionError } from '../../src/resolver/encryption.ts';
import { MOST_QUERIES, Reception } from '../../src/resolver/listener.ts';
import { responseTo } from '../../src/resolver/message.ts';
import { readResponse } from '../../src/resolver/message-read.ts';
import { queryOf, queryWire } from '../support/ask.ts';
import { freePort } from '../support/free-port.ts';
import { link } from '../support/links.ts';
import { recordingLog } from '../support/recording-log.ts';
import { resolverOver } from '../support/resolver.ts';
import { must } from '../support/sample-status.ts';
import { addressAnswer, answerTo, scriptedServer } from '../support/scripted-server.ts';

const [SERVFAIL, NXDOMAIN, NOTIMP, REFUSED] = [2, 3, 4, 5];

/** What a client with EDNS is told: code, and the extended errors as `number: text`. */
function told(wire: Buffer): { readonly rcode: number; readonly errors: readonly string[] } {
  const { rcode, extendedErrors } = must(readResponse(wire));
  return { rcode, errors: extendedErrors.map(({ code, text }) => `${code}: ${text}`) };
}

describe('every failure of ours carries an extended error (RFC 8914)', () => {
  it('nobody is there to be asked', async () => {
    expect(told((await resolverOver([]).ask('www.example.com')).wire)).toEqual({
      rcode: REFUSED,
      errors: [`${EDE.notReady}: no link has servers for this name`],
    });
  });

  it('a name that no server is to be asked for', async () => {
    const { wire } = await resolverOver([link({ servers: ['192.0.2.1'] })]).ask('printer.local');
    expect(told(wire)).toMatchObject({
      rcode: NXDOMAIN,
      errors: [expect.stringMatching(`^${EDE.filtered}: `)],
    });
  });

  it.each([
    ['a zone transfer', 'AXFR', REFUSED, EDE.prohibited],
    ['an obsolete type', 'MD', REFUSED, EDE.prohibited],
  ])('%s', async (_, type, rcode, code) => {
    const query = { ...queryOf('www.example.com'), type: type === 'AXFR' ? 252 : 3 };
    const { wire } = await resolverOver([]).answer(query, AbortSignal.timeout(8000));
    expect(told(wire)).toMatchObject({ rcode, errors: [expect.stringMatching(`^${code}: `)] });
  });

  it('another class than IN', async () => {
    const { wire } = await resolverOver([]).answer(
      { ...queryOf('version.bind'), class: 3 },
      AbortSignal.timeout(8000),
    );
    expect(told(wire)).toMatchObject({
      rcode: NOTIMP,
      errors: [expect.stringMatching(`^${EDE.notSupported}: `)],
    });
  });

  it('a server that nobody listens at', async () => {
    const servers = [`dns+udp://127.0.0.1:${await freePort()}`];
    const resolver = resolverOver([link({ interface: 'lo', servers })]);
    expect(told((await resolver.ask('www.example.com')).wire)).toEqual({
      rcode: SERVFAIL,
      errors: [`${EDE.noReachableAuthority}: 127.0.0.1 cannot be reached`],
    });
  });

  it('our own address as a server', async () => {
    const resolver = resolverOver([link({ interface: 'lo', servers: ['192.0.2.1'] })], {
      isOwn: (host) => host === '192.0.2.1',
    });
    expect(told((await resolver.ask('www.example.com')).wire)).toEqual({
      rcode: SERVFAIL,
      errors: [`${EDE.other}: asking 192.0.2.1 would go round in circles: it is dnskeeper itself`],
    });
    expect(resolver.servers()[0]?.trouble).toEqual({
      kind: 'circle',
      text: '192.0.2.1 (lo) is dnskeeper itself, so it is not asked.',
    });
  });

  it('too many queries at once', () => {
    const reception = new Reception(() => new Promise(() => {}), recordingLog());
    const replies: Buffer[] = [];
    for (let i = 0; i <= MOST_QUERIES.perClient; i++)
      reception.take(
        queryWire('www.example.com'),
        'udp',
        'full',
        clientAt('127.0.0.1', 1),
        (reply) => void replies.push(Buffer.from(reply)),
      );
    expect(replies.map(told)).toEqual([
      { rcode: SERVFAIL, errors: [`${EDE.notReady}: too many queries at once`] },
    ]);
  });

  it('a fault of ours', async () => {
    const reception = new Reception(() => Promise.reject(new Error('a fault')), recordingLog());
    const reply = await new Promise<Buffer>((resolve) =>
      reception.take(queryWire('www.example.com'), 'udp', 'full', clientAt('127.0.0.1', 1), resolve),
    );
    expect(told(reply)).toEqual({ rcode: SERVFAIL, errors: [`${EDE.other}: `] });
  });
});

it.each([
  ['silence', new DnskeeperError('DEADLINE', 'silent'), EDE.noReachableAuthority, 'silent'],
  ['no way there', new DnskeeperError('IO', 'no way'), EDE.noReachableAuthority, 'no way'],
  ['garbage', new DnskeeperError('PROTOCOL', 'garbage'), EDE.networkError, 'garbage'],
  ['a circle', new CircleError('IO', 'a circle'), EDE.other, 'a circle'],
  [
    'a wrong certificate',
    new EncryptionError('192.0.2.1', Object.assign(new Error('x'), { code: 'CERT_HAS_EXPIRED' })),
    EDE.networkError,
    'the certificate of 192.0.2.1 has expired',
  ],
  [
    'a handshake without end',
    new EncryptionError('192.0.2.1', new DnskeeperError('DEADLINE', 'no connection within 3000 ms')),
    EDE.networkError,
    '192.0.2.1 takes connections but does not speak TLS: no connection within 3000 ms',
  ],
  ['a fault of ours', new TypeError('a fault'), EDE.other, 'a fault'],
])('the reason at the bottom is told: %s', (_, reason, code, text) => {
  const circle = reason instanceof CircleError ? { circle: true } : {};
  expect(extendedErrorOf(reason)).toEqual({ code, text, ...circle });
  if (reason instanceof DnskeeperError)
    expect(extendedErrorOf(new DnskeeperError('DEADLINE', 'no server could be asked', reason))).toEqual({
      code,
      text,
      ...circle,
    });
});

it('a long text is cut to 120 bytes between two characters', () => {
  const query = queryOf('www.example.com');
  const wire = responseTo(query, { rcode: SERVFAIL, ede: { code: 0, text: 'é'.repeat(200) } });
  expect(told(wire).errors).toEqual([`0: ${'é'.repeat(60)}`]);
  const odd = responseTo(query, { rcode: SERVFAIL, ede: { code: 0, text: `x${'é'.repeat(200)}` } });
  expect(told(odd).errors).toEqual([`0: x${'é'.repeat(59)}`]);
});

describe("a server's own extended error", () => {
  const EXPIRED = Buffer.concat([Buffer.of(0, 7), Buffer.from('signature expired')]);
  const failing = () =>
    scriptedServer((question) =>
      answerTo(question, { rcode: SERVFAIL, options: [{ code: 15, data: EXPIRED }] }),
    );
  const over = async () => {
    const { port } = await failing();
    return resolverOver([link({ interface: 'lo', servers: [`dns+udp://127.0.0.1:${port}`] })]);
  };

  it('reaches a client that speaks EDNS', async () => {
    expect(told((await (await over()).ask('www.example.com')).wire)).toEqual({
      rcode: SERVFAIL,
      errors: ['7: signature expired'],
    });
  });

  it('is left out for one that does not', async () => {
    const { wire } = await (await over()).ask('www.example.com', 'A', { edns: false });
    expect(told(wire)).toEqual({ rcode: SERVFAIL, errors: [] });
  });

  it('is not lost when the next server fails without one', async () => {
    const first = await failing();
    const second = await scriptedServer((question) => answerTo(question, { rcode: REFUSED }));
    const servers = [first, second].map(({ port }) => `dns+udp://127.0.0.1:${port}`);
    const { wire } = await resolverOver([link({ interface: 'lo', servers })]).ask('www.example.com');
    expect(told(wire).errors).toEqual(['7: signature expired']);
  });

  it('an answer that has one is still an answer', async () => {
    const stale = Buffer.from([0, 3]);
    const { port } = await scriptedServer((question) =>
      answerTo(question, {
        answers: [{ type: 1, data: Buffer.from([192, 0, 2, 1]) }],
        options: [{ code: 15, data: stale }],
      }),
    );
    const resolver = resolverOver([link({ interface: 'lo', servers: [`dns+udp://127.0.0.1:${port}`] })]);
    const { wire, answers } = await resolver.ask('www.example.com');
    expect(answers).toEqual(['www.example.com A 192.0.2.1']);
    expect(told(wire)).toEqual({ rcode: 0, errors: ['3: '] });
  });
});

describe('what nobody here knows passes through untouched', () => {
  it('an EDNS option, both ways', async () => {
    const OPTION = 65_001;
    const seen: string[] = [];
    const { port } = await scriptedServer((question) => {
      seen.push(question.wire.toString('hex'));
      return answerTo(question, { options: [{ code: OPTION, data: Buffer.from('there') }] });
    });
    const resolver = resolverOver([link({ interface: 'lo', servers: [`dns+udp://127.0.0.1:${port}`] })]);
    const plain = queryOf('www.example.com');
    const options = [{ code: OPTION, data: Buffer.from('here') }];
    const query = { ...plain, edns: { version: 0, udpSize: 1232, options } };
    const { wire } = await resolver.answer(query, AbortSignal.timeout(8000));
    expect(seen[0]).toContain(`fde90004${Buffer.from('here').toString('hex')}`);
    expect(wire.toString('hex')).toContain(`fde90005${Buffer.from('there').toString('hex')}`);
  });

  it('a record type (RFC 3597), with every byte of its data', async () => {
    const data = Buffer.from(Array.from({ length: 64 }, (_, i) => (i * 37) & 0xff));
    const { port } = await scriptedServer((question) =>
      answerTo(question, { answers: [{ type: 65_400, data }] }),
    );
    const resolver = resolverOver([link({ interface: 'lo', servers: [`dns+udp://127.0.0.1:${port}`] })]);
    const { wire } = await resolver.answer(
      { ...queryOf('www.example.com'), type: 65_400 },
      AbortSignal.timeout(8000),
    );
    const facts = must(readResponse(wire));
    const [record] = facts.records;
    expect(record).toMatchObject({ type: 65_400 });
    expect(wire.subarray(record?.dataStart, record?.dataEnd).equals(data)).toBe(true);
  });

  /** The question's name takes 17 bytes; behind it and type and class stands the OPT record. */
  const OPT_FLAGS = 12 + 17 + 4 + 7;
  it.each([
    ['DO and not CD', { dnssecOk: true }, 0x8000, 0],
    ['CD and not DO', { flags: 0x0110 }, 0, 0x10],
    ['neither', {}, 0, 0],
  ])('the bits of DNSSEC: %s', async (_, options, edns, header) => {
    const server = await scriptedServer((question) => addressAnswer(question, '192.0.2.1'));
    const resolver = resolverOver([
      link({ interface: 'lo', servers: [`dns+udp://127.0.0.1:${server.port}`] }),
    ]);
    const { rcode } = await resolver.ask('www.example.com', 'A', options);
    expect(rcode).toBe('NOERROR');
    const wire = server.asked[0]?.wire ?? Buffer.alloc(64);
    expect(wire.readUInt16BE(OPT_FLAGS)).toBe(edns);
    expect((wire[3] ?? 0) & 0x10).toBe(header);
  });
});

it("a client's cookie, padding and keepalive are its own business with us (RFC 7873, 7830, 7828)", async () => {
  const server = await scriptedServer((question) => addressAnswer(question, '192.0.2.1'));
  const resolver = resolverOver([link({ interface: 'lo', servers: [`dns+udp://127.0.0.1:${server.port}`] })]);
  const options = [
    { code: 10, data: Buffer.from('clientsC') },
    { code: 12, data: Buffer.alloc(64, 0x77) },
    { code: 11, data: Buffer.alloc(0) },
  ];
  const query = { ...queryOf('www.example.com'), edns: { version: 0, udpSize: 1232, options } };
  await resolver.answer(query, AbortSignal.timeout(8000));
  const asked = server.asked[0]?.wire.toString('latin1') ?? '';
  expect(asked).not.toContain('clientsC');
  expect(asked).not.toContain('wwwwwwww');
});
