import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LinkReport, StatusReport } from '../../src/control/report.ts';
import { until } from '../support/until.ts';
import { suites } from './debian.ts';
import { expectServers, stub, withoutResolved } from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage } from './package.ts';
import { PATIENCE_MS } from './patience.ts';
import { succeed } from './processes.ts';

/** A machine without NetworkManager: systemd-networkd has most links, and one has nobody but the kernel. */
describe.each(suites)('systemd-networkd on %s', (suite) => {
  let machine: Machine;
  const networks: Network[] = [];

  const ok = (command: string): Promise<string> => machine.ok(command);
  const plug = async (options: Parameters<typeof addNetwork>[1]): Promise<Network> => {
    const network = await addNetwork(machine, options);
    networks.push(network);
    return network;
  };
  /** For good: the link goes, and the network with it. */
  const remove = async (link: string): Promise<void> => {
    const at = networks.findIndex((network) => network.link === link);
    if (at < 0) throw new Error(`no network on ${link}`);
    for (const network of networks.splice(at, 1)) await network.close();
  };
  const configure = async (name: string, text: string): Promise<void> => {
    await machine.writeFile(`/etc/systemd/network/${name}.network`, text);
    await ok('networkctl reload');
  };
  const linkOf = async (key: string): Promise<LinkReport | undefined> => {
    const report = JSON.parse(await ok('dnsctl status --json || true')) as StatusReport;
    return report.plan.links.find((link) => link.key === key);
  };
  const serversOf = (link: LinkReport | undefined): string =>
    (link?.servers ?? []).map(({ value }) => value).join(' ');
  const untilServersOf = async (key: string, wanted: string): Promise<void> => {
    let found = '';
    const reached = async (): Promise<boolean> => {
      found = serversOf(await linkOf(key));
      return found === wanted;
    };
    await until(reached, `${key} has ${wanted}`, PATIENCE_MS).catch(async () => {
      const file = await machine.run(`tail -n 40 /run/systemd/netif/links/*; ip address; ip -6 route`);
      expect(found, file.stdout).toBe(wanted);
    });
  };

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `networkd-${suite}` });
    await withoutResolved(machine);
    await ok('systemctl disable --now NetworkManager');
    await machine.writeFile(
      '/etc/systemd/network/20-wired.network',
      '[Match]\nName=eth-a\n[Network]\nDHCP=ipv4\n[DHCPv4]\nUseDomains=yes\n',
    );
    await ok('systemctl enable --now systemd-networkd');
    await installPackage(machine);
    await plug({
      link: 'eth-a',
      ipv4: { prefix: '10.20.0', dns: ['10.20.0.1', '10.20.0.2'] },
      search: ['home.example'],
    });
    await expectServers(machine, ['10.20.0.1', '10.20.0.2']);
  });

  afterAll(async () => {
    for (const network of networks) await network.close();
    await machine?.destroy();
  });

  test('what it has by DHCP is in force, and named after the file that asked for it', async () => {
    const link = await linkOf('eth-a');
    expect(link).toMatchObject({
      origin: { source: 'networkd', connection: { id: '20-wired', type: 'networkd' } },
      searches: ['home.example'],
      defaultRoute: true,
      gateways: ['10.20.0.1'],
    });
    expect(await ok('getent hosts who.example')).toContain('10.20.0.1');
    expect(await ok('dnsctl status')).toMatch(/networkd +running/);
    expect(await ok('resolvectl dns eth-a')).toContain('10.20.0.1 10.20.0.2');
    expect(await ok('resolvectl --no-pager status eth-a')).toMatch(/Current Scopes: DNS/);
  });

  test('a link for its own domains alone makes the split', async () => {
    await configure(
      '30-lab',
      '[Match]\nName=eth-b\n[Network]\nAddress=10.30.0.9/24\nDNS=10.30.0.1\nDomains=~lab.example\n',
    );
    await plug({ link: 'eth-b', ipv4: { prefix: '10.30.0' }, answers: { 'host.lab.example': '10.30.0.77' } });
    await expectServers(machine, stub);
    expect(await linkOf('eth-b')).toMatchObject({ routing: ['lab.example'], defaultRoute: false });
    expect(await ok('getent hosts host.lab.example')).toContain('10.30.0.77');
    expect(await ok('getent hosts who.example')).toContain('10.20.0.1');
  });

  test('resolvectl hands what it is to set to systemd-networkd, from where it comes back', async () => {
    await ok('resolvectl dns eth-b 10.30.0.1 10.30.0.2');
    await untilServersOf('eth-b', '10.30.0.1 10.30.0.2');
    expect((await linkOf('eth-b'))?.origin.source).toBe('networkd');
    await ok('resolvectl revert eth-b');
    await untilServersOf('eth-b', '10.30.0.1');
  });

  test('a cable taken out takes its servers along, and put back in brings them back', async () => {
    const lab = networks.find(({ link }) => link === 'eth-b');
    await lab?.unplug();
    await expectServers(machine, ['10.20.0.1', '10.20.0.2']);
    await lab?.plug();
    await expectServers(machine, stub);
    await remove('eth-b');
    await expectServers(machine, ['10.20.0.1', '10.20.0.2']);
  });

  test('a restart of systemd-networkd takes nothing away', async () => {
    await ok('systemctl restart systemd-networkd');
    await machine.until('networkctl status eth-a | grep -q configured', 'it has the link in hand again');
    await untilServersOf('eth-a', '10.20.0.1 10.20.0.2');
    await ok('systemctl restart dnskeeper');
    await untilServersOf('eth-a', '10.20.0.1 10.20.0.2');
  });

  test('what a router advertises on a link that nobody manages is taken from the kernel, also after a restart', async () => {
    await configure('10-left-alone', '[Match]\nName=eth-r\n[Link]\nUnmanaged=yes\n');
    const router = await plug({
      link: 'eth-r',
      ipv6: { prefix: 'fd20::', dns: ['fd20::1'] },
      search: ['home6.example'],
    });
    const inside = ['-t', String(machine.pid), '-n'];
    // Also where this machine forwards, which the networks made in it inherit.
    await succeed('nsenter', [...inside, 'sysctl', '-qw', 'net.ipv6.conf.eth-r.accept_ra=2']);
    await ok('ip link set eth-r up');
    await untilServersOf('eth-r', 'fd20::1');
    expect(await linkOf('eth-r')).toMatchObject({
      origin: { source: 'kernel', connection: { id: 'router advertisement' } },
      searches: ['home6.example'],
    });
    await ok('systemctl restart dnskeeper');
    await untilServersOf('eth-r', 'fd20::1');
    await router.unplug();
    await untilServersOf('eth-r', '');
  });

  test('a link that goes takes along what its file says, though systemd-networkd does not run', async () => {
    await ok('systemctl kill --signal=SIGKILL systemd-networkd');
    // systemd starts it anew at the same time, and cancels a stop that comes in between.
    await machine.until(
      'systemctl stop systemd-networkd.socket systemd-networkd && ! systemctl is-active systemd-networkd',
      'it is gone',
    );
    await remove('eth-a');
    await untilServersOf('eth-a', '');
  });
});
