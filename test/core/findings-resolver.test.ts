import { describe, expect, test } from 'vitest';
import { resolverFindings } from '../../src/core/findings-resolver.ts';
import type { MachineFacts, ProbeFacts, ResolverFacts } from '../../src/core/machine-facts.ts';
import type { ResolverStatus, ServerReport } from '../../src/core/status.ts';
import { sampleStatus, serverReport } from '../support/sample-status.ts';

const good = serverReport('wlan0', '192.0.2.53', { state: 'good', answers: 9, asked: 9 });
const silent = (server: string, own: Partial<ServerReport> = {}): ServerReport =>
  serverReport('wlan0', server, {
    state: 'late',
    failures: 2,
    lastFailure: { time: 0, text: 'it did not answer within 2000 ms' },
    ...own,
  });
const bound: ResolverStatus = { ...sampleStatus.resolver, servers: [good] };
const probe = (outcome: ProbeFacts['outcome'], detail: string): ProbeFacts => ({
  server: '127.0.0.53',
  outcome,
  detail,
});

const judge = (resolver: ResolverFacts | undefined, listeners: MachineFacts['listeners'] = []) =>
  resolverFindings({ listeners, ...(resolver === undefined ? {} : { resolver }) } as MachineFacts);

describe('doctor on the resolver', () => {
  test('finds nothing without a daemon, while it is off, and while all is well', () => {
    expect(judge(undefined)).toEqual([]);
    expect(judge({ status: { ...bound, state: 'off', addresses: [] } })).toEqual([]);
    expect(judge({ status: bound })).toEqual([]);
    expect(judge({ status: bound, probe: probe('answered', 'NOERROR') })).toEqual([]);
  });

  test.each([
    [
      'does not answer where it says it does',
      'timeout',
      'error resolver-silent',
      'systemctl restart dnskeeper',
    ],
    ['has lost its socket', 'unreachable', 'error resolver-silent', 'systemctl restart dnskeeper'],
  ] as const)('%s', (_what, outcome, found, mend) => {
    const findings = judge({ status: bound, probe: probe(outcome, 'no answer within 6000 ms') });
    expect(findings.map(({ severity, id }) => `${severity} ${id}`)).toEqual([found]);
    expect(findings[0]?.mend).toBe(mend);
  });

  test('answers, but with a failure though its servers seem well', () => {
    expect(judge({ status: bound, probe: probe('answered', 'SERVFAIL') })).toMatchObject([
      { severity: 'warning', id: 'resolver-failing', mend: 'dnsctl query . NS' },
    ]);
  });

  test('has a server that does not answer, and another that does', () => {
    const status = { ...bound, servers: [silent('192.0.2.1'), good] };
    expect(judge({ status, probe: probe('answered', 'SERVFAIL') })).toEqual([
      {
        severity: 'warning',
        id: 'server-late',
        text: '192.0.2.1 of wlan0 does not answer: it did not answer within 2000 ms. Others are asked first.',
        mend: 'ping 192.0.2.1',
      },
    ]);
  });

  test('has a link on which nobody answers', () => {
    expect(judge({ status: { ...bound, servers: [silent('192.0.2.1')] } })).toMatchObject([
      { severity: 'error', text: expect.stringContaining('so its names do not resolve') },
    ]);
  });

  test.each([
    ['192.0.2.1', {}, 'ping 192.0.2.1'],
    ['fe80::1%wlan0', {}, 'ping fe80::1%wlan0'],
    ['dns+udp://[2001:db8::1]:5353', {}, 'ping 2001:db8::1'],
    ['dns+tls://192.0.2.1:853#dns.example', {}, 'openssl s_client -connect 192.0.2.1:853 </dev/null'],
    ['dns+tls://[2001:db8::1]:8853', {}, 'openssl s_client -connect [2001:db8::1]:8853 </dev/null'],
    [
      '192.0.2.1#dns.example',
      { trouble: { kind: 'certificate', text: 'x' } },
      'openssl s_client -connect 192.0.2.1:853 </dev/null',
    ],
  ] as const)('says how to look at %s', (server, own, mend) => {
    expect(judge({ status: { ...bound, servers: [silent(server, own)] } })[0]?.mend).toBe(mend);
  });

  test('cannot have its addresses, and says who has them and how to change that', () => {
    const status: ResolverStatus = { ...bound, state: 'failed', addresses: [], reason: 'in use' };
    const findings = judge({ status }, [
      { protocol: 'udp', address: '0.0.0.0', process: 'dnsmasq', unit: 'dnsmasq.service' },
      { protocol: 'tcp', address: '0.0.0.0', process: 'dnsmasq', unit: 'dnsmasq.service' },
      { protocol: 'udp', address: '127.0.0.53', process: 'own-server' },
      { protocol: 'udp', address: '127.0.0.1', process: 'unbound', unit: 'unbound.service' },
      { protocol: 'udp', address: '::' },
    ]);
    expect(findings.map(({ text, mend }) => [text, mend])).toEqual([
      [
        'dnsmasq listens on port 53 of 0.0.0.0, so the local resolver cannot.',
        'systemctl disable --now dnsmasq.service',
      ],
      ['own-server listens on port 53 of 127.0.0.53, so the local resolver cannot.', "ss -lnp 'sport = :53'"],
    ]);
  });
});
