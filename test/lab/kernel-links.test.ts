import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { suites } from './debian.ts';
import { expectServers, statusOf, withoutResolved, withUnmanagedLinks } from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage } from './package.ts';

/** Links that come and go without anybody else saying so, heard of from the kernel. */
describe.each(suites)('links of the kernel on %s', (suite) => {
  let machine: Machine;
  let network: Network;

  const ok = (command: string): Promise<string> => machine.ok(command);
  const inPlan = `dnsctl status --json | grep -q '"tun-a"'`;
  const numberOf = async (link: string): Promise<number> =>
    Number(await ok(`cat /sys/class/net/${link}/ifindex`));
  const objectOf = (ifindex: number): string => `/org/freedesktop/resolve1/link/_3${ifindex}`;
  const tree = (): Promise<string> => ok('busctl tree --list org.freedesktop.resolve1');

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `kernel-links-${suite}` });
    await withoutResolved(machine);
    await withUnmanagedLinks(machine, 'tun-*');
    await installPackage(machine);
    network = await addNetwork(machine, { link: 'eth-a', ipv4: { prefix: '10.20.0' } });
    await expectServers(machine, ['10.20.0.1']);
    await machine.until('test -S /run/systemd/resolve/io.systemd.Resolve', 'it stands in');
  });

  afterAll(async () => {
    await network?.close();
    await machine?.destroy();
  });

  test('the kernel is heard: status knows of nothing that goes unnoticed', async () => {
    const { status } = await statusOf(machine);
    expect(status.findings.filter(({ text }) => /noticed/.test(text))).toEqual([]);
  });

  test('a link is an object on the bus as soon as it is there, and no more when it is gone', async () => {
    for (let round = 0; round < 10; round++) {
      // In one breath: whoever makes a link may set its servers with the next call.
      await ok('ip tuntap add dev tun-a mode tun && resolvectl dns tun-a 10.99.0.1');
      const path = objectOf(await numberOf('tun-a'));
      expect((await tree()).split('\n')).toContain(path);
      await ok('ip link delete tun-a');
      expect((await tree()).split('\n')).not.toContain(path);
      expect((await machine.run('resolvectl dns tun-a 10.99.0.1')).code).not.toBe(0);
    }
  });

  test('what was set for a link goes with it, and not to the next one', async () => {
    await ok('ip tuntap add dev tun-a mode tun && resolvectl dns tun-a 10.99.0.1');
    const ifindex = await numberOf('tun-a');
    await ok(`resolvectl domain tun-a corp.example && ip link set tun-a up`);
    await machine.until(inPlan, 'it is in the plan');
    const kept = `/run/systemd/resolve/netif/${ifindex}`;
    await machine.until(`grep -q 10.99.0.1 ${kept}`, 'it would outlive a restart');
    await ok('ip link delete tun-a');
    await machine.until(`! ${inPlan} && ! test -e ${kept}`, 'it is forgotten');
    await ok(`ip link add index ${ifindex} name tun-a type veth peer name tun-b`);
    expect(await ok('resolvectl dns tun-a')).not.toContain('10.99.0.1');
    await ok('ip link delete tun-a');
    const said = 'The link went away, and what was set for it with it.';
    await machine.until(
      `journalctl --boot --unit=dnskeeper --output=cat | grep -qF '${said}'`,
      'the log says it',
    );
  });

  test('a link that is renamed keeps what was set for it', async () => {
    await ok('ip tuntap add dev tun-c mode tun && resolvectl dns tun-c 10.99.0.1');
    await ok('ip link set tun-c name tun-a');
    await machine.until(inPlan, 'the plan has its new name');
    expect(await ok('resolvectl dns tun-a')).toContain('10.99.0.1');
    await ok('systemctl restart dnskeeper');
    await machine.until(`${inPlan} && resolvectl dns tun-a | grep -q 10.99.0.1`, 'a restart changes nothing');
    await ok('ip link delete tun-a');
    await machine.until(`! ${inPlan}`, 'it is gone');
  });

  test('a link has a scope only while it can carry names', async () => {
    await ok('ip link add tun-a type veth peer name tun-b && resolvectl dns tun-a 10.99.0.1');
    expect(await ok('resolvectl --no-pager status tun-a')).toMatch(/Current Scopes: none/);
    await ok('ip address add 10.99.0.2/24 dev tun-a && ip link set tun-b up && ip link set tun-a up');
    await machine.until(`resolvectl --no-pager status tun-a | grep -q 'Current Scopes: DNS'`, 'it has one');
    await ok('ip link set tun-b down');
    await machine.until(`resolvectl --no-pager status tun-a | grep -q 'Current Scopes: none'`, 'it has none');
    await ok('ip link delete tun-a');
    await machine.until(`! ${inPlan}`, 'it is gone');
  });

  test('a thousand links that come and go are no burden, and none of them stays', async () => {
    const batch = (line: string): string =>
      `for i in $(seq 500); do echo "${line}"; done > /tmp/links && ip -batch /tmp/links`;
    // One look at the folder of links: `busctl tree` would ask each of them.
    const known = async (): Promise<number> => {
      const introspect = 'org.freedesktop.DBus.Introspectable Introspect';
      const text = await ok(
        `busctl call org.freedesktop.resolve1 /org/freedesktop/resolve1/link ${introspect}`,
      );
      return text.match(/node name/g)?.length ?? 0;
    };
    const before = await known();
    await ok(batch('link add tun-$i type veth peer name tun-p$i'));
    expect(await known()).toBe(before + 1000);
    await machine.run(batch('link delete tun-$i'), { timeoutMs: 120_000 });
    expect(await known()).toBe(before);
    expect(await ok('dig +short +tries=1 @127.0.0.53 who.example')).toBe('10.20.0.1');
  });
});
