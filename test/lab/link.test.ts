import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { suites } from './debian.ts';
import { expectServers, ourFile, statusOf, untilLink, withoutResolved } from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage } from './package.ts';

const servers = ['10.20.0.1', '10.20.0.2'];
const original = '# by hand\nnameserver 10.20.0.2\n';

describe.each(suites)('who is in charge of /etc/resolv.conf on %s', (suite) => {
  let machine: Machine;
  let network: Network;

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `link-${suite}` });
    await withoutResolved(machine, original);
    await installPackage(machine);
    network = await addNetwork(machine, { link: 'eth-a', ipv4: { prefix: '10.20.0', dns: servers } });
    await expectServers(machine, servers);
  });

  afterAll(async () => {
    await network?.close();
    await machine?.destroy();
  });

  beforeEach(async () => {
    // Also ends a quarrel, so that no test waits out the pauses that the one before has earned.
    await machine.ok('systemctl stop systemd-resolved; systemctl start dnskeeper && dnsctl takeover');
    await expectOurs(machine);
  });

  const isOurs = `test "$(readlink /etc/resolv.conf)" = ${ourFile}`;

  test('systemd-resolved starts: it is handed back, and taken again when it stops', async () => {
    await machine.ok('systemctl start systemd-resolved');
    await soon(`! ${isOurs}`, 'the link is handed back');
    await untilLink(machine, 'resolved');
    expect(await machine.readFile('/etc/resolv.conf')).toBe(original);
    await machine.until('getent hosts who.example', 'names resolve through systemd-resolved');
    await machine.until('dnsctl status', 'all is well');
    await machine.ok('systemctl stop systemd-resolved');
    await soon(isOurs, 'the link is taken');
    await untilLink(machine, 'held');
    expect(await machine.ok('getent hosts who.example')).toContain('10.20.0.1');
  });

  test('systemd-resolved starts, and what it wrote is still there when it crashes', async () => {
    await machine.ok('systemctl start systemd-resolved');
    await untilLink(machine, 'resolved');
    await machine.ok('systemctl kill --signal=KILL systemd-resolved');
    await machine.until(`${isOurs} || systemctl is-active --quiet systemd-resolved`, 'somebody is in charge');
    await machine.ok('systemctl stop systemd-resolved');
    await machine.until(isOurs, 'the link is taken');
  });

  test.each([
    {
      writer: 'mv of a new file',
      command: 'echo nameserver 192.0.2.1 > /etc/new && mv /etc/new /etc/resolv.conf',
    },
    { writer: 'sed -i', command: "sed -i 's/nameserver.*/nameserver 192.0.2.1/' /etc/resolv.conf" },
    { writer: 'tee through the link', command: 'echo nameserver 192.0.2.1 | tee /etc/resolv.conf' },
    { writer: 'an appended line through the link', command: 'echo nameserver 192.0.2.1 >> /etc/resolv.conf' },
    { writer: 'truncation through the link', command: ': > /etc/resolv.conf' },
    { writer: 'ln -sf', command: 'ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf' },
    { writer: 'rm', command: 'rm /etc/resolv.conf' },
    { writer: 'rm of our own file', command: `rm ${ourFile}` },
    {
      writer: 'a file edited as editors do',
      command: 'cp /etc/resolv.conf /etc/r~ && mv -f /etc/r~ /etc/resolv.conf',
    },
  ])('puts itself back after $writer', async ({ command }) => {
    await machine.ok(command);
    await expectOurs(machine);
    await machine.until('dnsctl status', 'all is well: one foreign write is everyday life');
  });

  test("puts itself back after Debian's own DHCP client", async () => {
    await machine.writeFile(
      '/etc/NetworkManager/conf.d/lab.conf',
      '[keyfile]\nunmanaged-devices=interface-name:eth-x\n',
    );
    await machine.ok('systemctl reload NetworkManager');
    const other = await addNetwork(machine, { link: 'eth-x', ipv4: { prefix: '10.40.0' } });
    await using closing = new AsyncDisposableStack();
    closing.defer(other.close);
    await machine.ok('ip link set eth-x up');
    await machine.ok('dhclient -1 eth-x', { timeoutMs: 60_000 });
    closing.defer(async () => void (await machine.run('dhclient -x eth-x')));
    await expectOurs(machine);
  });

  test('an immutable file is the will of the administrator: it is left alone, and that is no fault', async () => {
    await stopped('chattr +i /etc/resolv.conf', 'chattr -i /etc/resolv.conf', async () => {
      const status = await untilLink(machine, 'publish-only');
      expect(status.link.inCharge).toContain('immutable');
      await machine.until('dnsctl status', 'that is no fault');
      expect(await machine.readFile('/etc/resolv.conf')).toBe(original);
      await expectServers(machine, servers);
    });
    await machine.ok('dnsctl takeover');
    await machine.until(isOurs, 'the link is taken once the flag is gone');
  });

  test('a read-only /etc: our own file is published, status says what is wrong and exits with 1', async () => {
    const readOnly = 'mount --bind /etc /etc && mount -o remount,ro,bind /etc';
    await stopped(readOnly, 'systemctl stop dnskeeper; umount /etc', async () => {
      const status = await untilLink(machine, 'publish-only');
      expect(status.link.reason).toContain('read-only');
      await machine.until('dnsctl status; test $? = 1', 'status warns');
      await expectServers(machine, servers);
    });
  });

  test('a bind mount is written in place and never renamed over, also where the file is private to somebody else', async () => {
    const bind =
      'echo nameserver 192.0.2.7 > /var/tmp/mounted && chown nobody:nogroup /var/tmp/mounted && ' +
      'chmod 0600 /var/tmp/mounted && mount --bind /var/tmp/mounted /etc/resolv.conf';
    await stopped(bind, 'systemctl stop dnskeeper; umount /etc/resolv.conf', async () => {
      await untilLink(machine, 'bind-mount');
      await machine.until(`cmp -s /etc/resolv.conf ${ourFile}`, 'the mounted file says what ours says');
      expect(await machine.ok('stat -c %i /etc/resolv.conf')).toBe(
        await machine.ok('stat -c %i /var/tmp/mounted'),
      );
      expect(await machine.ok('stat -c "%U %a" /var/tmp/mounted')).toBe('nobody 600');
      await machine.ok('nmcli device modify eth-a ipv4.ignore-auto-dns yes ipv4.dns 10.20.0.2');
      await machine.until('grep -qx "nameserver 10.20.0.2" /etc/resolv.conf', 'the mounted file follows');
      await machine.ok("nmcli connection up 'Wired connection 1'");
      await machine.until(`cmp -s /etc/resolv.conf ${ourFile}`, 'the mounted file follows back');
      await machine.until('dnsctl status', 'all is well');
    });
  });

  test.each([
    { name: 'no file at all', prepare: 'rm -f /etc/resolv.conf' },
    { name: 'a dangling link', prepare: 'ln -sf /nowhere/resolv.conf /etc/resolv.conf' },
    { name: 'a file with a second name', prepare: 'ln /etc/resolv.conf /etc/resolv.conf.other' },
    { name: 'a link to itself', prepare: 'ln -sf resolv.conf /etc/resolv.conf' },
  ])('starts with $name', async ({ prepare }) => {
    await stopped(prepare, 'rm -f /etc/resolv.conf.other', async () => {
      await untilLink(machine, 'held');
      await expectOurs(machine);
    });
  });

  test('we stop: link and file stay and name real servers', async () => {
    await machine.ok('systemctl stop dnskeeper');
    await machine.ok(isOurs);
    expect(await machine.ok('getent hosts who.example')).toContain('10.20.0.1');
    expect((await machine.run('dnsctl status')).code).toBe(3);
  });

  test('release puts the original back byte for byte, over restarts too, until takeover', async () => {
    await machine.ok('dnsctl release');
    expect(await machine.readFile('/etc/resolv.conf')).toBe(original);
    await machine.ok('systemctl restart dnskeeper');
    await untilLink(machine, 'released');
    expect(await machine.readFile('/etc/resolv.conf')).toBe(original);
    await machine.until('dnsctl status', 'all is well');
    await machine.ok('dnsctl takeover');
    await expectOurs(machine);
  });

  test('release gives the original back to its owner, though the service may not give files away', async () => {
    await machine.ok('dnsctl release && chown nobody:adm /etc/resolv.conf && chmod 0640 /etc/resolv.conf');
    await machine.ok('dnsctl takeover');
    await expectOurs(machine);
    await machine.ok('dnsctl release');
    expect(await machine.ok("stat -c '%U:%G %a' /etc/resolv.conf")).toBe('nobody:adm 640');
    expect(await machine.readFile('/etc/resolv.conf')).toBe(original);
    await machine.ok('chown root:root /etc/resolv.conf && chmod 0644 /etc/resolv.conf && dnsctl takeover');
    await expectOurs(machine);
  });

  test('only root may steer, everybody may look', async () => {
    const asNobody = 'setpriv --reuid=nobody --regid=nogroup --clear-groups';
    await machine.until(`${asNobody} dnsctl status`, 'all is well, as everybody may see');
    expect((await machine.run(`${asNobody} dnsctl release`)).code).not.toBe(0);
    await expectOurs(machine);
  });

  // Debian 12 has no varlinkctl(1).
  if (suite !== 'bookworm') {
    test('varlinkctl talks to the control socket as any user, and is refused a change', async () => {
      const socket = '/run/dnskeeper/io.dnskeeper';
      expect(await machine.ok(`varlinkctl info ${socket}`)).toContain('dnskeeperd');
      expect(await machine.ok(`varlinkctl list-interfaces ${socket}`)).toContain('io.dnskeeper');
      expect(await machine.ok(`varlinkctl introspect ${socket} io.dnskeeper`)).toContain('method GetStatus(');
      const status = await machine.ok(`varlinkctl call --json=short ${socket} io.dnskeeper.GetStatus '{}'`);
      expect(JSON.parse(status)).toMatchObject({ status: { healthy: true, link: { state: 'held' } } });
      const asNobody = `setpriv --reuid=nobody --regid=nogroup --clear-groups varlinkctl call ${socket}`;
      expect((await machine.run(`${asNobody} io.dnskeeper.GetHistory '{}'`)).code).toBe(0);
      const refused = await machine.run(`${asNobody} io.dnskeeper.Release '{}'`);
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toContain('io.dnskeeper.PermissionDenied');
    });
  }

  test('a second daemon says who holds the root', async () => {
    const second = await machine.run('dnskeeperd');
    expect(second.code).toBe(1);
    expect(second.stderr).toContain(String((await statusOf(machine)).status.pid));
  });

  /** Printed rather than judged: the machine that runs the tests may be slow. */
  async function soon(condition: string, what: string): Promise<void> {
    const from = performance.now();
    await machine.until(condition, what);
    process.stdout.write(`${suite}, ${what} after at most ${Math.ceil(performance.now() - from)} ms\n`);
  }

  /** Do something while the daemon is stopped and a hand-written file stands there, start it, look, undo it. */
  async function stopped(prepare: string, undo: string, look: () => Promise<void>): Promise<void> {
    await machine.ok('systemctl stop dnskeeper && rm -f /etc/resolv.conf');
    await machine.writeFile('/etc/resolv.conf', original);
    try {
      await machine.ok(`${prepare}; systemctl start dnskeeper`);
      await look();
    } finally {
      await machine.ok(undo);
    }
  }

  async function expectOurs(on: Machine): Promise<void> {
    await on.until(isOurs, 'the link is ours');
    await expectServers(on, servers);
  }
});

