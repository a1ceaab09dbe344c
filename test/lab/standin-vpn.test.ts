import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { suites } from './debian.ts';
import { expectServers, statusOf, withoutResolved, withUnmanagedLinks } from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage } from './package.ts';
import { addVpnServer } from './vpn.ts';

/** VPN programs that tell systemd-resolved their DNS, as Debian ships them, while dnskeeper stands in. */
describe.each(suites)('VPN programs and their scripts for systemd-resolved on %s', (suite) => {
  let machine: Machine;
  let network: Network;
  const ok = (command: string, options?: { readonly timeoutMs: number }): Promise<string> =>
    machine.ok(command, options);

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `standin-vpn-${suite}` });
    await withoutResolved(machine);
    await withUnmanagedLinks(machine, 'tun-*', 'wg-*', 'office', 'to-far');
    await installPackage(machine);
    network = await addNetwork(machine, { link: 'eth-a', ipv4: { prefix: '10.20.0' } });
    await expectServers(machine, ['10.20.0.1']);
    await machine.until('test -S /run/systemd/resolve/io.systemd.Resolve && resolvectl dns', 'it stands in');
  });

  afterAll(async () => {
    await network?.close();
    await machine?.destroy();
  });

  afterEach(async () => {
    const { status } = await statusOf(machine);
    const left = status.plan.links.filter(({ origin }) => origin.source === 'pushed-links');
    expect(left, 'nothing of a tunnel that has gone is left').toEqual([]);
    expect(await ok('getent hosts who.example')).toContain('10.20.0.1');
  });

  /** The link of the plan that a program has set DNS for. */
  async function pushed(link: string): Promise<unknown> {
    const { status } = await statusOf(machine);
    return status.plan.links.find(({ key, origin }) => key === link && origin.source === 'pushed-links');
  }

  test('OpenVPN with update-systemd-resolved', async () => {
    await using closing = new AsyncDisposableStack();
    const server = await addVpnServer(network);
    closing.defer(server.close);
    for (const file of ['ca.crt', 'client.crt', 'client.key'])
      await machine.copyIn(join(server.certificates, file), `/etc/lab-vpn/${file}`);
    const [host, port] = server.address.split(':');
    const script = '/etc/openvpn/update-systemd-resolved';
    await machine.writeFile(
      '/etc/lab-vpn/client.conf',
      [
        'client',
        'dev tun-o',
        'dev-type tun',
        `remote ${host} ${port} udp`,
        ...['ca ca.crt', 'cert client.crt', 'key client.key', 'cd /etc/lab-vpn'],
        'script-security 2',
        `up ${script}`,
        'up-restart',
        `down ${script}`,
        'down-pre',
        'dhcp-option DOMAIN-ROUTE lab.example',
        '',
      ].join('\n'),
    );
    await ok('systemd-run --unit=lab-openvpn openvpn --cd /etc/lab-vpn --config client.conf');
    closing.defer(async () => void (await machine.run('systemctl stop lab-openvpn')));
    await machine.until('resolvectl domain tun-o | grep -q corp.example', 'its DNS is set');
    expect(await ok('resolvectl dns tun-o')).toMatch(/: 10\.99\.0\.1$/);
    expect(await ok('resolvectl domain tun-o')).toContain('~lab.example');
    expect(await pushed('tun-o')).toMatchObject({ searches: ['corp.example'], routing: ['lab.example'] });
    server.takeQueries();
    expect(await ok('getent -s resolve ahosts intranet.corp.example')).toContain('10.99.0.80');
    expect(await ok('getent -s resolve ahosts intranet')).toContain('10.99.0.80');
    expect(server.takeQueries().map(({ name }) => name)).toContain('intranet.corp.example');
    await ok('systemctl stop lab-openvpn');
    await machine.until('! ip link show tun-o', 'the tunnel is down');
    await machine.until(`! dnsctl status --json | grep -q '"tun-o"'`, 'its DNS is gone');
  });

  test('wg-quick with wireguard-go, through resolvectl under the name of resolvconf', async () => {
    expect(await ok('readlink -f "$(command -v resolvconf)"')).toBe('/usr/bin/resolvectl');
    const secret = await ok('wg genkey');
    const peer = await ok('wg genkey | wg pubkey');
    await machine.writeFile(
      '/etc/wireguard/wg-t.conf',
      [
        ...['[Interface]', `PrivateKey = ${secret}`, 'Address = 10.88.0.2/24'],
        'DNS = 10.88.0.1, 10.88.0.3, vpn.example',
        ...['[Peer]', `PublicKey = ${peer}`, 'AllowedIPs = 10.88.0.0/24', 'Endpoint = 10.20.0.1:51820', ''],
      ].join('\n'),
    );
    // wg-quick and the daemon it starts end with the unit, so that nothing holds the pipes of this test.
    const wg = (verb: string): Promise<string> =>
      ok(
        `systemd-run --quiet --wait --setenv=WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go ` +
          `--property=KillMode=none wg-quick ${verb} wg-t`,
        { timeoutMs: 60_000 },
      );
    await wg('up');
    expect(await ok('resolvectl dns wg-t')).toMatch(/: 10\.88\.0\.1 10\.88\.0\.3$/);
    expect(await ok('resolvectl domain wg-t')).toMatch(/: vpn\.example ~\.$/);
    expect(await ok('resolvectl default-route wg-t')).toMatch(/: yes$/);
    expect(await pushed('wg-t')).toMatchObject({
      origin: { connection: { id: expect.stringMatching(/^resol/) } },
      searches: ['vpn.example'],
    });
    await wg('down');
    await machine.until(`! dnsctl status --json | grep -q '"wg-t"'`, 'its DNS is gone');
  });

  test('openconnect with vpnc-script', async () => {
    await using closing = new AsyncDisposableStack();
    await serveOffice();
    closing.defer(
      async () => void (await machine.run('systemctl stop lab-ocserv lab-dnsmasq; ip netns del far')),
    );
    await machine.writeFile(
      '/root/connect',
      `#!/bin/sh\necho lab | exec openconnect --protocol=anyconnect --user=lab --passwd-on-stdin --no-dtls --interface=office ` +
        '--servercert="$(cat /etc/lab-office/pin)" https://10.66.0.1:4433/\n',
    );
    await ok('systemd-run --unit=lab-openconnect sh /root/connect');
    closing.defer(async () => void (await machine.run('systemctl stop lab-openconnect')));
    await machine
      .until('resolvectl domain office | grep -q office.example', 'its DNS is set')
      .catch(async (error: unknown) => {
        throw new Error(await ok('journalctl --no-pager -n 40 -u lab-openconnect -u lab-ocserv'), {
          cause: error,
        });
      });
    expect(await ok('resolvectl dns office')).toMatch(/: 10\.77\.0\.1$/);
    expect(await pushed('office')).toMatchObject({ searches: ['office.example'] });
    expect(await ok('getent -s resolve ahosts intranet.office.example')).toContain('10.77.0.80');
    await ok('systemctl stop lab-openconnect');
    await machine.until(`! dnsctl status --json | grep -q '"office"'`, 'its DNS is gone');
  });

  /** An AnyConnect server and a DNS server behind it, in a network namespace of the machine. */
  async function serveOffice(): Promise<void> {
    await ok(
      'ip netns add far && ip link add name to-far type veth peer name uplink netns far && ' +
        'ip address add 10.66.0.2/24 dev to-far && ip link set to-far up && ' +
        'ip -n far link set lo up && ip -n far address add 10.66.0.1/24 dev uplink && ip -n far link set uplink up && ' +
        'mkdir -p /etc/lab-office && cd /etc/lab-office && ' +
        'openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=10.66.0.1 -days 30 -keyout key -out cert 2>/dev/null && ' +
        'echo pin-sha256:$(openssl x509 -in cert -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64) > pin && ' +
        'printf "lab\\nlab\\n" | ocpasswd -c users lab',
    );
    await machine.writeFile(
      '/etc/lab-office/ocserv.conf',
      [
        'auth = "plain[passwd=/etc/lab-office/users]"',
        'tcp-port = 4433',
        'run-as-user = nobody',
        'run-as-group = nogroup',
        'socket-file = /run/lab-ocserv.socket',
        'server-cert = /etc/lab-office/cert',
        'server-key = /etc/lab-office/key',
        'isolate-workers = false',
        'device = vpns',
        'ipv4-network = 10.77.0.0/24',
        'route = 10.77.0.0/24',
        'dns = 10.77.0.1',
        'default-domain = office.example',
        'max-clients = 4',
        'max-same-clients = 4',
        'keepalive = 300',
        'try-mtu-discovery = false',
        '',
      ].join('\n'),
    );
    await ok(
      'systemd-run --unit=lab-ocserv --property=TimeoutStopSec=2s ip netns exec far ocserv --foreground --config /etc/lab-office/ocserv.conf && ' +
        'systemd-run --unit=lab-dnsmasq ip netns exec far dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv ' +
        '--no-hosts --user=root --bind-dynamic --except-interface=lo --local-ttl=3600 ' +
        '--address=/intranet.office.example/10.77.0.80 --local=/office.example/',
    );
    await untilOfficeServes();
  }

  /** It can hang where it is ended while it starts, so it gets a long while before the next try. */
  async function untilOfficeServes(): Promise<void> {
    const shakesHands =
      'timeout 5 openssl s_client -connect 10.66.0.1:4433 </dev/null | grep -q "BEGIN CERTIFICATE"';
    for (let attempt = 1; ; attempt++)
      try {
        await machine.until(shakesHands, 'ocserv serves', 20_000);
        return;
      } catch (error) {
        const said = await ok('journalctl --no-pager -n 20 -u lab-ocserv');
        if (attempt === 3) throw new Error(said, { cause: error });
        await ok('systemctl restart lab-ocserv');
      }
  }
});
