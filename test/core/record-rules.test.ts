import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { matchesPattern } from '../../src/core/glob.ts';
import { matchesKey } from '../../src/core/record-pattern.ts';
import { DEFAULT_RULES, type ResolvconfRules, readRules } from '../../src/core/record-rules.ts';

test.each<[string, string, Partial<ResolvconfRules>]>([
  ['a bare word', 'resolvconf=NO', { enabled: false }],
  ['a list in double quotes', 'deny_keys="eth1 wlan*"', { deny: ['eth1', 'wlan*'] }],
  ['a list in single quotes', "allow_keys='eth0'", { allow: ['eth0'] }],
  ['an older spelling', 'deny_interfaces=eth1', { deny: ['eth1'] }],
  [
    'a list over lines',
    'key_order="lo\n  eth0\n"\nprivate_keys=wg0',
    { order: ['lo', 'eth0'], private: ['wg0'] },
  ],
  ['a comment behind it', 'private_keys="*" # never the root', { private: ['*'] }],
  ['nothing', 'name_server_blacklist=', { serverBlacklist: [] }],
  ['the last of two', 'deny_keys=a\ndeny_keys=b', { deny: ['b'] }],
  [
    'blanks before it, and a semicolon',
    '  resolv_conf_options="edns0 rotate";',
    { options: ['edns0', 'rotate'] },
  ],
  ['the file that we write anyway', 'resolv_conf=/etc/resolv.conf', {}],
  ['a subscriber that is not wanted', 'unbound=NO\npdns_recursor=no', {}],
  [
    'servers before and after all others',
    'name_servers=192.0.2.1\nappend_nameservers=192.0.2.9\nsearch_domains="a.example"',
    {
      first: { servers: ['192.0.2.1'], searches: ['a.example'] },
      last: { servers: ['192.0.2.9'], searches: [] },
    },
  ],
  [
    'a replacement',
    'replace="nameserver/192.0.2.1/192.0.2.2 search/*/"',
    {
      replace: [
        { keyword: 'nameserver', pattern: '192.0.2.1', text: '192.0.2.2' },
        { keyword: 'search', pattern: '*', text: '' },
      ],
    },
  ],
])('%s is understood', (_, text, wanted) => {
  expect(readRules(text)).toEqual({ rules: { ...DEFAULT_RULES, ...wanted }, problems: [] });
});

test.each([
  ['a command', 'touch /tmp/x', 'shell'],
  ['a substitution', 'name_servers=$(cat /etc/passwd)', 'shell'],
  ['a substitution in quotes', 'name_servers="`id`"', 'shell'],
  ['a variable', 'name_servers="$name_servers 192.0.2.1"', 'shell'],
  ['a second command on the line', 'deny_keys=eth1; reboot', 'shell'],
  ['a quote that never ends', 'deny_keys="eth1', 'shell'],
  ['an exported one', 'export deny_keys=eth1', 'shell'],
  ['an escape', 'deny_keys=eth\\1', 'shell'],
  ["a subscriber's file", 'unbound_conf=/etc/unbound/x.conf', 'subscriber'],
  ['a subscriber that is wanted', 'systemd_resolved=YES', 'subscriber'],
  ['what libc shall not get', 'libc=NO', 'setting'],
  ['another file to write', 'resolv_conf=/tmp/resolv.conf', 'setting'],
])('%s is not: nothing is executed, and it is told', (_, text, kind) => {
  const { rules, problems } = readRules(`# first\n${text}\n`);
  expect(rules).toEqual(DEFAULT_RULES);
  expect(problems).toMatchObject([{ line: 2, kind }]);
});

test('what is binary or endless is told in few words', () => {
  const { rules, problems } = readRules(`\u0000\u001b[2J${'x\n'.repeat(100_000)}`);
  expect(rules).toEqual(DEFAULT_RULES);
  expect(problems).toHaveLength(16);
  expect(problems[0]?.got).toBe('??[2Jx');
});

describe('patterns', () => {
  const rows: readonly (readonly [string, string])[] = [
    ['eth0', 'eth0'],
    ['eth0', 'eth00'],
    ['eth*', 'eth0.dhcp'],
    ['eth*', 'et'],
    ['*', ''],
    ['?', 'a'],
    ['?', ''],
    ['wg[0-9]*', 'wg0'],
    ['wg[0-9]*', 'wg10x'],
    ['wg[0-9]*', 'wgx'],
    ['[!a]b', 'ab'],
    ['[!a]b', 'cb'],
    ['[]]', ']'],
    ['[a-c-]', '-'],
    ['[', '['],
    ['a[', 'a['],
    ['a\\*', 'a*'],
    ['a\\*', 'ab'],
    ['*.inet', 'eth0.inet'],
    ['a*b*c', 'axxbyyc'],
    ['a*b*c', 'axxbyy'],
    ['127.*', '127.0.0.1'],
    ['127.*', '1270.0.1'],
    ['lo[0-9]*', 'lo'],
  ];

  test('mean what they mean to the shell', () => {
    const script = 'while [ $# -gt 0 ]; do case $2 in $1) echo true;; *) echo false;; esac; shift 2; done';
    const said = execFileSync('sh', ['-c', script, 'sh', ...rows.flat()], { encoding: 'utf8' });
    expect(rows.map(([pattern, text]) => matchesPattern(pattern, text))).toEqual(
      said
        .trim()
        .split('\n')
        .map((word) => word === 'true'),
    );
  });

  test('of keys stand for what follows a dot or a colon too', () => {
    expect(['eth0', 'eth0.dhcp', 'eth0:1', 'eth01'].map((key) => matchesKey('eth0', key))).toEqual([
      true,
      true,
      true,
      false,
    ]);
  });

  test('that are made to be slow are not', () => {
    expect(matchesPattern('*a'.repeat(100), 'a'.repeat(5000))).toBe(true);
    expect(matchesPattern(`${'*a'.repeat(100)}b`, 'a'.repeat(5000))).toBe(false);
  });
});
