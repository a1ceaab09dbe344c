import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { suites } from './debian.ts';
import { ourFile, untilLink, withoutResolved } from './dnskeeper.ts';
import { expectNoneLost, inWords, prepareLoad, underLoad } from './loaded.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { loggedAround, watchOwnership } from './ownership.ts';
import { installPackage } from './package.ts';

const ROUNDS = 20;
const FEW = 5;
const THEIR_LINK = '../run/systemd/resolve/stub-resolv.conf';

/** What can be set on a link and read back; `resolvectl` takes and shows it in these words. */
const SETTINGS = ['dns', 'domain', 'default-route', 'llmnr', 'mdns', 'dnssec', 'dnsovertls', 'nta'];

describe.each(suites)('systemd-resolved comes and goes on %s', (suite) => {
  let machine: Machine;
  let network: Network;

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `hand-over-${suite}` });
    // A link that nobody else sets anything on.
    const unmanaged = '[keyfile]\nunmanaged-devices=interface-name:lab-*\n';
    await machine.writeFile('/etc/NetworkManager/conf.d/unmanaged.conf', unmanaged);
    await withoutResolved(machine);
    // An administrator who uses both has the link to the stub of systemd-resolved, not a file written by hand.
    await machine.ok(`ln -sf ${THEIR_LINK} /etc/resolv.conf`);
    await installPackage(machine);
    await prepareLoad(machine);
    network = await addNetwork(machine, {
      link: 'eth-a',
      ipv4: { prefix: '10.20.0' },
    });
    // A server of that link, though it is reached by the other.
    await network.run('ip', 'address', 'add', '10.20.0.3/24', 'dev', 'uplink');
    await machine.ok('grep -q "^hosts:.*resolve " /etc/nsswitch.conf');
    await machine.ok(
      'ip link add lab-a type veth peer name lab-b && ip link set lab-a up && ip link set lab-b up',
    );
    await standsIn();
  });

  afterAll(async () => {
    await network?.close();
    await machine?.destroy();
  });

  test('twenty times under load: no name is lost, nothing ever has two owners, no line leads nowhere, and what is set goes along', async () => {
    await push(0);
    await using watch = await watchOwnership(machine);
    const ways = ['udp', 'tcp', 'libc', 'nss', 'bus'] as const;
    const asked = await underLoad(machine, { servers: '/etc/resolv.conf', ways }, async (load) => {
      for (let round = 1; round <= ROUNDS; round++) {
        const before = await settings();
        // systemd refuses a unit that starts more than five times in ten seconds.
        await machine.ok('systemctl reset-failed systemd-resolved; systemctl start systemd-resolved');
        await theyStand();
        expect(await settings(), `round ${round}: taken over by systemd-resolved`).toEqual(before);
        await load.more();
        const pushed = await push(round);
        await machine.ok('systemctl stop systemd-resolved');
        await standsIn();
        expect(await settings(), `round ${round}: taken over by dnskeeper`).toEqual(pushed);
        await load.more();
      }
    });
    const { links, shared, dead, empty, looks, owners } = await watch.stop();
    process.stdout.write(
      `${suite}, ${ROUNDS} times systemd-resolved: ${inWords(asked)}; ${looks} looks, dead lines ${dead.length}\n`,
    );
    expectNoneLost(asked, 2 * ROUNDS);
    expect(links, 'each takes /etc/resolv.conf once in a round').toHaveLength(2 * ROUNDS + 1);
    expect(links.filter((link) => link === THEIR_LINK)).toHaveLength(ROUNDS);
    expect(links).not.toContain(undefined);
    expect(shared, 'programs beside each other').toEqual([]);
    expect(dead, `moments with a dead nameserver line; ${await loggedAround(machine, dead)}`).toEqual([]);
    expect(empty).toEqual([]);
    const [ours = '', ...rest] = owners.filter((owner) => owner !== '');
    expect(ours).not.toBe('');
    expect(rest, 'each has the bus name once in a round').toHaveLength(2 * ROUNDS);
    expect(rest.filter((owner) => owner === ours)).toHaveLength(ROUNDS);
    expect(new Set(rest).size, 'a new systemd-resolved each time').toBe(ROUNDS + 1);
  }, 600_000);

  test('the same where a plain file cannot say it all: the line that stays leads to one of the two', async () => {
    await machine.ok('resolvectl dns lab-a 10.20.0.3 && resolvectl domain lab-a "~pushed.example"');
    await machine.until('grep -qx "nameserver 127.0.0.53" /etc/resolv.conf', 'the file lists our resolver');
    await using watch = await watchOwnership(machine);
    // Not TCP: two programs cannot wait for connections at one address.
    const ways = ['udp', 'libc', 'nss'] as const;
    const asked = await underLoad(machine, { servers: '/etc/resolv.conf', ways }, async (load) => {
      for (let round = 1; round <= FEW; round++) {
        await machine.ok('systemctl reset-failed systemd-resolved; systemctl start systemd-resolved');
        await theyStand();
        await load.more();
        await machine.ok('systemctl stop systemd-resolved');
        await standsIn();
        await load.more();
      }
    });
    const { dead, empty, looks } = await watch.stop();
    process.stdout.write(`${suite}, ${FEW} times with split DNS: ${inWords(asked)}; ${looks} looks\n`);
    expectNoneLost(asked, 2 * FEW);
    expect(dead, `moments with a dead nameserver line; ${await loggedAround(machine, dead)}`).toEqual([]);
    expect(empty).toEqual([]);
    await machine.ok('resolvectl revert lab-a');
  }, 600_000);

  test('it is restarted, and started again before it has ended', async () => {
    const asked = await underLoad(
      machine,
      { servers: '/etc/resolv.conf', ways: ['udp', 'libc', 'nss'] },
      async (load) => {
        await push(0);
        await machine.ok('systemctl reset-failed systemd-resolved; systemctl start systemd-resolved');
        await machine.ok('systemctl restart systemd-resolved');
        await theyStand();
        await load.more();
        await machine.ok('systemctl stop systemd-resolved');
        await standsIn();
      },
    );
    expectNoneLost(asked, 1);
  });

  async function push(round: number): Promise<readonly string[]> {
    await machine.ok(
      [
        'resolvectl dns lab-a 10.20.0.3',
        `resolvectl domain lab-a pushed${round}.example`,
        // With `no` its domains would belong to it alone, which a plain file cannot say.
        'resolvectl default-route lab-a yes',
        ...['llmnr lab-a no', 'mdns lab-a no', 'dnssec lab-a no', 'dnsovertls lab-a no'].map(
          (setting) => `resolvectl ${setting}`,
        ),
        `resolvectl nta lab-a lan${round}.example`,
      ].join(' && '),
    );
    return settings();
  }

  async function settings(): Promise<readonly string[]> {
    const all = SETTINGS.map((setting) => `resolvectl --no-pager ${setting} lab-a`);
    return (await machine.ok(all.join('; '))).split('\n');
  }

  /** Everything is systemd-resolved's, and it answers. */
  async function theyStand(): Promise<void> {
    await machine.until(`test "$(readlink /etc/resolv.conf)" = ${THEIR_LINK}`, 'the link is theirs');
    await machine.until(
      "busctl status org.freedesktop.resolve1 | grep -q 'Comm=systemd-resolve'",
      'they have the bus name',
    );
    await machine.until('resolvectl dns lab-a | grep -q 10.20.0.3', 'they know what was set');
    // Both transports: a systemd-resolved that finds one taken goes without its stub for good.
    await machine.until(
      `test "$(ss -Hlnutp 'src 127.0.0.53' | grep -c systemd-resolve)" = 2`,
      'they listen by UDP and TCP',
    );
    await machine.until('getent -s dns ahostsv4 who.example', 'names resolve');
  }

  /** Everything is dnskeeper's, and it answers. */
  async function standsIn(): Promise<void> {
    await untilLink(machine, 'held');
    expect(await machine.ok('readlink /etc/resolv.conf')).toBe(ourFile);
    await machine.until(
      "busctl status org.freedesktop.resolve1 | grep -q 'Comm=dnskeeperd'",
      'dnskeeper has the bus name',
    );
    await machine.until('resolvectl -4 query who.example', 'names resolve over the bus');
    await machine.until(
      'dig +short +tries=1 +time=2 @127.0.0.53 who.example | grep -q 10.20.0.1',
      'it listens',
    );
    await machine.until(
      'test "$(systemctl show -P NFileDescriptorStore dnskeeper)" = 4',
      'its sockets are kept',
    );
  }
});
