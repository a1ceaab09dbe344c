import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { expectServers, statusOf, withoutAutomaticProfiles, withoutResolved } from './dnskeeper.ts';
import type { Attacked } from './hostile-program.ts';
import { prepareLoad, underLoad } from './loaded.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage } from './package.ts';
import { PATIENCE_MS } from './patience.ts';

const WAVES = 3;

/** An ordinary user who attacks the interfaces of systemd-resolved that dnskeeper stands in with, while the machine is used. */
describe.each(['trixie'] as const)('an attack on the stand-in on %s', (suite) => {
  let machine: Machine;
  let network: Network;

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `standin-hostile-${suite}` });
    await withoutAutomaticProfiles(machine);
    await withoutResolved(machine);
    await installPackage(machine);
    await prepareLoad(machine);
    await machine.copyIn(join(import.meta.dirname, 'hostile-program.ts'), '/var/tmp/lab/hostile-program.ts');
    await machine.copyIn(join(import.meta.dirname, '../support/raw-bus.ts'), '/var/tmp/support/raw-bus.ts');
    await machine.ok('mkdir -m 0777 /var/tmp/results');
    network = await addNetwork(machine, {
      link: 'eth-a',
      ipv4: { prefix: '10.20.0', dns: ['10.20.0.1', '10.20.0.2'] },
    });
    await machine.ok(
      'nmcli connection add type ethernet con-name home ifname eth-a ipv4.ignore-auto-dns yes ' +
        `ipv4.dns ${SERVERS[0]} && nmcli connection up home`,
    );
    await expectServers(machine, ['10.20.0.1']);
  });

  afterAll(async () => {
    await network?.close();
    await machine?.destroy();
  });

  test('costs nobody a name and NetworkManager no change, changes nothing itself and leaves nothing behind', async () => {
    const pid = await hostPid(machine);
    const before = held(pid);
    const ifindex = await machine.ok('cat /sys/class/net/eth-a/ifindex');
    const attack =
      `systemd-run --quiet --collect --unit=lab-attack --uid=65534 --property=KillMode=process ` +
      `/var/tmp/node /var/tmp/lab/hostile-program.ts /var/tmp/results/attacked.json ${ifindex}`;
    let during = before;
    const asked = await underLoad(
      machine,
      { servers: '127.0.0.53', ways: ['udp', 'tcp', 'nss', 'bus'] },
      async (load) => {
        await machine.ok(attack);
        for (let round = 0; waves(machine) < WAVES || round < 4; round++) {
          await useServer(machine, SERVERS[(round + 1) % 2]);
          during = most(during, held(pid));
          await load.more();
        }
        await machine.ok('systemctl stop lab-attack');
      },
    );
    const attacked = attackedIn(machine);
    process.stdout.write(`${suite}: attacked ${JSON.stringify(attacked)}; asked ${JSON.stringify(asked)}\n`);
    for (const [way, { failures }] of Object.entries(asked)) expect(failures, way).toEqual([]);
    expect(attacked.hungUp).toBeGreaterThan(0);
    const errors = Object.keys(attacked.errors);
    expect(errors).toEqual(expect.arrayContaining(REFUSALS));
    expect(errors.filter((name) => NO_RIGHT.test(name))).not.toEqual([]);
    expect(await hostPid(machine)).toBe(pid);
    await until(
      () => held(pid).descriptors <= before.descriptors + 64,
      'the descriptors are closed',
      PATIENCE_MS,
    );
    // What was taken is given back when it has been quiet for two seconds; 22,000 connections that each left 5 KiB would
    // be more than is allowed here.
    await until(
      () => held(pid).residentMiB <= before.residentMiB + 96,
      'the memory is given back',
      PATIENCE_MS,
    );
    const after = held(pid);
    process.stdout.write(
      `${suite}: held before ${text(before)}, at most ${text(during)}, after ${text(after)}\n`,
    );
    const { status } = await statusOf(machine);
    expect(status.plan.links.filter(({ origin }) => origin.source === 'pushed-links')).toEqual([]);
    expect(await machine.ok('resolvectl query who.example')).toContain('10.20.0.');
    const refusals = await machine.ok(
      'journalctl --unit=dnskeeper --output=cat | grep -c "control socket" || true',
    );
    expect(Number(refusals)).toBeLessThan(500);
  });
});

const SERVERS = ['10.20.0.1', '10.20.0.2'];

/** Have NetworkManager say another server, and wait until it is in force. */
async function useServer(machine: Machine, server = ''): Promise<void> {
  await machine.ok(`nmcli device modify eth-a ipv4.dns ${server}`);
  await expectServers(machine, [server]);
}

/** What callers are told, one for each check before the one of rights. */
const REFUSALS = [
  'org.freedesktop.DBus.Error.InvalidArgs',
  'org.freedesktop.DBus.Error.UnknownMethod',
  'org.freedesktop.DBus.Error.UnknownObject',
  'org.freedesktop.DBus.Error.PropertyReadOnly',
  'System.Error.E2BIG',
];

/** Polkit would have asked for a password, or says no. */
const NO_RIGHT = /InteractiveAuthorizationRequired|AccessDenied/;

function attackedIn(machine: Machine): Attacked {
  try {
    return JSON.parse(readFileSync(machine.hostPath('/var/tmp/results/attacked.json'), 'utf8')) as Attacked;
  } catch {
    return { waves: 0, connections: 0, hungUp: 0, errors: {} }; // before the first wave is over
  }
}

const waves = (machine: Machine): number => attackedIn(machine).waves;

/** The host's number of the daemon, whose folder in /proc can be read without an entry into the machine. */
async function hostPid(machine: Machine): Promise<number> {
  const inside = await machine.ok('systemctl show -P MainPID dnskeeper');
  const found = readdirSync('/proc').find((name) => /^\d+$/.test(name) && isThat(name));
  if (found === undefined) throw new Error('dnskeeper does not run');
  return Number(found);

  /** NSpid lists the numbers of a process from the outermost namespace to its own. */
  function isThat(pid: string): boolean {
    try {
      if (readlinkSync(`/proc/${pid}/ns/pid`) !== readlinkSync(`/proc/${machine.pid}/ns/pid`)) return false;
      return /^NSpid:.*\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] === inside;
    } catch {
      return false; // it has just ended
    }
  }
}

interface Held {
  readonly descriptors: number;
  readonly residentMiB: number;
}

function held(pid: number): Held {
  const resident = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    residentMiB: Math.round(Number(resident) / 1024),
  };
}

const most = (a: Held, b: Held): Held => ({
  descriptors: Math.max(a.descriptors, b.descriptors),
  residentMiB: Math.max(a.residentMiB, b.residentMiB),
});

const text = ({ descriptors, residentMiB }: Held): string => `${descriptors} descriptors, ${residentMiB} MiB`;
