import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import { SHIPPED_ORDER, withInterfaceOrder } from '../../src/core/interface-order.ts';
import { makePlan } from '../../src/core/policy.ts';
import type { StoredRecord } from '../../src/core/record.ts';
import { recordState } from '../../src/core/record-links.ts';
import { orderRecords } from '../../src/core/record-order.ts';
import { DEFAULT_RULES, readRules } from '../../src/core/record-rules.ts';
import { formatHost } from '../../src/core/server.ts';
import { link, snapshotOf, vpn } from '../support/links.ts';
import { storedRecord } from '../support/stored-record.ts';

const record = (key: string, server: string, own: Partial<StoredRecord> = {}): StoredRecord =>
  storedRecord(key, `nameserver ${server}\n`, own);

const RECORDS = [
  record('eth0.dhclient', '192.0.2.1', { metric: 100 }),
  record('eth1.dhcp', '192.0.2.2', { metric: 50 }),
  record('tun0', '10.8.0.1'),
  record('wlan0.dhcp', '192.0.2.9'),
];

const order = (text: string): readonly string[] =>
  orderRecords({ records: RECORDS, deprecated: [] }, withInterfaceOrder(DEFAULT_RULES, text).rules).map(
    ({ record: { key } }) => key,
  );

const USUAL = ['tun0', 'wlan0.dhcp', 'eth1.dhcp', 'eth0.dhclient'];

describe('interface-order(5)', () => {
  test.each<[string, string, readonly string[]]>([
    [
      'is in the order of its lines',
      'wlan*\neth*\ntun*\n*\n',
      ['wlan0.dhcp', 'eth1.dhcp', 'eth0.dhclient', 'tun0'],
    ],
    [
      'has patterns of bash',
      '@(eth|br)*([^.]).@(dhclient|udhcpc)\n!(tun*)\n*\n',
      ['eth0.dhclient', 'wlan0.dhcp', 'eth1.dhcp', 'tun0'],
    ],
    ['names no more than its pattern does', 'eth1\nwlan0\n*', USUAL],
    [
      'has comments, blanks and first words',
      '# mine\n  wlan* # the radio\n\neth*#wire\n*',
      ['wlan0.dhcp', 'eth1.dhcp', 'eth0.dhclient', 'tun0'],
    ],
    ['may not lead out of the folder', '../*\n~eth*\n.eth*\n*', USUAL],
    ['may be empty', '# nothing\n', USUAL],
    [
      'ends with its first line for all',
      'wlan*\n*\neth0*\n',
      ['wlan0.dhcp', 'tun0', 'eth1.dhcp', 'eth0.dhclient'],
    ],
  ])('%s', (_, text, wanted) => {
    expect(order(text)).toEqual(wanted);
  });

  test("is nobody's wish as Debian ships it", () => {
    const text = '# interface-order(5)\n';
    expect(withInterfaceOrder(DEFAULT_RULES, `${text}${SHIPPED_ORDER}\n`)).toEqual({
      rules: DEFAULT_RULES,
      problems: [],
    });
    expect(
      withInterfaceOrder(DEFAULT_RULES, `${text}mine\n${SHIPPED_ORDER}\n`).rules.interfaceOrder,
    ).toContain('mine');
    // Of the file in Debian's package, without its comments.
    expect(createHash('sha256').update(SHIPPED_ORDER).digest('hex')).toBe(
      '795cf639714d91e1c3d4d29559864dc711d2841f3359d64bb650ac8e69768d72',
    );
  });

  test('comes after what resolvconf.conf says about the order', () => {
    const { rules } = readRules('interface_order="eth0"');
    expect(withInterfaceOrder(rules, 'wlan*\n*\n')).toEqual({ rules, problems: [] });
  });

  test('that leaves records out, or has a pattern that is too long, is told', () => {
    expect(withInterfaceOrder(DEFAULT_RULES, `\n${'+(a'.repeat(200)}\neth*\n`)).toEqual({
      rules: { ...DEFAULT_RULES, interfaceOrder: ['eth*'] },
      problems: [
        {
          file: '/etc/resolvconf/interface-order',
          line: 2,
          kind: 'pattern',
          got: expect.stringMatching(/^\+\(a/),
        },
        { file: '/etc/resolvconf/interface-order', line: 3, kind: 'rest', got: '' },
      ],
    });
  });

  test('that is endless or binary is read as far as it may be', () => {
    const { rules } = withInterfaceOrder(DEFAULT_RULES, '\u0000\u0007[[[\n'.repeat(100_000));
    expect(rules.interfaceOrder).toHaveLength(512);
    expect(orderRecords({ records: RECORDS, deprecated: [] }, rules)).toHaveLength(RECORDS.length);
  });
});

test.each<[string, string, readonly string[]]>([
  [
    'before a VPN',
    'eth1*\ntun*\n*',
    ['192.0.2.2', '10.8.0.1', '10.99.0.1', '192.0.2.9', '192.0.2.1', '192.0.2.77'],
  ],
  ['behind all', 'tun*\n*', ['10.8.0.1', '10.99.0.1', '192.0.2.9', '192.0.2.2', '192.0.2.1', '192.0.2.77']],
])('what an administrator puts %s is there, and other sources keep their place', (_, text, wanted) => {
  const { rules } = withInterfaceOrder(DEFAULT_RULES, text);
  const { state } = recordState(
    { records: RECORDS, deprecated: [] },
    { rules, links: [], networkManagerTells: true },
  );
  const others = [
    vpn({ interface: 'vpn7', defaultRoute: true, servers: ['10.99.0.1'] }),
    link({ interface: 'eth7', metric: 700, servers: ['192.0.2.77'] }),
  ];
  const { upstream } = makePlan({ records: state, ...snapshotOf(others) }, DEFAULT_CONFIG);
  expect(upstream.map(({ value }) => formatHost(value))).toEqual(wanted);
});
