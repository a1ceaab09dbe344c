/**
 * `unshare --net node test/lab/differential-run.ts [--seed N] [--count N] [--keep]`: ask dnskeeper and unbound the same
 * random questions before the same authoritative server, and print as JSON where they differ. Has to have a network
 * namespace of its own. With --keep the servers stay until it is ended, for looking at a failure with kdig.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { until } from '../support/until.ts';
import { Asker } from './differential-asker.ts';
import { differences, PERMITTED, type Reading, readAnswer } from './differential-compare.ts';
import { kdigCommand, type RandomQuery, randomQueries } from './differential-queries.ts';
import { AUTHORITY, writeAuthority, ZONES } from './differential-zones.ts';
import { PATIENCE_MS } from './patience.ts';
import { end, hold, succeed } from './processes.ts';

const OURS = 5303;
const UNBOUND = 5302;

/** So many questions are under way at once. */
const AT_ONCE = 32;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '10000' },
    keep: { type: 'boolean', default: false },
  },
});
const links = [...readFileSync('/proc/self/net/dev', 'utf8').matchAll(/^ *([^\s:]+):/gm)].map(
  ([, name]) => name,
);
if (links.length > 1)
  throw new Error(`wanted a network namespace of its own, got one with ${links.join(', ')}`);
await using held = new AsyncDisposableStack();
const folder = mkdtempSync(join(tmpdir(), 'dnskeeper-differential-'));
held.defer(() => rmSync(folder, { recursive: true }));
await succeed('ip', ['link', 'set', 'lo', 'up']);
await startServers();
const report = await compareAll(randomQueries(Number(values.seed), Number(values.count)));
process.stdout.write(`${JSON.stringify(report)}\n`);
if (values.keep) await new Promise((resolve) => setTimeout(resolve, 2 ** 31 - 1));

async function startServers(): Promise<void> {
  const start = (name: string, command: string, words: readonly string[]): void => {
    const child = hold(command, words, join(folder, `${name}.log`));
    held.defer(() => end(child));
  };
  start('knot', 'knotd', ['-c', writeAuthority(folder)]);
  const authority = held.use(await Asker.open(AUTHORITY.port));
  for (const zone of ZONES)
    await until(
      async () => await authority.isServed(zone, zone !== 'c.example'),
      `${zone} is served`,
      PATIENCE_MS,
    );
  writeFileSync(join(folder, 'unbound.conf'), unboundText());
  start('unbound', 'unbound', ['-d', '-p', '-c', join(folder, 'unbound.conf')]);
  const root = join(folder, 'root');
  mkdirSync(join(root, 'etc/dnskeeper'), { recursive: true });
  writeFileSync(join(root, 'etc/dnskeeper/config.toml'), daemonText());
  const main = join(import.meta.dirname, '../../src/main.ts');
  start('dnskeeper', process.execPath, [main, '--root', root]);
  for (const port of [UNBOUND, OURS]) {
    const asker = held.use(await Asker.open(port));
    await until(() => asker.isServed('a.example', false), `somebody answers at ${port}`, PATIENCE_MS);
  }
}

/** What is printed. */
export interface Report {
  readonly seed: number;
  readonly compared: number;
  readonly permitted: Readonly<Record<string, number>>;
  readonly truncated: number;
  /** The longest that anybody waited for us and for unbound, in milliseconds. */
  readonly longest: { readonly ours: number; readonly unbound: number };
  readonly codes: Readonly<Record<string, number>>;
  readonly failures: readonly {
    readonly round: number;
    readonly kdig: string;
    readonly peer: string;
    readonly what: readonly string[];
  }[];
}

/** Two rounds: the second finds caches that know. */
async function compareAll(queries: readonly RandomQuery[]): Promise<Report> {
  const [ours, theirs] = [held.use(await Asker.open(OURS)), held.use(await Asker.open(UNBOUND))];
  const permitted: Record<string, number> = {};
  const codes: Record<string, number> = {};
  const failures: Report['failures'][number][] = [];
  const longest = { ours: 0, unbound: 0 };
  let truncated = 0;
  let compared = 0;
  for (const round of [1, 2])
    await eachOf(queries, async (query) => {
      const pair = await askBoth(ours, theirs, query);
      compared++;
      longest.ours = Math.max(longest.ours, pair.tookMs.ours);
      longest.unbound = Math.max(longest.unbound, pair.tookMs.unbound);
      codes[pair.ours.rcode] = (codes[pair.ours.rcode] ?? 0) + 1;
      let found = judge(query, pair, permitted);
      if (pair.ours.truncated || pair.theirs.truncated) {
        truncated++;
        const whole = { ...query, transport: 'tcp' } as const;
        found = [...found, ...judge(whole, await askBoth(ours, theirs, whole), permitted)];
      }
      if (found.length > 0)
        failures.push({
          round,
          kdig: kdigCommand(query, OURS),
          peer: kdigCommand(query, UNBOUND),
          what: found,
        });
    });
  return { seed: Number(values.seed), compared, permitted, truncated, longest, codes, failures };
}

interface Pair {
  readonly ours: Reading;
  readonly theirs: Reading;
  readonly tookMs: { readonly ours: number; readonly unbound: number };
}

async function askBoth(ours: Asker, theirs: Asker, query: RandomQuery): Promise<Pair> {
  const ask = async (asker: Asker) => {
    const start = performance.now();
    const { id, wire } = await asker.ask(query.wire, query.transport);
    return { reading: readAnswer(query, id, wire), tookMs: performance.now() - start };
  };
  const [first, second] = await Promise.all([ask(ours), ask(theirs)]);
  const tookMs = { ours: first.tookMs, unbound: second.tookMs };
  return { ours: first.reading, theirs: second.reading, tookMs };
}

function judge(
  query: RandomQuery,
  { ours, theirs }: Pair,
  counts: Record<string, number>,
): readonly string[] {
  const found = differences(ours, theirs);
  if (found.length === 0) return ours.faults;
  const rule = PERMITTED.find(({ applies }) => applies(query, ours, theirs));
  if (rule === undefined) return [...ours.faults, ...found];
  counts[rule.name] = (counts[rule.name] ?? 0) + 1;
  return ours.faults;
}

async function eachOf<T>(list: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = list.values();
  const worker = async (): Promise<void> => {
    for (const item of left) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

function unboundText(): string {
  return `server:
  interface: 127.0.0.1@${UNBOUND}
  num-threads: 1
  do-daemonize: no
  chroot: ""
  username: ""
  directory: "${folder}"
  use-syslog: no
  module-config: "iterator"
  do-not-query-localhost: no
  minimal-responses: no
  rrset-roundrobin: no
  max-udp-size: 4096
  harden-below-nxdomain: no
  incoming-num-tcp: 100
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: ${AUTHORITY.host}@${AUTHORITY.port}
`;
}

function daemonText(): string {
  return `[resolver]
listen = ["dns+udp://127.0.0.1:${OURS}"]
[dns]
servers = ["dns+udp://${AUTHORITY.host}:${AUTHORITY.port}"]
[networkmanager]
enabled = false
[log]
level = "warn"
`;
}
