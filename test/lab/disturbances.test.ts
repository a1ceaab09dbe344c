import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { suites } from './debian.ts';
import {
  expectAlwaysServers,
  expectServers,
  expectServersAsNetworkManager,
  ourFile,
  statusOf,
  untilLink,
  type Watch,
  watchFile,
  withoutAutomaticProfiles,
  withoutResolved,
} from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage } from './package.ts';

const servers = ['10.20.0.1', '10.20.0.2'];
const other = ['10.20.0.2'];

describe.each(suites)('what happens to the daemon on %s', (suite) => {
  let machine: Machine;
  let network: Network;
  let watch: Watch;
  let pid: number;

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `disturbances-${suite}` });
    await withoutResolved(machine);
    await withoutAutomaticProfiles(machine);
    await installPackage(machine);
    network = await addNetwork(machine, { link: 'eth-a', ipv4: { prefix: '10.20.0', dns: servers } });
    const add = 'nmcli connection add type ethernet ifname eth-a ipv6.method disabled';
    const fixed = 'ipv4.method manual ipv4.addresses 10.20.0.77/24 ipv4.gateway 10.20.0.1 ipv4.dns 10.20.0.2';
    await machine.ok(`${add} con-name cafe && ${add} con-name fixed connection.autoconnect no ${fixed}`);
    await machine.ok('nmcli connection up cafe');
    await expectServersAsNetworkManager(machine, servers);
  });

  afterAll(async () => {
    await network?.close();
    await machine?.destroy();
  });

  beforeEach(async () => {
    // systemd gives up on a unit that starts five times in ten seconds; the tests are quicker than any machine's life.
    await machine.ok('systemctl reset-failed');
    pid = (await statusOf(machine)).status.pid;
    watch = watchFile(machine);
  });

  afterEach(async () => {
    expectAlwaysServers(await watch.stop());
  });

  const samePid = async (): Promise<void> => {
    expect((await statusOf(machine)).status.pid, 'the daemon never restarted').toBe(pid);
  };

  test('NetworkManager restarts: the servers stay, and later changes are followed', async () => {
    await machine.ok('systemctl restart NetworkManager');
    await expectServersAsNetworkManager(machine, servers);
    await followsChanges();
    await samePid();
  });

  test('NetworkManager is stopped: its links are still up, so its servers stay; status says that it is gone', async () => {
    await machine.ok('systemctl stop NetworkManager');
    await machine.until(
      'dnsctl status --json | grep -q \'"state": *"gone"\'',
      'status says that NetworkManager is gone',
    );
    await expectServers(machine, servers);
    await machine.ok('systemctl start NetworkManager');
    await followsChanges();
    await machine.until('dnsctl status', 'all is well again');
    await samePid();
  });

  test('NetworkManager crashes: the servers stay', async () => {
    await machine.ok('systemctl kill --signal=KILL NetworkManager');
    await machine.until('systemctl is-active --quiet NetworkManager', 'systemd has started it again');
    await followsChanges();
    await samePid();
  });

  test('the system bus restarts: the daemon goes on, and follows NetworkManager again', async () => {
    await machine.ok('systemctl restart dbus.service');
    // What a bus restart does to the others is for them; logind and NetworkManager may need a restart of their own.
    await restartOthers();
    await followsChanges();
    await machine.until('dnsctl status', 'all is well again');
    await samePid();
  });

  test('the system bus stays away for a while: the file stays as it is', async () => {
    await machine.ok('systemctl stop dbus.socket dbus.service');
    expect((await machine.run('dnsctl status --json')).code, 'the daemon still answers').not.toBe(3);
    await expectServers(machine, servers);
    await machine.ok('systemctl start dbus.socket dbus.service');
    await restartOthers();
    await followsChanges();
    await samePid();
  });

  test('it is killed: systemd starts it again, and what was done meanwhile is repaired', async () => {
    await machine.ok('systemctl kill --signal=KILL dnskeeper && rm /etc/resolv.conf');
    await machine.until(`test "$(readlink /etc/resolv.conf)" = ${ourFile}`, 'the link is back');
    await untilLink(machine, 'held');
    await followsChanges();
    expect((await statusOf(machine)).status.pid).not.toBe(pid);
  });

  test('it is stopped while changes rain down: the file left behind names real servers', async () => {
    const rain = machine.ok(
      'for round in 1 2 3; do nmcli connection up fixed; nmcli connection up cafe; done',
      {
        timeoutMs: 60_000,
      },
    );
    for (let round = 0; round < 3; round++) await machine.ok('systemctl restart dnskeeper');
    await rain;
    await expectServers(machine, servers);
  });

  test('it is reloaded with a new configuration, and keeps the last good one over a bad one', async () => {
    await machine.writeFile('/etc/dnskeeper/conf.d/lab.toml', '[dns]\nsearch = ["reloaded.example"]\n');
    await machine.ok('systemctl reload dnskeeper');
    await machine.until(`grep -q reloaded.example ${ourFile}`, 'the search domain is in force');
    await machine.writeFile('/etc/dnskeeper/conf.d/lab.toml', '[dns]\nsurch = ["wrong.example"]\n');
    const reload = await machine.run('dnsctl reload');
    expect(reload.code).toBe(1);
    expect(reload.stdout + reload.stderr).toContain('surch');
    expect(await machine.readFile(ourFile)).toContain('reloaded.example');
    await machine.ok('rm /etc/dnskeeper/conf.d/lab.toml && dnsctl reload');
    await machine.until(`! grep -q reloaded.example ${ourFile}`, 'the search domain is gone');
  });

  /** hostnamed of systemd 257 does not notice that its bus is gone, and NetworkManager waits 25 s for it at every start. */
  async function restartOthers(): Promise<void> {
    await machine.ok('systemctl stop systemd-hostnamed && systemctl restart systemd-logind NetworkManager', {
      timeoutMs: 60_000,
    });
  }

  async function followsChanges(): Promise<void> {
    // Not nmcli: it would wait for an activation over the bus that never ends when it meets the restart by systemd.
    const manager =
      'org.freedesktop.NetworkManager /org/freedesktop/NetworkManager org.freedesktop.NetworkManager';
    const answers = `timeout 2 busctl --auto-start=no get-property ${manager} Startup | grep -q false`;
    await machine.until(answers, 'NetworkManager has started');
    await machine.ok('nmcli connection up fixed');
    await expectServersAsNetworkManager(machine, other);
    await machine.ok('nmcli connection up cafe');
    await expectServersAsNetworkManager(machine, servers);
  }
});

