import { defineConfig } from 'vitest/config';
import FailedFirst from './scripts/failed-first.ts';
import { FILES_VARIABLE } from './scripts/run-tests.ts';

/** The files that alone are to run. */
const files = process.env[FILES_VARIABLE]?.split(' ');

export default defineConfig({
  test: {
    reporters: [new FailedFirst(), 'default'],
    projects: [
      {
        test: {
          name: 'unit',
          include: files ?? ['test/**/*.test.ts'],
          exclude: ['test/lab/**'],
          // For a machine that is far slower than those this is written on.
          testTimeout: 90_000,
          hookTimeout: 90_000,
        },
      },
      {
        test: {
          name: 'lab',
          include: files ?? ['test/lab/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 600_000,
          fileParallelism: false,
          sequence: { concurrent: false },
        },
      },
    ],
  },
});
