import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RESULTS_VARIABLE } from './failed-first.ts';
import { failureLines, failuresOf, judge, type Results } from './test-results.ts';

/** The project's folder. */
export const root = join(import.meta.dirname, '..');

/** Whether this is a run of CI, where what is missing is a failure. */
export const ci = process.env['CI'] === 'true';

/** The files that alone are to run, by the name of an environment variable that `vitest.config.ts` reads. */
export const FILES_VARIABLE = 'TEST_FILES';

/** More files than that are no accident, and would take too long. */
const MOST_FILES_AGAIN = 8;

/** What is to run, and what happens around it. */
export interface TestRun {
  /** As `vitest.config.ts` names it. */
  readonly project: 'unit' | 'lab';
  /** Further arguments of vitest. */
  readonly arguments: readonly string[];
  /** Run files with a failure once more. */
  readonly again: boolean;
  /** Clear up after each run. */
  readonly after?: () => Promise<void>;
}

/**
 * Run the tests of one project; gives the exit code. With `again` files with a failure run once more: what holds then has
 * passed, and is named as unsteady. The last line is what counts.
 */
export async function runTests(wanted: TestRun): Promise<number> {
  const { project } = wanted;
  const first = await runOnce(wanted);
  const files = wanted.again ? worthRepeating(project, first) : [];
  if (files.length > 0)
    console.log(`${project}: once more, because something failed there: ${files.join(' ')}`);
  return conclude(project, first, files.length > 0 ? await runOnce(wanted, files) : undefined);
}

/** One run of vitest; one that tells no results, or another end than them, is a failure of its own. */
async function runOnce(wanted: TestRun, files?: readonly string[]): Promise<Results> {
  const folder = mkdtempSync(join(tmpdir(), `dk-${process.pid}-results-`));
  const path = join(folder, 'results.json');
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const ended = spawnSync(
    process.execPath,
    [vitest, 'run', '--project', wanted.project, ...wanted.arguments],
    {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: {
        ...process.env,
        [RESULTS_VARIABLE]: path,
        ...(files === undefined ? {} : { [FILES_VARIABLE]: files.join(' ') }),
      },
    },
  );
  await wanted.after?.();
  const results = readResults(path);
  rmSync(folder, { recursive: true, force: true });
  const told = results !== undefined && (ended.status === 0 || failuresOf(results).length > 0);
  if (told) return results;
  const message = `it ended with ${ended.signal ?? ended.status}, and no test tells why`;
  const { tests, outside } = results ?? { tests: [], outside: [] };
  return { tests, outside: [...outside, { file: '', name: 'vitest', message }] };
}

function readResults(path: string): Results | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Results;
  } catch {
    return undefined;
  }
}

function worthRepeating(project: string, first: Results): readonly string[] {
  const files = [...new Set(failuresOf(first).map(({ file }) => file))].filter((file) => file !== '');
  if (files.length <= MOST_FILES_AGAIN) return files;
  console.log(
    `${project}: something failed in ${files.length} files, which is no accident: none of them runs again`,
  );
  return [];
}

/** Say what counts; gives the exit code. */
function conclude(project: string, first: Results, again: Results | undefined): number {
  const { passed, skipped, failed, unsteady } = judge(first, again);
  for (const line of failureLines(unsteady, 'unsteady:')) console.log(line);
  for (const line of again === undefined ? [] : failureLines(failed)) console.log(line);
  console.log(`${project}: ${passed} passed, ${failed.length} failed, ${skipped} skipped`);
  return failed.length === 0 ? 0 : 1;
}
