import { describe, expect, test } from 'vitest';
import type { LinkDns, SourceState } from '../../src/core/snapshot.ts';
import { type ProfileSettings, settingsOf } from '../../src/sources/networkmanager-settings.ts';
import { deriveState } from '../../src/sources/networkmanager-state.ts';
import { createTree, type NetworkManagerTree } from '../../src/sources/networkmanager-tree.ts';
import { unwrap } from '../../src/system/message-body.ts';
import {
  at,
  configuration,
  device,
  entry,
  fromBusctl,
  idle,
  type PlainObjects,
  pluginVpn,
  recorded,
  uuid,
} from '../support/networkmanager-objects.ts';

const treeOf = (...objects: readonly PlainObjects[]): NetworkManagerTree => {
  const tree = createTree();
  tree.load(Object.assign({}, ...objects));
  return tree;
};

const derive = (
  tree: NetworkManagerTree,
  settings: Readonly<Record<string, ProfileSettings>> = {},
  before: SourceState['links'] = [],
): SourceState =>
  deriveState(tree, {
    before,
    settings: new Map(Object.entries(settings)),
    ifindexOf: (name) => ({ 'eth-a': 2, tun0: 7, wg0: 8 })[name],
  });

const routes = (...data: readonly unknown[]) => ({ RouteData: data });
const four = { address: '192.0.2.7', prefix: 24 };
const ethernet = (more: Partial<Parameters<typeof device>[0]> = {}): PlainObjects =>
  device({ number: 2, interface: 'eth-a', id: 'Cafe', ...more });

test('one DHCP network gives all that later decisions need', () => {
  const state = derive(
    treeOf(
      idle(),
      ethernet({
        ip4: {
          NameserverData: [{ address: '192.0.2.1' }],
          Searches: ['cafe.example', '~'],
          Domains: ['dhcp.example'],
          DnsOptions: ['ndots:2'],
          AddressData: [four],
          Gateway: '192.0.2.1',
          ...routes(
            { dest: '192.0.2.0', prefix: 24, metric: 100 },
            { dest: '0.0.0.0', prefix: 0, 'next-hop': '192.0.2.1', metric: 100 },
          ),
        },
      }),
      configuration(entry('eth-a', ['192.0.2.1'], { domains: ['cafe.example'] })),
    ),
  );
  expect(state).toEqual({
    links: [
      {
        interface: 'eth-a',
        ifindex: 2,
        family: 4,
        connection: { id: 'Cafe', uuid: uuid(2), type: '802-3-ethernet', activation: '2' },
        vpn: false,
        priority: 100,
        servers: ['192.0.2.1'],
        searches: ['cafe.example', '~'],
        domains: ['dhcp.example'],
        options: ['ndots:2'],
        addresses: ['192.0.2.7/24'],
        routes: [
          { destination: '192.0.2.0/24', metric: 100 },
          { destination: '0.0.0.0/0', gateway: '192.0.2.1', metric: 100 },
        ],
        gateway: '192.0.2.1',
        defaultRoute: true,
        metric: 100,
        neverDefault: false,
        mdns: 'default',
        llmnr: 'default',
        dnsOverTls: 'default',
        dnssec: 'default',
        connectivity: 'full',
      },
    ],
    connectivity: 'full',
  });
});

const onlyLink = (...objects: readonly PlainObjects[]): LinkDns => {
  const { links } = derive(treeOf(idle(), ...objects));
  expect(links).toHaveLength(1);
  return links[0] as LinkDns;
};

