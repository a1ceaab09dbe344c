import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { workedExample } from '../../scripts/readme-example.ts';

const ROOT = join(import.meta.dirname, '../..');
const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  version: string;
  scripts: Record<string, string>;
};

describe('README', () => {
  it('shows in its worked example what the programs really print', async () => {
    const shown = /## A worked example[\s\S]*?```console\n([\s\S]*?)```/.exec(readme)?.[1];
    expect(shown).toBe(await workedExample());
  });

  it.each([...readme.matchAll(/npm (?:run )?([a-z][a-z-]*)/g)].map((match) => match[1] ?? ''))(
    'names an npm command that is there: %s',
    (name) => {
      expect(['ci', ...Object.keys(manifest.scripts)]).toContain(name);
    },
  );

  it.each([...readme.matchAll(/\]\(([^)#]+)\)/g)].map((match) => match[1] ?? ''))(
    'links to a file that is there: %s',
    (path) => {
      expect(existsSync(join(ROOT, path))).toBe(true);
    },
  );

  it('names the version that is built', () => {
    expect(readme).toContain(`dnskeeper_${manifest.version}_`);
  });
});

it('ARCHITECTURE.md has at most 60 lines', () => {
  expect(
    readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8').trimEnd().split('\n').length,
  ).toBeLessThanOrEqual(60);
});
