import { connect } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseAddress } from '../../src/core/address.ts';
import { type Client, clientAt, clientOf } from '../../src/resolver/client.ts';
import { type Listener, MOST_QUERIES, Reception } from '../../src/resolver/listener.ts';
import { listenBoth } from '../../src/resolver/listener-both.ts';
import { responseTo } from '../../src/resolver/message.ts';
import type { Answerer } from '../../src/resolver/query.ts';
import { RCODE, TYPE } from '../../src/resolver/wire.ts';
import { socketAddress } from '../../src/system/socket-address.ts';
import { askOverTcp, askOverUdp, queryWire, readAnswer } from '../support/ask.ts';
import { freePort } from '../support/free-port.ts';
import { noIpv6 } from '../support/ipv6.ts';
import { recordingLog } from '../support/recording-log.ts';
import { unless } from '../support/root-only.ts';
import { must } from '../support/sample-status.ts';
import { until } from '../support/until.ts';

const HOST = '127.0.0.1';

/** Answers each name with as many bytes of TXT as its first label says. */
const sized: Answerer = async (query) => {
  const bytes = Number.parseInt(query.domain ?? '1', 10);
  const strings = Array.from({ length: Math.ceil(bytes / 200) }, () =>
    Buffer.concat([Buffer.of(199), Buffer.alloc(199, 'x')]),
  );
  const answers = [{ type: TYPE.TXT, ttl: 1, data: Buffer.concat(strings) }];
  return { wire: responseTo(query, { rcode: RCODE.NOERROR, answers }), origin: { kind: 'local' } };
};

describe('UDP and TCP on one address', () => {
  it.each([
    ['without EDNS 400 bytes fit', 400, false, false],
    ['without EDNS 600 bytes are cut', 600, false, true],
    ['with EDNS 1000 bytes fit', 1000, true, false],
    ['with EDNS 2000 bytes are cut', 2000, true, true],
  ])('%s, and TCP brings all of it', async (_, bytes, edns, cut) => {
    const { port } = await listening(sized);
    const query = queryWire(`${bytes}.example`, 'TXT', { edns });
    const overUdp = await askOverUdp(HOST, port, query);
    expect(readAnswer(overUdp).truncated).toBe(cut);
    expect(overUdp.length).toBeLessThanOrEqual(edns ? 1232 : 512);
    const [overTcp] = await askOverTcp(HOST, port, query);
    expect(overTcp?.length).toBeGreaterThan(bytes);
  });

  it.each([
    ['udp', 'tcp'],
    ['tcp', 'udp'],
  ] as const)('an address that is to serve %s alone serves no %s', async (transport, other) => {
    const { port, listeners } = await listening(sized, transport);
    expect(listeners).toHaveLength(1);
    const ask = {
      udp: askOverUdp,
      tcp: async (...query: Parameters<typeof askOverTcp>) => (await askOverTcp(...query))[0],
    };
    expect(
      readAnswer((await ask[transport](HOST, port, queryWire('1.example', 'TXT'))) ?? Buffer.alloc(0)).rcode,
    ).toBe('NOERROR');
    // The other one is free for whoever wants it.
    const free = await listenBoth(
      { host: HOST, port, service: 'full', transport: other },
      new Reception(sized, recordingLog()),
    );
    await Promise.all(free.map((listener) => listener.close()));
  });

  it('several questions on one connection are answered as they are ready, each with its id', async () => {
    const slowFirst: Answerer = async (query, signal) => {
      if (query.domain === '1.example') await new Promise((resolve) => setImmediate(resolve));
      return sized(query, signal);
    };
    const { port } = await listening(slowFirst);
    const questions = Array.from({ length: 200 }, (_, i) =>
      queryWire(`${i + 1}.example`, 'TXT', { id: i + 1 }),
    );
    const answers = await askOverTcp(HOST, port, ...questions);
    expect(answers.map((answer) => answer.readUInt16BE(0)).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 200 }, (_, i) => i + 1),
    );
  });

  it.each([
    ['two questions', (wire: Buffer) => set(wire, 5, 2), RCODE.FORMERR],
    ['a name that never ends', (wire: Buffer) => set(wire, 12, 63), RCODE.FORMERR],
    ['an operation other than a query', (wire: Buffer) => set(wire, 2, 0x28), RCODE.NOTIMP],
    ['a later EDNS version', (wire: Buffer) => set(wire, wire.length - 5, 1), 0],
  ])('%s gets its code', async (_, spoil, rcode) => {
    const { port } = await listening(sized);
    const answer = await askOverUdp(HOST, port, spoil(queryWire('1.example', 'TXT')));
    expect((answer[3] ?? 0) & 15).toBe(rcode);
    expect(answer.readUInt16BE(0)).toBe(4242);
  });

  it('a response is never answered, so that two servers cannot keep each other busy', async () => {
    const { port, reception } = await listening(sized);
    const response = set(queryWire('1.example', 'TXT', { id: 1 }), 2, 0x81);
    const question = queryWire('1.example', 'TXT', { id: 2 });
    expect((await askOverUdp(HOST, port, response, question)).readUInt16BE(0)).toBe(2);
    expect(reception.traffic).toMatchObject({ queries: 2, malformed: 1 });
  });

  it('a connection that sends garbage is closed', async () => {
    const { port } = await listening(sized);
    const socket = connect({ host: HOST, port });
    socket.write(Buffer.from([0, 3, 1, 2, 3]));
    await new Promise((resolve) => socket.once('close', resolve));
  });

  it('a second listener on the same address is refused, and the first goes on', async () => {
    const { port } = await listening(sized);
    const other = new Reception(sized, recordingLog());
    await expect(listenBoth({ host: HOST, port, service: 'full' }, other)).rejects.toMatchObject({
      code: 'IO',
    });
    expect((await askOverUdp(HOST, port, queryWire('1.example', 'TXT'))).length).toBeGreaterThan(100);
  });
});

