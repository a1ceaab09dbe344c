import { describe, expect, test } from 'vitest';
import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import { makePlan } from '../../src/core/policy.ts';
import type { RecordSet, StoredRecord } from '../../src/core/record.ts';
import { recordFindings } from '../../src/core/record-findings.ts';
import { type RecordGround, recordState } from '../../src/core/record-links.ts';
import { DEFAULT_RULES, readRules } from '../../src/core/record-rules.ts';
import { formatOption } from '../../src/core/resolv-option.ts';
import { formatHost } from '../../src/core/server.ts';
import { storedRecord as record } from '../support/stored-record.ts';

const link = (name: string, ifindex: number, tunnel = false) => ({
  name,
  ifindex,
  tunnel,
  loopback: name === 'lo',
});

const GROUND: RecordGround = {
  rules: DEFAULT_RULES,
  links: [link('lo', 1), link('eth0', 2), link('wlan0', 3), link('wg0', 7, true), link('tun0', 8, true)],
  networkManagerTells: true,
};

const setOf = (records: readonly StoredRecord[], deprecated: readonly string[] = []): RecordSet => ({
  records,
  deprecated,
});

function planOf(set: RecordSet, ground: Partial<RecordGround> = {}) {
  const { state, left } = recordState(set, { ...GROUND, ...ground });
  const plan = makePlan({ records: state }, DEFAULT_CONFIG);
  return {
    plan,
    left,
    servers: plan.upstream.map(({ value }) => formatHost(value)),
    search: plan.search.map(({ value }) => value),
    routes: plan.routes.map(({ domain, link: key }) => `${domain} ${key}`),
  };
}

const ETHERNET = record('eth0.dhclient', 'domain home.example\nnameserver 192.0.2.1\n');
const WLAN = record('wlan0.dhclient', 'nameserver 192.0.2.9\n');
const WIREGUARD = record('wg0', 'nameserver 10.0.0.1\nsearch corp.example\n', { metric: 0, exclusive: 5 });

describe('order', () => {
  const rows: readonly (readonly [string, readonly StoredRecord[], readonly string[], readonly string[]])[] =
    [
      ['one record', [ETHERNET], [], ['192.0.2.1']],
      ['keys of one kind by name', [WLAN, ETHERNET], [], ['192.0.2.1', '192.0.2.9']],
      [
        'a lower metric first',
        [
          { ...ETHERNET, metric: 200 },
          { ...WLAN, metric: 100 },
        ],
        [],
        ['192.0.2.9', '192.0.2.1'],
      ],
      ['no metric before any', [{ ...ETHERNET, metric: 1 }, WLAN], [], ['192.0.2.9', '192.0.2.1']],
      [
        'tunnels before others',
        [ETHERNET, record('tun0.openvpn', 'nameserver 10.8.0.1')],
        [],
        ['10.8.0.1', '192.0.2.1'],
      ],
      [
        'an IPsec record before others',
        [ETHERNET, record('lo.ipsec', 'nameserver 10.9.0.1')],
        [],
        ['10.9.0.1', '192.0.2.1'],
      ],
      [
        'PPP before others',
        [ETHERNET, record('ppp0.pppd', 'nameserver 10.9.0.1')],
        [],
        ['10.9.0.1', '192.0.2.1'],
      ],
      ['a deprecated key last', [ETHERNET, WLAN], ['eth0.*'], ['192.0.2.9', '192.0.2.1']],
      [
        'a deprecated tunnel last',
        [ETHERNET, record('tun0', 'nameserver 10.8.0.1')],
        ['tun*'],
        ['192.0.2.1', '10.8.0.1'],
      ],
      [
        'several records of one interface',
        [
          record('eth0.ra', 'nameserver 2001:db8::1'),
          ETHERNET,
          record('eth0.dhcp6', 'nameserver 2001:db8::2'),
        ],
        [],
        ['192.0.2.1', '2001:db8::2', '2001:db8::1'],
      ],
      [
        'a key without an interface',
        [record('000.rdnssd', 'nameserver 2001:db8::5'), ETHERNET],
        [],
        ['2001:db8::5', '192.0.2.1'],
      ],
      [
        'a name server of this machine, others behind it',
        [ETHERNET, record('lo.unbound', 'nameserver 127.0.0.1')],
        [],
        ['127.0.0.1', '192.0.2.1'],
      ],
      [
        'the same server twice once',
        [ETHERNET, record('eth0.dhcp', 'nameserver 192.0.2.1')],
        [],
        ['192.0.2.1'],
      ],
      [
        'a link-local server on its own link',
        [record('eth0.ra', 'nameserver fe80::1\nnameserver fe80::2%wlan0')],
        [],
        ['fe80::1%eth0', 'fe80::2%wlan0'],
      ],
      [
        'several servers on one line',
        [record('eth0', 'nameserver 192.0.2.1 192.0.2.2')],
        [],
        ['192.0.2.1', '192.0.2.2'],
      ],
    ];

  test.each(rows)('%s', (_, records, deprecated, servers) => {
    expect(planOf(setOf(records, deprecated)).servers).toEqual(servers);
  });
});

