import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { DnsOptions } from './dns-options.ts';
import { type Program, startAuthority, startForwarder, ZONE } from './dns-programs.ts';
import { dnsperf } from './dnsperf.ts';
import { memoryOf } from './process-facts.ts';

/** What remembering names costs a server. */
export interface Filled {
  readonly name: string;
  /** Resident bytes with one name known. */
  readonly idle: number;
  /** After every name was asked for once. */
  readonly once: number;
  /** After every name was asked for again, so that whoever copies for speed has copied. */
  readonly twice: number;
  /** After half a minute without questions. */
  readonly rested: number;
  /** The part of the names that it still answers when nobody is left to ask; dnsmasq keeps 10,000 at most. */
  readonly known: number;
}

/** As many names as the goal says. */
export const FILLED_NAMES = 100_000;

/** Longer than anybody waits before tidying up. */
const REST_MS = 30_000;

/** So many of them are asked for at the end. */
const SAMPLE = 500;

/** Resident memory before and after the names, one server after the other; none is asked about the others' names. */
export async function memoryFilled(options: DnsOptions): Promise<readonly Filled[]> {
  const filled: Filled[] = [];
  const names = writeNames(options.folder);
  for (const name of options.servers) {
    await using held = new AsyncDisposableStack();
    const authority = await startAuthority(options.folder);
    // Its end is part of the measurement; a second one does nothing.
    held.defer(() => authority.close());
    const server = held.adopt(await startForwarder(name, options.folder, [authority.port]), (one) =>
      one.close(),
    );
    filled.push({ name, ...(await fill(server, authority, names)) });
  }
  return filled;
}

async function fill(server: Program, authority: Program, names: NameFiles): Promise<Omit<Filled, 'name'>> {
  const resident = (): number => memoryOf(server.pid).resident;
  const idle = resident();
  await askFor(server, names.all);
  const once = resident();
  await askFor(server, names.all);
  const twice = resident();
  await pause(REST_MS);
  const rested = resident();
  await authority.close();
  return { idle, once, twice, rested, known: (await askFor(server, names.some)) / SAMPLE };
}

/** Ask for every name once, few at a time, so that even the slowest loses none; how many got an address. */
async function askFor({ port }: Program, names: string): Promise<number> {
  const text = await dnsperf(port, names, ['-q', '20', '-n', '1', '-t', '1']);
  return Number(/NOERROR (\d+)/.exec(text)?.[1] ?? 0);
}

interface NameFiles {
  readonly all: string;
  /** A few from everywhere: to wait for each that nobody knows would take hours. */
  readonly some: string;
}

function writeNames(folder: string): NameFiles {
  const lines = Array.from({ length: FILLED_NAMES }, (_, i) => `host-${i}.some.site.${ZONE} A\n`);
  const files = { all: join(folder, 'names-all'), some: join(folder, 'names-some') };
  writeFileSync(files.all, lines.join(''));
  writeFileSync(files.some, lines.filter((_, i) => i % (FILLED_NAMES / SAMPLE) === 0).join(''));
  return files;
}
