import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { LinkDns, SourceEvent, SourceHealth } from '../../src/core/snapshot.ts';
import { networkManagerSource } from '../../src/sources/networkmanager.ts';
import type { Bus } from '../../src/system/bus.ts';
import { systemClock } from '../../src/system/clock.ts';
import { openBus } from '../../src/system/dbus-next-bus.ts';
import { silentLog } from '../../src/system/log.ts';
import { connectPeer, type WirePeer } from '../support/bus-peer.ts';
import { type FakeNetworkManager, fakeNetworkManager, odd } from '../support/fake-networkmanager.ts';
import {
  at,
  configuration,
  device,
  entry,
  idle,
  type PlainObjects,
  pluginVpn,
} from '../support/networkmanager-objects.ts';
import { type PrivateBus, startPrivateBus } from '../support/private-bus.ts';
import { until } from '../support/until.ts';

const NM = 'org.freedesktop.NetworkManager';

let daemon: PrivateBus;
let bus: Bus;
let peer: WirePeer;
let manager: FakeNetworkManager;
let abort: AbortController;
let events: SourceEvent[];

const states = () => events.filter((event) => event.kind === 'state');
const health = (): SourceHealth | undefined =>
  events.filter((event) => event.kind === 'health').at(-1)?.health;
const links = (): readonly LinkDns[] | undefined => states().at(-1)?.state.links;
const servers = (): string => (links() ?? []).map((link) => link.servers.join()).join(' + ');
const causes = (): string[] => states().map(({ cause }) => cause);

const begin = (): void => {
  const source = networkManagerSource(bus, {
    ifindexOf: () => undefined,
    log: silentLog,
    clock: systemClock,
  });
  onTestFinished(() => source.close());
  abort = new AbortController();
  events = [];
  source.start((event) => events.push(event), abort.signal);
};

/** All that was sent before has been taken in. */
const settle = async (): Promise<void> => {
  const heard = new Promise<void>((resolve) => {
    const letGo = bus.onSignal({ sender: peer.uniqueName, path: at('Settings/98') }, () => {
      letGo();
      resolve();
    });
  });
  await bus.call({ destination: NM, path: '/', interface: 'org.example.X', member: 'Ping' }).catch(() => {});
  manager.updated(at('Settings/98'));
  await heard;
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
};

const ethernet = device({
  number: 2,
  interface: 'eth-a',
  id: 'Cafe',
  ip4: { NameserverData: [{ address: '192.0.2.1' }], Searches: ['cafe.example'] },
});
const connected = [idle(), ethernet, configuration(entry('eth-a', ['192.0.2.1']))];

beforeEach(async () => {
  const started = await startPrivateBus();
  onTestFinished(() => started.close());
  daemon = started;
  peer = await connectPeer(daemon.address);
  manager = fakeNetworkManager(peer);
  const opened = openBus({ address: daemon.address, log: silentLog, clock: systemClock });
  onTestFinished(() => opened.close());
  bus = opened;
});