describe('exclusive', () => {
  test('keeps all others out, and has every name', () => {
    const { plan, servers, search, routes } = planOf(setOf([ETHERNET, WIREGUARD]));
    expect({ servers, search }).toEqual({ servers: ['10.0.0.1'], search: ['corp.example'] });
    expect(routes).toEqual(['corp.example wg0', '. wg0']);
    expect(plan.links.find(({ key }) => key === 'eth0')?.unused).toContain('made it exclusive');
  });

  test('counts for the newest alone', () => {
    const older = record('tun0', 'nameserver 10.8.0.1', { exclusive: 4 });
    expect(planOf(setOf([older, ETHERNET, WIREGUARD])).servers).toEqual(['10.0.0.1']);
  });

  test('does nothing without a server', () => {
    const bare = record('wg0', 'search corp.example', { exclusive: 5 });
    expect(planOf(setOf([bare, ETHERNET])).servers).toEqual(['192.0.2.1']);
  });

  test('beats what NetworkManager says, as a negative priority does', () => {
    const { state } = recordState(setOf([WIREGUARD]), GROUND);
    const home = { ...recordState(setOf([ETHERNET]), GROUND).state };
    const plan = makePlan({ records: state, networkmanager: home }, DEFAULT_CONFIG);
    expect(plan.upstream.map(({ value }) => formatHost(value))).toEqual(['10.0.0.1']);
  });
});

describe('names', () => {
  test.each([
    [
      'of search lines, each of them',
      'search a.example\nsearch b.example c.example\nnameserver 192.0.2.1',
      ['a.example', 'b.example', 'c.example'],
    ],
    ['of a domain line', 'domain a.example\nnameserver 192.0.2.1', ['a.example']],
    [
      'of search lines before a domain line',
      'domain a.example\nsearch b.example\nnameserver 192.0.2.1',
      ['b.example'],
    ],
    ['in lower case, without dots around them', 'search .A.Example.\nnameserver 192.0.2.1', ['a.example']],
    [
      'without comments',
      'search a.example # b.example\n# search c.example\n; search d.example\nnameserver 192.0.2.1',
      ['a.example'],
    ],
    [
      'after a blank line, as vpnc-script writes',
      '\n\n  search a.example\nnameserver 192.0.2.1',
      ['a.example'],
    ],
  ])('%s', (_, text, search) => expect(planOf(setOf([record('eth0', text)])).search).toEqual(search));

  test("iwd's second key brings them to the servers of the first", () => {
    const { search, routes, servers } = planOf(
      setOf([
        record('wlan0.dns', 'nameserver 192.0.2.9\n'),
        record('wlan0.domain', 'search a.example\nsearch b.example\n'),
      ]),
    );
    expect({ search, servers }).toEqual({ search: ['a.example', 'b.example'], servers: ['192.0.2.9'] });
    expect(routes).toContain('b.example wlan0');
  });

  test('alone are searched', () => {
    expect(planOf(setOf([record('wlan0.domain', 'search a.example')]))).toMatchObject({
      search: ['a.example'],
      servers: [],
    });
  });

  test('of a private record go to its servers, and nothing else does', () => {
    const own = record('tun0', 'search corp.example\nnameserver 10.8.0.1', { private: true });
    const { plan, routes } = planOf(setOf([ETHERNET, own]));
    expect(routes).toContain('corp.example tun0');
    expect(routes).not.toContain('. tun0');
    expect(plan.inexpressible[0]).toBe('Names under corp.example belong to tun0 alone (split DNS).');
    expect(plan.search.map(({ value }) => value)).toContain('corp.example');
  });

  test('of an unsearched record are routed alone', () => {
    const own = record('tun0', 'search corp.example\nnameserver 10.8.0.1', { private: true, nosearch: true });
    expect(planOf(setOf([ETHERNET, own]))).toMatchObject({ search: ['home.example'] });
  });

  test('of two keys without an interface go each to its own servers', () => {
    const { routes } = planOf(
      setOf([
        record('lo.ipsec', 'search corp.example\nnameserver 10.9.0.1'),
        record('000.rdnssd', 'nameserver 2001:db8::5'),
      ]),
    );
    expect(routes).toContain('corp.example resolvconf lo.ipsec');
  });
});

