import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { suites } from './debian.ts';
import {
  expectAlwaysServers,
  expectServers,
  expectServersAsNetworkManager,
  expectStubAsNetworkManager,
  nameserversIn,
  ourFile,
  statusOf,
  upstreamFile,
  type Watch,
  watchFile,
  withoutAutomaticProfiles,
  withoutResolved,
} from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage } from './package.ts';
import { addVpnProfile, addVpnServer, type VpnServer } from './vpn.ts';

const cafe = ['10.20.0.1', '10.20.0.2'];

describe.each(suites)('switching networks and tunnels on %s', (suite) => {
  let machine: Machine;
  let first: Network;
  let watch: Watch;
  let vpn: VpnServer;
  const open: { close(): Promise<void> }[] = [];

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `profiles-${suite}` });
    await withoutResolved(machine);
    await withoutAutomaticProfiles(machine);
    await installPackage(machine);
    first = await addNetwork(machine, {
      link: 'eth-a',
      ipv4: { prefix: '10.20.0', dns: cafe },
      search: ['cafe.example'],
    });
    open.push(first);
    vpn = await addVpnServer(first);
    open.push(vpn);
    await profile('cafe', 'eth-a', 'ipv4.route-metric 100');
    await machine.ok('nmcli connection up cafe');
    await expectServersAsNetworkManager(machine, cafe);
    await addVpnProfile(machine, vpn, { name: 'full', tunnel: 'full' });
    await addVpnProfile(machine, vpn, { name: 'split', tunnel: 'split' });
  });

  afterAll(async () => {
    for (const one of open.toReversed()) await one.close();
    await machine?.destroy();
  });

  beforeEach(async () => {
    await expectServers(machine, cafe);
    watch = watchFile(machine);
  });

  afterEach(async () => {
    expectAlwaysServers(await watch.stop());
  });

  const profile = (name: string, link: string, settings: string): Promise<string> =>
    machine.ok(
      `nmcli connection add type ethernet con-name ${name} ifname ${link} connection.autoconnect no ` +
        `ipv6.method disabled ${settings}`,
    );

  /** By libc and the file alone: nss-resolve asks networks of equal right together, and the first answer wins. */
  const byFile = (name: string): Promise<string> => machine.ok(`getent -s dns hosts ${name}`);

  test('follows from the first network to the second and back', async () => {
    const home = await addNetwork(machine, {
      link: 'eth-b',
      ipv4: { prefix: '10.30.0' },
      search: ['home.example'],
    });
    await using closing = new AsyncDisposableStack();
    closing.defer(home.close);
    await profile('home', 'eth-b', 'ipv4.route-metric 200');
    closing.defer(async () => void (await machine.run('nmcli connection delete home')));
    await machine.ok('nmcli connection up home');
    await expectServersAsNetworkManager(machine, [...cafe, '10.30.0.1']);
    await machine.ok('nmcli connection down cafe');
    await expectServersAsNetworkManager(machine, ['10.30.0.1']);
    expect(await byFile('who.example')).toContain('10.30.0.1');
    await machine.ok('nmcli connection up cafe');
    await expectServersAsNetworkManager(machine, [...cafe, '10.30.0.1']);
    expect(await byFile('who.example')).toContain('10.20.0.1');
    await machine.ok('nmcli connection delete home');
    await expectServersAsNetworkManager(machine, cafe);
  });

  test('switches profiles on one link without a moment without servers', async () => {
    await profile(
      'fixed',
      'eth-a',
      'ipv4.method manual ipv4.addresses 10.20.0.77/24 ipv4.gateway 10.20.0.1 ipv4.dns 10.20.0.2 ipv4.dns-search fixed.example',
    );
    for (let round = 0; round < 3; round++) {
      await machine.ok('nmcli connection up fixed');
      await expectServersAsNetworkManager(machine, ['10.20.0.2']);
      await machine.ok('nmcli connection up cafe');
      await expectServersAsNetworkManager(machine, cafe);
    }
    await machine.ok('nmcli connection delete fixed');
  });

  test.each([
    { name: 'full', expectInForce: expectServersAsNetworkManager },
    // Its names go to it alone, which a plain file cannot say.
    { name: 'split', expectInForce: expectStubAsNetworkManager },
  ])(
    'puts the servers of a $name tunnel first, and takes them out again',
    async ({ name, expectInForce }) => {
      await machine.ok(`nmcli connection up ${name}`);
      await expectInForce(machine, [vpn.dns, ...cafe]);
      expect(await machine.readFile(ourFile)).toMatch(/^search corp\.example cafe\.example$/m);
      expect(await machine.ok('getent hosts intranet.corp.example')).toContain('10.99.0.80');
      const { status } = await statusOf(machine);
      expect(status.plan.upstream[0]?.origin).toMatchObject({
        vpn: true,
        priority: 50,
        connection: { id: name },
      });
      await machine.ok(`nmcli connection down ${name}`);
      await expectServersAsNetworkManager(machine, cafe);
    },
  );

  test('uses only the tunnel whose priority is negative, as NetworkManager does', async () => {
    await machine.ok('nmcli connection modify full ipv4.dns-priority -10 && nmcli connection up full');
    await expectServersAsNetworkManager(machine, [vpn.dns]);
    expect(await machine.readFile(ourFile)).toMatch(/^search corp\.example$/m);
    await machine.ok('nmcli connection down full && nmcli connection modify full ipv4.dns-priority 0');
  });

  test.each([
    { priority: 10, servers: ['10.30.0.1', ...cafe], what: 'before the default' },
    { priority: 0, servers: [...cafe, '10.30.0.1'], what: 'like the default, so the better route is first' },
    { priority: 300, servers: [...cafe, '10.30.0.1'], what: 'behind the default' },
    { priority: -1, servers: ['10.30.0.1'], what: 'alone' },
  ])('puts a network with priority $priority $what', async ({ priority, servers }) => {
    const home = await addNetwork(machine, { link: 'eth-b', ipv4: { prefix: '10.30.0' } });
    await using closing = new AsyncDisposableStack();
    closing.defer(home.close);
    await profile('home', 'eth-b', `ipv4.route-metric 200 ipv4.dns-priority ${priority}`);
    closing.defer(async () => void (await machine.run('nmcli connection delete home')));
    await machine.ok('nmcli connection up home');
    await expectServersAsNetworkManager(machine, servers);
  });

  test('lists our resolver for more servers than libc reads; the three best where only a file is wanted', async () => {
    const many = ['10.20.0.5', '10.20.0.6', '10.20.0.7', '10.20.0.8', '10.20.0.9'];
    const configuration = '/etc/dnskeeper/conf.d/lab.toml';
    await machine.ok(`nmcli connection modify cafe ipv4.ignore-auto-dns yes ipv4.dns '${many.join(',')}'`);
    await using closing = new AsyncDisposableStack();
    closing.defer(async () => {
      await machine.ok(`rm -f ${configuration} && dnsctl reload`);
      await machine.ok("nmcli connection modify cafe ipv4.ignore-auto-dns no ipv4.dns ''");
      await machine.ok('nmcli connection up cafe');
    });
    await machine.ok('nmcli device reapply eth-a');
    await expectStubAsNetworkManager(machine, many);
    expect((await statusOf(machine)).status.resolvConf.reason).toContain('libc reads 3');

    await machine.writeFile(configuration, '[resolver]\nmode = "file"\n');
    await machine.ok('dnsctl reload');
    await expectServers(machine, many.slice(0, 3));
    const { status } = await statusOf(machine);
    const left = status.plan.leftOut.filter((entry) => entry.what === 'server').map((entry) => entry.text);
    expect(left).toEqual(many.slice(3));
    expect(await machine.readFile(ourFile)).toMatch(/^# Not used: server 10\.20\.0\.8 .*only 3 nameservers/m);
    expect(nameserversIn(machine, upstreamFile)).toEqual(many);
  });

  test('works in a network that has only IPv6', async () => {
    const modern = await addNetwork(machine, {
      link: 'eth-c',
      ipv6: { prefix: 'fd20::', dns: ['fd20::1', 'fd20::2'] },
      search: ['modern.example'],
    });
    await using closing = new AsyncDisposableStack();
    closing.defer(modern.close);
    await machine.ok('nmcli connection add type ethernet con-name modern ifname eth-c ipv4.method disabled');
    closing.defer(
      async () => void (await machine.run('nmcli connection up cafe; nmcli connection delete modern')),
    );
    await machine.ok('nmcli connection up modern && nmcli connection down cafe');
    await expectServersAsNetworkManager(machine, ['fd20::1', 'fd20::2']);
    expect(await machine.readFile(ourFile)).toMatch(/^search modern\.example$/m);
    expect(await machine.ok('getent ahostsv6 who.example')).toContain('fd20::1');
  });

  test('names the link of a link-local server', async () => {
    const modern = await addNetwork(machine, { link: 'eth-d', ipv6: { prefix: 'fd21::', dns: ['fe80::'] } });
    await using closing = new AsyncDisposableStack();
    closing.defer(modern.close);
    await machine.ok('nmcli connection add type ethernet con-name local ifname eth-d ipv4.method disabled');
    closing.defer(
      async () => void (await machine.run('nmcli connection up cafe; nmcli connection delete local')),
    );
    await machine.ok('nmcli connection up local && nmcli connection down cafe');
    await machine.until(
      `grep -q '^nameserver fe80::.*%eth-d$' ${ourFile}`,
      'the link-local server is in the file',
    );
    expect(await machine.ok("sed -n 's/^nameserver //p' /run/NetworkManager/no-stub-resolv.conf")).toBe(
      await machine.ok(`sed -n 's/^nameserver //p' ${ourFile}`),
    );
  });

  test('keeps the last servers over a cable that is pulled for a moment', async () => {
    await first.unplug();
    await first.plug();
    await expectServersAsNetworkManager(machine, cafe);
  });
});