describe.each(suites)('sleep on %s', (suite) => {
  let machine: Machine;
  let network: Network;

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `sleep-${suite}` });
    await withoutResolved(machine);
    await installPackage(machine);
    network = await addNetwork(machine, { link: 'eth-a', ipv4: { prefix: '10.20.0', dns: servers } });
    await expectServersAsNetworkManager(machine, servers);
  });

  afterAll(async () => {
    await network?.close();
    await machine?.destroy();
  });

  const sleep = (on: boolean): Promise<string> =>
    machine.ok(
      `busctl call org.freedesktop.NetworkManager /org/freedesktop/NetworkManager org.freedesktop.NetworkManager Sleep b ${on}`,
    );

  // A container has no machine to put to sleep, so NetworkManager is told by its own method what logind would tell it.
  // It leaves software links such as veth alone over a sleep; the cable is pulled as the hardware would.
  test('a short sleep keeps the servers without a gap', async () => {
    const watch = watchFile(machine);
    await sleep(true);
    await sleep(false);
    await expectServersAsNetworkManager(machine, servers);
    expectAlwaysServers(await watch.stop());
  });

  test('a long sleep ends with the servers of the network one wakes up in', async () => {
    await sleep(true);
    await network.unplug();
    await machine.until(`! grep -q ^nameserver ${ourFile}`, 'the grace time is over');
    await machine.until('dnsctl status; test $? = 1', 'no servers is worth a warning');
    await sleep(false);
    await network.plug();
    await expectServersAsNetworkManager(machine, servers);
    await machine.until('dnsctl status', 'all is well again');
  });

  test('a forged wake-up signal is refused by the bus, and harmless', async () => {
    const forged = await machine.run(
      'busctl emit /org/freedesktop/login1 org.freedesktop.login1.Manager PrepareForSleep b false',
    );
    expect(forged.code === 0 || /denied/i.test(forged.stderr), forged.stderr).toBe(true);
    await expectServers(machine, servers);
  });
});