describe('left out, and told', () => {
  test.each<[string, RecordSet, Partial<RecordGround>, string]>([
    [
      "NetworkManager's own record",
      setOf([record('NetworkManager', 'nameserver 192.0.2.1')]),
      {},
      'NetworkManager tells the same itself, link by link',
    ],
    [
      'a record whose interface is gone',
      setOf([record('wg9', 'nameserver 10.0.0.9', { interface: { name: 'wg9', ifindex: 12 } })]),
      {},
      'its interface wg9 is gone',
    ],
    [
      'a record whose interface was made anew',
      setOf([record('wg0', 'nameserver 10.0.0.9', { interface: { name: 'wg0', ifindex: 6 } })]),
      {},
      'its interface wg0 is gone',
    ],
    [
      'a denied key',
      setOf([ETHERNET]),
      { rules: readRules('deny_keys="eth*"').rules },
      'deny_keys of /etc/resolvconf.conf names it',
    ],
    [
      'a key that is not allowed',
      setOf([ETHERNET]),
      { rules: readRules('allow_keys=wg0').rules },
      'allow_keys of /etc/resolvconf.conf does not name it',
    ],
    [
      'everything',
      setOf([ETHERNET]),
      { rules: readRules('resolvconf=NO').rules },
      'resolvconf=NO is set in /etc/resolvconf.conf',
    ],
  ])('%s', (_, set, ground, reason) => {
    const { servers, left } = planOf(set, ground);
    expect(servers).toEqual([]);
    expect(left).toEqual([{ key: set.records[0]?.key, reason }]);
    expect(recordFindings({ left, problems: [], updateScripts: [], keys: [] })).toEqual([
      {
        severity: 'note',
        id: 'record-left-out',
        text: `The resolvconf(8) record ${set.records[0]?.key} is not used: ${reason}.`,
      },
    ]);
  });

  test("NetworkManager's record counts where NetworkManager is not heard otherwise", () => {
    const set = setOf([
      record('NetworkManager', '# Generated by NetworkManager\nsearch a.example\nnameserver 192.0.2.1'),
    ]);
    expect(planOf(set, { networkManagerTells: false })).toMatchObject({
      servers: ['192.0.2.1'],
      search: ['a.example'],
    });
  });

  test('what is no server, name or option is dropped with its reason', () => {
    const { plan, servers } = planOf(
      setOf([
        record(
          'eth0',
          'nameserver $(reboot)\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nsearch a..b\noptions "x" edns0',
        ),
      ]),
    );
    expect(servers).toEqual(['192.0.2.1']);
    expect(plan.leftOut.map(({ text }) => text)).toEqual(['$(reboot)', '127.0.0.53', 'a..b', '"x"']);
    expect(plan.options.map(({ value }) => value.name)).toEqual(['edns0']);
  });
});

