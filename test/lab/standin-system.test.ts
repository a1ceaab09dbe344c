import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { suites } from './debian.ts';
import { expectServers, statusOf, untilLink } from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage } from './package.ts';

/** What the system around systemd-resolved finds where that is not installed: its unit, its configuration, its rules. */
describe.each(suites)('a machine without the package systemd-resolved on %s', (suite) => {
  let machine: Machine;
  let network: Network;

  const ok = (command: string): Promise<string> => machine.ok(command);
  const idOf = (unit: string): Promise<string> => ok(`systemctl show --property=Id --value ${unit}`);
  const pid = (): Promise<string> => ok('systemctl show --property=MainPID --value dnskeeper');
  const resolves = async (): Promise<void> => {
    expect(await ok('getent hosts www.example.org')).toContain('10.20.0.78');
  };
  /** An error of the bus as busctl tells it. */
  const refused = async (call: string): Promise<string> => {
    const path = 'org.freedesktop.resolve1 /org/freedesktop/resolve1 org.freedesktop.resolve1.Manager';
    const { code, stderr } = await machine.run(`busctl call ${path} ${call}`);
    expect(code, call).not.toBe(0);
    return stderr.trim();
  };

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `standin-system-${suite}` });
    await machine.writeFile('/root/repack', REPACK);
    await machine.ok(
      'sh /root/repack && dpkg --purge openvpn-systemd-resolved libnss-resolve systemd-resolved',
      {
        timeoutMs: 120_000,
      },
    );
    await ok('rm -f /etc/resolv.conf && systemctl restart NetworkManager');
    await installPackage(machine);
    network = await addNetwork(machine, {
      link: 'eth-a',
      ipv4: { prefix: '10.20.0' },
      answers: { 'www.example.org': '10.20.0.78' },
    });
    await expectServers(machine, ['10.20.0.1']);
    await untilLink(machine, 'held');
  });

  afterAll(async () => {
    await network?.close();
    await machine?.destroy();
  });

  test('finds the unit under both names, and systemd complains of nothing', async () => {
    expect(await ok('systemctl is-active systemd-resolved')).toBe('active');
    for (const name of ['systemd-resolved', 'dbus-org.freedesktop.resolve1'])
      expect(await idOf(`${name}.service`)).toBe('dnskeeper.service');
    expect(await ok('systemctl show --property=DropInPaths --value dnskeeper')).toBe('');
    expect(
      await ok(
        "journalctl --boot _PID=1 | grep -iE 'resolve|dnskeeper' | grep -iE 'dropp|itself|cycle' || true",
      ),
    ).toBe('');
  });

  test('restarts, reloads and signals it by the old name', async () => {
    const before = await pid();
    await ok('systemctl restart systemd-resolved');
    await machine.until('systemctl is-active --quiet systemd-resolved', 'it runs again');
    const after = await pid();
    expect(after).not.toBe(before);
    await resolves();
    await ok('systemctl reload systemd-resolved');
    for (const signal of ['SIGUSR1', 'SIGUSR2', 'SIGRTMIN+1', 'SIGRTMIN+18'])
      await ok(`systemctl kill --signal=${signal} systemd-resolved`);
    for (const said of ['state on SIGUSR1: counts', 'forgotten on SIGUSR2', 'forgotten on SIGRTMIN+1'])
      await machine.until(
        `journalctl --boot --unit=dnskeeper --output=cat | grep -qF '${said}'`,
        `it says: ${said}`,
      );
    expect(await pid(), 'no signal has ended it').toBe(after);
    await resolves();
  });

  test('has the bus start it, as systemd-resolved is started', async () => {
    await ok('systemctl stop dnskeeper');
    const call =
      'busctl call org.freedesktop.resolve1 /org/freedesktop/resolve1 org.freedesktop.resolve1.Manager ResolveHostname isit 0 www.example.org 2 0';
    await machine.until(`${call} | grep -q '10 20 0 78'`, 'a call to the name is answered');
    await machine.until('systemctl is-active dnskeeper', 'it runs');
  });

  test('obeys resolved.conf and its drop-ins, tells what it does not, and names the file of each server', async () => {
    await ok('mkdir -p /etc/systemd/resolved.conf.d');
    await machine.writeFile(
      '/etc/systemd/resolved.conf.d/lab.conf',
      '[Resolve]\nDNS=10.20.0.1:5300#other.example\nDNSStubListenerExtra=127.0.0.99:5399\nDNSStubListenerExtra=192.0.2.99\nRefuseRecordTypes=TXT\nDNSSEC=yes\nNonsense=1\n',
    );
    await machine.until(
      'dnsctl status | grep -qF /etc/systemd/resolved.conf.d/lab.conf',
      'the file is named',
    );
    await machine.until(
      'dig +short @127.0.0.99 -p 5399 www.example.org | grep -qF 10.20.0.78',
      'it answers there too',
    );
    expect(await ok('dig @127.0.0.99 -p 5399 www.example.org TXT')).toContain('REFUSED');
    const { status, code } = await statusOf(machine);
    expect(status.resolver.addresses).toEqual([
      '127.0.0.53:53',
      '127.0.0.54:53',
      '127.0.0.99:5399',
      '192.0.2.99:53',
    ]);
    expect(status.findings.map(({ text }) => text).join('\n')).toMatch(
      /lab\.conf:7: Nonsense: wanted[\s\S]*lab\.conf:6: DNSSEC=yes: dnskeeper does not validate/,
    );
    expect(code).toBe(1);
    expect((await machine.run('dnskeeperd --check')).stderr).toMatch(/DNSSEC=yes/);
    await ok('rm /etc/systemd/resolved.conf.d/lab.conf');
    await machine.until('dnsctl status', 'it is healthy again');
    await machine.until('! dnsctl status --json | grep -qF 192.0.2.99', 'the further addresses are gone');
  });

  test('refuses settings of links that are not for others to set, the rest in the order of systemd-resolved', async () => {
    await machine.writeFile(
      '/etc/systemd/network/10-lab.network',
      '[Match]\nName=veth-n\n[Network]\nAddress=10.77.0.1/24\nLinkLocalAddressing=no\n',
    );
    await ok(
      'ip link add veth-n type veth peer name veth-m && ip link set veth-m up && systemctl start systemd-networkd',
    );
    const index = await ok('cat /sys/class/net/veth-n/ifindex');
    await machine.until(
      `grep -q ADMIN_STATE=configur /run/systemd/netif/links/${index}`,
      'systemd-networkd has the link in hand',
    );
    const ours = await refusals(index);
    expect(ours).toEqual([
      'Call failed: Link veth-n is managed.',
      'Call failed: Link veth-n is managed.',
      'Call failed: Link lo is loopback device.',
      expect.stringMatching(/^Call failed: /),
      expect.stringMatching(/^Call failed: /),
      expect.stringMatching(/^Call failed: /),
      expect.stringMatching(/^Call failed: /),
    ]);
    await installResolved();
    expect(await idOf('systemd-resolved.service')).toBe('systemd-resolved.service');
    expect(await ok('systemctl is-active systemd-resolved dnskeeper')).toBe('active\nactive');
    await untilLink(machine, 'resolved');
    await machine.until(
      'busctl status org.freedesktop.resolve1 | grep -q Comm=systemd-resolve',
      'the name is its own',
    );
    await resolves();
    expect(await refusals(index), 'as the real one says it').toEqual(ours);
  });

  test('leaves both names to a systemd-resolved that is installed, and takes one when that is disabled', async () => {
    expect(await idOf('dbus-org.freedesktop.resolve1.service')).toBe('systemd-resolved.service');
    await ok('systemctl disable --now systemd-resolved');
    await untilLink(machine, 'held');
    await resolves();
    expect(await idOf('systemd-resolved.service')).toBe('systemd-resolved.service');
    expect(await idOf('dbus-org.freedesktop.resolve1.service')).toBe('dnskeeper.service');
    await ok('systemctl mask systemd-resolved');
    expect((await machine.run('systemctl is-active systemd-resolved')).stdout).toContain('inactive');
    await ok('systemctl unmask systemd-resolved');
    await machine.ok('dpkg --purge systemd-resolved', { timeoutMs: 60_000 });
    // While it runs it gets no new name: systemd might take the state of the one that went for ours.
    expect(await ok('systemctl is-active dnskeeper')).toBe('active');
    await ok('systemctl stop dnskeeper && systemctl daemon-reload && systemctl start dnskeeper');
    expect(await idOf('systemd-resolved.service')).toBe('dnskeeper.service');
    expect(await ok('systemctl is-active systemd-resolved')).toBe('active');
    await resolves();
  });

  test('has no such names while dnskeeper is disabled, and none when it is purged', async () => {
    await ok('systemctl disable dnskeeper');
    expect((await machine.run('systemctl is-active systemd-resolved')).stdout).toContain('inactive');
    await ok('systemctl enable dnskeeper');
    expect(await ok('systemctl is-active dnskeeper')).toBe('active');
    await ok('systemctl stop dnskeeper && systemctl daemon-reload && systemctl start dnskeeper');
    expect(await ok('systemctl is-active systemd-resolved')).toBe('active');
    await machine.ok('dpkg --purge dnskeeper', { timeoutMs: 60_000 });
    for (const unit of ['dnskeeper', 'systemd-resolved', 'dbus-org.freedesktop.resolve1'])
      expect((await machine.run(`systemctl status ${unit}`)).code, unit).toBe(4);
    expect(
      await ok(
        "find /run/systemd/generator* /run/systemd/system /etc/systemd /usr/lib/systemd /usr/lib/dbus-1 -lname '*dnskeeper*' -o -name '*dnskeeper*' 2>/dev/null || true",
      ),
    ).toBe('');
  });

  /** Both of them answer; only their words are compared. */
  async function refusals(managed: string): Promise<readonly string[]> {
    const said = [
      await refused(`SetLinkDNS 'ia(iay)' ${managed} 1 2 4 10 20 0 1`),
      // The link is looked at before the value.
      await refused(`SetLinkDNS 'ia(iay)' ${managed} 1 2 4 0 0 0 0`),
      await refused(`SetLinkDomains 'ia(sb)' 1 1 lab.example false`),
      await refused(`SetLinkDNS 'ia(iay)' 99999 1 2 4 10 20 0 1`),
      await refused(`SetLinkDNS 'ia(iay)' 0 1 2 4 10 20 0 1`),
      await refused(`SetLinkDNS 'ia(iay)' $(cat /sys/class/net/eth-a/ifindex) 1 2 4 127 0 0 53`),
      await refused(`SetLinkDNS 'ia(iay)' $(cat /sys/class/net/eth-a/ifindex) 1 2 4 127 0 0 54`),
    ];
    return said;
  }

  async function installResolved(): Promise<void> {
    await machine.ok('DEBIAN_FRONTEND=noninteractive dpkg --install /var/tmp/systemd-resolved.deb', {
      timeoutMs: 120_000,
    });
  }
});

/** The package systemd-resolved made anew from what is installed of it, with its own scripts: there is no network to get it. */
const REPACK = `set -e
tree=$(mktemp -d)
chmod 755 $tree
mkdir $tree/DEBIAN
dpkg-query -W -f 'Package: \${Package}\\nVersion: \${Version}\\nArchitecture: \${Architecture}\\nMaintainer: \${Maintainer}\\nDepends: \${Depends}\\nProvides: \${Provides}\\nDescription: as installed\\n' systemd-resolved | grep -v ': $' > $tree/DEBIAN/control
for name in preinst postinst prerm postrm conffiles triggers; do
  if [ -e /var/lib/dpkg/info/systemd-resolved.$name ]; then cp -p /var/lib/dpkg/info/systemd-resolved.$name $tree/DEBIAN/$name; fi
done
dpkg-query -L systemd-resolved | while read -r path; do
  if [ ! -d "$path" ]; then mkdir -p "$tree$(dirname "$path")"; cp -a "$path" "$tree$path"; fi
done
dpkg-deb -Znone --build $tree /var/tmp/systemd-resolved.deb
rm -r $tree
`;
