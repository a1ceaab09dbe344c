import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { suites } from './debian.ts';
import { expectServers, statusOf, withoutResolved } from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNameServer } from './name-server.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage } from './package.ts';
import { addVpnProfile, addVpnServer } from './vpn.ts';

/** Programs that live with systemd-resolved all day, while dnskeeper stands in. */
describe.each(suites)('programs that live with systemd-resolved on %s', (suite) => {
  let machine: Machine;
  let network: Network;
  let second: Network;

  const ok = (command: string): Promise<string> => machine.ok(command);
  const standing =
    'test -S /run/systemd/resolve/io.systemd.Resolve && resolvectl dns eth-a | grep -q 10.20.0.1';
  const manager =
    'busctl call org.freedesktop.resolve1 /org/freedesktop/resolve1 org.freedesktop.resolve1.Manager';

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `standin-clients-${suite}` });
    await machine.writeFile(
      '/etc/NetworkManager/conf.d/lab.conf',
      '[main]\ndns=systemd-resolved\nno-auto-default=eth-b\n[keyfile]\nunmanaged-devices=interface-name:eth-b\n',
    );
    await withoutResolved(machine);
    await installPackage(machine);
    network = await addNetwork(machine, {
      link: 'eth-a',
      ipv4: { prefix: '10.20.0', dns: ['10.20.0.1', '10.20.0.2'] },
      search: ['home.example'],
      dnsmasq: ['--local=/example.org/', '--host-record=www.example.org,10.20.0.78'],
      answers: { 'host.home.example': '10.20.0.77' },
    });
    second = await addNetwork(machine, { link: 'eth-b', ipv4: { prefix: '10.30.0' } });
    await expectServers(machine, ['10.20.0.1', '10.20.0.2']);
  });

  afterAll(async () => {
    await second?.close();
    await network?.close();
    await machine?.destroy();
  });

  beforeEach(async () => {
    await machine.until(standing, 'it stands in');
  });

  /** Links of the plan that NetworkManager and programs tell, each by its name. */
  async function links(): Promise<{ readonly networkmanager: string[]; readonly pushed: string[] }> {
    const { status } = await statusOf(machine);
    const of = (source: string): string[] =>
      status.plan.links.filter(({ origin }) => origin.source === source).map(({ key }) => key);
    return { networkmanager: of('networkmanager'), pushed: of('pushed-links') };
  }

  describe('NetworkManager that is set to dns=systemd-resolved', () => {
    const pushes = 'grep -l 10.20.0.1 /run/systemd/resolve/netif/$(cat /sys/class/net/eth-a/ifindex)';

    test('pushes its DNS, and nothing counts twice', async () => {
      await machine.until(pushes, 'it has pushed');
      expect(await links()).toEqual({ networkmanager: ['eth-a'], pushed: [] });
      expect(await ok('resolvectl dns eth-a')).toMatch(/: 10\.20\.0\.1 10\.20\.0\.2$/);
      expect(
        await ok(
          'busctl get-property org.freedesktop.NetworkManager /org/freedesktop/NetworkManager/DnsManager org.freedesktop.NetworkManager.DnsManager Mode',
        ),
      ).toContain('systemd-resolved');
    });

    test('pushes again after a restart of dnskeeper', async () => {
      await ok('systemctl stop dnskeeper && rm -rf /run/systemd/resolve/netif && systemctl start dnskeeper');
      await machine.until(`${standing} && ${pushes}`, 'it has pushed again');
      expect(await links()).toEqual({ networkmanager: ['eth-a'], pushed: [] });
      expect(await ok('getent -s resolve hosts host')).toContain('10.20.0.77');
    });

    test('switches profiles, and the link’s settings follow', async () => {
      await ok(
        'nmcli connection add type ethernet ifname eth-a con-name other ipv4.method auto ipv4.ignore-auto-dns yes ' +
          'ipv4.dns 10.20.0.2 ipv4.dns-search other.example autoconnect no',
      );
      const first = await ok('nmcli -g GENERAL.CONNECTION device show eth-a');
      await ok('nmcli connection up other');
      await expectServers(machine, ['10.20.0.2']);
      await machine.until('resolvectl dns eth-a | grep -q ": 10.20.0.2$"', 'the servers are the other ones');
      await machine.until('resolvectl domain eth-a | grep -q ": other.example$"', 'so is the domain');
      await ok(`nmcli connection up '${first}' && nmcli connection delete other`);
      await expectServers(machine, ['10.20.0.1', '10.20.0.2']);
      await machine.until('resolvectl domain eth-a | grep -q ": home.example$"', 'all is as before');
      expect(await links()).toEqual({ networkmanager: ['eth-a'], pushed: [] });
    });

    test('brings a VPN up and down, whose names go through it', async () => {
      await using closing = new AsyncDisposableStack();
      const server = await addVpnServer(network);
      closing.defer(server.close);
      await addVpnProfile(machine, server, { name: 'work', tunnel: 'split' });
      closing.defer(async () => void (await machine.run('nmcli connection delete work')));
      await ok('nmcli connection up work');
      await machine.until('getent -s resolve ahosts intranet.corp.example', 'its names resolve');
      server.takeQueries();
      await ok('resolvectl query --cache=no intranet.corp.example www.example.org');
      expect(server.takeQueries().map(({ name }) => name)).not.toContain('www.example.org');
      expect(await ok('resolvectl domain')).toMatch(/\(tun0\):.*corp\.example/);
      const up = await links();
      expect([up.pushed, up.networkmanager.length]).toEqual([[], 2]);
      await ok('nmcli connection down work');
      await machine.until('! getent -s resolve ahosts intranet.corp.example', 'they are gone');
      expect(await links()).toEqual({ networkmanager: ['eth-a'], pushed: [] });
    });
  });

  describe('nss-resolve', () => {
    test('needs no listener of the stub', async () => {
      await machine.writeFile('/etc/systemd/resolved.conf.d/lab.conf', '[Resolve]\nDNSStubListener=no\n');
      try {
        await ok('systemctl restart dnskeeper');
        await machine.until(`${standing} && ! ss -Hlun | grep -q '127.0.0.53:53'`, 'nobody listens');
        expect(await ok('getent -s resolve ahosts www.example.org')).toContain('10.20.0.78');
        expect(await ok('getent -s resolve hosts host')).toContain('10.20.0.77');
        expect(await ok('getent -s resolve ahosts localhost')).toContain('127.0.0.1');
        expect((await machine.run('getent -s resolve ahosts nowhere.example.org')).code).toBe(2);
        expect(await ok('resolvectl query www.example.org')).toContain('10.20.0.78');
      } finally {
        await ok('rm /etc/systemd/resolved.conf.d/lab.conf && systemctl restart dnskeeper');
      }
      await machine.until(`ss -Hlun | grep -q '127.0.0.53:53'`, 'the stub is back');
    });

    test('hears of servers that fail or are silent, in time and not as of a name that does not exist', async () => {
      const server = await addNameServer(second, {
        address: '10.53.0.1',
        behaviour: { mode: 'silent', answers: '192.0.2.9' },
      });
      await using closing = new AsyncDisposableStack();
      closing.defer(server.close);
      await ok(
        'ip address replace 10.30.0.7/24 dev eth-b && ip link set eth-b up && ip route replace 10.53.0.0/24 via 10.30.0.1 dev eth-b',
      );
      await ok("resolvectl dns eth-b 10.53.0.1 && resolvectl domain eth-b '~slow.example'");
      closing.defer(async () => void (await machine.run('resolvectl revert eth-b')));
      const silent = await machine.run('resolvectl query a.slow.example', { timeoutMs: 60_000 });
      expect([silent.code, silent.stderr]).toEqual([
        1,
        expect.stringMatching(
          /a\.slow\.example: resolve call failed: (?:Query timed out|All attempts to contact)/,
        ),
      ]);
      await server.behave({ mode: 'servfail', answers: '' });
      const failed = await machine.run('resolvectl query c.slow.example', { timeoutMs: 60_000 });
      expect(failed.stderr).toMatch(/server or network returned error: SERVFAIL/);
      await server.behave({ mode: 'answer', answers: '192.0.2.9' });
      await machine.until('getent -s resolve ahosts d.slow.example | grep -q 192.0.2.9', 'it has come back');
    });
  });

  test('systemd-networkd beside it keeps its link to itself and disturbs nothing', async () => {
    await machine.writeFile(
      '/etc/systemd/network/eth-b.network',
      '[Match]\nName=eth-b\n[Network]\nAddress=10.30.0.8/24\nDNS=10.30.0.1\nDomains=~net.example\nLinkLocalAddressing=no\nDHCP=no\nIPv6AcceptRA=no\n',
    );
    try {
      await ok('systemctl start systemd-networkd');
      const ifindex = await ok('cat /sys/class/net/eth-b/ifindex');
      await machine.until(
        `grep -q ADMIN_STATE=configured /run/systemd/netif/links/${ifindex}`,
        'it has the link',
      );
      const call = `${manager} SetLinkDNS 'ia(iay)' ${ifindex} 1 2 4 10 30 0 1`;
      await machine.until(`! ${call}`, 'the link is busy');
      expect((await machine.run(call)).stderr).toBe('Call failed: Link eth-b is managed.\n');
      expect((await links()).pushed).toEqual([]);
      expect(await ok('getent -s resolve hosts host')).toContain('10.20.0.77');
      expect(await ok('resolvectl --no-pager status eth-a')).toContain('10.20.0.1');
    } finally {
      await ok(
        'rm /etc/systemd/network/eth-b.network; systemctl stop systemd-networkd.socket systemd-networkd; rm -rf /run/systemd/netif/links',
      );
    }
  });

  describe('a plain user', () => {
    const user = (command: string) =>
      machine.run(`setpriv --reuid=65534 --regid=65534 --clear-groups ${command} </dev/null`);

    test('looks names up in every way', async () => {
      for (const command of [
        'resolvectl query www.example.org',
        'resolvectl status',
        'getent -s resolve ahosts www.example.org',
        `${manager} ResolveHostname isit 0 www.example.org 0 0`,
        'busctl get-property org.freedesktop.resolve1 /org/freedesktop/resolve1 org.freedesktop.resolve1.Manager DNS',
        ...(suite === 'bookworm'
          ? []
          : [
              `varlinkctl call /run/systemd/resolve/io.systemd.Resolve io.systemd.Resolve.ResolveHostname '{"name":"www.example.org"}'`,
            ]),
      ])
        expect(await user(command), command).toMatchObject({ code: 0 });
    });

    test.each([
      "SetLinkDNS 'ia(iay)' $B 1 2 4 10 20 0 66",
      "SetLinkDNSEx 'ia(iayqs)' $B 1 2 4 10 20 0 66 0 ''",
      "SetLinkDomains 'ia(sb)' $B 1 . true",
      'SetLinkDefaultRoute ib $B true',
      'SetLinkLLMNR is $B no',
      'SetLinkMulticastDNS is $B no',
      'SetLinkDNSOverTLS is $B yes',
      'SetLinkDNSSEC is $B no',
      'SetLinkDNSSECNegativeTrustAnchors ias $B 1 a.example',
      'RevertLink i $B',
      'FlushCaches',
      'ResetStatistics',
      'ResetServerFeatures',
    ])('does not get to call %s', async (call) => {
      const ifindex = await ok('cat /sys/class/net/eth-b/ifindex');
      const path = `/org/freedesktop/resolve1/link/_3${ifindex}`;
      const before = await ok(`busctl introspect org.freedesktop.resolve1 ${path}`);
      const { code, stderr } = await user(`${manager} ${call.replace('$B', ifindex)}`);
      expect([code, stderr]).toEqual([1, expect.stringMatching(/Access denied|authentication required/i)]);
      expect(await ok(`busctl introspect org.freedesktop.resolve1 ${path}`)).toBe(before);
    });

    test('neither changes the log nor reads what others look up', async () => {
      expect((await user('resolvectl log-level debug')).code).toBe(1);
      expect(await ok('resolvectl log-level')).toBe('info');
      for (const method of suite === 'bookworm'
        ? []
        : ['DumpCache', 'DumpServerState', 'DumpStatistics', 'ResetStatistics']) {
        const call = `varlinkctl call /run/systemd/resolve/io.systemd.Resolve.Monitor io.systemd.Resolve.Monitor.${method} '{}'`;
        expect(await user(call), method).toMatchObject({
          code: 1,
          stderr: expect.stringMatching(
            /PermissionDenied|InteractiveAuthenticationRequired|Permission denied/,
          ),
        });
      }
    });
  });
});
