import type { HookResult } from '../core/hook-call.ts';
import type { Log } from '../system/log.ts';

/** Runs the programs of other people after a change. */
export interface Hooks {
  /** Something changed: run them with this on standard input. While they run, only the latest change waits. */
  changed(stdin: string, cause: string): void;
  /** Why the last run was not all well, one sentence for the status. */
  readonly problem: string | undefined;
  close(): Promise<void>;
}

/** What it works with. */
export interface HooksNeeds {
  /** Run all programs; never rejects. */
  readonly run: (stdin: string, cause: string, signal: AbortSignal) => Promise<readonly HookResult[]>;
  /** Where they are, for messages. */
  readonly folder: string;
  readonly log: Log;
}

/** Hooks over a folder. A slow program delays other programs, never a change of ours. */
export function hooks({ run, folder, log }: HooksNeeds): Hooks {
  const stop = new AbortController();
  let waiting: { readonly stdin: string; readonly cause: string } | undefined;
  let running: Promise<void> | undefined;
  let problem: string | undefined;

  async function runAll(): Promise<void> {
    while (waiting !== undefined && !stop.signal.aborted) {
      const { stdin, cause } = waiting;
      waiting = undefined;
      const results = await run(stdin, cause, stop.signal);
      const bad = results.filter((result) => result.problem !== undefined);
      for (const { name, problem: why } of bad) log.warn({ hook: name }, `A hook failed: ${why}`);
      if (results.length > 0) log.debug({ hooks: results.length, cause }, 'Hooks were run.');
      const [first] = bad;
      problem =
        first === undefined ? undefined : `The hook ${folder}/${first.name} failed: ${first.problem}.`;
    }
  }

  return {
    changed(stdin, cause) {
      if (stop.signal.aborted) return;
      waiting = { stdin, cause };
      running ??= runAll().finally(() => {
        running = undefined;
      });
    },
    get problem() {
      return problem;
    },
    async close() {
      stop.abort();
      await running;
    },
  };
}
