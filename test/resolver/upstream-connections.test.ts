import type { Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { Counters } from '../../src/resolver/statistics.ts';
import {
  type ConnectionNeeds,
  MOST_CONNECTIONS,
  UpstreamConnections,
} from '../../src/resolver/upstream-connections.ts';
import type { Endpoint } from '../../src/resolver/upstream-udp.ts';
import { queryWire } from '../support/ask.ts';
import { silentServer } from '../support/tcp-ports.ts';
import { until } from '../support/until.ts';

const forever = new AbortController().signal;
const TCP = { kind: 'tcp' } as const;

it('the same server over another link, or encrypted, is another connection; the same again is the same', async () => {
  const { connections, at, accepted } = await connectionsTo();
  const first = await connections.get(at('eth0'), TCP, forever);
  expect(await connections.get(at('eth0'), TCP, forever)).toBe(first);
  expect(await connections.get(at('wlan0'), TCP, forever)).not.toBe(first);
  await until(() => accepted.length === 2, 'both have arrived');
});

it('many who want it at once get one', async () => {
  const { connections, at, accepted } = await connectionsTo();
  const streams = await Promise.all(
    Array.from({ length: 50 }, () => connections.get(at('eth0'), TCP, forever)),
  );
  expect(new Set(streams).size).toBe(1);
  await until(() => accepted.length === 1, 'it has arrived');
});

it('when all places are taken the oldest idle one makes room, and without one the next is refused', async () => {
  const { connections, at } = await connectionsTo();
  const streams = [];
  for (let i = 0; i < MOST_CONNECTIONS; i++)
    streams.push(await connections.get(at(`link${i}`), TCP, forever));
  const busy = streams.map((stream, i) =>
    i === 3 ? undefined : stream.ask(queryWire('a.example'), () => true, 8000, forever).catch(() => {}),
  );
  await connections.get(at('one-more'), TCP, forever).then((stream) => {
    busy.push(stream.ask(queryWire('a.example'), () => true, 8000, forever).catch(() => {}));
  });
  expect(streams.map(({ usable }) => usable).indexOf(false)).toBe(3);
  expect(streams.filter(({ usable }) => usable).length).toBe(MOST_CONNECTIONS - 1);
  await expect(connections.get(at('too-many'), TCP, forever)).rejects.toThrow('which is the most');
  connections.close();
  await Promise.all(busy);
});

it('who gives up does not take the connection from the others', async () => {
  const { connections, at } = await connectionsTo();
  const stop = new AbortController();
  const given = connections.get(at('eth0'), TCP, stop.signal);
  const kept = connections.get(at('eth0'), TCP, forever);
  stop.abort();
  await expect(given).rejects.toMatchObject({ code: 'DEADLINE' });
  expect((await kept).usable).toBe(true);
});

it('nobody at the port is told as that, encrypted or not, and counted once; a connection that ends is no failure', async () => {
  const counters = new Counters();
  const { connections, at, accepted } = await connectionsTo({ counters });
  await connections.get(at('eth0'), TCP, forever);
  await until(() => accepted.length === 1, 'it has arrived');
  connections.renew();
  await until(() => accepted[0]?.destroyed === true, 'it has ended');
  expect(counters.connections).toMatchObject({ tcpOpened: 1, failed: 0 });
  const nobody: Endpoint = { host: '127.0.0.1', port: 9, family: 4 };
  for (const kind of [TCP, { kind: 'tls', verify: false }, { kind: 'tls', verify: true }] as const)
    await expect(connections.get(nobody, kind, forever)).rejects.toThrow('ECONNREFUSED');
  await until(() => counters.connections.failed >= 3, 'all are counted');
  await new Promise((turn) => setImmediate(turn));
  expect(counters.connections.failed).toBe(3);
});

it('one that the server ended is made anew', async () => {
  const { connections, at, accepted } = await connectionsTo();
  const first = await connections.get(at('eth0'), TCP, forever);
  await until(() => accepted.length === 1, 'it has arrived');
  accepted[0]?.destroy();
  await until(() => !first.usable, 'its end was heard');
  expect(await connections.get(at('eth0'), TCP, forever)).not.toBe(first);
});

it('after a change of network all are new, and the old end once nobody waits on them', async () => {
  const { connections, at, accepted } = await connectionsTo();
  const [idle, busy] = [
    await connections.get(at('eth0'), TCP, forever),
    await connections.get(at('wlan0'), TCP, forever),
  ];
  const stop = new AbortController();
  const asked = busy.ask(queryWire('a.example'), () => true, 8000, stop.signal);
  connections.renew();
  await until(() => !idle.usable && !busy.usable, 'both are retired');
  expect(await connections.get(at('eth0'), TCP, forever)).not.toBe(idle);
  await until(() => accepted[0]?.destroyed === true, 'the idle one is closed');
  expect(accepted[1]?.destroyed).toBe(false);
  stop.abort();
  await expect(asked).rejects.toMatchObject({ code: 'DEADLINE' });
  await until(() => accepted[1]?.destroyed === true, 'the other one too');
});

/** Connections to a server that takes them and says nothing. */
async function connectionsTo(needs: ConnectionNeeds = {}) {
  const accepted: Socket[] = [];
  const { port } = await silentServer((socket) => {
    accepted.push(socket);
    socket.resume();
  });
  const connections = new UpstreamConnections(needs);
  onTestFinished(() => connections.close());
  // Without a way to bind to links their names only tell connections apart.
  const at = (link: string): Endpoint => ({ host: '127.0.0.1', port, family: 4, interface: link });
  return { connections, at, accepted };
}
