import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { documents } from '../../scripts/documents/documents.ts';
import { DNSCTL } from '../../src/control/command-table.ts';
import { CONTROL_DESCRIPTION } from '../../src/control/description.ts';
import { CONFIG_KEYS } from '../../src/core/config-keys.ts';
import { RESOLVED_CONF_KEYS } from '../../src/core/resolved-conf.ts';
import { bareEnvironment } from '../support/bare-environment.ts';
import { readDescription } from '../support/varlink-idl.ts';

const top = join(import.meta.dirname, '../..');
const made = documents();
const bash = made.filter(({ path }) => path.endsWith('.bash'));
const pages = made.filter(({ path }) => path.startsWith('docs/man/'));
/** A program that is not there says so by an error; the tests that need one are then left out by name. */
const has = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;

describe('made documents', () => {
  test.each(made)('$path is what its table makes of it', ({ path, text }) => {
    expect(readFileSync(join(top, path), 'utf8')).toBe(text);
  });

  test('every key of the configuration is in the example and in the man page', () => {
    const example = made.find(({ path }) => path === 'examples/dnskeeper.toml')?.text ?? '';
    const page = made.find(({ path }) => path.endsWith('dnskeeper.toml.5'))?.text ?? '';
    for (const { key, default: value } of CONFIG_KEYS) {
      expect(example).toContain(`\n#${key.split('.')[1]} = ${value}\n`);
      expect(page).toContain(`\\fB${key.replaceAll('-', '\\-')}\\fR`);
    }
  });

  test('every key of resolved.conf(5) that is obeyed is in the man page, and no other', () => {
    const page = made.find(({ path }) => path.endsWith('dnskeeper.toml.5'))?.text ?? '';
    const listed = [...page.matchAll(/^\\fB([A-Za-z]+)=\\fR$/gm)].map(([, key]) => key);
    expect(listed.toSorted()).toEqual(RESOLVED_CONF_KEYS.toSorted());
  });
});

describe('completions', () => {
  test.each(bash)('$path is bash', ({ text }) => {
    expect(spawnSync('bash', ['-n'], { input: text, encoding: 'utf8', env: bareEnvironment })).toMatchObject({
      status: 0,
      stderr: '',
    });
  });

  test.each([
    ['dnsctl', ['dnsctl', 'hi'], ['history']],
    ['dnsctl', ['dnsctl', 'history', '--l'], ['--lines']],
    ['dnsctl', ['dnsctl', '--root', '/tmp', 'doctor', '--no'], ['--no-probe']],
    ['dnsctl', ['dnsctl', 'profile', 'us'], ['use']],
    ['dnsctl', ['dnsctl', 'try', `${top}/examples/dnskeeper.t`], [`${top}/examples/dnskeeper.toml`]],
    ['dnsctl', ['dnsctl', 'try', '--k'], ['--keep']],
    ['dnsctl', ['dnsctl', '--root', `${top}/exampl`], [`${top}/examples`]],
    ['dnskeeperd', ['dnskeeperd', '--log-level', 'w'], ['warn']],
    ['dnskeeperd', ['dnskeeperd', '--re'], ['--record', '--replay']],
  ])('bash completes %s %j', async (program, words, wanted) => {
    const script = bash.find(({ path }) => path.endsWith(`/${program}.bash`))?.text ?? '';
    const quoted = words.map((word) => `'${word}'`).join(' ');
    const { stdout } = await promisify(execFile)('bash', [
      '-c',
      `${script}\nCOMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _${program}; printf '%s\\n' "\${COMPREPLY[@]}"`,
    ]);
    expect(stdout.trim().split('\n')).toEqual(wanted);
  });

  test('the file of dnsctl try, and what dnsctl profile takes, are completed by each shell', () => {
    const textOf = (path: string): string => made.find((each) => each.path.endsWith(path))?.text ?? '';
    const zsh = textOf('/_dnsctl');
    expect(zsh).toMatch(/'1::A file such as [^\n]*:_files'/);
    expect(zsh).toContain(":(list show use auto)'");
    expect(zsh).not.toMatch(/The name of a profile[^\n]*_hosts/);
    const fish = textOf('/dnsctl.fish');
    expect(fish).toContain("complete -c dnsctl -n '__fish_seen_subcommand_from try' -F\n");
    expect(fish).toContain(
      "complete -c dnsctl -n '__fish_seen_subcommand_from profile' -a 'list show use auto'\n",
    );
  });

  // zsh and fish are not on every machine that builds; where they are, they judge their own syntax.
  test.skipIf(!has('zsh'))('zsh parses its completions (needs zsh)', () => {
    for (const { path, text } of made.filter((each) => /\/_[a-z]+$/.test(each.path))) {
      expect([path, spawnSync('zsh', ['-n'], { input: text, encoding: 'utf8' }).stderr]).toEqual([path, '']);
    }
  });

  test.skipIf(!has('fish'))('fish parses its completions (needs fish)', () => {
    for (const { path } of made.filter((each) => each.path.endsWith('.fish'))) {
      const run = spawnSync('fish', ['--no-execute', join(top, path)], { encoding: 'utf8' });
      expect([path, run.stderr, run.status]).toEqual([path, '', 0]);
    }
  });
});

describe('man pages', () => {
  test.each(pages)('$path has no line that roff would take for an unknown request', ({ text }) => {
    const known = /^\.(TH|SH|PP|TP|IP|RS|RE|nh|ad l|\\")/;
    expect(text.split('\n').filter((line) => /^['.]/.test(line) && !known.test(line))).toEqual([]);
  });

  test.skipIf(!has('groff'))('groff finds nothing to warn of (needs groff)', () => {
    for (const { path, text } of pages) {
      const run = spawnSync('groff', ['-man', '-ww', '-z', '-Tutf8'], { input: text, encoding: 'utf8' });
      expect([path, run.stderr, run.status]).toEqual([path, '', 0]);
    }
  });
});

describe('docs/status.md', () => {
  const description = readDescription(CONTROL_DESCRIPTION);
  const sections = new Map(
    readFileSync(join(top, 'docs/status.md'), 'utf8')
      .split(/^## /m)
      .slice(1)
      .map((section) => [
        section.split('\n', 1)[0] ?? '',
        [...section.matchAll(/^\| `([^`]+)`/gm)].map((match) => match[1]),
      ]),
  );

  test('has a section for every type that the control socket sends', () => {
    expect([...sections.keys()].sort()).toEqual([...description.types].sort());
  });

  test.each(description.types.map((type) => [type]))(
    'lists the fields of %s, no more and no fewer',
    (type) => {
      expect([...(sections.get(type) ?? [])].sort()).toEqual(description.fields(type).sort());
    },
  );
});

describe('docs/control.md', () => {
  const rows = [
    ...readFileSync(join(top, 'docs/control.md'), 'utf8').matchAll(
      /^\| `([A-Za-z]+)` \| [^|]+ \| ([^|]+) \|/gm,
    ),
  ];

  test('lists every method of the control socket', () => {
    const methods = readDescription(CONTROL_DESCRIPTION).methods;
    expect(rows.map(([, method]) => method).sort()).toEqual([...methods].sort());
  });

  test('names commands that there are', () => {
    const commands = rows.flatMap(([, , text = '']) =>
      [...text.matchAll(/`dnsctl ([a-z-]+)`/g)].map(([, name]) => name),
    );
    expect(commands.length).toBeGreaterThanOrEqual(rows.length);
    const known = DNSCTL.commands?.map(({ name }) => name);
    expect(commands.filter((name) => !known?.includes(name ?? ''))).toEqual([]);
  });
});
