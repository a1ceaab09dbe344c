import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseResolvConf } from '../support/parse-resolv-conf.ts';
import { suites } from './debian.ts';
import { statusOf, watchFile, withoutResolved } from './dnskeeper.ts';
import {
  type Asked,
  expectNoneLost,
  inWords,
  type Load,
  prepareLoad,
  underLoad,
  type Way,
} from './loaded.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage } from './package.ts';

describe.each(suites)('the resolver under load on %s', (suite) => {
  let machine: Machine;
  let network: Network;

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `restart-${suite}` });
    await withoutResolved(machine);
    await machine.writeFile('/etc/dnskeeper/conf.d/lab.toml', '[resolver]\nmode = "stub"\n');
    await installPackage(machine);
    await prepareLoad(machine);
    network = await addNetwork(machine, { link: 'eth-a', ipv4: { prefix: '10.20.0' } });
    await answering();
  });

  afterAll(async () => {
    await network?.close();
    await machine?.destroy();
  });

  test('holds its sockets with systemd: UDP and TCP of both addresses', async () => {
    await keeps(4);
  });

  test('20 restarts lose no name, and the file never sends one past the resolver', async () => {
    const watch = watchFile(machine);
    const asked = await load(async ({ more }) => {
      for (let round = 0; round < 20; round++) {
        await machine.ok('systemctl restart dnskeeper');
        await answering();
        await more();
      }
    });
    report('20 restarts', asked);
    expectNoneLost(asked, 20);
    const listed = (await watch.stop()).map((text) => parseResolvConf(text ?? '').nameservers.join(' '));
    expect(new Set(listed)).toEqual(new Set(['127.0.0.53']));
    await keeps(4);
  });

  test('10 kills lose no name', async () => {
    const asked = await load(async ({ more }) => {
      for (let round = 0; round < 10; round++) {
        const pid = await machine.ok('systemctl show -P MainPID dnskeeper');
        await machine.ok('systemctl kill --signal=KILL dnskeeper');
        await machine.until(
          `p=$(systemctl show -P MainPID dnskeeper); [ $p != 0 ] && [ $p != ${pid} ]`,
          'a new process runs',
        );
        await answering();
        await more();
      }
    });
    report('10 kills', asked);
    expectNoneLost(asked, 10);
    await keeps(4);
  });

  test('an upgrade loses no name', async () => {
    const asked = await load(async () => {
      await installPackage(machine);
      await answering();
    });
    report('an upgrade', asked);
    expectNoneLost(asked, 1);
  });

  test('50 reloads lose no name, nor does a change of the addresses', async () => {
    const asked = await load(async ({ more }) => {
      for (let round = 0; round < 50; round++) {
        await machine.ok('systemctl reload dnskeeper');
        if (round % 10 === 9) await more();
      }
      await answering();
    });
    report('50 reloads', asked);
    expectNoneLost(asked, 5);
    // libc alone: the others ask at the address that goes.
    const moved = await load(
      async ({ more }) => {
        for (const address of ['127.0.0.99', '127.0.0.98', '127.0.0.53']) {
          const listen = address === '127.0.0.53' ? '' : `listen = ["${address}"]\n`;
          await machine.writeFile('/etc/dnskeeper/conf.d/lab.toml', `[resolver]\nmode = "stub"\n${listen}`);
          await machine.until(
            `grep -qx "nameserver ${address}" /etc/resolv.conf`,
            'the file names the new address',
          );
          await more();
        }
        await answering();
      },
      ['libc'],
    );
    report('three changes of the address', moved);
    expectNoneLost(moved, 3);
    await keeps(4);
  });

  test('several threads keep a socket each, and lose no name over restarts either', async () => {
    const config = '/etc/dnskeeper/conf.d/threads.toml';
    await machine.writeFile(config, '[resolver]\nthreads = 3\n');
    try {
      await machine.ok('systemctl restart dnskeeper');
      await answering();
      await keeps(8);
      const asked = await load(async ({ more }) => {
        for (let round = 0; round < 3; round++) {
          await machine.ok('systemctl restart dnskeeper');
          await answering();
          await more();
        }
      });
      report('3 restarts with 3 threads', asked);
      expectNoneLost(asked, 3);
      await keeps(8);
    } finally {
      await machine.ok(`rm ${config} && systemctl restart dnskeeper`);
    }
    await answering();
    await keeps(4);
  });

  test('a stop closes the sockets, and libc never asks where nobody answers', async () => {
    const asked = await load(
      async ({ more }) => {
        for (let round = 0; round < 5; round++) {
          await machine.ok('systemctl stop dnskeeper');
          await keeps(0);
          await machine.until(
            `test -z "$(ss -Hlnut 'src 127.0.0.53 or src 127.0.0.54')"`,
            'nobody listens there',
          );
          expect(await machine.ok('cat /etc/resolv.conf')).toMatch(/^nameserver 10\.20\.0\.1$/m);
          await more();
          await machine.ok('systemctl start dnskeeper');
          await answering();
          await more();
        }
      },
      ['libc'],
    );
    report('5 stops', asked);
    expectNoneLost(asked, 10);
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
          `dig ${how} +short +tries=1 +time=15 @127.0.0.53 first${round}.who.example`,
        );
        expect(answer).toBe('10.20.0.1');
        await machine.until('systemctl is-active dnskeeper', 'the daemon runs');
      }
      await answering();
      await keeps(0); // the unit keeps them
      expect((await statusOf(machine)).status.resolver).toMatchObject({ state: 'bound' });
      await machine.ok('systemctl restart dnskeeper');
      await answering();
      await machine.ok('systemctl start systemd-resolved');
      await machine.until('! systemctl is-active --quiet dnskeeper.socket', 'it gives way');
      await machine.until(
        `test "$(ss -Hlnutp 'src 127.0.0.53' | grep -c systemd-resolve)" = 2`,
        'systemd-resolved listens by UDP and TCP',
      );
      await machine.ok('systemctl stop systemd-resolved');
      await answering();
    } finally {
      await machine.ok('systemctl stop dnskeeper.socket; systemctl restart dnskeeper');
    }
    await answering();
  });

  /** Ask in three ways while something happens. */
  function load(
    happens: (load: Load) => Promise<void>,
    ways: readonly Way[] = ['udp', 'tcp', 'libc'],
  ): Promise<Asked> {
    return underLoad(machine, { servers: '127.0.0.53', ways }, happens);
  }

  /** So many sockets wait with systemd, at once or a moment later: it is told to keep and to close, and nobody waits for it. */
  function keeps(count: number): Promise<void> {
    return machine.until(
      `test "$(systemctl show -P NFileDescriptorStore dnskeeper)" = ${count}`,
      `systemd keeps ${count} sockets`,
    );
  }

  /** The file names the resolver, and it answers. */
  async function answering(): Promise<void> {
    await machine.until('grep -qx "nameserver 127.0.0.53" /etc/resolv.conf', 'the file names the resolver');
    await machine.until('getent -s dns ahostsv4 who.example', 'names resolve');
  }

  function report(what: string, asked: Asked): void {
    process.stdout.write(`${suite}, ${what}: ${inWords(asked)}\n`);
  }
});