describe('at the start', () => {
  test('everything is read once and told as one event', async () => {
    manager.profiles.set(at('Settings/2'), { connection: { mdns: 2 }, ipv4: { 'never-default': true } });
    await manager.appear(...connected);
    begin();
    await until(() => states().length > 0, 'a state was told');
    expect(states()).toHaveLength(1);
    expect(causes()).toEqual(['NetworkManager was read']);
    expect(links()).toMatchObject([
      {
        interface: 'eth-a',
        servers: ['192.0.2.1'],
        searches: ['cafe.example'],
        mdns: 'yes',
        neverDefault: true,
      },
    ]);
    expect(health()).toEqual({ state: 'running', detail: 'NetworkManager 1.42.4' });
    expect(manager.calls).toEqual(['GetManagedObjects /org/freedesktop', `GetSettings ${at('Settings/2')}`]);
  });

  test('a NetworkManager that was never there is absent, and found when it comes', async () => {
    begin();
    await until(() => health()?.state === 'absent', 'it is absent');
    expect(states()).toEqual([]);
    await manager.appear(...connected);
    await until(() => servers() === '192.0.2.1', 'it was read');
    expect(health()?.state).toBe('running');
  });

  test('without a bus it is absent until there is one', async () => {
    await daemon.kill();
    begin();
    await until(() => health()?.state === 'absent', 'it is absent');
    expect(health()?.detail).toContain('no system bus');
    await daemon.start();
    manager = fakeNetworkManager(await connectPeer(daemon.address));
    await manager.appear(...connected);
    await until(() => servers() === '192.0.2.1', 'it was read', 10_000);
  });

  test.each([
    ['1.40.16', 'NetworkManager 1.40.16, older than 1.42, the oldest that is known to work'],
    ['1.58.1', 'NetworkManager 1.58.1'],
    ['1.59.2-dev', 'NetworkManager 1.59.2-dev'],
    ['2.0', 'NetworkManager 2.0'],
    ['x\n', 'NetworkManager of unknown version'],
  ])('the version %j is told as %j', async (version, detail) => {
    await manager.appear(idle({ Version: version }));
    begin();
    await until(() => health()?.state === 'running', 'it was read');
    expect(health()?.detail).toBe(detail);
  });

  test('a NetworkManager that does not let itself be read is tried again', async () => {
    await manager.appear(...connected);
    peer.answer(() => ({ error: 'org.example.Broken', text: 'try later' }));
    begin();
    await until(() => health()?.state === 'failed', 'it failed');
    expect(health()?.detail).toContain('try later');
    const again = fakeNetworkManager(peer);
    await manager.vanish();
    await again.appear(...connected);
    await until(() => health()?.state === 'running', 'it was read');
  });

  test('what changes while everything is read is not lost', async () => {
    await manager.appear(...connected);
    manager.whileRead = () => manager.configure(entry('eth-a', ['192.0.2.2']));
    begin();
    await until(() => states().length > 0, 'a state was told');
    await settle();
    expect(states()).toHaveLength(1);
    expect(servers()).toBe('192.0.2.2');
  });

  test('a reading that gets no answer is given up when NetworkManager comes anew', async () => {
    await manager.appear(...connected);
    manager.silent = true;
    begin();
    await until(() => manager.calls.length === 1, 'it was asked');
    await manager.vanish();
    manager.silent = false;
    await manager.appear(...connected);
    await until(() => servers() === '192.0.2.1', 'it was read');
    expect(states()).toHaveLength(1);
  });

  test('a profile that nobody may read keeps the defaults and holds nothing up', async () => {
    await manager.appear(...connected);
    begin();
    await until(() => servers() === '192.0.2.1', 'it was told');
    expect(links()).toMatchObject([{ mdns: 'default', neverDefault: false }]);
  });
});

