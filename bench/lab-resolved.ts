import { join } from 'node:path';
import { type Suite, suites } from '../test/lab/debian.ts';
import { withoutAutomaticProfiles } from '../test/lab/dnskeeper.ts';
import { bootMachine, type Machine } from '../test/lab/machine.ts';
import { addLinkBehindRouter } from '../test/lab/name-server.ts';
import { addNetwork } from '../test/lab/network.ts';
import { installPackage } from '../test/lab/package.ts';
import { succeed } from '../test/lab/processes.ts';
import { type Loaded, NAMES_PER_SECOND, namesFile } from './dns-load.ts';
import type { DnsOptions, DnsResult } from './dns-options.ts';
import { aheadOfOthers, authorityCommand, besideMeasured, CORE, ZONE } from './dns-programs.ts';
import { resolvedRows } from './dns-rows.ts';
import { counted, type Load } from './dnsperf.ts';
import { noLab, pidOf } from './lab.ts';
import type { Row } from './measurement.ts';
import { memoryOf } from './process-facts.ts';

/**
 * The resolver beside systemd-resolved, both in one Debian of the lab, as they are installed: systemd-resolved on its own
 * address and ours on another one, so that both run and take turns. dnsperf is a program of this machine that is let into the
 * network of the other; the authoritative server stands behind a router.
 */
export async function besideResolved(options: DnsOptions): Promise<DnsResult> {
  const reason = await noLab();
  if (reason !== undefined) {
    const what = 'beside systemd-resolved';
    return { rows: [{ what, must: '', measured: `skipped: ${reason}`, peer: '', ratio: '' }], charts: [] };
  }
  const rows: Row[] = [];
  for (const suite of suites) rows.push(...(await besideResolvedOn(suite, options)));
  return { rows, charts: [] };
}

async function besideResolvedOn(suite: Suite, options: DnsOptions): Promise<readonly Row[]> {
  await using held = new AsyncDisposableStack();
  const machine = await bootMachine({ suite, name: 'bench-resolved' });
  held.defer(() => machine.destroy());
  await withoutAutomaticProfiles(machine);
  await installPackage(machine);
  const network = await addNetwork(machine, { link: 'eth-a', ipv4: { prefix: '10.20.0' } });
  held.defer(() => network.close());
  await addLinkBehindRouter(network);
  await network.run('ip', 'address', 'replace', `${AUTHORITY}/32`, 'dev', 'behind');
  const folder = join(options.folder, `knot-${suite}`);
  const [command = '', ...words] = besideMeasured(
    authorityCommand(folder, `${AUTHORITY}@53`, { [ZONE]: '192.0.2.1' }),
  );
  network.hold(command, words, join(options.folder, `knot-${suite}.log`));
  const peers = await startBoth(machine);
  const cached = await inTurns(peers, options, {
    async prepare(peer) {
      const names = namesFile(options, 'cached', 1000);
      for (let times = 0; times < 2; times++) await load(machine, peer, names, ['-q', '50', '-n', '1']);
      await load(machine, peer, names, ['-q', '200', '-l', '1'], aheadOfOthers);
    },
    round: (peer) =>
      load(
        machine,
        peer,
        namesFile(options, 'cached', 1000),
        ['-q', '200', '-l', String(options.seconds)],
        aheadOfOthers,
      ),
  });
  const misses = await inTurns(peers, options, {
    prepare: (peer) => load(machine, peer, namesFile(options, 'warm', 30_000), ['-q', '100', '-n', '1']),
    round: (peer, round) =>
      load(machine, peer, namesFile(options, `round${round}`, NAMES_PER_SECOND * options.seconds), [
        ...['-q', '100', '-n', '1', '-l', String(options.seconds)],
      ]),
  });
  const version = suite === 'bookworm' ? 'Debian 12 (systemd 252)' : 'Debian 13 (systemd 257)';
  return resolvedRows(version, cached, misses);
}

const AUTHORITY = '10.53.0.1';

/** One of the two, by its process here and its address in the machine. */
interface Peer {
  readonly name: string;
  readonly pid: number;
  readonly host: string;
  readonly port: number;
}

/** Both follow NetworkManager, and each has the first core while it is measured. */
async function startBoth(machine: Machine): Promise<readonly Peer[]> {
  await machine.writeFile(
    '/etc/dnskeeper/conf.d/bench.toml',
    '[resolver]\nlisten = ["dns+udp://127.0.0.1:5300"]\n[log]\nlevel = "warn"\n',
  );
  await machine.ok('dnsctl reload');
  await machine.ok(
    'nmcli connection add type ethernet con-name bench ifname eth-a ipv6.method disabled ' +
      `ipv4.ignore-auto-dns yes ipv4.dns ${AUTHORITY} && nmcli connection up bench`,
  );
  const places = [
    { name: 'dnskeeper', host: '127.0.0.1', port: 5300 },
    { name: 'systemd-resolved', host: '127.0.0.53', port: 53 },
  ];
  const peers: Peer[] = [];
  for (const { name, host, port } of places) {
    const ready = `dig +short +time=1 +tries=1 -p ${port} @${host} ready.${ZONE} | grep -q 192.0.2.1`;
    await machine.until(ready, `${name} answers`, 15_000);
    const pid = await pidOf(machine, name);
    await succeed('taskset', ['-acp', CORE.measured, String(pid)]);
    peers.push({ name, host, port, pid });
  }
  return peers;
}

function load(
  machine: Machine,
  peer: Peer,
  names: string,
  how: readonly string[],
  place = besideMeasured,
): Promise<Load> {
  // systemd-resolved loses some, and dnsperf would wait five seconds for each at the end of a round.
  const dnsperf = ['dnsperf', '-d', names, '-s', peer.host, '-p', String(peer.port), '-t', '1', ...how];
  const words = ['-t', String(machine.pid), '-n', '--', ...place(dnsperf)];
  return counted(peer, () => succeed('nsenter', words, 120_000));
}

async function inTurns(
  peers: readonly Peer[],
  options: DnsOptions,
  what: {
    readonly prepare: (peer: Peer) => Promise<unknown>;
    readonly round: (peer: Peer, round: number) => Promise<Load>;
  },
): Promise<readonly Loaded[]> {
  for (const peer of peers) await what.prepare(peer);
  const rounds = peers.map((): Load[] => []);
  for (let round = 0; round < options.rounds; round++)
    for (const [index, peer] of peers.entries()) rounds[index]?.push(await what.round(peer, round));
  return peers.map(({ name, pid }, index) => ({
    name,
    rounds: rounds[index] ?? [],
    resident: memoryOf(pid).resident,
  }));
}
