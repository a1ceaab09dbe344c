import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { suites } from './debian.ts';
import { expectServers, statusOf, stub, withoutResolved } from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage } from './package.ts';
import { addVpnProfile, addVpnServer, type VpnServer } from './vpn.ts';

const RULES = `
[[profile]]
name = "work"
when = { connection = "tunnel", vpn = true }
search = ["corp.example"]

[[profile]]
name = "home"
when = { type = "ethernet", gateway = "10.20.0.*" }
servers = ["10.20.0.2"]

[[profile]]
name = "elsewhere"
when.interface = "wlan*"
servers = ["10.20.0.1"]
`;

/** Profiles of the configuration: what they make of real networks, and how people steer them. */
describe.each(suites)('rules per network on %s', (suite) => {
  let machine: Machine;
  let network: Network;
  let vpn: VpnServer;
  const rules = '/etc/dnskeeper/conf.d/rules.toml';

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `rules-${suite}` });
    await withoutResolved(machine);
    await installPackage(machine);
    network = await addNetwork(machine, {
      link: 'eth-a',
      ipv4: { prefix: '10.20.0', dns: ['10.20.0.1', '10.20.0.2'] },
    });
    await expectServers(machine, ['10.20.0.1', '10.20.0.2']);
    vpn = await addVpnServer(network, {
      domains: [],
      dnsmasq: ['--address=/intranet.corp.example/10.99.0.80'],
    });
    await addVpnProfile(machine, vpn, { name: 'tunnel', tunnel: 'split' });
    await machine.writeFile(rules, RULES);
    await expectServers(machine, ['10.20.0.2']);
  });

  afterAll(async () => {
    await vpn?.close();
    await network?.close();
    await machine?.destroy();
  });

  test('a network gets the servers of its rule, and status names it', async () => {
    expect(await machine.ok('getent ahostsv4 who.example')).toContain('10.20.0.1');
    expect(await machine.ok('dnsctl profile')).toMatch(
      /^home +in force on eth-a: when\.type = "ethernet" and when\.gateway = "10\.20\.0\.\*" fits\.$/m,
    );
    expect(await machine.ok('dnsctl status')).toContain('with profile "home"');
  });

  test('a tunnel that hands out no domains is asked for those of its rule and for nothing else', async () => {
    await machine.ok('nmcli connection up tunnel');
    try {
      await expectServers(machine, stub);
      vpn.takeQueries();
      network.takeQueries();
      expect(await machine.ok('getent ahostsv4 intranet.corp.example')).toContain('10.99.0.80');
      expect(await machine.ok('getent ahostsv4 who.example')).toContain('10.20.0.1');
      const names = (queries: readonly { readonly name: string }[]) =>
        new Set(queries.map((one) => one.name));
      expect([...names(vpn.takeQueries())]).toEqual(['intranet.corp.example']);
      expect([...names(network.takeQueries())]).not.toContain('intranet.corp.example');
    } finally {
      await machine.ok('nmcli connection down tunnel');
    }
    await expectServers(machine, ['10.20.0.2']);
  });

  test('a rule chosen by hand comes first, outlives a restart, and ends by itself', async () => {
    expect(await machine.ok('dnsctl profile use elsewhere --for 1h')).toBe(
      'Profile "elsewhere" comes first for 60 minutes.',
    );
    await expectServers(machine, ['10.20.0.1']);
    await machine.ok('systemctl restart dnskeeper');
    await expectServers(machine, ['10.20.0.1']);
    expect((await statusOf(machine)).status.profileByHand?.name).toBe('elsewhere');
    await machine.ok('dnsctl profile use elsewhere --for 3s');
    await expectServers(machine, ['10.20.0.2']);
    await machine.ok('dnsctl profile use elsewhere && dnsctl profile auto');
    await expectServers(machine, ['10.20.0.2']);
    expect(await machine.run('dnsctl profile use nothing')).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('there are "work", "home", "elsewhere"'),
    });
    expect(
      await machine.run('setpriv --reuid=65534 --regid=65534 --clear-groups dnsctl profile auto'),
    ).toMatchObject({ code: 1, stderr: expect.stringContaining('this needs root') });
  });

  test('a configuration that is tried goes by itself, and stays when it is kept', async () => {
    await machine.writeFile('/root/50-fixed.toml', '[dns]\nservers = ["10.20.0.1"]\npriority = -5\n');
    await machine.ok('dnsctl try /root/50-fixed.toml --for 4s');
    await expectServers(machine, ['10.20.0.1']);
    await expectServers(machine, ['10.20.0.2']);
    await machine.ok('dnsctl try /root/50-fixed.toml && dnsctl try --keep');
    expect(await machine.ok('cmp /root/50-fixed.toml /etc/dnskeeper/conf.d/50-fixed.toml; echo $?')).toBe(
      '0',
    );
    await machine.ok('systemctl restart dnskeeper');
    await expectServers(machine, ['10.20.0.1']);
    await machine.ok('rm /etc/dnskeeper/conf.d/50-fixed.toml');
    await expectServers(machine, ['10.20.0.2']);
  });

  test('programs in hooks.d hear of a change with the plan, and a failing one is shown', async () => {
    const folder = '/etc/dnskeeper/hooks.d';
    await machine.writeFile(
      `${folder}/10-tell`,
      '#!/bin/sh\ncat > /etc/heard.json\necho "$DNSKEEPER_CAUSE" > /etc/heard\n',
    );
    await machine.writeFile(`${folder}/20-fail`, '#!/bin/sh\necho "no way" >&2\nexit 4\n');
    await machine.ok(`chmod 755 ${folder}/*`);
    await machine.ok('dnsctl profile use elsewhere');
    await machine.until('test -s /etc/heard', 'the hook has run');
    expect(await machine.ok('cat /etc/heard')).toBe('profile "elsewhere" was chosen by hand');
    const told = JSON.parse(await machine.readFile('/etc/heard.json'));
    expect(told).toMatchObject({
      schema: 1,
      change: { source: 'configuration' },
      resolvConf: { mode: 'file' },
    });
    expect(told.plan.nameservers[0].value).toBe('10.20.0.1');
    await machine.until(`dnsctl status | grep -q '20-fail failed: it ended with 4: no way'`, 'it is shown');
    await machine.ok(`rm -r ${folder} && dnsctl profile auto`);
    await machine.until('dnsctl status', 'all is well');
    await expectServers(machine, ['10.20.0.2']);
  });

  test('a program may do what the service may not, such as copy the file into the folder of a chroot', async () => {
    const folders = { hooks: '/etc/dnskeeper/hooks.d', libc: '/etc/resolvconf/update-libc.d' };
    const chroot = '/var/spool/postfix/etc';
    await machine.ok(`mkdir -p ${chroot} ${folders.libc}`);
    for (const [name, folder] of Object.entries(folders)) {
      await machine.writeFile(`${folder}/postfix`, `#!/bin/sh\ncp /etc/resolv.conf ${chroot}/${name}\n`);
      await machine.ok(`chmod 755 ${folder}/postfix`);
    }
    const copied = (server: string): string =>
      `grep -qx 'nameserver ${server}' ${chroot}/hooks ${chroot}/libc`;
    try {
      await machine.ok('dnsctl profile use elsewhere');
      await machine.until(`${copied('10.20.0.1')} && dnsctl status`, 'both have copied it, and all is well');
      // Shut in with the daemon it fails, and that is told.
      await machine.ok('systemctl mask --runtime --now dnskeeper-hooks.socket');
      await machine.ok('dnsctl profile auto');
      await machine.until(
        `dnsctl status | grep -q 'hooks.d/postfix failed: it ended with 1: .*Read-only file system'`,
        'it is shown',
      );
      await machine.ok('systemctl unmask --runtime dnskeeper-hooks.socket');
      await machine.ok('systemctl restart dnskeeper && dnsctl profile use elsewhere');
      await machine.ok('dnsctl profile auto');
      await machine.until(`${copied('10.20.0.2')} && dnsctl status`, 'all is well again');
    } finally {
      await machine.ok(`rm -rf ${folders.hooks}/postfix ${folders.libc}/postfix ${chroot}`);
      await machine.ok('systemctl unmask --runtime dnskeeper-hooks.socket; dnsctl profile auto');
    }
    await expectServers(machine, ['10.20.0.2']);
    await machine.until(
      `[ -z "$(systemctl list-units --no-legend --all 'dnskeeper-hooks@*')" ]`,
      'no unit is left of it',
    );
  });

  test('a network namespace gets the real servers, never our resolver, and keeps up while a program runs in it', async () => {
    const config = '/etc/dnskeeper/conf.d/netns.toml';
    await machine.ok('ip netns add blue');
    try {
      await machine.writeFile(config, '[link]\nnetns = ["blue"]\n[resolver]\nmode = "stub"\n');
      await expectServers(machine, stub);
      await machine.until('test -f /etc/netns/blue/resolv.conf', 'the file is there');
      const inside = 'systemd-run --quiet --collect --unit=in-blue ip netns exec blue sleep 600';
      await machine.ok(inside);
      const seen = (server: string) =>
        `p=$(systemctl show -P MainPID in-blue) && nsenter -t $p -m grep -qx 'nameserver ${server}' /etc/resolv.conf`;
      await machine.until(seen('10.20.0.2'), 'the program sees the real server');
      await machine.ok('dnsctl profile use elsewhere');
      await machine.until(seen('10.20.0.1'), 'the program sees the other one');
      expect(await machine.ok('cat /etc/netns/blue/resolv.conf')).not.toContain('127.0.0.53');
      await machine.ok('systemctl stop in-blue && rm -r /etc/netns');
      await machine.until('test -f /etc/netns/blue/resolv.conf', 'it comes back with its folder');
      expect(await machine.ok('ip netns exec blue cat /etc/resolv.conf')).toContain('nameserver 10.20.0.1');
    } finally {
      await machine.ok(`systemctl stop in-blue; dnsctl profile auto; rm -f ${config}; ip netns delete blue`);
    }
    await expectServers(machine, ['10.20.0.2']);
    await machine.until('test ! -e /etc/netns/blue/resolv.conf', 'the file is gone');
  });

  test('what another program writes is put back, taken for a while, or left to it, as the configuration says', async () => {
    const config = '/etc/dnskeeper/conf.d/foreign.toml';
    const written = '#@VPNC_GENERATED@ -- this file is generated by vpnc\nnameserver 10.20.0.1\n';
    const vpnc = `printf '${written.replaceAll('\n', '\\n')}'`;
    try {
      await machine.writeFile(config, '[link]\nforeign = { others = "reassert", vpnc-script = "import" }\n');
      await machine.ok('dnsctl reload');
      await machine.ok('cp /etc/resolv.conf /run/resolv.conf-backup');
      // Through the link, as vpnc-script does, and back from its copy when the tunnel ends.
      await machine.ok(`${vpnc} > /etc/resolv.conf`);
      await expectServers(machine, ['10.20.0.1', '10.20.0.2']);
      expect(await machine.ok('readlink /etc/resolv.conf')).toBe('/run/dnskeeper/resolv.conf');
      await machine.ok('systemctl restart dnskeeper');
      await expectServers(machine, ['10.20.0.1', '10.20.0.2']);
      await machine.ok('cat /run/resolv.conf-backup > /etc/resolv.conf');
      await machine.until('test ! -e /run/dnskeeper/records/resolv-conf.vpnc-script', 'they no longer count');
      await expectServers(machine, ['10.20.0.2']);
      await machine.writeFile(config, '[link]\nforeign = "yield"\n');
      await machine.ok('dnsctl reload');
      await machine.ok(`${vpnc} > /run/theirs && mv /run/theirs /etc/resolv.conf`);
      await machine.until(`dnsctl status --json | grep -q '"state": "yielded"'`, 'it is theirs');
      await machine.ok('systemctl restart dnskeeper');
      expect(`${await machine.ok('cat /etc/resolv.conf')}\n`).toBe(written);
      await machine.ok('dnsctl takeover');
    } finally {
      await machine.ok(`rm -f ${config}`);
    }
    expect(await machine.ok('readlink /etc/resolv.conf')).toBe('/run/dnskeeper/resolv.conf');
    await expectServers(machine, ['10.20.0.2']);
  });

  test('a wrong rule is told with file and line, and the last good ones stay', async () => {
    await machine.writeFile(rules, `${RULES}\n[[profile]]\nname = "bad"\nservers = ["nonsense"]\n`);
    await machine.until(`dnsctl status | grep -q 'rules.toml:19: profile\\[4\\].servers'`, 'it is told');
    await expectServers(machine, ['10.20.0.2']);
    expect((await machine.run('dnskeeperd --check')).code).toBe(1);
    await machine.writeFile(rules, RULES);
    await machine.until('dnsctl status', 'all is well');
  });
});