describe('following', () => {
  const start = async (...objects: readonly PlainObjects[]): Promise<void> => {
    await manager.appear(...objects);
    begin();
    await until(() => states().length > 0, 'the first state was told');
    events = events.filter((event) => event.kind === 'health');
  };

  test('the first network comes with one event, before it is activated', async () => {
    await start(idle());
    const { [at('Devices/2')]: dev, ...others } = device({
      number: 2,
      interface: 'eth-a',
      state: 40,
      ip4: { Searches: ['cafe.example'] },
    });
    manager.profiles.set(at('Settings/2'), { connection: { mdns: 1 } });
    manager.add({ [at('Devices/2')]: dev ?? {} }, others);
    await until(() => manager.calls.includes(`GetSettings ${at('Settings/2')}`), 'its profile was read');
    manager.set(at('Devices/2'), `${NM}.Device`, { State: 70 });
    manager.set(at('IP4Config/2'), `${NM}.IP4Config`, { NameserverData: [{ address: '192.0.2.1' }] });
    manager.configure(entry('eth-a', ['192.0.2.1'], { domains: ['cafe.example'] }));
    await until(() => servers() === '192.0.2.1', 'the network was told');
    expect(links()).toMatchObject([{ searches: ['cafe.example'], mdns: 'resolve' }]);
    expect(causes().at(-1)).toBe('DnsManager.Configuration changed');
    const told = states().length;
    manager.set(at('Devices/2'), `${NM}.Device`, { State: 100 });
    await settle();
    expect(states()).toHaveLength(told);
  });

  test('a profile switch goes through an empty Configuration to the new network', async () => {
    await start(...connected);
    manager.set(at('ActiveConnection/2'), `${NM}.Connection.Active`, { State: 3 });
    manager.set(at('Devices/2'), `${NM}.Device`, { State: 110 });
    manager.configure();
    await until(() => links()?.length === 0, 'the gap was told');
    manager.remove(at('ActiveConnection/2'), at('IP4Config/2'), at('IP6Config/2'));
    const home = device({
      number: 3,
      interface: 'eth-a',
      id: 'Home',
      ip4: { NameserverData: [{ address: '198.51.100.1' }] },
    });
    const { [at('Devices/3')]: dev, ...parts } = home;
    manager.add(parts);
    manager.set(at('Devices/2'), `${NM}.Device`, dev?.[`${NM}.Device`] ?? {});
    manager.configure(entry('eth-a', ['198.51.100.1']));
    await until(() => servers() === '198.51.100.1', 'the new network was told');
    expect(links()).toMatchObject([{ connection: { id: 'Home' } }]);
  });

  test('a plugin VPN counts from its Configuration on, which comes after it is activated', async () => {
    await start(...connected);
    const vpn = pluginVpn({
      number: 4,
      id: 'office',
      state: 1,
      ip4: { NameserverData: [{ address: '10.99.0.1' }], Domains: ['corp.example'] },
    });
    manager.profiles.set(at('Settings/4'), { ipv4: { 'never-default': true } });
    manager.add(
      vpn,
      device({
        number: 5,
        interface: 'tun0',
        type: 'tun',
        stateFlags: 0xdc,
        device: { Ip4Config: at('IP4Config/4'), Ip6Config: at('IP6Config/4') },
      }),
    );
    manager.set(at('ActiveConnection/4'), `${NM}.Connection.Active`, { State: 2 });
    await settle();
    expect(states()).toEqual([]);
    manager.configure(
      entry('tun0', ['10.99.0.1'], { vpn: true, priority: 50 }),
      entry('eth-a', ['192.0.2.1']),
    );
    await until(() => servers() === '10.99.0.1 + 192.0.2.1', 'the VPN was told');
    expect(links()?.[0]).toMatchObject({
      interface: 'tun0',
      vpn: true,
      neverDefault: true,
      domains: ['corp.example'],
      connection: { id: 'office', type: 'vpn' },
    });
    expect(manager.calls).not.toContain(`GetSettings ${at('Settings/5')}`);
  });

  test('a profile that is changed later is told when it was read again', async () => {
    manager.profiles.set(at('Settings/2'), { connection: { 'dns-over-tls': 0 } });
    await start(...connected);
    manager.profiles.set(at('Settings/2'), { connection: { 'dns-over-tls': 2 } });
    manager.updated(at('Settings/2'));
    await until(() => links()?.[0]?.dnsOverTls === 'yes', 'the knob was told');
    expect(causes()).toEqual(['profile settings were read']);
  });

  test('a profile that is changed while it is read for the first time is read again', async () => {
    await start(idle());
    manager.profiles.set(at('Settings/2'), { connection: { 'dns-over-tls': 0 } });
    manager.whileProfileRead = () => {
      manager.profiles.set(at('Settings/2'), { connection: { 'dns-over-tls': 2 } });
      manager.updated(at('Settings/2'));
    };
    manager.add(
      device({ number: 2, interface: 'eth-a', ip4: { NameserverData: [{ address: '192.0.2.2' }] } }),
    );
    manager.configure(entry('eth-a', ['192.0.2.2']));
    await until(() => servers() === '192.0.2.2', 'the network is there');
    await until(() => links()?.[0]?.dnsOverTls === 'yes', 'the later settings are in force');
  });

  test('global DNS comes and goes', async () => {
    await start(...connected);
    const all = { '*': { servers: ['192.0.2.53'] } };
    manager.set(at(), NM, { GlobalDnsConfiguration: { searches: ['all.example'], domains: all } });
    await until(() => states().at(-1)?.state.global !== undefined, 'it was told');
    expect(states().at(-1)?.state.global).toEqual({
      searches: ['all.example'],
      domains: { '*': ['192.0.2.53'] },
    });
    manager.set(at(), NM, { GlobalDnsConfiguration: {} });
    await until(() => states().at(-1)?.state.global === undefined, 'it is gone');
    expect(causes()).toEqual(Array(2).fill('Manager.GlobalDnsConfiguration changed'));
  });

  test('a captive portal and the network name are told', async () => {
    const radio = { [`${NM}.Device.Wireless`]: { ActiveAccessPoint: at('AccessPoint/1') } };
    await start(
      ...connected,
      { [at('Devices/2')]: { ...ethernet[at('Devices/2')], ...radio } },
      { [at('AccessPoint/1')]: { [`${NM}.AccessPoint`]: { Ssid: new TextEncoder().encode('Cafe') } } },
    );
    manager.set(at(), NM, { Connectivity: 2 });
    manager.set(at('Devices/2'), `${NM}.Device`, { Ip4Connectivity: 2 });
    await until(() => links()?.[0]?.connectivity === 'portal', 'the portal was told');
    expect(states().at(-1)?.state).toMatchObject({ connectivity: 'portal', links: [{ ssid: 'Cafe' }] });
  });

  test('a signal that changes nothing tells nothing', async () => {
    await start(...connected);
    for (let round = 0; round < 5; round++) manager.configure(entry('eth-a', ['192.0.2.1']));
    await settle();
    expect(events.filter((event) => event.kind === 'state')).toEqual([]);
  });

  test('10,000 changes at once end in the right state with few events', async () => {
    await start(...connected);
    for (let round = 0; round < 10_000; round++)
      manager.configure(entry('eth-a', [`10.0.${round >> 8}.${round & 255}`]));
    manager.configure(entry('eth-a', ['192.0.2.99']));
    await until(() => servers() === '192.0.2.99', 'the last change was told', 15_000);
    expect(states().length).toBeLessThan(2_000);
  });

  test('values of wrong types harm nothing', async () => {
    await start(...connected);
    manager.set(at('IP4Config/2'), `${NM}.IP4Config`, {
      Searches: odd('s', 'no list'),
      RouteData: odd('as', ['no', 'dicts']),
      DnsOptions: odd('au', [1, 2]),
    });
    manager.set(at('DnsManager'), `${NM}.DnsManager`, { Configuration: odd('a{sv}', {}) });
    await until(() => links()?.length === 0, 'a Configuration that is none is empty');
    manager.configure(entry('eth-a', ['192.0.2.1']));
    await until(() => servers() === '192.0.2.1', 'and a right one counts again');
    expect(links()).toMatchObject([{ searches: [], routes: [], options: [] }]);
    expect(health()?.state).toBe('running');
  });

  test('a forged NetworkManager changes nothing', async () => {
    await start(...connected);
    const forger = await connectPeer(daemon.address);
    const forged = fakeNetworkManager(forger);
    forged.add(...connected);
    forged.configure(entry('eth-a', ['203.0.113.66']));
    await forger.ask('GetId');
    await settle();
    expect(states()).toEqual([]);
    await forger.close();
  });

  test('nothing is told after the end', async () => {
    await start(...connected);
    abort.abort();
    manager.configure(entry('eth-a', ['192.0.2.2']));
    await settle();
    expect(states()).toEqual([]);
  });
});