describe('whose DNS it is', () => {
  const tunnel = (more: Partial<Parameters<typeof device>[0]> = {}): PlainObjects =>
    device({
      number: 5,
      interface: 'tun0',
      type: 'tun',
      id: 'tun0',
      stateFlags: 0xdc,
      profileFlags: 15,
      ...more,
    });
  const office = {
    number: 4,
    id: 'office',
    ip4: { NameserverData: [{ address: '10.99.0.1' }], Domains: ['corp.example'] },
  };
  const vpnEntry = configuration(
    entry('tun0', ['10.99.0.1'], { vpn: true, priority: 50, domains: ['corp.example'] }),
  );
  const shared = { device: { Ip4Config: at('IP4Config/4'), Ip6Config: at('IP6Config/4') } };

  test.each([
    ['its tunnel shares its IP configuration', [pluginVpn(office), tunnel(shared)]],
    ['only the content of its IP configuration tells', [pluginVpn(office), tunnel()]],
    ['its tunnel is not known yet', [pluginVpn(office)]],
  ])('a plugin VPN is named by its own connection when %s', (_, objects) => {
    expect(onlyLink(...objects, vpnEntry)).toMatchObject({
      interface: 'tun0',
      ifindex: 7,
      vpn: true,
      priority: 50,
      servers: ['10.99.0.1'],
      searches: [],
      domains: ['corp.example'],
      connection: { id: 'office', uuid: uuid(4), type: 'vpn' },
    });
  });

  test('two plugin VPNs with equal servers are told apart by their tunnels', () => {
    const second = { ...office, number: 6, id: 'lab' };
    const tun1 = device({
      number: 7,
      interface: 'tun1',
      type: 'tun',
      stateFlags: 0xdc,
      device: { Ip4Config: at('IP4Config/6'), Ip6Config: at('IP6Config/6') },
    });
    const vpn = { vpn: true, priority: 50 };
    const state = derive(
      treeOf(
        idle(),
        pluginVpn(office),
        pluginVpn(second),
        tunnel(shared),
        tun1,
        configuration(entry('tun1', ['10.99.0.1'], vpn), entry('tun0', ['10.99.0.1'], vpn)),
      ),
    );
    expect(state.links.map((link) => [link.interface, link.connection?.id])).toEqual([
      ['tun1', 'lab'],
      ['tun0', 'office'],
    ]);
  });

  test('a VPN without a tunnel device stands beside its parent on one interface', () => {
    const state = derive(
      treeOf(
        idle(),
        ethernet({ ip4: { NameserverData: [{ address: '192.0.2.1' }] } }),
        pluginVpn(office),
        configuration(
          entry('eth-a', ['10.99.0.1'], { vpn: true, priority: 50 }),
          entry('eth-a', ['192.0.2.1']),
        ),
      ),
    );
    expect(state.links.map((link) => [link.vpn, link.connection?.id])).toEqual([
      [true, 'office'],
      [false, 'Cafe'],
    ]);
  });

  test('WireGuard is a VPN by the entry and keeps its own type', () => {
    const wireguard = device({
      number: 8,
      interface: 'wg0',
      type: 'wireguard',
      id: 'home',
      ip4: { NameserverData: [{ address: '10.99.0.1' }], Searches: ['~'] },
    });
    expect(
      onlyLink(
        pluginVpn(office),
        wireguard,
        configuration(entry('wg0', ['10.99.0.1'], { vpn: true, priority: 50 })),
      ),
    ).toMatchObject({
      interface: 'wg0',
      ifindex: 8,
      vpn: true,
      searches: ['~'],
      connection: { id: 'home', type: 'wireguard' },
    });
  });

  test.each([
    ['its activation', { stateFlags: 0xdc }],
    ['its profile', { profileFlags: 0x8 }],
  ])('a device that %s marks as found, not made, does not count', (_, flags) => {
    const found = ethernet({ ...flags, ip4: { Searches: ['docker.example'] } });
    const tree = treeOf(idle(), found, configuration(entry('eth-a', ['192.0.2.1'])));
    expect(derive(tree).links).toEqual([]);
  });

  test('an entry whose device is not known still counts, with the domains it shows', () => {
    const link = onlyLink(
      configuration(entry('eth9', ['192.0.2.1'], { domains: ['a.example', '~b.example'] })),
    );
    expect(link).toMatchObject({
      interface: 'eth9',
      servers: ['192.0.2.1'],
      searches: ['a.example', '~b.example'],
    });
    expect(link).not.toHaveProperty('ifindex');
    expect(link).not.toHaveProperty('connection');
  });

  test('entries without an interface are the global ones and come from elsewhere', () => {
    const { interface: _, ...global } = entry('x', ['192.0.2.53']);
    expect(derive(treeOf(idle(), configuration(global))).links).toEqual([]);
  });
});

