import { createSocket } from 'node:dgram';
import { closeSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import { makePlan } from '../../src/core/policy.ts';
import { clientAt } from '../../src/resolver/client.ts';
import type { Listener } from '../../src/resolver/listener.ts';
import { type LiveResolver, openResolver } from '../../src/resolver/open.ts';
import { systemClock } from '../../src/system/clock.ts';
import { type Libc, loadLibc } from '../../src/system/libc.ts';
import { NO_STORE, type SocketPlace, type SocketStore } from '../../src/system/listen-fds.ts';
import { silentLog } from '../../src/system/log.ts';
import { askOverTcp, askOverUdp, queryWire, readAnswer } from '../support/ask.ts';
import { link, snapshotOf } from '../support/links.ts';
import { unless } from '../support/root-only.ts';
import { addressAnswer, scriptedServer } from '../support/scripted-server.ts';
import { until } from '../support/until.ts';

const libc = loadLibc((reason) => {
  throw new Error(reason);
}) as Libc;
const LOOPBACK = { family: 4, bytes: [127, 0, 0, 1], kind: 'loopback' } as const;
const ANSWER = ['www.example.com A 192.0.2.7'];
/** Only there are addresses shared with another program. */
const noLowPort = process.getuid?.() === 0 ? undefined : 'ports below 1024 need root';

describe('sockets that an earlier process left', () => {
  it('are taken, and what was asked before is answered, over UDP and TCP', async () => {
    const tcp = libc.sockets.listenTcp(LOOPBACK, 0);
    const port = libc.sockets.describe(tcp)?.port ?? 0;
    const udp = libc.datagrams.bindUdp(LOOPBACK, port);
    const answers = Promise.all([
      askOverUdp('127.0.0.1', port, queryWire('www.example.com')),
      askOverTcp('127.0.0.1', port, queryWire('www.example.com')).then(([first]) => first as Buffer),
    ]);
    const { sockets, kept } = storeOf(
      new Map([
        ['udp', udp],
        ['tcp', tcp],
      ]),
    );
    const { live } = await resolver(sockets);
    await listen(live, port);
    for (const answer of await answers) expect(readAnswer(answer).answers).toEqual(ANSWER);
    expect(kept, 'they are kept already').toEqual([]);
  });

  it('are kept no more when the other half of their address cannot be had', async () => {
    // A copy that the service manager keeps would go on listening there, with nobody behind it, and be in our own way.
    const taken = createSocket('udp4');
    await new Promise<void>((bound) => taken.bind({ address: '127.0.0.1', port: 0, exclusive: true }, bound));
    const { port } = taken.address();
    onTestFinished(() => void taken.close());
    const { sockets, kept } = storeOf(new Map());
    const { live } = await resolver(sockets);
    await expect(listen(live, port)).rejects.toMatchObject({ code: 'IO' });
    expect(kept).toEqual([]);
  });

  it('are made and kept where there are none, each where it stands', async () => {
    const probe = libc.sockets.listenTcp(LOOPBACK, 0);
    const port = libc.sockets.describe(probe)?.port ?? 0;
    const { sockets, kept } = storeOf(new Map());
    const { live } = await resolver(sockets);
    await expect(listen(live, port), 'somebody listens there').rejects.toMatchObject({
      code: 'IO',
      message: expect.stringMatching(/^127\.0\.0\.1 port [0-9]+ \(TCP\) cannot be had: .*EADDRINUSE/),
    });
    const free = libc.sockets.listenTcp(LOOPBACK, 0);
    const other = libc.sockets.describe(free)?.port ?? 0;
    closeSync(free);
    closeSync(probe);
    await listen(live, other);
    expect(kept.map(({ kind, host, port: at }) => `${kind} ${host} ${at}`)).toEqual([
      `tcp 127.0.0.1 ${other}`,
      `udp 127.0.0.1 ${other}`,
    ]);
  });
});

it('what is asked at an address that is held waits until it is listened on', async () => {
  const { sockets, kept } = storeOf(new Map());
  const { live } = await resolver(sockets);
  const probe = libc.datagrams.bindUdp(LOOPBACK, 0);
  const port = libc.sockets.describe(probe)?.port ?? 0;
  closeSync(probe);
  live.hold({ host: '127.0.0.1', port, service: 'full' });
  const answer = askOverUdp('127.0.0.1', port, queryWire('www.example.com'));
  await listen(live, port);
  expect(readAnswer(await answer).answers).toEqual(ANSWER);
  expect(kept.map(({ kind }) => kind)).toEqual(['udp', 'tcp']);
});

it.skipIf(noLowPort !== undefined)(
  unless(noLowPort, 'what is asked at an address that is held waits although systemd-resolved still has it'),
  async () => {
    // Otherwise it would be dropped when systemd-resolved ends, and whoever asked would wait for five seconds.
    // Of this process alone, should the tests run twice on one machine.
    const bytes = [127, 77, (process.pid >> 8) & 255, process.pid & 255];
    const at = { host: bytes.join('.'), port: 997, service: 'full' } as const;
    const address = { ...LOOPBACK, bytes };
    const { sockets } = storeOf(new Map());
    const { live } = await resolver(sockets);
    const theirs = libc.datagrams.bindUdp(address, at.port, { reuseAddress: true, device: 'lo' });
    live.hold(at);
    const client = createSocket('udp4');
    onTestFinished(() => void client.close());
    const answer = new Promise<Buffer>((resolve) => void client.once('message', resolve));
    await new Promise((sent) => client.send(queryWire('www.example.com'), at.port, at.host, sent));
    closeSync(theirs);
    await listen(live, at.port, at.host);
    expect(readAnswer(await answer).answers).toEqual(ANSWER);
  },
);

it('a listener that is paused takes no more, and answers what it took', async () => {
  const { live, server } = await resolver(NO_STORE);
  server.script = () => undefined;
  const [udp] = await listen(live, 0);
  const { port } = udp?.at ?? { port: 0 };
  const first = askOverUdp('127.0.0.1', port, queryWire('www.example.com'));
  await until(() => server.asked.length === 1, 'the first is asked upstream');
  await udp?.pause?.();
  const drained = live.reception.drained(AbortSignal.timeout(8000));
  const client = createSocket('udp4');
  await new Promise((sent) => client.send(queryWire('www.example.org'), port, '127.0.0.1', sent));
  client.close();
  const [question] = server.asked;
  if (question === undefined) throw new Error('nothing was asked');
  server.send(addressAnswer(question, '192.0.2.7'), question.port);
  expect(readAnswer(await first).answers).toEqual(ANSWER);
  await drained;
  expect(server.asked.length, 'the second waits in the socket').toBe(1);
});

it('nothing in flight is drained at once, and a deadline ends the wait', async () => {
  const { live, server } = await resolver(NO_STORE);
  await live.reception.drained(AbortSignal.timeout(8000));
  server.script = () => undefined;
  live.reception.take(queryWire('www.example.com'), 'udp', 'full', clientAt('127.0.0.1', 1), () => {});
  const controller = new AbortController();
  let ended = false;
  const drained = live.reception.drained(controller.signal).then(() => {
    ended = true;
  });
  await until(() => server.asked.length === 1, 'it is asked upstream');
  expect(ended).toBe(false);
  controller.abort();
  await drained;
});

/** A live resolver over one server. */
async function resolver(sockets: SocketStore) {
  const server = await scriptedServer((question) => addressAnswer(question, '192.0.2.7'));
  const live = openResolver({
    hostsFile: '/nowhere/hosts',
    clock: systemClock,
    log: silentLog,
    libc,
    sockets,
    settings: () => DEFAULT_CONFIG,
    isOwn: () => false,
  });
  onTestFinished(() => live.close());
  const servers = [`dns+udp://${server.host}:${server.port}`];
  live.resolver.apply(makePlan(snapshotOf([link({ interface: 'lo', servers })]), DEFAULT_CONFIG));
  return { live, server };
}

async function listen(live: LiveResolver, port: number, host = '127.0.0.1'): Promise<readonly Listener[]> {
  const listeners = await live.listen({ host, port, service: 'full' });
  onTestFinished(async () => void (await Promise.all(listeners.map((listener) => listener.close()))));
  return listeners;
}

/** A store with at most one socket of each kind. */
function storeOf(waiting: Map<string, number>): { sockets: SocketStore; kept: SocketPlace[] } {
  const kept: SocketPlace[] = [];
  const sockets: SocketStore = {
    ...NO_STORE,
    take({ kind }) {
      const fd = waiting.get(kind);
      waiting.delete(kind);
      return fd;
    },
    keep: (place) => void kept.push(place),
    hold: ({ kind }, fd) => void waiting.set(kind, fd),
    forget(host, port) {
      for (const place of [...kept])
        if (place.host === host && place.port === port) kept.splice(kept.indexOf(place), 1);
    },
  };
  return { sockets, kept };
}
