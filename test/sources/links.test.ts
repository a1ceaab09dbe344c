import { describe, expect, it, onTestFinished, test } from 'vitest';
import { parseAddress } from '../../src/core/address.ts';
import { formatRecordedEvent, parseRecordedEvent } from '../../src/core/recording.ts';
import type { SourceEvent } from '../../src/core/snapshot.ts';
import { kernelSource } from '../../src/sources/links.ts';
import { sysfsNetwork } from '../../src/system/sysfs-network.ts';
import { fakeNetwork, linkState } from '../support/fake-network.ts';
import { temporaryFolder } from '../support/folder.ts';
import { manualClock } from '../support/manual-clock.ts';
import { dnssl, rdnss } from '../support/netlink-bytes.ts';
import { must } from '../support/sample-status.ts';

const eth0 = linkState({ ifindex: 2, name: 'eth0' });
const wlan0 = linkState({ ifindex: 3, name: 'wlan0' });

function telling(network = fakeNetwork([eth0, wlan0])) {
  const events: SourceEvent[] = [];
  const clock = manualClock();
  const source = kernelSource(network, clock);
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
  return { network, clock, source, stop, events, told };
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

test('routers that are there already are asked to say again what they said before our start', () => {
  const network = fakeNetwork([eth0, wlan0]);
  network.route([
    { family: 4, ifindex: 3, metric: 100, gateway: '192.0.2.1' },
    { family: 6, ifindex: 2, metric: 1024, gateway: 'fe80::1' },
    { family: 6, ifindex: 2, metric: 1024, gateway: 'fe80::2' },
    { family: 6, ifindex: 7, metric: 1 },
  ]);
  telling(network);
  expect(network.solicited).toEqual([2]);
});

describe('what routers advertise', () => {
  function advertising() {
    const made = telling();
    const hear = (...options: readonly Buffer[]): void => {
      for (const each of options)
        made.network.advertise({ kind: 'router-option', ifindex: 2, options: each, router: undefined });
    };
    const links = () =>
      made.events.flatMap((event) => (event.kind === 'state' ? [event.state.links] : [])).at(-1) ?? [];
    const words = () => links().map((link) => [...link.servers, ...link.searches].join(' '));
    return { ...made, hear, links, words };
  }

  it('holds for as long as they say, each by itself', () => {
    const { clock, hear, words } = advertising();
    hear(rdnss(60, '2001:db8::53', 'fe80::53'), dnssl(120, 'home.example', 'lab.example'));
    expect(words()).toEqual(['2001:db8::53 fe80::53 home.example lab.example']);
    clock.advance(30_000);
    hear(rdnss(60, '2001:db8::53'));
    clock.advance(30_000);
    expect(words(), 'one server was named again').toEqual(['2001:db8::53 home.example lab.example']);
    clock.advance(30_000);
    expect(words()).toEqual(['home.example lab.example']);
    clock.advance(30_000);
    expect([words(), clock.waiting]).toEqual([[], 0]);
  });

  it('is taken back by a lifetime of zero, and never runs out with the longest one', () => {
    const { clock, hear, words } = advertising();
    hear(rdnss(0xffff_ffff, '2001:db8::53', '2001:db8::54'));
    expect(clock.waiting).toBe(0);
    hear(rdnss(0, '2001:db8::53'));
    expect(words()).toEqual(['2001:db8::54']);
    hear(rdnss(0, '2001:db8::54'));
    expect(words()).toEqual([]);
  });

  it('is that of the link, with its default route', () => {
    const { network, hear, links } = advertising();
    hear(rdnss(60, '2001:db8::53'));
    expect(links()[0]).toMatchObject({ interface: 'eth0', family: 6, defaultRoute: false });
    network.route([{ family: 6, ifindex: 2, metric: 1024, gateway: 'fe80::1' }]);
    expect(links()[0]).toMatchObject({ defaultRoute: true, metric: 1024, gateway: 'fe80::1' });
  });

  it.each<[string, (network: ReturnType<typeof fakeNetwork>) => void]>([
    ['goes', (network) => network.remove(2)],
    ['loses its carrier', (network) => network.put({ ...eth0, running: false })],
  ])('goes when its link %s', (_, happen) => {
    const { network, clock, hear, words } = advertising();
    hear(rdnss(60, '2001:db8::53'));
    happen(network);
    expect([words(), clock.waiting]).toEqual([[], 0]);
  });

  it('counts for the reverse zones of addresses that the link gets after it', () => {
    const { network, hear, links, events } = advertising();
    hear(rdnss(60, '2001:db8::53'));
    expect(links().map(({ addresses }) => addresses)).toEqual([[]]);
    const got = { address: must(parseAddress('2001:db8::7')), prefixLength: 64, global: true };
    network.put({ ...eth0, addresses: [...eth0.addresses, got] });
    expect(links().map(({ addresses }) => addresses)).toEqual([['2001:db8::7/64']]);
    expect(events.at(-1)).toMatchObject({ cause: 'the link eth0 changed' });
  });

  it('stays when its link is renamed', () => {
    const { network, hear, links } = advertising();
    hear(rdnss(60, '2001:db8::53'));
    network.put({ ...eth0, name: 'lan0' });
    expect(links().map((link) => link.interface)).toEqual(['lan0']);
  });

  it('is no more than a router has to say', () => {
    const { network, hear, links } = advertising();
    for (let n = 0; n < 100; n++) hear(rdnss(60, `2001:db8::${n}`), dnssl(60, `d${n}.example`));
    expect([links()[0]?.servers.length, links()[0]?.searches.length]).toEqual([8, 16]);
    for (let ifindex = 3; ifindex < 600; ifindex++) {
      network.put(linkState({ ifindex, name: `l${ifindex}` }));
      network.advertise({
        kind: 'router-option',
        ifindex,
        options: rdnss(60, '2001:db8::1'),
        router: undefined,
      });
    }
    expect(links().length).toBe(256);
  });
});
