import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { suites } from './debian.ts';
import { expectServers, statusOf, untilLink } from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage } from './package.ts';

/** What NetworkManager gives, and what the link has that it leaves alone. */
const HOME = '10.20.0.2';
const LEASED = '10.30.0.2';

interface Caller {
  readonly name: string;
  /** The record that the program leaves with resolvconf(8). */
  readonly key: string;
  readonly interfaces?: string;
  readonly up: string;
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly down: string;
  /** What ends the program where it goes on without a lease. */
  readonly after?: string;
}

/** Each program as its package brings it, with its own scripts. */
const callers: readonly Caller[] = [
  {
    name: 'dhclient, released',
    key: 'eth-b.dhclient',
    up: 'dhclient -1 eth-b',
    servers: [LEASED],
    search: ['b.example'],
    down: 'dhclient -r eth-b',
  },
  {
    name: 'dhclient, stopped',
    key: 'eth-b.dhclient',
    up: 'dhclient -1 eth-b',
    servers: [LEASED],
    search: ['b.example'],
    down: 'dhclient -x eth-b',
  },
  {
    name: 'dhcpcd, released',
    key: 'eth-b.dhcp',
    up: 'dhcpcd --ipv4only --waitip=4 --timeout 60 eth-b',
    servers: [LEASED],
    search: ['b.example'],
    down: 'dhcpcd --ipv4only --release eth-b',
  },
  {
    // As Debian configures it, a dhcpcd that is stopped leaves everything as it is.
    name: 'dhcpcd, stopped where it is to leave nothing',
    key: 'eth-b.dhcp',
    up: 'sed -i /^persistent/d /etc/dhcpcd.conf && dhcpcd --ipv4only --waitip=4 --timeout 60 eth-b',
    servers: [LEASED],
    search: ['b.example'],
    down: 'dhcpcd --ipv4only --exit eth-b',
  },
  {
    name: 'udhcpc',
    key: 'eth-b.udhcpc',
    up: 'udhcpc --interface eth-b --now --background --pidfile /run/udhcpc.pid',
    servers: [LEASED],
    search: ['b.example'],
    // It returns a moment before the process that goes on has written its number.
    down: 'until kill -USR2 $(cat /run/udhcpc.pid); do sleep 0.02; done',
    after: 'kill $(cat /run/udhcpc.pid)',
  },
  {
    name: 'ifup with an address and servers written down',
    key: 'eth-b.inet',
    interfaces: `iface eth-b inet static
  address 10.30.0.9/24
  dns-nameservers ${LEASED} 10.30.0.3
  dns-search b.example c.example
`,
    up: 'ifup eth-b',
    servers: [LEASED, '10.30.0.3'],
    search: ['b.example', 'c.example'],
    down: 'ifdown eth-b',
  },
  {
    name: 'ifup with DHCP',
    key: 'eth-b.dhclient',
    interfaces: 'iface eth-b inet dhcp\n',
    up: 'ifup eth-b',
    servers: [LEASED],
    search: ['b.example'],
    down: 'ifdown eth-b',
  },
];

describe.each(suites)('programs that get addresses, on %s', (suite) => {
  let machine: Machine;
  const networks: Network[] = [];

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: 'dhcp-callers' });
    await machine.writeFile(
      '/etc/NetworkManager/conf.d/lab.conf',
      '[keyfile]\nunmanaged-devices=interface-name:eth-b\n',
    );
    await machine.ok('systemctl restart NetworkManager');
    // Without systemd-resolved the unit has its name, which is what the hooks of Debian's programs look for.
    await machine.ok('dpkg --purge openvpn-systemd-resolved libnss-resolve systemd-resolved', {
      timeoutMs: 60_000,
    });
    await installPackage(machine);
    networks.push(
      await addNetwork(machine, {
        link: 'eth-a',
        ipv4: { prefix: '10.20.0', dns: [HOME] },
        search: ['home.example'],
      }),
      await addNetwork(machine, {
        link: 'eth-b',
        ipv4: { prefix: '10.30.0', dns: [LEASED] },
        search: ['b.example'],
        dnsmasq: ['--dhcp-option-force=option:domain-name,b.example'],
      }),
    );
    await untilLink(machine, 'held');
    await expectServers(machine, [HOME]);
  });

  afterAll(async () => {
    for (const network of networks) await network.close();
    await machine?.destroy();
  });

  test('the unit has the name by which they look for systemd-resolved', async () => {
    await machine.ok('systemctl is-enabled systemd-resolved && systemctl is-active systemd-resolved');
    expect((await machine.run('command -v resolvectl')).stdout).toBe('');
  });

  test.each(callers)('$name', async ({ key, interfaces = '', up, servers, search, down, after = ':' }) => {
    // What a failed test leaves would be in the way of the others.
    onTestFailed(async () => void (await machine.run(`${CLEAN} ${after}`)));
    await machine.writeFile('/etc/network/interfaces', interfaces);
    await machine.ok('ip link set eth-b up');
    const before = await daemonOf(machine);
    await machine.ok(up, { timeoutMs: 90_000 });
    const { plan } = (await statusOf(machine)).status;
    const theirs = plan.upstream.filter(({ origin }) => origin.interface === 'eth-b');
    expect(theirs.map(({ value }) => String(value))).toEqual(servers);
    expect(plan.search.map(({ value }) => value).toSorted()).toEqual([...search, 'home.example'].toSorted());
    for (const { origin } of theirs)
      expect(origin).toMatchObject({ source: 'records', connection: { id: `resolvconf ${key}` } });
    expect(await machine.ok('dnsctl status')).toContain(`resolvconf ${key} (eth-b`);
    const file = await machine.readFile('/run/dnskeeper/resolv.conf');
    for (const server of servers) expect(file).toContain(`\nnameserver ${server}\n`);
    expect(await machine.ok('readlink /etc/resolv.conf'), 'nobody wrote over it').toBe(
      '/run/dnskeeper/resolv.conf',
    );
    await machine.ok(down, { timeoutMs: 60_000 });
    await expectServers(machine, [HOME]);
    expect(await machine.ok('ls -A /run/dnskeeper/records')).toBe('');
    expect((await statusOf(machine)).status.plan.search.map(({ value }) => value)).toEqual(['home.example']);
    // Their hooks for systemd-resolved would have called resolvectl(1), and restarted the unit because there is none.
    expect(await daemonOf(machine), 'the daemon runs on').toBe(before);
    expect(
      await machine.ok(
        'ls /run/network/*-eth-b /run/systemd/resolve/netif/$(cat /sys/class/net/eth-b/ifindex) 2>/dev/null || true',
      ),
    ).toBe('');
    await machine.ok(after);
  });
});

const CLEAN =
  'dhclient -x eth-b; dhcpcd --ipv4only --exit eth-b; ifdown --force eth-b; resolvconf -I; ip address flush dev eth-b;';

const daemonOf = (machine: Machine): Promise<string> =>
  machine.ok('systemctl show --property=MainPID --property=ExecMainStartTimestampMonotonic dnskeeper');
