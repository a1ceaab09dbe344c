import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { suites } from './debian.ts';
import { statusOf, untilLink } from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage, olderPackage } from './package.ts';

interface Situation {
  readonly name: string;
  readonly prepare: string;
  /** Whether dnskeeper is in charge of /etc/resolv.conf afterwards. */
  readonly ours: boolean;
}

const situations: readonly Situation[] = [
  { name: 'systemd-resolved running', prepare: 'systemctl is-active systemd-resolved', ours: false },
  {
    name: 'systemd-resolved disabled and a hand-written resolv.conf',
    // No newline at the end, and of a user who keeps it to himself: all of it has to survive.
    prepare:
      'systemctl disable --now systemd-resolved && rm -f /etc/resolv.conf && ' +
      'printf "# by hand\\nnameserver 10.20.0.2" > /etc/resolv.conf && chown nobody:adm /etc/resolv.conf && ' +
      'chmod 0600 /etc/resolv.conf && ' +
      'systemctl restart NetworkManager',
    ours: true,
  },
  {
    name: 'systemd-resolved not installed and the file left to NetworkManager',
    prepare:
      'dpkg --purge openvpn-systemd-resolved libnss-resolve systemd-resolved && rm -f /etc/resolv.conf && systemctl restart NetworkManager',
    ours: true,
  },
];

describe.each(suites)('the package on %s', (suite) => {
  describe.each(situations)('with $name', ({ prepare, ours, name }) => {
    let machine: Machine;
    let network: Network;
    let original: string;
    let files: string;
    let older: { readonly file: string; readonly remove: () => Promise<void> };

    beforeAll(async () => {
      older = await olderPackage();
      machine = await bootMachine({
        suite,
        name: `install-${situations.findIndex((one) => one.name === name)}`,
      });
      await machine.ok(prepare, { timeoutMs: 60_000 });
      network = await addNetwork(machine, { link: 'eth-a', ipv4: { prefix: '10.20.0', dns: ['10.20.0.2'] } });
      await machine.until('getent hosts who.example', 'names resolve before the installation');
      original = await stateOfResolvConf(machine);
      files = await filesOf(machine);
    });

    afterAll(async () => {
      await network?.close();
      await machine?.destroy();
      await older?.remove();
    });

    test('installs and starts, and names resolve', async () => {
      await installPackage(machine, older.file);
      await right(machine, ours);
      if (!ours) expect(await stateOfResolvConf(machine), 'left to systemd-resolved').toBe(original);
    });

    test('upgrades to a new process that finds everything right', async () => {
      const before = (await statusOf(machine)).status.pid;
      await installPackage(machine);
      await right(machine, ours);
      expect((await statusOf(machine)).status.pid).not.toBe(before);
    });

    test('comes up again with the machine', async () => {
      expect(await machine.ok('systemctl is-enabled dnskeeper')).toBe('enabled');
    });

    test('is removed, and names resolve by what was there before', async () => {
      await machine.ok('dpkg --remove dnskeeper', { timeoutMs: 60_000 });
      expect(await stateOfResolvConf(machine)).toBe(original);
      await resolves(machine);
    });

    test('is installed again over what removal kept', async () => {
      await installPackage(machine);
      await right(machine, ours);
    });

    test('is purged: resolv.conf is as before byte for byte, nothing stays behind, names resolve', async () => {
      await machine.ok('dpkg --purge dnskeeper', { timeoutMs: 60_000 });
      expect(await stateOfResolvConf(machine)).toBe(original);
      expect(added(files, await filesOf(machine))).toEqual([]);
      expect((await machine.run('systemctl status dnskeeper')).code, 'systemd knows no such unit').toBe(4);
      await resolves(machine);
    });
  });
});

async function right(machine: Machine, ours: boolean): Promise<void> {
  expect(await machine.ok('systemctl is-active dnskeeper')).toBe('active');
  await untilLink(machine, ours ? 'held' : 'resolved');
  await machine.until('dnsctl status', 'status is healthy (exit code 0)');
  if (ours) expect(await machine.ok('readlink /etc/resolv.conf')).toBe('/run/dnskeeper/resolv.conf');
  await resolves(machine);
}

async function resolves(machine: Machine): Promise<void> {
  expect(await machine.ok('getent hosts who.example')).toMatch(/^10\.20\.0\.1\s+who\.example$/);
}

/** Kind, mode, owner, and the link's text or every byte of the file. */
const stateOfResolvConf = (machine: Machine): Promise<string> =>
  machine.ok(
    'cd /etc && stat -c "%F %a %u %g %N" resolv.conf && if [ ! -L resolv.conf ]; then base64 resolv.conf; fi',
  );

/** Every path where a package may leave something; dpkg's own records, logs and caches are not its doing. */
const filesOf = (machine: Machine): Promise<string> =>
  machine.ok(
    'find / -xdev \\( -path /proc -o -path /sys -o -path /tmp -o -path /var/tmp -o -path /var/log -o -path /var/cache ' +
      '-o -path /var/lib/dpkg -o -path /var/lib/NetworkManager -o -path /dev \\) -prune -o -print; ' +
      'find /run -maxdepth 2 -name "*dnskeeper*"',
  );

function added(before: string, after: string): string[] {
  const known = new Set(before.split('\n'));
  return after.split('\n').filter((path) => !known.has(path));
}