describe('address families', () => {
  test.each([
    ['192.0.2.1', 4],
    ['192.0.2.1#dns.example', 4],
    ['dns+tls://192.0.2.1:853#dns.example', 4],
    ['2001:db8::1', 6],
    ['2001:db8::1#dns.example', 6],
    ['fe80::1', 6],
    ['dns+tls://[2001:db8::1]:853', 6],
    ['::ffff:192.0.2.1', 6],
  ])('a link with the server %s is of family %i', (server, family) => {
    expect(onlyLink(ethernet(), configuration(entry('eth-a', [server]))).family).toBe(family);
  });

  test('an IPv6-only network takes everything from its IPv6 configuration', () => {
    const link = onlyLink(
      ethernet({
        ip6: {
          Nameservers: [new Uint8Array([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])],
          Searches: ['six.example'],
          AddressData: [{ address: '2001:db8::7', prefix: 64 }],
          Gateway: 'fe80::1',
          ...routes({ dest: '::', prefix: 0, 'next-hop': 'fe80::1', metric: 1024 }),
        },
      }),
      configuration(entry('eth-a', ['2001:db8::1'])),
    );
    expect(link).toMatchObject({
      family: 6,
      searches: ['six.example'],
      addresses: ['2001:db8::7/64'],
      gateway: 'fe80::1',
      defaultRoute: true,
      metric: 1024,
      connectivity: 'none',
    });
  });
});

describe('links with domains but no servers', () => {
  const domains = { Searches: ['lab.example'], DnsPriority: 60 };
  test('are added from the IP configuration', () => {
    expect(onlyLink(ethernet({ ip4: domains }))).toMatchObject({
      interface: 'eth-a',
      family: 4,
      servers: [],
      searches: ['lab.example'],
      priority: 60,
    });
  });
  test.each([
    ['before its IP configuration stands', { state: 60 }],
    ['while it goes down', { state: 110 }],
    [
      'when its servers are known but not in force yet',
      { ip4: { ...domains, NameserverData: [{ address: '192.0.2.1' }] } },
    ],
    ['when it has nothing to say', { ip4: {} }],
  ])('are not added %s', (_, more) => {
    expect(derive(treeOf(idle(), ethernet({ ip4: domains, ...more }))).links).toEqual([]);
  });
  test('are added for the family that Configuration lacks only', () => {
    const { links } = derive(
      treeOf(
        idle(),
        ethernet({ ip4: domains, ip6: domains }),
        configuration(entry('eth-a', ['2001:db8::1'])),
      ),
    );
    expect(links.map((link) => [link.family, link.servers.length])).toEqual([
      [6, 1],
      [4, 0],
    ]);
  });
  test('are added for a plugin VPN once it is up, and not again for its tunnel', () => {
    const vpn = { number: 4, id: 'office', ip4: { Domains: ['corp.example'], DnsPriority: 0 } };
    const tun = device({
      number: 5,
      interface: 'tun0',
      device: { Ip4Config: at('IP4Config/4'), Ip6Config: at('IP6Config/4') },
    });
    expect(onlyLink(pluginVpn(vpn), tun)).toMatchObject({
      interface: 'tun0',
      vpn: true,
      priority: 50,
      domains: ['corp.example'],
      connection: { id: 'office' },
    });
    expect(derive(treeOf(idle(), pluginVpn({ ...vpn, state: 1 }), tun)).links).toEqual([]);
  });
});

