import { defineConfig } from 'vitest/config';
import FailedFirst from './scripts/failed-first.ts';

/** The files of the lab that are to run once more, by the environment variable that `scripts/lab.ts` sets. */
const again = process.env['LAB_FILES']?.split(' ');

export default defineConfig({
  test: {
    reporters: [new FailedFirst(), 'default'],
    projects: [
      {
        test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: ['test/lab/**'], testTimeout: 20_000 },
      },
      {
        test: {
          name: 'lab',
          include: again ?? ['test/lab/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 600_000,
          fileParallelism: false,
          sequence: { concurrent: false },
        },
      },
    ],
  },
});
