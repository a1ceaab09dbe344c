import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { until } from '../support/until.ts';
import type { Machine } from './machine.ts';

/** The ways in which test/lab/load.ts asks. */
export type Way = 'udp' | 'tcp' | 'libc' | 'nss' | 'bus';

/** What became of the names that were asked for in one way. */
export interface Tally {
  readonly asked: number;
  readonly failed: number;
  /** Attempts that came to nothing and were repeated. */
  readonly repeated: number;
  /** Attempts over UDP or TCP that met an address where nobody listens. */
  readonly refused: number;
  readonly longestMs: number;
  /** When the question was asked that was asked last of those that have ended, in milliseconds since the epoch. */
  readonly lastBegan: number;
  readonly failures: readonly string[];
}

/** What test/lab/load.ts found. */
export type Asked = Readonly<Record<string, Tally>>;

/** Somebody who asks all the while. */
export interface Load {
  /** Wait until a question that is asked from now on has ended in each way, whatever became of it. */
  more(): Promise<void>;
}

/** Whom the load asks, and how. */
export interface LoadOptions {
  /** An address, or the path of a resolv.conf that is read for every attempt. */
  readonly servers: string;
  readonly ways: readonly Way[];
}

/** Put into the machine what `underLoad` runs; on a copy of the runtime, because the package may be replaced. */
export async function prepareLoad(machine: Machine): Promise<void> {
  await machine.ok('cp /usr/lib/dnskeeper/node /var/tmp/node');
  await machine.copyIn(join(import.meta.dirname, 'load.ts'), '/var/tmp/load.ts');
}

/** Ask while something happens. */
export async function underLoad(
  machine: Machine,
  { servers, ways }: LoadOptions,
  happens: (load: Load) => Promise<void>,
): Promise<Asked> {
  const result = '/var/tmp/asked.json';
  const command = `/var/tmp/node /var/tmp/load.ts ${result} ${servers} ${ways.join(' ')}`;
  await machine.ok(
    `rm -f ${result}; systemd-run --quiet --collect --property=KillMode=process --unit=lab-load ${command}`,
  );
  const more = async (): Promise<void> => {
    const from = Date.now();
    const latest = (): number => Math.min(...Object.values(readNow(machine.hostPath(result))).map(lastBegan));
    await until(() => latest() >= from, 'each way of asking has come to an end once more', 60_000);
  };
  try {
    await more();
    await happens({ more });
    await more();
  } finally {
    await machine.ok('systemctl stop lab-load', { timeoutMs: 60_000 });
  }
  return readNow(machine.hostPath(result));
}

/** Every name had an answer in the end, in each of these ways; `asked` is how often at least. */
export function expectNoneLost(asked: Asked, least: number): void {
  expect(Object.keys(asked).length).toBeGreaterThan(0);
  for (const [way, { asked: count, failures }] of Object.entries(asked)) {
    expect(failures, way).toEqual([]);
    expect(count, way).toBeGreaterThanOrEqual(least);
  }
}

/** How it went, in one line. */
export const inWords = (asked: Asked): string =>
  Object.entries(asked)
    .map(
      ([way, { asked: count, failed, repeated, refused, longestMs }]) =>
        `${way} ${count} asked, ${failed} failed, ${repeated} repeated (${refused} refused), longest ${longestMs} ms`,
    )
    .join('; ');

const lastBegan = (tally: Tally): number => tally.lastBegan;

/** Nothing is known before the first word of it. */
function readNow(path: string): Asked {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Asked;
  } catch {
    return {
      nobody: { asked: 0, failed: 0, repeated: 0, refused: 0, longestMs: 0, lastBegan: 0, failures: [] },
    };
  }
}
