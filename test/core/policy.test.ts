import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import { MAX_SEARCH_LINE } from '../../src/core/file-lines.ts';
import { makePlan } from '../../src/core/policy.ts';
import { renderResolvConf, renderUpstreamConf } from '../../src/core/resolv-conf.ts';
import type { LinkDns } from '../../src/core/snapshot.ts';
import { link, snapshotOf, vpn } from '../support/links.ts';
import { parseResolvConf } from '../support/parse-resolv-conf.ts';

const hostile = fc.oneof(
  fc.string({ maxLength: 400 }),
  fc.constantFrom(
    '10.0.0.1',
    '10.0.0.2',
    '2001:db8::1',
    'fe80::1',
    '~',
    '~.',
    '~corp.example',
    'corp.example',
    '127.0.0.53',
  ),
  fc.constantFrom(
    'a\nnameserver 6.6.6.6',
    '\u0000',
    '"; rm',
    'x'.repeat(300),
    'dns+tls://192.0.2.1#n',
    'ndots:3',
    'trust-ad',
  ),
);
const texts = fc.array(hostile, { maxLength: 12 });
const links = fc.array(
  fc.record({
    interface: fc.constantFrom('eth0', 'wlan0', 'tun0', 'wg0', 'bad name', 'e\nth'),
    family: fc.constantFrom(4 as const, 6 as const),
    vpn: fc.boolean(),
    priority: fc.constantFrom(-50, -1, 10, 50, 100),
    servers: texts,
    searches: texts,
    domains: texts,
    options: texts,
    addresses: texts,
    routes: fc.array(fc.record({ destination: hostile }), { maxLength: 4 }),
    defaultRoute: fc.boolean(),
    neverDefault: fc.boolean(),
    metric: fc.integer({ min: 0, max: 1000 }),
  }),
  { maxLength: 8 },
);

const built = (raw: readonly Partial<LinkDns>[]): LinkDns[] =>
  raw.map((fields, i) => link({ ...fields, connection: { id: `c${i}`, uuid: `u${i}`, type: 'vpn' } }));

describe('whatever the sources say', () => {
  it('the same input in any order of arrival gives the same bytes', () => {
    const shuffled = links.chain((raw) =>
      fc.tuple(fc.constant(raw), fc.shuffledSubarray(built(raw), { minLength: raw.length })),
    );
    fc.assert(
      fc.property(shuffled, ([raw, other]) => {
        const [a, b] = [built(raw), other].map((each) => makePlan(snapshotOf(each), DEFAULT_CONFIG));
        if (a === undefined || b === undefined) throw new Error('two plans were made');
        expect(renderResolvConf(b, 0)).toBe(renderResolvConf(a, 0));
        expect(renderUpstreamConf(b, 0)).toBe(renderUpstreamConf(a, 0));
        expect(b.routes).toEqual(a.routes);
      }),
    );
  });

  it('the file holds only known directives with parsed values, is bounded, and every libc can read it', () => {
    fc.assert(
      fc.property(links, fc.constantFrom('prefer' as const, 'exclusive' as const), (raw, vpnMode) => {
        const plan = makePlan(snapshotOf(built(raw)), { ...DEFAULT_CONFIG, vpn: vpnMode });
        const file = renderResolvConf(plan, 0);
        for (const line of file.trimEnd().split('\n')) {
          expect(line).toMatch(
            /^(#[ -~]*|nameserver [0-9a-f.:]+(%[A-Za-z0-9_.:@-]{1,15})?|search( [a-z0-9_.-]+)+|options( [a-z0-9:-]+)+)$/,
          );
        }
        const read = parseResolvConf(file);
        expect(read.nameservers.length).toBeLessThanOrEqual(3);
        expect(new Set(read.nameservers).size).toBe(read.nameservers.length);
        expect(`search ${read.search.join(' ')}\n`.length).toBeLessThanOrEqual(MAX_SEARCH_LINE);
        expect(file.length).toBeLessThan(16_384);
        expect(read.nameservers).not.toContain('127.0.0.53');
      }),
    );
  });

  it('every choice and everything left out carries a sentence', () => {
    fc.assert(
      fc.property(links, (raw) => {
        const plan = makePlan(snapshotOf(built(raw)), DEFAULT_CONFIG);
        const reasons = [
          plan.nameservers,
          plan.upstream,
          plan.search,
          plan.options,
          plan.leftOut,
          plan.routes,
        ].flatMap((list) => list.map((entry: { reason: string }) => entry.reason));
        for (const reason of reasons) expect(reason).toMatch(/^\S.*\.$/);
      }),
    );
  });

  it('with one negative priority, no server of another priority is in the file', () => {
    fc.assert(
      fc.property(links, (raw) => {
        const plan = makePlan(snapshotOf(built(raw)), DEFAULT_CONFIG);
        const priorities = new Set(plan.upstream.map((choice) => choice.origin.priority));
        if (Math.min(...priorities) < 0) expect(priorities.size).toBe(1);
      }),
    );
  });

  it('thousands of entries end in a bounded plan that says how much it left out', () => {
    const many = Array.from({ length: 3000 }, (_, i) => `10.${i >> 8}.${i & 255}.1`);
    const names = Array.from({ length: 5000 }, (_, i) => `d${i}.example`);
    const plan = makePlan(snapshotOf([link({ servers: many, searches: names })]), DEFAULT_CONFIG);
    expect(plan.upstream.length).toBe(256);
    expect(plan.leftOut.length).toBe(64);
    expect(plan.leftOutMore).toBeGreaterThan(1000);
    expect(renderResolvConf(plan, 0).length).toBeLessThan(16_384);
  });
});

describe('names that are only routed', () => {
  it('a name goes to the link that claims the longest domain, and an exclusive VPN keeps its own', () => {
    const plan = makePlan(
      snapshotOf([
        link({ servers: ['192.0.2.1'], searches: ['example'] }),
        vpn({ servers: ['10.99.0.1'], searches: ['~corp.example'], priority: -5 }),
      ]),
      DEFAULT_CONFIG,
    );
    expect(plan.routes.filter((route) => route.kind === 'routing')).toMatchObject([
      { link: 'tun0', exclusive: true },
    ]);
    expect(plan.search).toEqual([]);
    expect(plan.links.find((each) => each.key === 'eth0')?.unused).toContain('exclusive');
  });
});
