import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DnsOptions } from './dns-options.ts';
import { aheadOfOthers, type Program, startAll, ZONE } from './dns-programs.ts';
import { type Load, load } from './dnsperf.ts';
import { median } from './measurement.ts';
import { memoryOf } from './process-facts.ts';

/** What one server did in all rounds. */
export interface Loaded {
  readonly name: string;
  readonly rounds: readonly Load[];
  /** Resident at the end, in bytes. */
  readonly resident: number;
}

/** Cached answers: 1,000 names that all servers have asked for before, 200 questions outstanding. */
export const cachedLoad = (options: DnsOptions): Promise<readonly Loaded[]> =>
  inTurns(options, {
    async prepare(server) {
      const names = namesFile(options, 'cached', 1000);
      // dnsmasq refuses more than 150 questions that it has to forward.
      for (let times = 0; times < 3; times++) await load(server, names, ['-q', '50', '-n', '1']);
      await load(server, names, ['-q', '200', '-l', '1'], aheadOfOthers);
    },
    round: (server) =>
      load(
        server,
        namesFile(options, 'cached', 1000),
        ['-q', '200', '-l', String(options.seconds)],
        aheadOfOthers,
      ),
  });

/** Misses: names that the server never heard of, 100 questions outstanding. */
export const missLoad = (options: DnsOptions): Promise<readonly Loaded[]> =>
  inTurns(options, {
    prepare: (server) => load(server, namesFile(options, 'warm', 30_000), ['-q', '100', '-n', '1']),
    round: (server, round) =>
      load(server, namesFile(options, `round${round}`, NAMES_PER_SECOND * options.seconds), [
        ...['-q', '100', '-n', '1', '-l', String(options.seconds)],
      ]),
  });

/** More than any server answers, so that the time and not the list of names ends a round. */
export const NAMES_PER_SECOND = 60_000;

/** The ratio of ours to a peer's, compared within each round; below 1 is less than the peer. */
export function ratioTo(ours: Loaded, peer: Loaded, of: (load: Load) => number): number {
  return median(ours.rounds.map((own, round) => of(own) / of(peer.rounds[round] ?? own)));
}

/** Start all servers before one authority, and let them take turns in changing order. */
async function inTurns(
  options: DnsOptions,
  what: {
    readonly prepare: (server: Program) => Promise<unknown>;
    readonly round: (server: Program, round: number) => Promise<Load>;
  },
): Promise<readonly Loaded[]> {
  await using held = new AsyncDisposableStack();
  const { servers } = await startAll(options.servers, options.folder, held);
  for (const server of servers) await what.prepare(server);
  const rounds = servers.map((): Load[] => []);
  for (let round = 0; round < options.rounds; round++)
    for (let turn = 0; turn < servers.length; turn++) {
      const index = (turn + round) % servers.length;
      const server = servers[index];
      if (server !== undefined) rounds[index]?.push(await what.round(server, round));
    }
  return servers.map(({ name, pid }, index) => ({
    name,
    rounds: rounds[index] ?? [],
    resident: memoryOf(pid).resident,
  }));
}

/** A file of new names for dnsperf: the same for every server, so that it is written once. */
export function namesFile({ folder }: Pick<DnsOptions, 'folder'>, label: string, count: number): string {
  const path = join(folder, `names-${label}-${count}`);
  if (!written.has(path)) {
    const lines = Array.from({ length: count }, (_, i) => `${label}-${i}.${ZONE} A\n`);
    writeFileSync(path, lines.join(''));
    written.add(path);
  }
  return path;
}

const written = new Set<string>();
