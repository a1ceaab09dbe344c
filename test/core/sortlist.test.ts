import { describe, expect, test } from 'vitest';
import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import { makePlan } from '../../src/core/policy.ts';
import {
  lineReasons,
  renderResolvConf,
  renderStubConf,
  renderUpstreamConf,
} from '../../src/core/resolv-conf.ts';
import { parseSortlistPair } from '../../src/core/sortlist.ts';
import { link, snapshotOf } from '../support/links.ts';

describe('a pair of a sortlist', () => {
  test.each([
    ['130.155.160.0/255.255.240.0', '130.155.160.0/255.255.240.0'],
    ['130.155.0.0', '130.155.0.0'],
  ])('%s', (text, wanted) => {
    expect(parseSortlistPair(text)).toEqual({ ok: true, value: wanted });
  });

  test.each([
    '192.0.2.0/24',
    '192.0.2.0/',
    '/255.0.0.0',
    '192.0.2.0/255.255.255.0/1',
    '2001:db8::/32',
    '::ffff:192.0.2.1/::1',
    'example.org',
    '',
    `${'1'.repeat(10_000)}.0.0.0`,
    '192.0.2.0/255.255.255.0\nnameserver 192.0.2.66',
  ])('%j is none', (text) => {
    expect(parseSortlistPair(text)).toMatchObject({ ok: false, reason: expect.stringMatching(/./) });
  });
});

const planOf = (...lists: readonly (readonly string[])[]) =>
  makePlan(
    snapshotOf(
      lists.map((sortlist, index) =>
        link({ interface: `eth${index}`, ifindex: index + 2, servers: [`192.0.2.${index + 1}`], sortlist }),
      ),
    ),
    DEFAULT_CONFIG,
  );

describe('a sortlist', () => {
  test('is in every file, in one line, each pair once', () => {
    const plan = planOf(['192.0.2.0/255.255.255.0', '10.0.0.0'], ['10.0.0.0', '172.16.0.0']);
    const line = 'sortlist 192.0.2.0/255.255.255.0 10.0.0.0 172.16.0.0';
    for (const file of [
      renderResolvConf(plan, 0),
      renderUpstreamConf(plan, 0),
      renderStubConf(plan, 0, '127.0.0.53'),
    ])
      expect(file.split('\n').filter((each) => each.startsWith('sortlist'))).toEqual([line]);
    expect(lineReasons(plan).find((each) => each.line === line)?.reason).toContain(
      '10.0.0.0: From the sortlist of',
    );
  });

  test('that nobody has leaves nothing', () => {
    expect(planOf([])).not.toHaveProperty('sortlist');
    expect(renderResolvConf(planOf([]), 0)).not.toMatch(/sortlist/);
  });

  test('has no more than libc reads, and nothing that is none', () => {
    const first = Array.from({ length: 8 }, (_, index) => `10.${index}.0.0`);
    const plan = planOf([...first, '10.9.0.0/8'], ['172.16.0.0', '172.17.0.0', '172.18.0.0']);
    expect(plan.sortlist?.map(({ value }) => value)).toEqual([...first, '172.16.0.0', '172.17.0.0']);
    expect(plan.leftOut.map(({ what, text }) => [what, text])).toEqual([
      ['sortlist', '10.9.0.0/8'],
      ['sortlist', '172.18.0.0'],
    ]);
  });
});
