import { describe, expect, test } from 'vitest';
import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import type { Plan } from '../../src/core/plan.ts';
import { makePlan } from '../../src/core/policy.ts';
import {
  lineReasons,
  renderResolvConf,
  renderStubConf,
  renderUplinkConf,
  renderUpstreamConf,
} from '../../src/core/resolv-conf.ts';
import { writerOfText } from '../../src/core/writer.ts';
import { link, snapshotOf, vpn } from '../support/links.ts';
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

describe('the list of servers that may be asked for every name', () => {
  const serversOf = (...links: Parameters<typeof snapshotOf>[0]): readonly string[] =>
    parseResolvConf(renderUplinkConf(makePlan(snapshotOf(links), DEFAULT_CONFIG), 0)).nameservers;
  const home = link({ servers: ['192.0.2.1', '192.0.2.2'] });

  test('has no servers of a VPN that is there for one domain', () => {
    const split = vpn({ servers: ['10.8.0.1'], searches: ['corp.example'], defaultRoute: false });
    expect(serversOf(home, split)).toEqual(['192.0.2.1', '192.0.2.2']);
  });

  test('has those of a VPN that carries everything, first', () => {
    const full = vpn({ servers: ['10.8.0.1'], searches: ['corp.example'], defaultRoute: true });
    expect(serversOf(home, full)[0]).toBe('10.8.0.1');
  });

  test('has all there are where no link answers for every name', () => {
    const split = vpn({ servers: ['10.8.0.1'], searches: ['corp.example'], defaultRoute: false });
    expect(serversOf(split)).toEqual(['10.8.0.1']);
  });

  test('has more than three, and none that needs more than an address', () => {
    const many = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4', 'dns+tls://192.0.2.5#dns.example'];
    expect(serversOf(link({ servers: many }))).toEqual(many.slice(0, 4));
  });
});

test.each([
  ['the plain file', renderResolvConf(planOf(), 0)],
  ['the list of real servers', renderUpstreamConf(planOf(), 0)],
  ['the list of servers for every name', renderUplinkConf(planOf(), 0)],
  ['the file that lists our resolver', renderStubConf(planOf(), 0, STUB)],
])('%s is ours, and names systemd-resolved where Tailscale looks for it', (_, text) => {
  expect(writerOfText(text).program).toBe('dnskeeper');
  const { comments } = parseResolvConf(text);
  expect(comments.filter((line) => line.includes('systemd-resolved'))).toHaveLength(1);
  // The last of these words that Tailscale finds decides.
  expect(comments.join('\n')).not.toMatch(/NetworkManager|resolvconf/);
});
