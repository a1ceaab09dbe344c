import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { LinkDns, SourceEvent } from '../../src/core/snapshot.ts';
import { networkdSource } from '../../src/sources/networkd.ts';
import { silentLog } from '../../src/system/log.ts';
import { fakeNetwork, linkState } from '../support/fake-network.ts';
import { temporaryFolder } from '../support/folder.ts';
import { ODD_FILES } from '../support/odd-files.ts';
import { until } from '../support/until.ts';

const WIRED = `# This is private data. Do not parse.
ADMIN_STATE=configured
OPER_STATE=routable
NETWORK_FILE=/etc/systemd/network/20-wired.network
DNS=192.0.2.53
DOMAINS=home.example
`;
const eth0 = linkState({ ifindex: 2, name: 'eth0' });

/** A machine with eth0, and systemd-networkd's files below a root. */
function machine(files: Readonly<Record<string, string>> = {}, links = [eth0], root = temporaryFolder()) {
  const folder = join(root, 'run/systemd/netif/links');
  const network = fakeNetwork(links);
  const events: SourceEvent[] = [];
  const bus = fakeOwner();
  /** As systemd writes it: beside, then over. */
  const write = (ifindex: number | string, text: string): void => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `.#${ifindex}new`), text);
    renameSync(join(folder, `.#${ifindex}new`), join(folder, String(ifindex)));
  };
  for (const [ifindex, text] of Object.entries(files)) write(ifindex, text);
  const source = networkdSource({ root, bus, network, log: silentLog });
  const stop = new AbortController();
  source.start((event) => events.push(event), stop.signal);
  onTestFinished(() => source.close());
  const states = () => events.flatMap((event) => (event.kind === 'state' ? [event] : []));
  const links_ = (): readonly LinkDns[] => states().at(-1)?.state.links ?? [];
  const health = () =>
    events.flatMap((event) => (event.kind === 'health' ? [event.health.state] : [])).join(' ');
  const detail = () =>
    events.flatMap((event) => (event.kind === 'health' ? [event.health.detail] : [])).at(-1);
  return { folder, network, bus, write, source, stop, states, links: links_, health, detail };
}

/** The one thing a bus is asked here. */
function fakeOwner() {
  let listener: (owner: string | undefined) => void = () => {};
  return {
    connected: true,
    onOwner(name: string, hear: (owner: string | undefined) => void) {
      expect(name).toBe('org.freedesktop.network1');
      listener = hear;
      return () => {
        listener = () => {};
      };
    },
    say: (owner: string | undefined) => listener(owner),
  };
}

const named = (links: readonly LinkDns[]): string =>
  links.map((link) => `${link.interface}: ${[...link.servers, ...link.searches].join(' ')}`).join('; ');

test('what its files say is told at once, with what the kernel says of the link', () => {
  const { links, health, bus } = machine({ 2: WIRED });
  expect(named(links())).toBe('eth0: 192.0.2.53 home.example');
  expect(links()[0]).toMatchObject({
    ifindex: 2,
    family: 4,
    connection: { id: '20-wired', type: 'networkd' },
    addresses: ['192.0.2.7/24'],
    priority: 100,
    defaultRoute: false,
  });
  bus.say(':1.5');
  expect(health()).toBe('starting running');
});

test('a default route of the kernel makes it the link for all names, and the metric decides the order', async () => {
  const { network, links } = machine({ 2: WIRED });
  network.route([
    { family: 4, ifindex: 2, metric: 1024, gateway: '192.0.2.1' },
    { family: 6, ifindex: 2, metric: 1, gateway: 'fe80::1' },
    { family: 4, ifindex: 9, metric: 1, gateway: '198.51.100.1' },
  ]);
  await until(() => links()[0]?.defaultRoute === true, 'the route is heard of');
  expect(links()[0]).toMatchObject({ metric: 1024, gateway: '192.0.2.1' });
});

test.each<[string, string, boolean]>([
  ['DNSDefaultRoute=yes', 'DNS_DEFAULT_ROUTE=yes', true],
  ['DNSDefaultRoute=no', 'DNS_DEFAULT_ROUTE=no', false],
  ['a routing domain', 'ROUTE_DOMAINS=corp.example', false],
  ['nothing', '', true],
])('a link with a default route is told %s', async (_, line, wanted) => {
  const { network, write, links } = machine();
  network.route([{ family: 4, ifindex: 2, metric: 100 }]);
  write(2, `${WIRED}${line}\n`);
  await until(() => links().length > 0, 'it is told');
  expect(links()[0]?.defaultRoute).toBe(wanted);
});