describe('when it goes away', () => {
  const start = async (): Promise<void> => {
    await manager.appear(...connected);
    begin();
    await until(() => servers() === '192.0.2.1', 'it was told');
  };

  test('its last state stays in force', async () => {
    await start();
    await manager.vanish();
    await until(() => health()?.state === 'gone', 'it is gone');
    expect(health()?.detail).toContain('left the bus');
    expect(states()).toHaveLength(1);
  });

  test('a restart with new paths does not flap to nothing while its devices are taken up', async () => {
    await start();
    await manager.vanish();
    await manager.appear(idle({ Startup: true }));
    await until(() => health()?.state === 'running', 'it is back');
    const again = device({
      number: 1,
      interface: 'eth-a',
      id: 'Cafe',
      ip4: { NameserverData: [{ address: '192.0.2.2' }] },
    });
    manager.add(again);
    manager.configure(entry('eth-a', ['192.0.2.2']));
    await until(() => servers() === '192.0.2.2', 'the new state was told');
    expect(states().map(({ state }) => state.links.length)).toEqual([1, 1]);
    manager.set(at(), NM, { Startup: false });
    manager.configure();
    await until(() => links()?.length === 0, 'later on nothing means nothing');
  });

  test('a restart that finds no network any more says so once it has started up', async () => {
    await start();
    await manager.vanish();
    await manager.appear(idle({ Startup: true }));
    await until(() => health()?.state === 'running', 'it is back');
    manager.set(at(), NM, { Startup: false });
    await until(() => links()?.length === 0, 'the empty state was told');
    expect(causes().at(-1)).toBe('Manager.Startup changed');
  });

  test('a restart of the bus keeps the last state and reads again', async () => {
    await start();
    await daemon.kill();
    await until(() => health()?.state === 'gone', 'the loss was told');
    expect(health()?.detail).toContain('system bus');
    expect(states()).toHaveLength(1);
    await daemon.start();
    peer = await connectPeer(daemon.address);
    manager = fakeNetworkManager(peer);
    await manager.appear(...connected, configuration(entry('eth-a', ['192.0.2.7'])));
    await until(() => servers() === '192.0.2.7', 'it was read again', 10_000);
    expect(causes().at(-1)).toBe('the system bus came back');
    expect(health()?.state).toBe('running');
  });
});
