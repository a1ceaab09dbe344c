import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Row } from './measurement.ts';

/** When, on what and of which state of the source a table was made. */
export function describeMachine(): string {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as {
    version: string;
  };
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  const day = new Date().toISOString().slice(0, 10);
  return `${day}, ${availableParallelism()}-core VM, dnskeeper ${version} (${commit}), Node ${process.versions.node}.`;
}

/** Rows as a table in Markdown. */
export function table(all: readonly Row[]): string {
  const head = ['what', 'must reach', 'measured', 'peer, in the same run', 'ours / peer', 'reached'];
  const reached = (row: Row): string => (row.reached === undefined ? '' : row.reached ? 'yes' : '**no**');
  const lines = all.map((row) => [row.what, row.must, row.measured, row.peer, row.ratio, reached(row)]);
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
