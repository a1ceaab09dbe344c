import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { suites } from './debian.ts';
import { expectServers, statusOf, withoutResolved } from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage } from './package.ts';

/** What systemd-resolved's own programs find while it is disabled and dnskeeper stands in. */
describe.each(suites)('clients of systemd-resolved on %s', (suite) => {
  let machine: Machine;
  let network: Network;

  const ok = (command: string): Promise<string> => machine.ok(command);
  const owned =
    'busctl call org.freedesktop.DBus / org.freedesktop.DBus NameHasOwner s org.freedesktop.resolve1';

  const resolvedHasName = `busctl status org.freedesktop.resolve1 | grep -q 'Comm=systemd-resolve'`;

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `standin-${suite}` });
    await withoutResolved(machine);
    await installPackage(machine);
    network = await addNetwork(machine, {
      link: 'eth-a',
      ipv4: { prefix: '10.20.0' },
      search: ['home.example'],
      dnsmasq: ['--local=/example.org/'],
      answers: { 'host.home.example': '10.20.0.77', 'www.example.org': '10.20.0.78' },
    });
    await expectServers(machine, ['10.20.0.1']);
  });

  afterAll(async () => {
    await network?.close();
    await machine?.destroy();
  });

  beforeEach(async () => {
    await ok(
      'systemctl stop systemd-resolved; ip tuntap add dev tun-a mode tun 2>/dev/null; ip link set tun-a up',
    );
    await machine.until(
      `${owned} | grep -q true && test -S /run/systemd/resolve/io.systemd.Resolve`,
      'it stands in',
    );
  });

  test('resolvectl shows the links as dnskeeper sees them', async () => {
    expect(await ok('resolvectl --no-pager status')).toContain('resolv.conf mode: ');
    const link = await ok('resolvectl --no-pager status eth-a');
    expect(link).toMatch(/Current Scopes: DNS/);
    expect(link).toMatch(/DNS Servers: 10\.20\.0\.1/);
    expect(link).toMatch(/DNS Domain: home\.example/);
    expect(await ok('resolvectl dns eth-a')).toContain('10.20.0.1');
    expect(await ok('resolvectl log-level')).toBe('info');
  });

  test('resolvectl query looks up names, addresses, records and search domains', async () => {
    expect(await ok('resolvectl query www.example.org')).toMatch(
      /www\.example\.org: 10\.20\.0\.78 +-- link: eth-a/,
    );
    expect(await ok('resolvectl query host')).toContain('10.20.0.77');
    expect(await ok('resolvectl query --type=A www.example.org')).toContain(
      'www.example.org IN A 10.20.0.78',
    );
    expect(await ok('resolvectl query localhost')).toContain('127.0.0.1');
    expect(await ok('resolvectl query 127.0.0.1')).toContain('localhost');
    const missing = await machine.run('resolvectl query nowhere.example.org');
    expect([missing.code, missing.stderr]).toEqual([
      1,
      expect.stringContaining("'nowhere.example.org' not found"),
    ]);
  });

  test('programs resolve through nss-resolve', async () => {
    expect(await ok('getent -s resolve ahosts www.example.org')).toContain('10.20.0.78');
    expect(await ok('getent -s resolve hosts host')).toContain('10.20.0.77');
    expect((await machine.run('getent -s resolve hosts nowhere.example.org')).code).toBe(2);
  });

  test('what resolvectl sets on a link is in force, names who set it, and goes with revert', async () => {
    await ok(
      'resolvectl dns tun-a 10.20.0.1 && resolvectl domain tun-a "~corp.example" && resolvectl default-route tun-a no',
    );
    for (const setting of [
      'llmnr tun-a no',
      'mdns tun-a no',
      'dnssec tun-a no',
      'dnsovertls tun-a no',
      'nta tun-a lan.example',
    ])
      await ok(`resolvectl ${setting}`);
    expect(await ok('resolvectl --no-pager status tun-a')).toMatch(/DNS Domain: ~corp\.example/);
    await machine.until(`dnsctl status --json | grep -q '"tun-a"'`, 'it is in the plan');
    const { status } = await statusOf(machine);
    const set = status.plan.links.find(({ key }) => key === 'tun-a');
    expect(set).toMatchObject({
      origin: {
        source: 'pushed-links',
        connection: { id: expect.stringMatching(/^resolvectl \(pid \d+, uid 0\)$/) },
      },
      routing: ['corp.example'],
      defaultRoute: false,
    });
    await ok('resolvectl revert tun-a');
    await machine.until(`! dnsctl status --json | grep -q '"tun-a"'`, 'it is gone');
  });

  test('settings of a link go when the link goes', async () => {
    await ok('resolvectl dns tun-a 10.20.0.1');
    await machine.until(`dnsctl status --json | grep -q '"tun-a"'`, 'it is set');
    await ok('ip link delete tun-a && nmcli networking off && nmcli networking on');
    await machine.until(`! dnsctl status --json | grep -q '"tun-a"'`, 'it is gone');
  });

  test('what is set outlives a restart of dnskeeper, and goes over to systemd-resolved and back', async () => {
    const shows = (domain: string) => `resolvectl domain tun-a | grep -q '${domain}'`;
    await ok('resolvectl dns tun-a 10.20.0.1 && resolvectl domain tun-a "~corp.example"');
    await ok('systemctl restart dnskeeper');
    await machine.until(`${owned} | grep -q true && ${shows('corp.example')}`, 'it is set again');
    await ok('systemctl reset-failed systemd-resolved; systemctl start systemd-resolved');
    await machine.until(`${resolvedHasName} && ${shows('corp.example')}`, 'systemd-resolved has it');
    await ok('resolvectl domain tun-a "~other.example" && systemctl stop systemd-resolved');
    await machine.until(`${owned} | grep -q true && ${shows('other.example')}`, 'dnskeeper has the new one');
    await ok('resolvectl revert tun-a');
  });

  test('NetworkManager’s own pushes are not counted beside what it tells itself', async () => {
    // What the test before took back has to have gone first.
    await machine.until(`! dnsctl status --json | grep -q '"tun-a"'`, 'the plan is as at the beginning');
    const { status } = await statusOf(machine);
    expect(status.plan.links.filter(({ origin }) => origin.source === 'pushed-links')).toEqual([]);
    expect(status.plan.upstream).toHaveLength(1);
  });

  test('counters, cache and servers are shown, and forgotten when asked', async () => {
    await ok('resolvectl query www.example.org');
    expect(await ok('resolvectl --no-pager statistics')).toMatch(/Total Transactions: +[1-9]/);
    await ok('resolvectl reset-statistics && resolvectl reset-server-features');
    if (suite !== 'bookworm') {
      expect(await ok('resolvectl --no-pager show-cache')).toContain('www.example.org IN A 10.20.0.78');
      expect(await ok('resolvectl --no-pager show-server-state')).toContain('10.20.0.1');
    }
    await ok('resolvectl flush-caches');
    expect(await ok('dnsctl cache')).not.toContain('www.example.org');
  });

  test('resolvectl monitor tells queries as they end', async () => {
    const seen = '/run/monitor.txt';
    await ok(
      `systemd-run --unit=watch-queries --property=Type=notify sh -c 'exec resolvectl monitor > ${seen}'`,
    );
    await ok('resolvectl query www.example.org');
    await machine.until(`grep -q www.example.org ${seen}`, 'the query was told');
    await ok('systemctl stop watch-queries');
  });

  test('a plain user looks names up and changes nothing', async () => {
    const user = (command: string) =>
      machine.run(`setpriv --reuid=65534 --regid=65534 --clear-groups ${command}`);
    expect(await user('resolvectl query www.example.org')).toMatchObject({ code: 0 });
    expect(await user('getent -s resolve ahosts www.example.org')).toMatchObject({ code: 0 });
    for (const command of ['dns tun-a 10.20.0.66', 'revert eth-a', 'flush-caches', 'log-level debug']) {
      const { code } = await user(`resolvectl --no-ask-password ${command} </dev/null`);
      expect(code, command).not.toBe(0);
    }
    expect(await ok('resolvectl dns tun-a')).not.toContain('10.20.0.66');
  });

  test('busctl finds every object', async () => {
    const tree = await ok('busctl tree --list org.freedesktop.resolve1');
    expect(tree).toContain('/org/freedesktop/resolve1/link/_31\n');
    expect(tree).toContain('/org/freedesktop/LogControl1\n');
    expect(await ok('busctl introspect org.freedesktop.resolve1 /org/freedesktop/resolve1')).toContain(
      '.ResolveHostname',
    );
  });
});