describe.each(suites)('a machine of systemd-resolved on %s', (suite) => {
  const stub = '../run/systemd/resolve/stub-resolv.conf';
  let machine: Machine;
  let network: Network;

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `resolved-${suite}` });
    await installPackage(machine);
    network = await addNetwork(machine, { link: 'eth-a', ipv4: { prefix: '10.20.0', dns: servers } });
    await expectServers(machine, servers);
  });

  afterAll(async () => {
    await network?.close();
    await machine?.destroy();
  });

  test('is left alone, and our own files are written all the same', async () => {
    const status = await untilLink(machine, 'resolved');
    expect(status.link.inCharge).toBe('systemd-resolved');
    expect(await machine.ok('readlink /etc/resolv.conf')).toBe(stub);
    await machine.until('dnsctl status', 'all is well');
    expect(await machine.ok('resolvectl dns eth-a')).toContain('10.20.0.1 10.20.0.2');
  });

  test('is taken over when the administrator disables systemd-resolved, and given back when it is enabled', async () => {
    await machine.ok('systemctl disable --now systemd-resolved');
    await machine.until(`test "$(readlink /etc/resolv.conf)" = ${ourFile}`, 'the link is taken');
    expect(await machine.ok('getent hosts who.example')).toContain('10.20.0.1');
    await machine.ok('systemctl enable --now systemd-resolved');
    await machine.until(`test "$(readlink /etc/resolv.conf)" = ${stub}`, 'the link is given back');
    expect((await untilLink(machine, 'resolved')).link.inCharge).toBe('systemd-resolved');
    await machine.until('getent hosts who.example', 'names resolve through systemd-resolved');
  });

  test('is taken over all the same when takeover = "always" is configured', async () => {
    await machine.writeFile('/etc/dnskeeper/conf.d/lab.toml', '[link]\ntakeover = "always"\n');
    await machine.ok('dnsctl reload');
    await untilLink(machine, 'held');
    expect(await machine.ok('readlink /etc/resolv.conf')).toBe(ourFile);
    await machine.ok('rm /etc/dnskeeper/conf.d/lab.toml && dnsctl reload');
    await untilLink(machine, 'resolved');
    expect(await machine.ok('readlink /etc/resolv.conf')).toBe(stub);
  });
});