describe('/etc/resolvconf.conf', () => {
  test.each<[string, string, readonly string[], readonly string[]]>([
    ['puts servers before all', 'name_servers=192.0.2.100', ['192.0.2.100', '192.0.2.1'], ['home.example']],
    [
      'puts servers behind all',
      'name_servers_append=192.0.2.100',
      ['192.0.2.1', '192.0.2.100'],
      ['home.example'],
    ],
    [
      'adds domains',
      'search_domains="a.example b.example"',
      ['192.0.2.1'],
      ['a.example', 'b.example', 'home.example'],
    ],
    ['takes servers away', 'name_server_blacklist="192.0.2.*"', [], ['home.example']],
    ['takes domains away', 'domain_blacklist="*.example"', ['192.0.2.1'], []],
    ['replaces a value', 'replace=nameserver/192.0.2.1/192.0.2.7', ['192.0.2.7'], ['home.example']],
    ['replaces a word', 'replace_sub=domain/home.example/', ['192.0.2.1'], []],
    ['makes a key exclusive', 'exclusive_keys="eth0*"', ['192.0.2.1'], ['home.example']],
  ])('%s', (_, text, servers, search) => {
    const { rules } = readRules(text);
    expect(planOf(setOf([ETHERNET]), { rules })).toMatchObject({ servers, search });
  });

  test('has options and a sortlist that hold with and without records', () => {
    const { rules } = readRules('resolv_conf_options="ndots:2 rotate"\nresolv_conf_sortlist="10.0.0.0"');
    const own = record(
      'eth0',
      'options ndots:3 edns0\nsortlist 192.0.2.0/255.255.255.0 nonsense\nnameserver 192.0.2.1\n',
    );
    const said = (records: readonly StoredRecord[]) => {
      const { plan } = planOf(setOf(records), { rules });
      return [plan.options.map(({ value }) => formatOption(value)), plan.sortlist?.map(({ value }) => value)];
    };
    expect(said([])).toEqual([['ndots:2', 'rotate'], ['10.0.0.0']]);
    expect(said([own])).toEqual([
      ['ndots:2', 'rotate', 'edns0'],
      ['192.0.2.0/255.255.255.0', '10.0.0.0'],
    ]);
  });

  test('has an order that holds for networks and VPNs alike', () => {
    const own = record('tun0', 'nameserver 10.8.0.1');
    const servers = (text: string) =>
      planOf(setOf([ETHERNET, WLAN, own]), { rules: readRules(text).rules }).servers;
    expect(servers('')).toEqual(['10.8.0.1', '192.0.2.1', '192.0.2.9']);
    expect(servers('dynamic_order="wlan* eth* tun*"')).toEqual(['192.0.2.9', '192.0.2.1', '10.8.0.1']);
    expect(servers('interface_order=wlan0')).toEqual(['192.0.2.9', '10.8.0.1', '192.0.2.1']);
  });

  test('takes exclusiveness from a key', () => {
    const { rules } = readRules('inclusive_keys=wg0');
    expect(planOf(setOf([ETHERNET, WIREGUARD]), { rules }).servers).toEqual(['10.0.0.1', '192.0.2.1']);
  });

  test('makes a name server of this machine the only one', () => {
    const { rules } = readRules('resolv_conf_local_only=YES');
    expect(
      planOf(setOf([ETHERNET, record('lo.unbound', 'nameserver 127.0.0.1')]), { rules }).servers,
    ).toEqual(['127.0.0.1']);
  });

  test('makes a key private, and public again', () => {
    const own = record('tun0', 'search corp.example\nnameserver 10.8.0.1');
    const routes = (text: string) => planOf(setOf([ETHERNET, own]), { rules: readRules(text).rules }).routes;
    expect(routes('private_keys=tun0')).not.toContain('. tun0');
    expect(routes('private_keys=tun0\npublic_keys=tun0')).toContain('. tun0');
  });
});
