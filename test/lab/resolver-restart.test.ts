import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseResolvConf } from '../support/parse-resolv-conf.ts';
import { suites } from './debian.ts';
import { statusOf, watchFile, withoutResolved } from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage } from './package.ts';

/** What became of the names that were asked for in one way. */
interface Tally {
  readonly asked: number;
  readonly failed: number;
  /** Attempts that came to nothing and were repeated. */
  readonly repeated: number;
  readonly longestMs: number;
  readonly failures: readonly string[];
}

/** What test/lab/load.ts found. */
type Asked = Readonly<Record<'udp' | 'tcp' | 'libc', Tally>>;

describe.each(suites)('the resolver under load on %s', (suite) => {
  let machine: Machine;
  let network: Network;

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `restart-${suite}` });
    await withoutResolved(machine);
    await machine.writeFile('/etc/dnskeeper/conf.d/lab.toml', '[resolver]\nmode = "stub"\n');
    await installPackage(machine);
    // A copy, because the load goes on while the package is replaced.
    await machine.ok('cp /usr/lib/dnskeeper/node /var/tmp/node');
    await machine.copyIn(join(import.meta.dirname, 'load.ts'), '/var/tmp/load.ts');
    network = await addNetwork(machine, { link: 'eth-a', ipv4: { prefix: '10.20.0' } });
    await answering();
  });

  afterAll(async () => {
    await network?.close();
    await machine?.destroy();
  });

  test('holds its sockets with systemd: UDP and TCP of both addresses', async () => {
    expect(await machine.ok('systemctl show -P NFileDescriptorStore dnskeeper')).toBe('4');
  });

  test('20 restarts lose no name, and the file never sends one past the resolver', async () => {
    const watch = watchFile(machine);
    const asked = await underLoad(async () => {
      for (let round = 0; round < 20; round++) {
        await machine.ok('systemctl restart dnskeeper');
        await answering();
      }
    });
    report('20 restarts', asked);
    expectNoneLost(asked);
    const listed = (await watch.stop()).map((text) => parseResolvConf(text ?? '').nameservers.join(' '));
    expect(new Set(listed)).toEqual(new Set(['127.0.0.53']));
    expect(await machine.ok('systemctl show -P NFileDescriptorStore dnskeeper')).toBe('4');
  });

  test('10 kills lose no name', async () => {
    const asked = await underLoad(async () => {
      for (let round = 0; round < 10; round++) {
        const pid = await machine.ok('systemctl show -P MainPID dnskeeper');
        await machine.ok('systemctl kill --signal=KILL dnskeeper');
        await machine.until(
          `p=$(systemctl show -P MainPID dnskeeper); [ $p != 0 ] && [ $p != ${pid} ]`,
          'a new process runs',
        );
        await answering();
      }
    });
    report('10 kills', asked);
    expectNoneLost(asked);
    expect(await machine.ok('systemctl show -P NFileDescriptorStore dnskeeper')).toBe('4');
  });

  test('an upgrade loses no name', async () => {
    const asked = await underLoad(async () => {
      await installPackage(machine);
      await answering();
    });
    report('an upgrade', asked);
    expectNoneLost(asked);
  });

  test('50 reloads lose no name, nor does a change of the addresses', async () => {
    const asked = await underLoad(async () => {
      for (let round = 0; round < 50; round++) await machine.ok('systemctl reload dnskeeper');
      await answering();
    });
    report('50 reloads', asked);
    expectNoneLost(asked);
    // libc alone: the others ask at the address that goes.
    const moved = await underLoad(async () => {
      for (const address of ['127.0.0.99', '127.0.0.98', '127.0.0.53']) {
        const listen = address === '127.0.0.53' ? '' : `listen = ["${address}"]\n`;
        await machine.writeFile('/etc/dnskeeper/conf.d/lab.toml', `[resolver]\nmode = "stub"\n${listen}`);
        await machine.until(
          `grep -qx "nameserver ${address}" /etc/resolv.conf`,
          'the file names the new address',
        );
      }
      await answering();
    });
    report('three changes of the address', moved);
    expect(moved.libc.failures).toEqual([]);
    expect(await machine.ok('systemctl show -P NFileDescriptorStore dnskeeper')).toBe('4');
  });

  test('several threads keep a socket each, and lose no name over restarts either', async () => {
    const config = '/etc/dnskeeper/conf.d/threads.toml';
    await machine.writeFile(config, '[resolver]\nthreads = 3\n');
    try {
      await machine.ok('systemctl restart dnskeeper');
      await answering();
      expect(await machine.ok('systemctl show -P NFileDescriptorStore dnskeeper')).toBe('8');
      const asked = await underLoad(async () => {
        for (let round = 0; round < 3; round++) {
          await machine.ok('systemctl restart dnskeeper');
          await answering();
        }
      });
      report('3 restarts with 3 threads', asked);
      expectNoneLost(asked);
      expect(await machine.ok('systemctl show -P NFileDescriptorStore dnskeeper')).toBe('8');
    } finally {
      await machine.ok(`rm ${config} && systemctl restart dnskeeper`);
    }
    await answering();
    expect(await machine.ok('systemctl show -P NFileDescriptorStore dnskeeper')).toBe('4');
  });

  test('a stop closes the sockets, and libc never asks where nobody answers', async () => {
    const asked = await underLoad(async () => {
      for (let round = 0; round < 5; round++) {
        await machine.ok('systemctl stop dnskeeper');
        expect(await machine.ok('systemctl show -P NFileDescriptorStore dnskeeper')).toBe('0');
        expect(await machine.ok("ss -Hlnut 'src 127.0.0.53 or src 127.0.0.54'")).toBe('');
        expect(await machine.ok('cat /etc/resolv.conf')).toMatch(/^nameserver 10\.20\.0\.1$/m);
        await machine.ok('systemctl start dnskeeper');
        await answering();
      }
    });
    report('5 stops', asked);
    expect(asked.libc.failures).toEqual([]);
  });

  test('the socket unit: off by default; the first query starts the daemon and is answered', async () => {
    expect(await machine.run('systemctl is-enabled dnskeeper.socket')).toMatchObject({
      stdout: 'disabled\n',
    });
    expect((await machine.run('systemctl is-active --quiet dnskeeper.socket')).code).not.toBe(0);
    await machine.ok('systemctl stop dnskeeper && systemctl start dnskeeper.socket');
    try {
      for (const [round, how] of ['+notcp', '+tcp'].entries()) {
        await machine.ok('systemctl stop dnskeeper 2>/dev/null');
        expect((await machine.run('systemctl is-active --quiet dnskeeper')).code).not.toBe(0);
        const answer = await machine.ok(
          `dig ${how} +short +tries=1 +time=5 @127.0.0.53 first${round}.who.example`,
        );
        expect(answer).toBe('10.20.0.1');
        await machine.until('systemctl is-active dnskeeper', 'the daemon runs');
      }
      await answering();
      expect(
        await machine.ok('systemctl show -P NFileDescriptorStore dnskeeper'),
        'the unit keeps them',
      ).toBe('0');
      expect((await statusOf(machine)).status.resolver).toMatchObject({ state: 'bound' });
      await machine.ok('systemctl restart dnskeeper');
      await answering();
      await machine.ok('systemctl start systemd-resolved');
      expect(
        (await machine.run('systemctl is-active --quiet dnskeeper.socket')).code,
        'it gave way',
      ).not.toBe(0);
      expect(await machine.ok("ss -Hlnutp 'src 127.0.0.53' | grep -c systemd-resolve")).toBe('2');
      await machine.ok('systemctl stop systemd-resolved');
      await answering();
    } finally {
      await machine.ok('systemctl stop dnskeeper.socket; systemctl restart dnskeeper');
    }
    await answering();
  });

  test('systemd-resolved starts and stops 5 times, and libc never asks where nobody answers', async () => {
    // An administrator who uses both has the link to the stub of systemd-resolved, not a file written by hand.
    await machine.ok('dnsctl release && ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf');
    await machine.ok('dnsctl takeover');
    await answering();
    const stub = 'test "$(readlink /etc/resolv.conf)" = ../run/systemd/resolve/stub-resolv.conf';
    const asked = await underLoad(async () => {
      for (let round = 0; round < 5; round++) {
        // systemd refuses a unit that starts more than five times in ten seconds.
        await machine.ok('systemctl reset-failed systemd-resolved; systemctl start systemd-resolved');
        await machine.until(stub, 'the link is handed back', 1000);
        // Both transports: a systemd-resolved that finds one taken goes without its stub for good.
        expect(await machine.ok("ss -Hlnutp 'src 127.0.0.53' | grep -c systemd-resolve")).toBe('2');
        await machine.until('getent -s dns ahostsv4 who.example', 'names resolve through systemd-resolved');
        await machine.ok('systemctl stop systemd-resolved');
        await machine.until(`! ${stub}`, 'the link is taken', 1000);
        await answering();
        expect(await machine.ok('systemctl show -P NFileDescriptorStore dnskeeper')).toBe('4');
      }
      await machine.ok('systemctl reset-failed systemd-resolved');
      await machine.ok('systemctl start systemd-resolved && systemctl restart systemd-resolved');
      await machine.until(stub, 'the link is handed back', 1000);
      await machine.ok('systemctl stop systemd-resolved');
      await answering();
    });
    report('5 times systemd-resolved', asked);
    expect(asked.libc.failures).toEqual([]);
  });

  /** Ask in three ways while something happens. */
  async function underLoad(happens: () => Promise<void>): Promise<Asked> {
    await machine.ok(
      'rm -f /var/tmp/asked.json; ' +
        'systemd-run --quiet --collect --property=KillMode=process --unit=lab-load /var/tmp/node /var/tmp/load.ts /var/tmp/asked.json',
    );
    try {
      await happens();
    } finally {
      await machine.ok('systemctl stop lab-load', { timeoutMs: 60_000 });
    }
    return JSON.parse(await machine.readFile('/var/tmp/asked.json')) as Asked;
  }

  /** The file names the resolver, and it answers. */
  async function answering(): Promise<void> {
    await machine.until(
      'grep -qx "nameserver 127.0.0.53" /etc/resolv.conf',
      'the file names the resolver',
      20_000,
    );
    await machine.until('getent -s dns ahostsv4 who.example', 'names resolve', 20_000);
  }

  function report(what: string, asked: Asked): void {
    const line = (kind: keyof Asked): string => {
      const { asked: count, failed, repeated, longestMs } = asked[kind];
      return `${kind} ${count} asked, ${failed} failed, ${repeated} repeated, longest ${longestMs} ms`;
    };
    process.stdout.write(`${suite}, ${what}: ${line('udp')}; ${line('tcp')}; ${line('libc')}\n`);
  }
});

function expectNoneLost(asked: Asked): void {
  for (const { asked: count, failures } of Object.values(asked)) {
    expect(failures).toEqual([]);
    expect(count).toBeGreaterThan(20);
  }
}
