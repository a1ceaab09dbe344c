/**
 * The last part of `npm test`: the tests that need nothing but this folder. Arguments go to vitest.
 *
 * In CI, and with `--again`, files with a failure run once more, as those of the lab do.
 */
import { ci, runTests } from './run-tests.ts';

const arguments_ = process.argv.slice(2);
process.exitCode = await runTests({
  project: 'unit',
  arguments: arguments_.filter((argument) => argument !== '--again'),
  again: ci || arguments_.includes('--again'),
});
