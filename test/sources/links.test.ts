import { expect, onTestFinished, test } from 'vitest';
import { formatRecordedEvent, parseRecordedEvent } from '../../src/core/recording.ts';
import type { SourceEvent } from '../../src/core/snapshot.ts';
import { kernelSource } from '../../src/sources/links.ts';
import { sysfsNetwork } from '../../src/system/sysfs-network.ts';
import { fakeNetwork, linkState } from '../support/fake-network.ts';
import { temporaryFolder } from '../support/folder.ts';

const eth0 = linkState({ ifindex: 2, name: 'eth0' });
const wlan0 = linkState({ ifindex: 3, name: 'wlan0' });

function telling(network = fakeNetwork([eth0, wlan0])) {
  const events: SourceEvent[] = [];
  const source = kernelSource(network);
  const stop = new AbortController();
  source.start((event) => events.push(event), stop.signal);
  onTestFinished(() => source.close());
  const told = () =>
    events.flatMap((event) =>
      event.kind === 'state'
        ? [
            `${event.cause}: ${event.state.routes?.map((route) => `${route.interface} ${route.metric}`).join(', ')}`,
          ]
        : [event.health.state],
    );
  return { network, source, stop, events, told };
}

test('the kernel tells its default routes by the names of their links, and nothing twice', () => {
  const { network, told } = telling();
  network.route([{ family: 4, ifindex: 3, metric: 600, gateway: '198.51.100.1' }]);
  network.route([
    { family: 4, ifindex: 3, metric: 600, gateway: '198.51.100.1' },
    { family: 4, ifindex: 2, metric: 100 },
    { family: 4, ifindex: 99, metric: 1 },
  ]);
  network.put({ ...eth0, name: 'lan0' });
  network.put({ ...eth0, name: 'lan0', mtu: 9000 });
  network.remove(3);
  expect(told()).toEqual([
    'running',
    'dnskeeperd started: ',
    'the default routes changed: wlan0 600',
    'the default routes changed: eth0 100, wlan0 600',
    'the link eth0 is called lan0 now: lan0 100, wlan0 600',
    'the default routes changed: lan0 100',
  ]);
});

test('what it tells can be recorded and read back', () => {
  const { network, events } = telling();
  network.route([{ family: 6, ifindex: 2, metric: 1024, gateway: 'fe80::1' }]);
  for (const event of events)
    expect(parseRecordedEvent(formatRecordedEvent(event, 5))).toEqual({
      ok: true,
      value: { time: 5, event },
    });
  const bad = {
    source: 'kernel',
    kind: 'state',
    cause: 'x',
    state: { links: [], routes: [{ interface: 'eth0', family: 5, metric: 1 }] },
  };
  expect(parseRecordedEvent(JSON.stringify({ time: 5, event: bad }))).toEqual({
    ok: false,
    reason: '.event.state.routes[0].family: wanted 4 or 6',
  });
});

test('where it does not tell, nothing is said of routes', () => {
  const network = { ...fakeNetwork(), problem: 'Links are noticed late.' };
  expect(telling(network).told()).toEqual(['absent']);
  expect(sysfsNetwork(temporaryFolder()).defaultRoutes()).toEqual([]);
});

test('nothing is told after the stop', async () => {
  const { network, source, stop, told } = telling();
  stop.abort();
  network.route([{ family: 4, ifindex: 2, metric: 100 }]);
  await source.close();
  network.route([]);
  expect(told()).toEqual(['running', 'dnskeeperd started: ']);
});
