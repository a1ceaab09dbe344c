/** `npm run documents`: write man pages, completions and the example configuration; with --check only compare. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { documents } from './documents/documents.ts';

const top = join(import.meta.dirname, '..');
const check = process.argv.includes('--check');

for (const { path, text } of documents()) {
  const file = join(top, path);
  if (check && textOf(file) !== text) {
    console.error(`${path} is not what its table makes of it; run: npm run documents`);
    process.exitCode = 1;
  }
  if (check) continue;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
