import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const SRC = join(ROOT, 'src');

interface Import {
  readonly file: string;
  readonly target: string;
  readonly typeOnly: boolean;
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) =>
  /(?<!\.d)\.ts$/.test(name),
);
const imports = files.flatMap(importsOf);

/** Rows of the import table in ARCHITECTURE.md: module, and what it may import. */
const table = new Map(
  [...readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8').matchAll(/^\| `([^`]+)` \| ([^|]+) \|$/gm)].map(
    (row) => [row[1] ?? '', [...(row[2] ?? '').matchAll(/`([^`]+)`/g)].map((word) => word[1] ?? '')],
  ),
);

describe('the import table of ARCHITECTURE.md', () => {
  it('names every module', () => {
    expect([...table.keys()].sort()).toEqual([...new Set(files.map(moduleOf))].sort());
  });

  it.each(files)('src/%s keeps to it', (file) => {
    const allowed = table.get(moduleOf(file)) ?? [];
    const wrong = imports
      .filter((entry) => entry.file === file && !isAllowed(entry, allowed))
      .map((entry) => entry.target);
    expect(wrong).toEqual([]);
  });
});

describe('packages', () => {
  const declared = Object.keys(
    (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { dependencies: object }).dependencies,
  );

  it.each(declared)('%s has exactly one importing file', (name) => {
    const users = imports.filter(({ target }) => target === name || target.startsWith(`${name}/`));
    expect([...new Set(users.map((entry) => entry.file))]).toHaveLength(1);
  });

  it('nothing else is imported', () => {
    const others = imports.filter(
      ({ target }) => !/^(\.|node:)/.test(target) && !declared.some((name) => target.startsWith(name)),
    );
    expect(others).toEqual([]);
  });
});

it('no imports go round in circles', () => {
  const targets = new Map<string, string[]>();
  for (const { file, target, typeOnly } of imports) {
    if (!target.startsWith('.') || typeOnly) continue;
    targets.set(file, [...(targets.get(file) ?? []), relative(SRC, join(SRC, dirname(file), target))]);
  }
  const finished = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) throw new Error(`a circle: ${[...path, file].join(' -> ')}`);
    if (finished.has(file)) return;
    for (const target of targets.get(file) ?? []) visit(target, [...path, file]);
    finished.add(file);
  };
  for (const file of files) visit(file, []);
});

function importsOf(file: string): Import[] {
  const text = readFileSync(join(SRC, file), 'utf8');
  const fixed = [...text.matchAll(/^(?:import|export) (type )?(?:[^'";]*? from )?'([^']+)';/gm)];
  const lazy = [...text.matchAll(/\b(?:import|createRequire\([^)]*\)|require)\('([^']+)'\)/g)];
  return [
    ...fixed.map((match) => ({ file, target: match[2] ?? '', typeOnly: match[1] !== undefined })),
    ...lazy.map((match) => ({ file, target: match[1] ?? '', typeOnly: false })),
  ];
}

function moduleOf(file: string): string {
  return file.includes('/') ? (file.split('/')[0] ?? '') : file;
}

function isAllowed({ file, target, typeOnly }: Import, allowed: readonly string[]): boolean {
  if (target.startsWith('node:')) return allowed.includes('node');
  if (!target.startsWith('.')) return allowed.includes('its package');
  const module = moduleOf(relative(SRC, join(SRC, dirname(file), target)));
  return (
    module === moduleOf(file) ||
    allowed.includes(module) ||
    (typeOnly && allowed.includes(`types of ${module}`))
  );
}
