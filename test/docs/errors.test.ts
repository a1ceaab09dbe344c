import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const source = readFileSync(join(ROOT, 'src/core/errors.ts'), 'utf8');
const codes = [...source.matchAll(/^ {2}\| '([A-Z_]+)'/gm)].map((match) => match[1]);

it('docs/errors.md lists exactly the codes there are', () => {
  const text = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8');
  expect([...text.matchAll(/^\| `([A-Z_]+)` \|/gm)].map((match) => match[1])).toEqual(codes);
});

it.each(codes)('%s is raised somewhere', (code) => {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  const users = files.filter(
    (name) =>
      name !== 'core/errors.ts' && readFileSync(join(ROOT, 'src', name), 'utf8').includes(`'${code}'`),
  );
  expect(users).not.toEqual([]);
});
