import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import type { RecordSet } from '../../src/core/record.ts';
import { listRecords, listVariables } from '../../src/core/record-listing.ts';
import { DEFAULT_RULES, readRules } from '../../src/core/record-rules.ts';
import { storedRecord as record } from '../support/stored-record.ts';

const SET: RecordSet = {
  records: [
    record('eth0.dhclient', '# from a lease\n\ndomain HOME.example.\nnameserver 192.0.2.1\n'),
    record('eth1', 'nameserver 192.0.2.9\nsearch home.example b.example', { metric: 5 }),
    record('lo.unbound', 'nameserver 127.0.0.1\n'),
    record('tun0', 'search corp.example\nnameserver 10.8.0.1\n', { private: true }),
  ],
  deprecated: [],
};

const EXCLUSIVE: RecordSet = {
  ...SET,
  records: [
    ...SET.records,
    record('wg0', 'nameserver 10.0.0.1\n', { exclusive: 9, private: true, nosearch: true }),
  ],
};

describe('keys', () => {
  test.each<['i' | 'Li' | 'p' | 'pp' | 'x', readonly string[], RecordSet, string]>([
    ['i', [], SET, 'eth0.dhclient eth1 lo.unbound tun0\n'],
    ['Li', [], SET, 'lo.unbound tun0 eth0.dhclient eth1\n'],
    ['i', ['eth*'], SET, 'eth0.dhclient eth1\n'],
    ['i', ['tun0', 'eth1'], SET, 'tun0 eth1\n'],
    ['p', [], SET, 'tun0\n'],
    ['pp', [], SET, ''],
    ['pp', [], EXCLUSIVE, 'wg0\n'],
    ['x', [], SET, ''],
    ['x', [], EXCLUSIVE, 'wg0\n'],
    ['Li', [], EXCLUSIVE, 'wg0\n'],
    ['i', [], EXCLUSIVE, 'eth0.dhclient eth1 lo.unbound tun0 wg0\n'],
  ])('-%s %j', (how, patterns, set, text) => {
    expect(listRecords(how, patterns, false, set, DEFAULT_RULES)).toEqual({ text, complaint: '', exit: 0 });
  });

  test('that are not there are named, unless that is no error', () => {
    const missing = { text: 'eth1\n', complaint: 'No resolv.conf for key nosuch\n', exit: 2 };
    expect(listRecords('i', ['eth1', 'nosuch'], false, SET, DEFAULT_RULES)).toEqual(missing);
    expect(listRecords('i', ['nosuch'], true, SET, DEFAULT_RULES)).toEqual({
      text: '',
      complaint: '',
      exit: 0,
    });
  });
});

describe('records', () => {
  test('-l shows them as they came, without blank lines', () => {
    expect(listRecords('l', ['eth0.*'], false, SET, DEFAULT_RULES).text).toBe(
      '# resolv.conf from eth0.dhclient\n# from a lease\ndomain HOME.example.\nnameserver 192.0.2.1\n\n',
    );
  });

  test('-L shows them as they count', () => {
    const { rules } = readRules('replace=nameserver/192.0.2.1/192.0.2.7');
    expect(listRecords('L', ['eth0.*'], false, SET, rules).text).toBe(
      '# resolv.conf from eth0.dhclient\ndomain home.example\nnameserver 192.0.2.7\n\n',
    );
  });
});

describe('variables', () => {
  test.each<[string, readonly string[], RecordSet, string, readonly string[]]>([
    [
      'of all',
      [],
      SET,
      '',
      [
        "DOMAIN='home.example'",
        "SEARCH='corp.example home.example b.example'",
        "NAMESERVERS='192.0.2.1 192.0.2.9'",
        "LOCALNAMESERVERS='127.0.0.1'",
        "DOMAINS='corp.example:10.8.0.1 home.example:192.0.2.1,192.0.2.9 b.example:192.0.2.9'",
      ],
    ],
    [
      'of one key',
      ['eth1'],
      EXCLUSIVE,
      '',
      [
        "DOMAIN=''",
        "SEARCH='home.example b.example'",
        "NAMESERVERS='192.0.2.9'",
        "LOCALNAMESERVERS=''",
        "DOMAINS='home.example:192.0.2.9 b.example:192.0.2.9'",
      ],
    ],
    [
      'with rules',
      ['eth1'],
      SET,
      'name_servers=192.0.2.100\nsearch_domains_append=z.example\ndomain_blacklist=b.*\nlocal_nameservers="192.0.2.9"',
      [
        "DOMAIN=''",
        "SEARCH='home.example z.example'",
        "NAMESERVERS='192.0.2.100'",
        "LOCALNAMESERVERS='192.0.2.9'",
        "DOMAINS=''",
      ],
    ],
  ])('%s', (_, patterns, set, rules, lines) => {
    expect(listVariables(patterns, set, readRules(rules).rules)).toBe(`${lines.join('\n')}\n`);
  });

  test('hold nothing that a shell would execute', () => {
    const hostile = record(
      'eth0',
      "nameserver 192.0.2.1'; echo attacked; '\nnameserver `echo attacked`\nnameserver fe80::1%$(echo)\nsearch a'b $(echo) c.example\ndomain \"x\"",
    );
    const text = listVariables([], { records: [hostile], deprecated: [] }, DEFAULT_RULES);
    expect(
      execFileSync('sh', ['-c', `${text}\necho "$NAMESERVERS|$SEARCH|$DOMAIN"`], { encoding: 'utf8' }),
    ).toBe('|c.example|\n');
  });
});
