import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { suites } from './debian.ts';
import {
  expectServers,
  expectServersAsNetworkManager,
  nameserversIn,
  ourFile,
  statusOf,
  stub,
  upstreamFile,
  type Watch,
  watchFile,
  withoutAutomaticProfiles,
  withoutResolved,
} from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage } from './package.ts';
import { PATIENCE_MS } from './patience.ts';
import { addVpnProfile, addVpnServer, type VpnServer } from './vpn.ts';

const stubFile = '/run/systemd/resolve/stub-resolv.conf';
const uplinkFile = '/run/systemd/resolve/resolv.conf';
const cafe = ['10.20.0.1', '10.20.0.2'];
const home = ['10.30.0.1'];

const inPlace = `test ${stubFile} -ef ${ourFile} && grep -q '^# Written by dnskeeper' ${uplinkFile}`;
const dnsManager = (property: string): string =>
  `busctl get-property org.freedesktop.NetworkManager /org/freedesktop/NetworkManager/DnsManager org.freedesktop.NetworkManager.DnsManager ${property}`;
const nameHeld =
  'busctl call org.freedesktop.DBus / org.freedesktop.DBus NameHasOwner s org.freedesktop.resolve1 | grep -q true';

/**
 * What programs find out, each by its own rule, as read in its source. They are written down in shell because the
 * programs themselves (Docker, Podman, Tailscale, Mullvad) are large and not needed for it.
 */
const rules = {
  /** Docker and Podman: the file whose servers a container gets. */
  container: `if [ "$(awk '$1 == "nameserver" { print $2 }' /etc/resolv.conf)" = 127.0.0.53 ]; then echo ${uplinkFile}; else echo /etc/resolv.conf; fi`,
  /** Tailscale: the owner, from the comments before the first other line, and whether every server is the stub. */
  tailscaleOwner: `awk '!/^#/ { exit } /systemd-resolved/ { found = 1 } END { exit !found }' /etc/resolv.conf`,
  tailscaleUsed: `! awk '$1 == "nameserver" && $2 != "127.0.0.53"' /etc/resolv.conf | grep -q .`,
  /** Mullvad: a text equal to that of one of systemd-resolved's files, and a resolver on the bus. */
  mullvad: `cmp -s /etc/resolv.conf ${stubFile} && busctl get-property org.freedesktop.resolve1 /org/freedesktop/resolve1 org.freedesktop.resolve1.Manager DNS`,
  /** systemd-nspawn: the stub's file, the bus name, and a stub that listens. */
  nspawn: `test -e ${stubFile} && ${nameHeld} && busctl get-property org.freedesktop.resolve1 /org/freedesktop/resolve1 org.freedesktop.resolve1.Manager DNSStubListener | grep -Eq '"(yes|udp)"'`,
} as const;