describe('default routes', () => {
  const withRoutes = (...data: readonly unknown[]): LinkDns =>
    onlyLink(ethernet({ ip4: routes(...data) }), configuration(entry('eth-a', ['192.0.2.1'])));
  test.each([
    [
      'the lowest metric counts',
      [
        { dest: '0.0.0.0', prefix: 0, metric: 600 },
        { dest: '0.0.0.0', prefix: 0, metric: 50 },
      ],
      true,
      50,
    ],
    ['the main table named outright counts', [{ dest: '0.0.0.0', prefix: 0, table: 254 }], true, undefined],
    ['another table does not count', [{ dest: '0.0.0.0', prefix: 0, table: 51820 }], false, undefined],
    ['a blackhole does not count', [{ dest: '0.0.0.0', prefix: 0, type: 'blackhole' }], false, undefined],
    ['half a default route does not count', [{ dest: '0.0.0.0', prefix: 1 }], false, undefined],
  ])('%s', (_, data, defaultRoute, metric) => {
    const link = withRoutes(...data);
    expect(link.defaultRoute).toBe(defaultRoute);
    expect(link.metric).toBe(metric);
  });
  test('the gateway 0.0.0.0 of a tunnel is none', () => {
    const link = onlyLink(
      ethernet({ ip4: { Gateway: '0.0.0.0' } }),
      configuration(entry('eth-a', ['192.0.2.1'])),
    );
    expect(link).not.toHaveProperty('gateway');
    expect(link.defaultRoute).toBe(false);
  });
});

describe('profile settings', () => {
  test.each([
    [{ mdns: -1, llmnr: -1, 'dns-over-tls': -1, dnssec: -1 }, ['default', 'default', 'default', 'default']],
    [{ mdns: 0, llmnr: 0, 'dns-over-tls': 0, dnssec: 0 }, ['no', 'no', 'no', 'no']],
    [
      { mdns: 1, llmnr: 1, 'dns-over-tls': 1, dnssec: 1 },
      ['resolve', 'resolve', 'opportunistic', 'allow-downgrade'],
    ],
    [{ mdns: 2, llmnr: 2, 'dns-over-tls': 2, dnssec: 2 }, ['yes', 'yes', 'yes', 'yes']],
    [{ mdns: 'yes', llmnr: 7, 'dns-over-tls': null }, ['default', 'default', 'default', 'default']],
  ])('the knobs %j are %j', (connection, wanted) => {
    const { mdns, llmnr, dnsOverTls, dnssec } = settingsOf({ connection });
    expect([mdns, llmnr, dnsOverTls, dnssec]).toEqual(wanted);
  });
  test('never-default counts for its own family', () => {
    const settings = { [at('Settings/2')]: settingsOf({ ipv4: { 'never-default': true } }) };
    const { links } = derive(
      treeOf(
        idle(),
        ethernet(),
        configuration(entry('eth-a', ['192.0.2.1']), entry('eth-a', ['2001:db8::1'])),
      ),
      settings,
    );
    expect(links.map((link) => link.neverDefault)).toEqual([true, false]);
  });
  test('nothing but these keys is kept of a profile', () => {
    const secret = {
      'wifi-sec': { psk: 'hunter2' },
      connection: { mdns: 2, secret: 'hunter2' },
      vpn: { secrets: 'hunter2' },
    };
    expect(JSON.stringify(settingsOf(secret))).not.toContain('hunter2');
  });
  test.each([[undefined], [null], [7], ['text'], [[]], [{ connection: 5, ipv4: [] }]])(
    '%j says nothing',
    (profile) => {
      expect(settingsOf(profile)).toEqual(settingsOf({}));
    },
  );
});

describe('Wi-Fi', () => {
  const radio = (ssid: unknown): PlainObjects => ({
    [at('Devices/2')]: {
      ...ethernet()[at('Devices/2')],
      'org.freedesktop.NetworkManager.Device.Wireless': { ActiveAccessPoint: at('AccessPoint/9') },
    },
    [at('AccessPoint/9')]: { 'org.freedesktop.NetworkManager.AccessPoint': { Ssid: ssid, Strength: 70 } },
  });
  test.each([
    ['plain', new TextEncoder().encode('Café'), 'Café'],
    ['not UTF-8', new Uint8Array([0x41, 0xff, 0x42]), 'A\u{fffd}B'],
    ['hidden', new Uint8Array(), undefined],
    ['too long', new Uint8Array(33), undefined],
    ['no bytes', 'Cafe', undefined],
  ])('an SSID that is %s', (_, ssid, wanted) => {
    expect(onlyLink(ethernet(), radio(ssid), configuration(entry('eth-a', ['192.0.2.1']))).ssid).toBe(wanted);
  });
});

