import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { suites } from './debian.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { PATIENCE_MS } from './patience.ts';
import { addVpnProfile, addVpnServer } from './vpn.ts';

describe.each(suites)('the lab itself on %s', (suite) => {
  let machine: Machine;
  const open: { close(): Promise<void> }[] = [];
  const networks: Network[] = [];

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `harness-${suite}` });
  });

  afterAll(async () => {
    for (const one of open.toReversed()) await one.close();
    await machine?.destroy();
  });

  test('boots with NetworkManager and systemd-resolved running', async () => {
    const services = 'NetworkManager systemd-resolved dbus systemd-logind';
    expect(await machine.ok(`systemctl is-active ${services}`)).toBe('active\nactive\nactive\nactive');
  });

  test('knows no network but loopback, so nothing leaves the machine that runs the tests', async () => {
    expect(await machine.ok('ls /sys/class/net')).toBe('lo');
  });

  test('gets servers and search domains by DHCP from each network it is plugged into', async () => {
    const cafe = {
      link: 'eth-a',
      ipv4: { prefix: '10.20.0', dns: ['10.20.0.1', '10.20.0.2'] },
      search: ['cafe.example'],
    };
    const home = { link: 'eth-b', ipv4: { prefix: '10.30.0' }, search: ['home.example'] };
    for (const options of [cafe, home]) networks.push(await addNetwork(machine, options));
    open.push(...networks);
    await configured(machine, '"10.20.0.1","10.20.0.2"', '"cafe.example"', '"10.30.0.1"', '"home.example"');
  });

  test("resolves names through the provider's server, which sees the question", async () => {
    expect(await machine.ok('dig +short who.example @10.20.0.2')).toBe('10.20.0.1');
    expect(networks[0]?.takeQueries()).toContainEqual({ name: 'who.example', type: 'A' });
  });

  test.each(['full', 'split'] as const)('brings a real %s-tunnel VPN up and down', async (tunnel) => {
    const [cafe] = networks;
    if (cafe === undefined) throw new Error('the network of the test before is needed');
    const subnet = tunnel === 'full' ? '10.98.0' : '10.99.0';
    await using closing = new AsyncDisposableStack();
    const server = await addVpnServer(cafe, {
      subnet,
      device: `vpn-${tunnel}`,
      port: tunnel === 'full' ? 1194 : 1195,
    });
    closing.defer(server.close);
    await addVpnProfile(machine, server, { name: tunnel, tunnel });
    await machine.ok(`nmcli connection up ${tunnel}`);
    await configured(machine, `"${server.dns}"`, '"corp.example"', '"vpn":{"type":"b","data":true}');
    expect(await machine.ok(`dig +short intranet.corp.example @${server.dns}`)).toBe(`${subnet}.80`);
    const defaultRoutes = await machine.ok('ip -4 route show default');
    expect(defaultRoutes.includes('tun0')).toBe(tunnel === 'full');
    await machine.ok(`nmcli connection down ${tunnel}`);
    await until(
      async () => !(await configuration(machine)).includes(server.dns),
      'NetworkManager publishes it no more',
      PATIENCE_MS,
    );
  });

  test('gets servers by router advertisement from a network without IPv4', async () => {
    const modern = await addNetwork(machine, {
      link: 'eth-c',
      ipv6: { prefix: 'fd20::' },
      search: ['modern.example'],
    });
    open.push(modern);
    await configured(machine, '"fd20::1"', '"modern.example"');
  });

  test('unplugs a cable', async () => {
    await networks[1]?.unplug();
    await until(
      async () => !(await configuration(machine)).includes('10.30.0.1'),
      'the servers are gone',
      PATIENCE_MS,
    );
  });
});

const configuration = (machine: Machine): Promise<string> =>
  machine.ok(
    'busctl --json=short get-property org.freedesktop.NetworkManager /org/freedesktop/NetworkManager/DnsManager ' +
      'org.freedesktop.NetworkManager.DnsManager Configuration',
  );

async function configured(machine: Machine, ...parts: readonly string[]): Promise<void> {
  const all = async (): Promise<boolean> => {
    const text = await configuration(machine);
    return parts.every((part) => text.includes(part));
  };
  await until(all, `NetworkManager publishes ${parts.join(' and ')}`, PATIENCE_MS);
}