describe('bounds', () => {
  const message = queryWire('1.example', 'TXT');
  const never: Answerer = () => new Promise(() => {});

  it('one client that asks too much is told so, and others are served', () => {
    const reception = new Reception(never, recordingLog());
    const replies: Buffer[] = [];
    const take = (port: number): void =>
      reception.take(
        message,
        'udp',
        'full',
        clientAt('127.0.0.1', port),
        (reply) => void replies.push(reply),
      );
    for (let i = 0; i < MOST_QUERIES.perClient; i++) take(1);
    expect(replies).toEqual([]);
    take(1);
    expect(replies.map((reply) => (reply[3] ?? 0) & 15)).toEqual([RCODE.SERVFAIL]);
    take(2);
    expect(replies.length).toBe(1);
    expect(reception.traffic).toMatchObject({ inFlight: MOST_QUERIES.perClient + 1, overBound: 1 });
  });

  it('all ports of another machine have one share, whatever it asks by', () => {
    const reception = new Reception(never, recordingLog());
    let refused = 0;
    const take = (client: Client): void =>
      reception.take(message, 'udp', 'full', client, () => void refused++);
    const sources = (address: string) => {
      const parsed = must(parseAddress(address));
      return (port: number) => clientOf(socketAddress(parsed, port));
    };
    for (const source of [sources('192.0.2.7'), sources('2001:db8::7')]) {
      const before = refused;
      for (let port = 1; port <= MOST_QUERIES.perNeighbour; port++) take(source(port));
      expect(refused).toBe(before);
      take(source(9999));
      expect(refused).toBe(before + 1);
    }
    for (const address of ['127.0.0.1', '127.0.0.53', '::1'])
      for (const port of [1, 2]) take(sources(address)(port));
    expect(refused).toBe(2);
    expect(sources('::1')(1).key).not.toBe(sources('::1')(2).key);
    expect(clientAt('192.0.2.7', 1).key).toBe(clientAt('192.0.2.7', 2).key);
    expect(clientAt('::ffff:127.0.0.1', 1).local).toBe(true);
  });

  it('all clients together have a bound too', () => {
    const reception = new Reception(never, recordingLog());
    let refused = 0;
    for (let i = 0; i < MOST_QUERIES.all + 10; i++)
      reception.take(message, 'udp', 'full', clientAt('127.0.0.1', i), () => void refused++);
    expect(refused).toBe(10);
  });

  it('what is answered makes room', async () => {
    const reception = new Reception(sized, recordingLog());
    for (let round = 0; round < 5; round++) {
      let answered = 0;
      for (let i = 0; i < MOST_QUERIES.perClient; i++)
        reception.take(message, 'udp', 'full', clientAt('127.0.0.1', 1), () => void answered++);
      await until(() => answered === MOST_QUERIES.perClient, 'all are answered');
    }
    await until(() => reception.traffic.inFlight === 0, 'nothing is under way');
    expect(reception.traffic.overBound).toBe(0);
  });

  it.skipIf(noIpv6 !== undefined)(
    unless(noIpv6, 'every address of each family is an address of its own'),
    async () => {
      const reception = new Reception(sized, recordingLog());
      const close = async (listeners: readonly Listener[]): Promise<void> =>
        void (await Promise.all(listeners.map((listener) => listener.close())));
      const port = await freePort();
      const six = await listenBoth({ host: '::', port, service: 'full' }, reception);
      onTestFinished(() => close(six));
      const four = await listenBoth({ host: '0.0.0.0', port, service: 'full' }, reception);
      onTestFinished(() => close(four));
      expect(four[0]?.at.port).toBe(port);
    },
  );

  it.each([
    ['a query', message],
    ['what is none', message.subarray(0, 12)],
  ])('a client that cannot be answered, as one at port 0, ends nothing: %s', async (_, sent) => {
    const reception = new Reception(sized, recordingLog());
    let told = 0;
    reception.take(sent, 'udp', 'full', clientAt('127.0.0.1', 1), () => {
      told++;
      throw new RangeError('Port should be > 0 and < 65536.');
    });
    await until(() => told === 1 && reception.traffic.inFlight === 0, 'nothing is under way');
    await new Promise((turn) => setImmediate(turn));
    expect(told).toBe(1);
  });

  it('a stage that throws is a SERVFAIL and a line in the log', async () => {
    const log = recordingLog();
    const reception = new Reception(() => Promise.reject(new Error('a fault of ours')), log);
    const reply = await new Promise<Buffer>((resolve) =>
      reception.take(message, 'udp', 'full', clientAt('127.0.0.1', 1), resolve),
    );
    expect((reply[3] ?? 0) & 15).toBe(RCODE.SERVFAIL);
    expect(log.lines.at(-1)).toMatchObject({ level: 'error' });
  });
});

async function listening(
  answer: Answerer,
  transport?: 'udp' | 'tcp',
): Promise<{
  readonly port: number;
  readonly reception: Reception;
  readonly listeners: readonly Listener[];
}> {
  const reception = new Reception(answer, recordingLog());
  const port = await freePort();
  const listeners = await listenBoth(
    { host: HOST, port, service: 'full', ...(transport === undefined ? {} : { transport }) },
    reception,
  );
  onTestFinished(async () => {
    reception.close();
    await Promise.all(listeners.map((listener) => listener.close()));
  });
  return { port, reception, listeners };
}

function set(wire: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(wire);
  copy[at] = value;
  return copy;
}
