import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { Reporter, TestCase, TestModule, TestSuite, Vitest } from 'vitest/node';
import {
  type Failure,
  failureLines,
  failuresOf,
  type Outcome,
  type Results,
  slowLines,
} from './test-results.ts';

/** Where the results are to be written as JSON, by the name of an environment variable. */
export const RESULTS_VARIABLE = 'TEST_RESULTS';

/** Names, before anybody else tells details, all that failed and what took long; stands first among the reporters. */
export default class FailedFirst implements Reporter {
  #root = process.cwd();

  onInit(vitest: Vitest): void {
    this.#root = vitest.config.root;
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const results = resultsOf(this.#root, modules, errors as readonly ThrownError[]);
    const failed = failureLines(failuresOf(results));
    const slow = slowLines(results);
    if (failed.length > 0) process.stdout.write(`\n${failed.join('\n')}\n`);
    if (slow.length > 0) process.stdout.write(`\nover 30 s:\n${slow.join('\n')}\n`);
    const path = process.env[RESULTS_VARIABLE];
    if (path !== undefined) writeFileSync(path, JSON.stringify(results));
  }
}

/** What vitest keeps of an error. */
interface ThrownError {
  readonly message?: string;
  readonly stacks?: readonly { readonly file: string; readonly line: number }[];
  /** The file that ran when something failed that nobody waited for. */
  readonly VITEST_TEST_PATH?: string;
}

function resultsOf(root: string, modules: readonly TestModule[], errors: readonly ThrownError[]): Results {
  const failure = (file: string, name: string, error: ThrownError | undefined): Failure => {
    const frames = (error?.stacks ?? []).map((frame) => ({
      file: relative(root, frame.file),
      line: frame.line,
    }));
    const place = frames.find((frame) => frame.file === file) ?? frames[0];
    return { file, name, message: error?.message ?? 'it failed without a word', ...(place ? { place } : {}) };
  };
  const outcome = (file: string, test: TestCase): Outcome => {
    const result = test.result();
    // A test that never came to an end is none that may be missing from the report.
    const state = result.state === 'pending' ? 'failed' : result.state;
    const error = result.errors?.[0] ?? { message: 'it did not come to an end' };
    const ms = test.diagnostic()?.duration ?? 0;
    const base = { file, name: test.fullName, state, ms };
    return state === 'failed' ? { ...base, failure: failure(file, test.fullName, error) } : base;
  };
  const around = (file: string, suite: TestModule | TestSuite): readonly Failure[] =>
    suite.errors().map((error) => failure(file, suite.type === 'suite' ? suite.fullName : '', error));
  const unawaited = (error: ThrownError): Failure => {
    const path = error.VITEST_TEST_PATH;
    return failure(path === undefined ? '' : relative(root, path), 'outside every test', error);
  };
  const outside = modules.flatMap((module) => {
    const file = relative(root, module.moduleId);
    const unfinished = ['queued', 'pending'].includes(module.state());
    return [
      ...(unfinished ? [failure(file, '', { message: 'the file did not come to an end' })] : []),
      ...around(file, module),
      ...[...module.children.allSuites()].flatMap((suite) => around(file, suite)),
    ];
  });
  return {
    tests: modules.flatMap((module) =>
      [...module.children.allTests()].map((test) => outcome(relative(root, module.moduleId), test)),
    ),
    outside: [...outside, ...errors.map(unawaited)],
  };
}