describe('a program that never stops overwriting /etc/resolv.conf', () => {
  let machine: Machine;
  const writer = 'lab-writer.service';

  beforeAll(async () => {
    machine = await bootMachine({ suite: 'bookworm', name: 'fight' });
    await withoutResolved(machine);
    await installPackage(machine);
    await untilLink(machine, 'held');
  });

  afterAll(() => machine?.destroy());

  afterEach(async () => {
    await machine.run(`systemctl stop ${writer}`);
  });

  test('is resisted with growing pauses, then let be, and status names it', async () => {
    const loop =
      'while :; do printf "# Generated by lab-writer\\nnameserver 192.0.2.1\\n" > /etc/n; mv /etc/n /etc/resolv.conf; sleep 0.05; done';
    await machine.ok(`systemd-run --quiet --unit=${writer} sh -c '${loop}'`);
    await untilLink(machine, 'fighting');
    const status = await untilLink(machine, 'yielded', 120_000);
    expect(status.link.reason).toContain('lab-writer');
    expect(status.link.foreign?.count).toBeGreaterThan(5);
    await machine.until('dnsctl status; test $? = 1', 'status warns');
    expect(
      Number(await machine.ok('systemctl show -P CPUUsageNSec dnskeeper')) / 1e9,
      'seconds of CPU',
    ).toBeLessThan(20);
  }, 200_000);

  test('does not come back once it is stopped and the administrator takes over', async () => {
    await machine.ok('dnsctl takeover');
    await untilLink(machine, 'held');
    expect(await machine.ok('readlink /etc/resolv.conf')).toBe(ourFile);
  });
});