describe.each(suites)('the files under systemd-resolved’s names on %s', (suite) => {
  let machine: Machine;
  let vpn: VpnServer;
  let network: Network;
  let watches: Watch[];
  const open: { close(): Promise<void> }[] = [];

  const ok = (command: string): Promise<string> => machine.ok(command);

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `standin-files-${suite}` });
    await withoutResolved(machine);
    await withoutAutomaticProfiles(machine);
    // As on a machine where systemd-resolved has never run: the folder is made by dnskeeper.
    await ok('rm -rf /run/systemd/resolve');
    await installPackage(machine);
    network = await addNetwork(machine, {
      link: 'eth-a',
      ipv4: { prefix: '10.20.0', dns: cafe },
      search: ['cafe.example'],
    });
    open.push(network);
    open.push(await addNetwork(machine, { link: 'eth-b', ipv4: { prefix: '10.30.0' } }));
    vpn = await addVpnServer(network);
    open.push(vpn);
    await profile('cafe', 'eth-a', 'ipv4.route-metric 100');
    await profile('home', 'eth-b', 'ipv4.route-metric 200');
    await addVpnProfile(machine, vpn, { name: 'split', tunnel: 'split' });
    await ok('nmcli connection up cafe');
    await expectServersAsNetworkManager(machine, cafe);
  });

  afterAll(async () => {
    for (const one of open.toReversed()) await one.close();
    await machine?.destroy();
  });

  beforeEach(async () => {
    await expectServers(machine, cafe);
    await machine.until(inPlace, 'both names are there');
    watches = [];
  });

  afterEach(async () => {
    await Promise.all(watches.map((watch) => watch.stop()));
  });

  const profile = (name: string, link: string, settings: string): Promise<string> =>
    ok(
      `nmcli connection add type ethernet con-name ${name} ifname ${link} connection.autoconnect no ipv6.method disabled ${settings}`,
    );

  const watch = (path: string): Watch => {
    const one = watchFile(machine, path);
    watches.push(one);
    return one;
  };

  async function restartNetworkManager(): Promise<void> {
    // systemd's own limit of starts in ten seconds is not what is tried here.
    await ok('systemctl reset-failed NetworkManager; systemctl restart NetworkManager');
    await machine.until('nmcli -t -f STATE general | grep -q ^connected', 'NetworkManager is up');
  }

  /** What NetworkManager tells on its own bus is counted once, and what it gives to systemd-resolved’s name not at all. */
  async function expectCountedOnce(
    servers: readonly string[],
    forEveryName: readonly string[] = servers,
  ): Promise<void> {
    // The status tells of a file a moment after it is written.
    await vi.waitFor(
      async () => {
        const { plan } = (await statusOf(machine)).status;
        expect(plan.links.filter(({ origin }) => origin.source === 'pushed-links')).toEqual([]);
        expect(plan.upstream.map(({ origin }) => origin.source)).toEqual(servers.map(() => 'networkmanager'));
        expect(nameserversIn(machine, uplinkFile)).toEqual(forEveryName);
      },
      { timeout: PATIENCE_MS },
    );
  }

  test('they are our own files, on one mount, and say whose clients are served', async () => {
    expect(await ok(`stat -c '%U %a %h' ${stubFile} ${uplinkFile}`)).toBe('root 644 2\nroot 644 1');
    expect(await ok('readlink /etc/resolv.conf')).toBe('/run/dnskeeper/resolv.conf');
    expect(
      await ok(`test /etc/resolv.conf -ef ${stubFile} && grep -c '^#.*systemd-resolved' ${stubFile}`),
    ).toBe('1');
    const inside = 'nsenter -t "$(systemctl show -P MainPID dnskeeper)" -m';
    const mounts = await ok(
      `${inside} findmnt -n -o TARGET -T /run/dnskeeper; ${inside} findmnt -n -o TARGET -T /run/systemd/resolve`,
    );
    expect(mounts).toBe('/run\n/run');
  });

  test('NetworkManager takes us for systemd-resolved, leaves /etc/resolv.conf alone and is not counted twice', async () => {
    await restartNetworkManager();
    await machine.until(`${dnsManager('Mode')} | grep -q systemd-resolved`, 'it has recognised us');
    expect(await ok(dnsManager('RcManager'))).toBe('s "unmanaged"');
    expect(await ok('readlink /etc/resolv.conf')).toBe('/run/dnskeeper/resolv.conf');
    await machine.until(
      'grep -q "told by NetworkManager itself" /run/systemd/resolve/netif/*',
      'it gives us its DNS',
    );
    await expectServersAsNetworkManager(machine, cafe);
    await expectCountedOnce(cafe);
  });

  test('names follow profile switches and a VPN, each whole and never missing', async () => {
    const texts = [watch(stubFile), watch(uplinkFile)];
    await ok('nmcli connection up home && nmcli connection down cafe');
    await expectServersAsNetworkManager(machine, home);
    await machine.until(inPlace, 'the names follow');
    await expectCountedOnce(home);
    await ok('nmcli connection up cafe && nmcli connection down home');
    await expectServersAsNetworkManager(machine, cafe);
    await ok('nmcli connection up split');
    await expectServers(machine, stub);
    await machine.until(inPlace, 'the names follow the VPN');
    await expectCountedOnce([vpn.dns, ...cafe], cafe);
    await ok('nmcli connection down split');
    await expectServersAsNetworkManager(machine, cafe);
    await machine.until(inPlace, 'the names follow its end');
    for (const each of texts) {
      for (const text of await each.stop())
        expect(text).toMatch(/^# (Written by|Real servers)[\s\S]*\nnameserver [\s\S]*\n$/);
    }
  });

  test('each program finds us by its own rule, with real servers in the file and with the stub', async () => {
    const finds = async (rule: keyof typeof rules): Promise<boolean> =>
      (await machine.run(rules[rule])).code === 0;
    const found = async () => ({
      container: await ok(rules.container),
      tailscale: [await finds('tailscaleOwner'), await finds('tailscaleUsed')],
      mullvad: await finds('mullvad'),
      nspawn: await finds('nspawn'),
    });
    expect(await found()).toEqual({
      container: '/etc/resolv.conf',
      tailscale: [true, false],
      mullvad: true,
      nspawn: true,
    });
    await ok('nmcli connection up split');
    await expectServers(machine, stub);
    await machine.until(inPlace, 'the names follow');
    expect(await found()).toEqual({
      container: uplinkFile,
      tailscale: [true, true],
      mullvad: true,
      nspawn: true,
    });
    expect(nameserversIn(machine, uplinkFile)).toEqual(cafe);
    expect(await ok(`grep -c '^options edns0 trust-ad' ${stubFile}`)).toBe('1');
    await ok('nmcli connection down split');
  });

  test('NetworkManager restarts again and again: no server is ever counted twice', async () => {
    const upstream = watch(upstreamFile);
    for (let round = 0; round < 3; round++) {
      await restartNetworkManager();
      await machine.until(`${dnsManager('Mode')} | grep -q systemd-resolved`, 'it has recognised us');
      await expectServersAsNetworkManager(machine, cafe);
    }
    await expectCountedOnce(cafe);
    for (const text of await upstream.stop()) {
      const servers = [...(text ?? '').matchAll(/^nameserver (.*)$/gm)].map((match) => match[1]);
      expect(servers, text).toEqual(cafe);
    }
  });

  test.each(['symlink', 'file', 'resolvconf', 'unmanaged'])(
    'whatever rc-manager says, here %s, the file is ours and nothing is counted twice',
    async (rcManager) => {
      const configuration = '/etc/NetworkManager/conf.d/rc-manager.conf';
      await machine.writeFile(configuration, `[main]\nrc-manager=${rcManager}\n`);
      await using closing = new AsyncDisposableStack();
      closing.defer(async () => {
        await ok(`rm ${configuration}`);
        await restartNetworkManager();
      });
      await restartNetworkManager();
      await machine.until(`${dnsManager('Mode')} | grep -q systemd-resolved`, 'it has recognised us');
      expect(await ok(dnsManager('RcManager'))).toBe(`s "${rcManager}"`);
      await ok('nmcli connection up home && nmcli connection down cafe');
      await expectServersAsNetworkManager(machine, home);
      await ok('nmcli connection up cafe && nmcli connection down home');
      await expectServersAsNetworkManager(machine, cafe);
      await machine.until(`${inPlace} && test /etc/resolv.conf -ef ${stubFile}`, 'the names follow');
      await expectCountedOnce(cafe);
    },
  );

  test('dnskeeper restarts: NetworkManager gives its DNS again, and nothing is counted twice', async () => {
    const uplink = watch(uplinkFile);
    await ok('systemctl restart dnskeeper');
    await machine.until(`${nameHeld} && ${inPlace}`, 'it stands in again');
    await machine.until(
      'grep -q "told by NetworkManager itself" /run/systemd/resolve/netif/*',
      'it is given DNS again',
    );
    await expectCountedOnce(cafe);
    expect(await ok(dnsManager('Mode'))).toBe('s "systemd-resolved"');
    for (const text of await uplink.stop()) expect(text).toMatch(/^nameserver 10\.20\.0\.1$/m);
  });

  test('dnskeeper is turned off: NetworkManager falls back, the real servers stay in reach, and all comes back with it', async () => {
    await ok('nmcli connection up split');
    await expectServers(machine, stub);
    // Only stopped, it would be started again by the bus, for NetworkManager.
    await ok('systemctl disable --now dnskeeper');
    expect(await ok('ls /run/systemd/resolve')).not.toContain('stub-resolv.conf');
    expect(nameserversIn(machine, ourFile)).not.toContain('127.0.0.53');
    expect(nameserversIn(machine, uplinkFile)).toEqual(cafe);
    await ok('nmcli connection down split');
    await restartNetworkManager();
    expect(await ok(dnsManager('Mode'))).toBe('s "default"');
    expect(await ok('readlink /etc/resolv.conf')).toBe('/run/dnskeeper/resolv.conf');
    await ok('systemctl enable --now dnskeeper');
    await machine.until(inPlace, 'the names are back');
    await restartNetworkManager();
    await machine.until(`${dnsManager('Mode')} | grep -q systemd-resolved`, 'it has recognised us again');
    await expectServersAsNetworkManager(machine, cafe);
  });

  test('what is planted there while dnskeeper is dead is replaced and never followed', async () => {
    await ok('systemctl stop dnskeeper && echo secret > /root/victim');
    await ok(`ln -sf /root/victim ${stubFile} && ln -sf /root/victim ${uplinkFile}`);
    await ok('ln -sf /root/victim /run/systemd/resolve/.stub-resolv.conf.dnskeeper');
    await ok('systemctl start dnskeeper');
    await machine.until(inPlace, 'the names are ours');
    expect(await ok('cat /root/victim')).toBe('secret');
    expect(await ok('ls -A /run/systemd/resolve')).not.toContain('.dnskeeper');
  });

  test('killed, it leaves files that are whole; the next start makes them follow again', async () => {
    await ok('systemctl kill --signal=KILL dnskeeper');
    await ok('nmcli connection up home && nmcli connection down cafe');
    await expectServersAsNetworkManager(machine, home);
    await machine.until(inPlace, 'the names follow');
    await ok('nmcli connection up cafe && nmcli connection down home');
    await expectServersAsNetworkManager(machine, cafe);
  });

  test('systemd-resolved starts: it has its own files, ours are ours alone; it stops, and they are in place again', async () => {
    for (let round = 0; round < 3; round++) {
      await ok('systemctl reset-failed systemd-resolved; systemctl start systemd-resolved');
      await machine.until(
        `grep -q 'managed by man:systemd-resolved' ${stubFile} && grep -q 'managed by man:systemd-resolved' ${uplinkFile}`,
        'systemd-resolved has written its own',
      );
      // systemd gave it the folder with all that was in it, the first time our files under their further names too.
      await machine.until(
        `test "$(stat -c %U:%h ${ourFile} ${upstreamFile} | sort -u)" = root:1`,
        'ours are ours',
      );
      expect(nameserversIn(machine, upstreamFile)).toEqual(cafe);
      await ok('systemctl stop systemd-resolved');
      await machine.until(inPlace, 'they are in place again');
      await machine.until(
        'test "$(readlink /etc/resolv.conf)" = /run/dnskeeper/resolv.conf',
        'the link is ours',
      );
      await expectServersAsNetworkManager(machine, cafe);
    }
  });

  test('the package takes what is left of them with it', async () => {
    await ok('systemctl stop dnskeeper');
    expect(await ok('ls /run/systemd/resolve')).toContain('resolv.conf');
    await ok('DEBIAN_FRONTEND=noninteractive dpkg --remove dnskeeper');
    expect(await ok('ls /run/systemd/resolve')).not.toContain('resolv.conf');
  });
});