describe('global DNS', () => {
  test.each([
    ['nothing', {}, undefined],
    [
      'servers for all names',
      { domains: { '*': { servers: ['192.0.2.53'] } } },
      { domains: { '*': ['192.0.2.53'] } },
    ],
    ['an empty section', { searches: [] }, { searches: [], domains: {} }],
    ['options', { options: ['edns0'], domains: {} }, { options: ['edns0'], domains: {} }],
    [
      'values of wrong types',
      { searches: 5, domains: { a: 7, b: { servers: [1, 'x'] } } },
      { searches: [], domains: { a: [], b: ['x'] } },
    ],
  ])('%s', (_, value, wanted) => {
    expect(derive(treeOf(idle({ GlobalDnsConfiguration: value }))).global).toEqual(wanted);
  });
});

describe('hostile values', () => {
  const wrong = [
    undefined,
    null,
    5,
    -1,
    1.5,
    2n,
    'text',
    '../../etc',
    true,
    [],
    [[]],
    {},
    { a: 1 },
    new Uint8Array(3),
  ];
  const sane = Object.assign(
    {},
    idle(),
    ethernet({ ip4: { NameserverData: [{ address: '192.0.2.1' }], AddressData: [four] } }),
    configuration(entry('eth-a', ['192.0.2.1'])),
  ) as PlainObjects;
  const properties = Object.entries(sane).flatMap(([path, interfaces]) =>
    Object.entries(interfaces).flatMap(([name, held]) =>
      Object.keys(held).map((key) => [path, name, key] as const),
    ),
  );

  test.each(properties)('%s %s %s of any wrong type is dropped, never thrown', (path, name, key) => {
    for (const value of wrong) {
      const tree = treeOf(sane);
      tree.apply({
        sender: ':1.1',
        path,
        interface: 'org.freedesktop.DBus.Properties',
        member: 'PropertiesChanged',
        signature: 'sa{sv}as',
        body: [name, { [key]: value }, []],
      });
      expect(() => JSON.stringify(derive(tree))).not.toThrow();
    }
  });

  test.each(wrong.map((value) => [value]))('a tree of %s is empty', (value) => {
    const tree = createTree();
    tree.load(value);
    tree.load({ '/a': value, '/b': { 'org.freedesktop.NetworkManager.Device': value } });
    for (const member of ['PropertiesChanged', 'InterfacesAdded', 'InterfacesRemoved'])
      tree.apply({
        sender: ':1.1',
        path: '/b',
        interface: 'x',
        member,
        signature: '',
        body: [value, value, value],
      });
    expect(derive(tree).links).toEqual([]);
  });

  test.each(['../../x', 'a/b', '', '.', '..', 'a b', 'a-name-that-is-too-long', 'a\nb'])(
    'the interface name %j is never looked up',
    (name) => {
      expect(derive(treeOf(idle(), configuration(entry(name, ['192.0.2.1'])))).links).toEqual([]);
    },
  );

  test('lists without end are cut, and objects without end are not taken in', () => {
    const tree = createTree(100);
    const endless = Array.from({ length: 9_000 }, (_, index) => `d${index}.example`);
    tree.load({
      ...idle(),
      ...ethernet({ ip4: { Searches: endless } }),
      ...configuration(entry('eth-a', ['192.0.2.1'])),
    });
    expect(derive(tree).links[0]?.searches).toHaveLength(5_000);
    expect(tree.dropped).toBe(1);
    for (let number = 0; number < 500; number++)
      tree.apply({
        sender: ':1.1',
        path: '/org/freedesktop',
        interface: 'org.freedesktop.DBus.ObjectManager',
        member: 'InterfacesAdded',
        signature: 'oa{sa{sv}}',
        body: [at(`Devices/${1000 + number}`), { 'org.freedesktop.NetworkManager.Device': { State: 100 } }],
      });
    expect(tree.paths('org.freedesktop.NetworkManager.Device').length).toBeLessThanOrEqual(100);
    expect(tree.dropped).toBeGreaterThan(400);
  });
});

