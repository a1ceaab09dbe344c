import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../support/until.ts';
import type { Machine } from './machine.ts';
import { end, hold } from './processes.ts';

/** What became of one question. */
export interface Asked {
  readonly name: string;
  /** When it was asked, in milliseconds since the epoch. */
  readonly at: number;
  readonly tookMs: number;
  /** Absent when no answer came within five seconds. */
  readonly rcode?: number;
  /** What the resolver says about a failure. */
  readonly reason?: string;
  readonly addresses: readonly string[];
}

/** Somebody in the machine who asks all the time. */
export interface Questioner extends AsyncDisposable {
  /** Wait until so many questions that are asked from now on have come to their end. */
  more(count: number): Promise<void>;
  /** End it and give everything; what was under way is left out. */
  stop(): Promise<readonly Asked[]>;
}

/** Ask for the addresses of names again and again; `{fresh}` in one stands for a label never asked before. */
export async function startQuestioner(
  machine: Machine,
  options: { readonly server?: string; readonly intervalMs: number; readonly names: readonly string[] },
): Promise<Questioner> {
  const { server = '127.0.0.53', intervalMs, names } = options;
  const folder = await mkdtemp(join(tmpdir(), `dk-${process.pid}-questioner-`));
  const log = join(folder, 'answers');
  const program = join(import.meta.dirname, 'questioner-program.ts');
  const words = [process.execPath, program, server, String(intervalMs), ...names];
  const asking = hold('nsenter', ['-t', String(machine.pid), '-n', '--', ...words], log);
  const answers = (): readonly Asked[] => {
    const text = readFileSync(log, 'utf8');
    const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
    return lines.slice(0, -1).map((line) => JSON.parse(line) as Asked);
  };
  const more: Questioner['more'] = async (count) => {
    const from = Date.now();
    const since = (): number => answers().filter(({ at }) => at >= from).length;
    await until(() => since() >= count, `${count} more answers came`, 60_000);
  };
  await more(1);
  return {
    more,
    async stop() {
      await end(asking);
      return answers();
    },
    async [Symbol.asyncDispose]() {
      await end(asking);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** How the questions went, in one line for the report of a run. */
export function summaryOf(answers: readonly Asked[]): string {
  const times = answers.map(({ tookMs }) => tookMs).toSorted((a, b) => a - b);
  const failed = answers.filter(({ rcode }) => rcode === undefined || rcode === 2).length;
  const at = (part: number): number => times[Math.floor((times.length - 1) * part)] ?? Number.NaN;
  return `${answers.length} questions, ${failed} failed, median ${at(0.5)} ms, 99 % ${at(0.99)} ms, longest ${at(1)} ms`;
}
