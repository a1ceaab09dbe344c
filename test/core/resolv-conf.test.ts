import { describe, expect, test } from 'vitest';
import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import type { Plan } from '../../src/core/plan.ts';
import { makePlan } from '../../src/core/policy.ts';
import {
  lineReasons,
  renderResolvConf,
  renderStubConf,
  renderUpstreamConf,
} from '../../src/core/resolv-conf.ts';
import { writerOfText } from '../../src/core/writer.ts';
import { link, snapshotOf } from '../support/links.ts';
import { parseResolvConf } from '../support/parse-resolv-conf.ts';

const STUB = '127.0.0.53';

const planOf = (...searches: readonly string[]): Plan =>
  makePlan(
    snapshotOf([link({ servers: ['192.0.2.1'], searches, options: ['rotate', 'ndots:2'] })]),
    DEFAULT_CONFIG,
  );

describe('the file that lists our resolver', () => {
  test('has systemd-resolved’s options, and those of the connections that are about libc', () => {
    const { nameservers, options } = parseResolvConf(renderStubConf(planOf(), 0, STUB));
    expect(nameservers).toEqual([STUB]);
    expect(options).toEqual(['edns0', 'trust-ad', 'ndots:2']);
  });

  test('searches the root where there is nothing to search, as systemd-resolved’s does', () => {
    expect(parseResolvConf(renderStubConf(planOf(), 0, STUB)).search).toEqual(['.']);
    expect(parseResolvConf(renderStubConf(planOf('corp.example'), 0, STUB)).search).toEqual(['corp.example']);
    // A plain file says what NetworkManager's would say.
    expect(renderResolvConf(planOf(), 0)).not.toMatch(/^search/m);
  });

  test.each([[[]], [['corp.example']]])('has a reason for its lines, with the search list %j', (searches) => {
    const plan = planOf(...searches);
    const lines = renderStubConf(plan, 0, STUB).split('\n');
    const reasons = lineReasons(plan, { nameserver: STUB, reason: 'Two networks.' });
    expect(reasons).toHaveLength(2);
    for (const { line, reason } of reasons) {
      expect(lines).toContain(line);
      expect(reason).toMatch(/\.$/);
    }
  });
});

test.each([
  ['the plain file', renderResolvConf(planOf(), 0)],
  ['the list of real servers', renderUpstreamConf(planOf(), 0)],
  ['the file that lists our resolver', renderStubConf(planOf(), 0, STUB)],
])('%s is ours, and names systemd-resolved where Tailscale looks for it', (_, text) => {
  expect(writerOfText(text).program).toBe('dnskeeper');
  const { comments } = parseResolvConf(text);
  expect(comments.filter((line) => line.includes('systemd-resolved'))).toHaveLength(1);
  // The last of these words that Tailscale finds decides.
  expect(comments.join('\n')).not.toMatch(/NetworkManager|resolvconf/);
});