describe('as a real NetworkManager 1.42.4 said it', () => {
  const plain = (json: unknown): unknown =>
    unwrap(fromBusctl(json), (object) => 'signature' in object && 'value' in object);
  const recordedTree = (file: string): NetworkManagerTree => {
    const tree = createTree();
    const [objects] = plain(JSON.parse(recorded(file)).data) as unknown[];
    tree.load(objects);
    return tree;
  };
  const cafe = {
    interface: 'eth-a',
    ifindex: 2,
    family: 4,
    vpn: false,
    priority: 100,
    servers: ['10.20.0.1', '10.20.0.2'],
    searches: ['cafe.example', 'lab.example'],
    domains: ['cafe.example'],
    gateway: '10.20.0.1',
    defaultRoute: true,
    metric: 100,
    connection: { id: 'Wired connection 1', type: '802-3-ethernet' },
  };
  const office = {
    interface: 'tun0',
    ifindex: 7,
    family: 4,
    vpn: true,
    priority: 50,
    servers: ['10.99.0.1'],
    domains: ['corp.example'],
    connection: { id: 'office', type: 'vpn' },
  };
  test.each([
    ['bookworm-ethernet-managed-objects.json', [cafe]],
    ['bookworm-vpn-full-managed-objects.json', [{ ...office, defaultRoute: true, metric: 50 }, cafe]],
    ['bookworm-vpn-split-managed-objects.json', [{ ...office, defaultRoute: false }, cafe]],
  ])('%s', (file, links) => {
    expect(derive(recordedTree(file))).toMatchObject({ links, connectivity: 'full' });
  });

  test('the VPN leaves and comes back with the signals of bookworm-vpn-down-up-signals.jsonl', () => {
    const tree = recordedTree('bookworm-vpn-split-managed-objects.json');
    const seen: string[] = [];
    for (const line of recorded('bookworm-vpn-down-up-signals.jsonl').trim().split('\n')) {
      const { path, interface: name, member, payload } = JSON.parse(line);
      const body = plain(payload.data) as unknown[];
      tree.apply({ sender: ':1.5', path, interface: name, member, signature: payload.type, body });
      const now = derive(tree)
        .links.map(
          (link) => `${link.interface} ${link.connection?.id} ${link.searches.join() || link.domains.join()}`,
        )
        .join(' + ');
      if (seen.at(-1) !== now) seen.push(now);
    }
    const ethernetOnly = 'eth-a Wired connection 1 cafe.example,lab.example';
    const both = `tun0 office corp.example + ${ethernetOnly}`;
    expect(seen).toEqual([both, ethernetOnly, both]);
  });
});

test('a link that is being taken down keeps what it had until the Configuration drops it', () => {
  // Seen with 1.52: the IP configuration is cleared some 40 ms before the Configuration signal.
  const ip4 = { NameserverData: [{ address: '192.0.2.1' }], Searches: ['cafe.example'], AddressData: [four] };
  const listed = configuration(entry('eth-a', ['192.0.2.1'], { domains: ['cafe.example'] }));
  const up = derive(treeOf(idle(), ethernet({ ip4 }), listed));
  const cleared = ethernet({ ip4: { NameserverData: [], Searches: [] } });
  expect(derive(treeOf(idle(), cleared, listed), {}, up.links).links).toEqual(up.links);
  expect(derive(treeOf(idle(), cleared, configuration()), {}, up.links).links).toEqual([]);
});
