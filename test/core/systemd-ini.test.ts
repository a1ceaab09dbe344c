import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readSystemdIni, systemdBoolean, systemdSeconds, systemdWords } from '../../src/core/systemd-ini.ts';

const values = (text: string) =>
  readSystemdIni(text).assignments.map(({ section, key, value, line }) => [section, key, value, line]);

describe("a file in systemd's dialect", () => {
  it.each([
    ['sections and assignments', '[Resolve]\nDNS=1.1.1.1\n', [['Resolve', 'DNS', '1.1.1.1', 2]]],
    ['spaces around everything', '  [A]  \n\t key \t=  a  b \n', [['A', 'key', 'a  b', 2]]],
    [
      'comments of both kinds',
      '# x=1\n; y=2\n[A]\n  # z=3\nk=v # no comment',
      [['A', 'k', 'v # no comment', 5]],
    ],
    [
      'a line that goes on',
      '[A]\nk=a\\\nb\nl=c',
      [
        ['A', 'k', 'a b', 2],
        ['A', 'l', 'c', 4],
      ],
    ],
    ['a comment within a line that goes on', '[A]\nk=a\\\n# hm\nb', [['A', 'k', 'a b', 2]]],
    [
      'two backslashes, which end nothing',
      '[A]\nk=a\\\\\nl=b',
      [
        ['A', 'k', 'a\\\\', 2],
        ['A', 'l', 'b', 3],
      ],
    ],
    ['a last line that goes on into nothing', '[A]\nk=a\\', [['A', 'k', 'a', 2]]],
    ['an empty value', '[A]\nk=', [['A', 'k', '', 2]]],
    ['the first = parts key and value', '[A]\nk=a=b', [['A', 'k', 'a=b', 2]]],
    ['a byte order mark and line ends of other systems', '\ufeff[A]\r\nk=v\r\n', [['A', 'k', 'v', 2]]],
  ])('takes %s', (_, text, wanted) => {
    expect(values(text)).toEqual(wanted);
  });

  it.each([
    ['k=v', 1, 'an assignment outside of any'],
    ['[A]\nnonsense', 2, 'no ='],
    ['[A]\n=v', 2, 'none'],
    ['[A\nk=v', 1, 'one that does not'],
    ['[A]\nk=\ufffd', 2, 'other bytes'],
  ])('says of %j that line %i has %s, and goes on', (text, line, got) => {
    const { bad, assignments } = readSystemdIni(`${text}\n[B]\nlast=1`);
    expect(bad[0]).toMatchObject({ line, got });
    expect(assignments.at(-1)).toMatchObject({ section: 'B', key: 'last', value: '1' });
  });

  // Looked for from each of them anew, the end of such a line was found after a minute.
  it('looks at every backslash of a line once, however many there are', () => {
    const value = `${'\\'.repeat(1_000_000)}x`;
    expect(values(`[A]\nk=${value}`)).toEqual([['A', 'k', value, 2]]);
  });

  it('never throws and tells each line at most once', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const { assignments, bad } = readSystemdIni(text);
        const lines = [...assignments, ...bad].map(({ line }) => line);
        expect(new Set(lines).size).toBe(lines.length);
      }),
    );
  });
});

it.each([
  ['a  b', ['a', 'b']],
  ['"a b" c', ['a b', 'c']],
  ["'~x'", ['~x']],
  ['a\\ b', ['a b']],
  ['', []],
])('the words of %j are %j', (text, words) => {
  expect(systemdWords(text)).toEqual(words);
});

it.each([
  ['yes', true],
  ['On', true],
  ['1', true],
  ['f', false],
  ['0', false],
  ['maybe', undefined],
  ['', undefined],
])('%j as a truth value is %j', (text, value) => {
  expect(systemdBoolean(text)).toBe(value);
});

it.each([
  ['0', 0],
  ['90', 90],
  ['1h 30min', 5400],
  ['2days', 172_800],
  ['1.5d', 129_600],
  ['500ms', 0.5],
  ['1M', 2_629_800],
  ['infinity', Number.POSITIVE_INFINITY],
  ['5 parsecs', undefined],
  ['-1', undefined],
  ['', undefined],
])('%j as a time span is %j seconds', (text, seconds) => {
  expect(systemdSeconds(text)).toBe(seconds);
});
