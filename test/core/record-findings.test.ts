import { describe, expect, test } from 'vitest';
import { recordFindings } from '../../src/core/record-findings.ts';
import { readRules } from '../../src/core/record-rules.ts';

const NOTHING = { left: [], problems: [], updateScripts: [], keys: [] };

const READ = 'the servers in force are in /run/dnskeeper/upstream.conf, which they can read.';

test('where nothing is wrong nothing is said', () => {
  expect(recordFindings({ ...NOTHING, keys: ['eth0', 'lo.dnsmasq'] })).toEqual([]);
});

describe("what openresolv or Debian's resolvconf would do for other name servers is told", () => {
  test('settings of subscribers in one sentence', () => {
    const { problems } = readRules(
      'unbound_conf=/etc/unbound/x.conf\nnamed_zones=/x\nname_servers=::1\npdnsd=NO\n',
    );
    expect(recordFindings({ ...NOTHING, problems })).toEqual([
      {
        severity: 'note',
        id: 'resolvconf-subscriber',
        text: `/etc/resolvconf.conf has unbound_conf, named_zones: dnskeeper writes no files of other name servers; ${READ}`,
      },
    ]);
  });

  test('programs in update.d of name servers that have told their address', () => {
    const findings = recordFindings({
      ...NOTHING,
      updateScripts: ['bind', 'dnsmasq', 'unbound'],
      keys: ['eth0', 'lo.dnsmasq.guests', 'lo.unbound', 'lo.binder'],
    });
    expect(findings.map(({ severity, id }) => [severity, id])).toEqual([
      ['warning', 'resolvconf-update-script'],
      ['note', 'resolvconf-update-script'],
    ]);
    expect(findings[0]?.text).toBe(
      'dnsmasq in /etc/resolvconf/update.d is not run, so dnskeeper tells that name server nothing; the servers in force are in /run/dnskeeper/upstream.conf, which it can read.',
    );
  });

  test('in few words, however many there are', () => {
    const problems = readRules(
      Array.from({ length: 5000 }, (_, index) => `named_${'x'.repeat(index % 26)}=1`).join('\n'),
    );
    const findings = recordFindings({ ...NOTHING, problems: problems.problems });
    expect(findings).toHaveLength(1);
    expect(findings[0]?.text).toMatch(/ and 8 more: dnskeeper writes/);
  });
});

test('of many records that are not used some are named', () => {
  const left = Array.from({ length: 20 }, (_, index) => ({
    key: `tun${index}`,
    reason: 'its interface is gone',
  }));
  const findings = recordFindings({ ...NOTHING, left });
  expect(findings).toHaveLength(9);
  expect(findings.at(-1)?.text).toBe('12 more resolvconf(8) records are not used.');
});

test.each([
  ['pattern', 'wanted a pattern of at most 256 characters, got x'],
  [
    'rest',
    "wanted * as the last pattern; records that no line names come last, where Debian's resolvconf left them out.",
  ],
] as const)('what is not done of interface-order is told: %s', (kind, text) => {
  const problems = [{ file: '/etc/resolvconf/interface-order', line: 3, kind, got: 'x' }];
  expect(recordFindings({ ...NOTHING, problems })).toEqual([
    { severity: 'note', id: 'interface-order', text: `/etc/resolvconf/interface-order, line 3: ${text}` },
  ]);
});
