import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { suites } from './debian.ts';
import { expectServers, ourFile, untilLink, withoutResolved } from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage } from './package.ts';

const FILE = '# by hand\nsearch lab.example\nnameserver 10.20.0.1\n';

/** Many a server: a static address, and names of servers in /etc/resolv.conf alone. */
describe.each(suites)('a machine where only /etc/resolv.conf names a server on %s', (suite) => {
  let machine: Machine;
  let network: Network;

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `static-${suite}` });
    await machine.writeFile(
      '/etc/NetworkManager/conf.d/static.conf',
      '[keyfile]\nunmanaged-devices=interface-name:eth-*\n',
    );
    await withoutResolved(machine, FILE);
    network = await addNetwork(machine, {
      link: 'eth-a',
      ipv4: { prefix: '10.20.0', dns: ['10.20.0.1', '10.20.0.2'] },
      answers: { 'printer.lab.example': '10.20.0.77' },
    });
    await machine.ok('ip address add 10.20.0.9/24 dev eth-a && ip link set eth-a up');
    await machine.until('getent ahostsv4 who.example', 'names resolve without us');
  });

  afterAll(async () => {
    await network?.close();
    await machine?.destroy();
  });

  const expectNames = async (): Promise<void> => {
    expect(await machine.ok('getent ahostsv4 who.example')).toContain('10.20.0.1');
    expect(await machine.ok('getent ahostsv4 printer')).toContain('10.20.0.77');
    expect(await machine.ok('dnsctl query who.example')).toContain('10.20.0.1');
  };

  test('names resolve on after the installation, and status tells where the server comes from', async () => {
    await installPackage(machine);
    await untilLink(machine, 'held');
    await expectServers(machine, ['10.20.0.1']);
    expect(await machine.ok('readlink /etc/resolv.conf')).toBe(ourFile);
    await expectNames();
    await machine.ok('systemctl restart dnskeeper');
    await expectServers(machine, ['10.20.0.1']);
    await expectNames();
    expect(await machine.ok('dnsctl status')).toContain('(/var/lib/dnskeeper/original/content), fallback');
  });

  test('whoever names a server comes first, and when it goes the file serves again', async () => {
    await machine.ok('echo nameserver 10.20.0.2 | resolvconf -a eth-a.lab');
    await expectServers(machine, ['10.20.0.2']);
    await machine.ok('resolvconf -d eth-a.lab');
    await expectServers(machine, ['10.20.0.1']);
    await expectNames();
  });

  test('the file is there again, byte for byte, when the package is purged', async () => {
    await machine.ok('dpkg --purge dnskeeper', { timeoutMs: 60_000 });
    expect(await machine.readFile('/etc/resolv.conf')).toBe(FILE);
    expect(await machine.ok('getent ahostsv4 printer')).toContain('10.20.0.77');
    expect(
      await machine.ok('systemctl list-units --all --no-legend "dnskeeper*"; ls -d /run/dnskeeper* || true'),
    ).toBe('');
  });
});