test('a file that comes, changes and goes is followed', async () => {
  const { folder, write, links, states, health } = machine();
  expect(states().map(({ cause }) => cause)).toEqual(['dnskeeperd started']);
  expect(health()).toBe('absent');
  write(2, WIRED);
  await until(() => links().length === 1, 'it is told');
  write(2, WIRED.replace('192.0.2.53', '192.0.2.54 2001:db8::53'));
  await until(() => links()[0]?.servers.length === 2, 'the change is told');
  const count = states().length;
  write(2, `${WIRED.replace('192.0.2.53', '192.0.2.54 2001:db8::53')}NTP=192.0.2.9\n`);
  rmSync(join(folder, '2'));
  await until(() => links().length === 0, 'that it went is told');
  expect(states().length, 'what is no news of DNS is not told').toBe(count + 1);
});

test.each<[string, Parameters<typeof linkState>[0] | undefined, string]>([
  ['is not there', undefined, WIRED],
  ['is down', { ...eth0, up: false }, WIRED],
  ['has no address yet', { ...eth0, addresses: [] }, WIRED],
  ['is left to others', eth0, WIRED.replace('configured', 'unmanaged')],
  ['is without carrier by its word', eth0, WIRED.replace('routable', 'no-carrier')],
  ['has no DNS', eth0, 'ADMIN_STATE=configured\nOPER_STATE=routable\n'],
])('a link that %s gives nothing', (_, link, text) => {
  const { bus, links } = machine({ 2: text }, link === undefined ? [] : [linkState(link)]);
  bus.say(':1.5');
  expect(links()).toEqual([]);
});

test('a link that goes takes along what was said of it, though its file is still there', async () => {
  const { network, links } = machine({ 2: WIRED });
  network.remove(2);
  await until(() => links().length === 0, 'it is gone');
});

test('what it said stays in force when it ends, as long as its link runs', async () => {
  const { bus, links, health, network } = machine({ 2: WIRED.replace('routable', 'carrier') });
  bus.say(':1.5');
  expect(links()).toEqual([]);
  bus.say(undefined);
  expect(named(links())).toBe('eth0: 192.0.2.53 home.example');
  expect(health()).toBe('starting running gone');
  bus.connected = false;
  bus.say(undefined);
  expect(health()).toBe('starting running gone');
  network.put({ ...eth0, running: false });
  await until(() => links().length === 0, 'its link has no carrier any more');
});

test('files that are none of a link are passed over', () => {
  const { links } = machine({ 2: WIRED, 0: WIRED, '02': WIRED, abc: WIRED, '99999999999': WIRED });
  expect(links()).toHaveLength(1);
});

// Regression: its user may write there, and a pipe held the daemon for ever.
test.each(ODD_FILES)('$what among them is told and left out, and the others count', ({ make }) => {
  const root = temporaryFolder();
  const folder = join(root, 'run/systemd/netif/links');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, '2'), WIRED);
  make(join(folder, '3'));
  make(join(folder, '4')); // no link has this number
  const { links, detail } = machine({}, [eth0, linkState({ ifindex: 3, name: 'eth1' })], root);
  expect(named(links())).toBe('eth0: 192.0.2.53 home.example');
  expect(detail()).toMatch(/; \S+\/links\/3 is left out: wanted .* got /);
});

test('ten thousand files of links that are not there are not read', () => {
  const root = temporaryFolder();
  const folder = join(root, 'run/systemd/netif/links');
  mkdirSync(folder, { recursive: true });
  for (let ifindex = 1; ifindex <= 10_000; ifindex++) symlinkSync('/dev/zero', join(folder, `${ifindex}`));
  rmSync(join(folder, '2'));
  writeFileSync(join(folder, '2'), WIRED);
  const { links, detail } = machine({}, [eth0], root);
  expect(links()).toHaveLength(1);
  expect(detail()).not.toContain('left out');
});

test('nothing is told after the stop', async () => {
  const { source, stop, states, network, write } = machine({ 2: WIRED });
  stop.abort();
  await source.close();
  const count = states().length;
  network.remove(2);
  write(2, WIRED.replace('home', 'other'));
  await new Promise((resolve) => setImmediate(resolve));
  expect(states()).toHaveLength(count);
});
