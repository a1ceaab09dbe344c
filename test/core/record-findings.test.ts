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

  test('programs in update.d', () => {
    expect(recordFindings({ ...NOTHING, updateScripts: ['bind', 'unbound'] })).toEqual([
      {
        severity: 'note',
        id: 'resolvconf-update-script',
        text: `bind, unbound in /etc/resolvconf/update.d are not run, so dnskeeper tells those name servers nothing; ${READ}`,
      },
    ]);
  });

  test('as a warning where such a name server has told its address', () => {
    const findings = recordFindings({
      ...NOTHING,
      updateScripts: ['dnsmasq', 'unbound'],
      keys: ['eth0', 'lo.dnsmasq.guests', 'lo.unboundx'],
    });
    expect(findings.map(({ severity, text }) => [severity, text.split(' ', 1)[0]])).toEqual([
      ['warning', 'dnsmasq'],
      ['note', 'unbound'],
    ]);
  });

  test('in few words, however many there are', () => {
    const updateScripts = Array.from({ length: 5000 }, (_, index) => `script${index}`);
    expect(recordFindings({ ...NOTHING, updateScripts })[0]?.text).toMatch(/script7 and 4992 more in /);
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
