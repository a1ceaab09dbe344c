import { describe, expect, test } from 'vitest';
import packageFile from '../../package.json' with { type: 'json' };
import { DNSCTL, DNSKEEPERD } from '../../src/control/command-table.ts';
import { VERSION } from '../../src/core/version.ts';
import { parseCommandLine } from '../../src/system/command-line.ts';

describe('dnsctl', () => {
  test.each([
    ['no argument means status', [], 'status', {}, {}],
    ['an option alone belongs to status', ['--json', '-w'], 'status', {}, { json: '', watch: '' }],
    [
      'program options may follow the command',
      ['explain', 'a.b', '--root', '/x'],
      'explain',
      { NAME: 'a.b' },
      { root: '/x' },
    ],
    ['program options may precede the command', ['--root', '/x', 'reload'], 'reload', {}, { root: '/x' }],
    ['and so may its own', ['--json', 'history'], 'history', {}, { json: '' }],
    [
      'both before it',
      ['--root', '/x', '--json', 'explain', 'a.b'],
      'explain',
      { NAME: 'a.b' },
      { root: '/x', json: '' },
    ],
    ['an option with its value in one word', ['--root=/x', 'reload'], 'reload', {}, { root: '/x' }],
    ['a switch that begins with no-', ['doctor', '--no-probe'], 'doctor', {}, { 'no-probe': '' }],
    ['a switch that begins with no- is absent unless given', ['doctor'], 'doctor', {}, {}],
    ['a count', ['history', '-n', '3'], 'history', {}, { lines: '3' }],
  ])('%s', (_what, argv, command, args, options) => {
    expect(parseCommandLine(DNSCTL, argv)).toEqual({ kind: 'run', command, arguments: args, options });
  });

  test.each([
    ['a misspelt command', ['stats'], "did you mean 'status'?"],
    ['an unknown command', ['frobnicate'], "no command 'frobnicate'"],
    ['a misspelt command behind options', ['--user', '--root', '/x', 'statu'], "did you mean 'status'?"],
    ['a command with control bytes', ['\u001b[31m'], "no command '?[31m'"],
    ['a missing argument', ['explain'], "missing required argument 'NAME'"],
    ['too many arguments', ['reload', 'x'], 'too many arguments'],
    ['an unknown option', ['status', '--jsn'], 'Did you mean --json?'],
    ['an option without its value', ['--root'], 'argument missing'],
    ['a count that is no number', ['history', '-n', '0'], 'whole number from 1'],
  ])('%s is refused with a hint', (_what, argv, hint) => {
    const outcome = parseCommandLine(DNSCTL, argv);
    expect(outcome.kind).toBe('wrong');
    expect(outcome).toHaveProperty('text', expect.stringContaining(hint));
    expect(outcome).toHaveProperty('text', expect.stringMatching(/\nTry: dnsctl( [a-z-]+)? --help\n$/));
  });

  test.each([
    [['explain'], 'Try: dnsctl explain --help\n'],
    [['--root', '/x', 'history', '-n', 'x'], 'Try: dnsctl history --help\n'],
    [['--jsn'], 'Try: dnsctl --help\n'],
    [['frobnicate'], 'Try: dnsctl --help\n'],
  ])('%j is sent to the help that lists what was wanted', (argv, where) => {
    expect(parseCommandLine(DNSCTL, argv)).toHaveProperty('text', expect.stringContaining(where));
  });

  test('help names every command and every exit code', () => {
    const help = parseCommandLine(DNSCTL, ['--help']);
    for (const { name } of DNSCTL.commands ?? [])
      expect(help).toHaveProperty('text', expect.stringContaining(name));
    for (const { text } of DNSCTL.exits) expect(help).toHaveProperty('text', expect.stringContaining(text));
  });

  test('every command has help of its own', () => {
    for (const { name, options = [] } of DNSCTL.commands ?? []) {
      const help = parseCommandLine(DNSCTL, [name, '--help']);
      expect(help.kind).toBe('print');
      for (const option of options) expect(help).toHaveProperty('text', expect.stringContaining(option.name));
    }
  });
});

describe('dnskeeperd', () => {
  test('takes every option of its table', () => {
    for (const { name, value, choices, needs } of DNSKEEPERD.options) {
      const text = value === undefined ? [] : [choices?.[0] ?? 'x'];
      const outcome = parseCommandLine(DNSKEEPERD, [
        name,
        ...text,
        ...(needs === undefined ? [] : [needs, 'y']),
      ]);
      expect(outcome).toMatchObject({
        kind: 'run',
        command: '',
        options: { [name.slice(2)]: text[0] ?? '' },
      });
    }
  });

  test.each([
    ['--paced without --replay', ['--paced'], "'--paced' is only for use with '--replay'"],
    [
      'a log level that does not exist',
      ['--log-level', 'loud'],
      'Allowed choices are error, warn, info, debug',
    ],
    ['an argument', ['now'], 'too many arguments'],
  ])('refuses %s', (_what, argv, hint) => {
    const outcome = parseCommandLine(DNSKEEPERD, argv);
    expect(outcome.kind).toBe('wrong');
    expect(outcome).toHaveProperty('text', expect.stringContaining(hint));
  });

  test('says its version, which is that of the package', () => {
    expect(parseCommandLine(DNSKEEPERD, ['--version'])).toEqual({
      kind: 'print',
      text: `dnskeeperd ${VERSION}\n`,
    });
    expect(VERSION).toBe(packageFile.version);
  });
});
