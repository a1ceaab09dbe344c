import { expect, it } from 'vitest';
import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import { type Condition, findingsOf } from '../../src/core/health.ts';
import { makePlan } from '../../src/core/policy.ts';
import type { LinkState, ResolverStatus, ServerReport } from '../../src/core/status.ts';
import { link, snapshotOf, vpn } from '../support/links.ts';
import { resolverOff } from '../support/sample-status.ts';

const SERVER: ServerReport = {
  link: 'eth0',
  server: 'dns+tls://192.0.2.1#dns.example',
  state: 'late',
  patienceMs: 150,
  asked: 1,
  answers: 0,
  refusals: 0,
  hedgesWon: 0,
  failures: 1,
  timeouts: 0,
  unreachable: 1,
  malformed: 0,
};

const condition = (state: LinkState, links: Parameters<typeof snapshotOf>[0] = []): Condition => ({
  plan: makePlan(snapshotOf(links), DEFAULT_CONFIG),
  link: {
    state,
    inCharge: 'somebody',
    reason: 'because',
    degraded: state === 'yielded',
    originalSaved: false,
  },
  sources: [],
  failures: new Map(),
  configuration: { problems: [] },
  holdingGap: false,
  resolver: resolverOff,
  fileMode: 'file',
  dnsOverTls: 'no',
});

it.each([
  [undefined, 'The last good configuration stays in force.'],
  [
    true,
    'dnskeeperd has not read a good configuration since it started, so only what is right in the files is in force.',
  ],
])('a wrong configuration is told with what counts meanwhile (never good: %s)', (neverGood, instead) => {
  const problems = [{ file: 'a.toml', line: 2, key: 'log.level', wanted: 'a level', got: '"loud"' }];
  const configuration = { problems, ...(neverGood === undefined ? {} : { neverGood }) };
  expect(findingsOf({ ...condition('resolved'), configuration })).toEqual([
    expect.objectContaining({ text: `a.toml:2: log.level: wanted a level, got "loud". ${instead}` }),
  ]);
});

const split = vpn({ servers: ['10.99.0.1'], searches: ['corp.example'] });

it.each([
  ['held', [], ['no-servers']],
  ['bind-mount', [], ['no-servers']],
  ['fighting', [], ['no-servers']],
  ['resolved', [], []],
  ['released', [], []],
  ['publish-only', [], []],
  ['yielded', [], ['link-yielded']],
  ['held', [split], ['inexpressible']],
  ['resolved', [split], []],
] as const)('what our file lacks counts only where programs read it: %s', (state, links, ids) => {
  expect(findingsOf(condition(state, links)).map((finding) => finding.id)).toEqual(ids);
});

const plain = { servers: ['192.0.2.53'] };
const strict = link({ ...plain, dnsOverTls: 'yes' });
const open = link({ ...plain, dnsOverTls: 'no' });

it.each([
  ['a link says yes', 'held', strict, 'no', 'file', ['in-the-open']],
  ['the configuration says yes', 'held', link(plain), 'yes', 'file', ['in-the-open']],
  ['the configuration says yes, the link no', 'held', open, 'yes', 'file', []],
  ['the configuration says opportunistic', 'held', link(plain), 'opportunistic', 'file', []],
  ['our resolver is listed', 'held', strict, 'yes', 'stub', []],
  ['systemd-resolved is in charge', 'resolved', strict, 'yes', 'file', []],
] as const)(
  'servers that a plain file has asked in the open are a warning: %s',
  (_, state, from, dnsOverTls, fileMode, ids) => {
    const found = findingsOf({ ...condition(state, [from]), dnsOverTls, fileMode });
    expect(found.filter(({ severity }) => severity === 'warning').map(({ id }) => id)).toEqual(ids);
  },
);

it.each([
  ['certificate', 'server-certificate', { mend: 'openssl s_client -connect 192.0.2.1:853 </dev/null' }],
  ['handshake', 'server-handshake', { mend: 'openssl s_client -connect 192.0.2.1:853 </dev/null' }],
  ['circle', 'server-circle', {}],
] as const)('a server with %s trouble is a warning that says what it is', (kind, id, mend) => {
  const report = { ...SERVER, trouble: { kind, text: 'What is wrong.' } };
  const found = findingsOf({
    ...condition('held', [split]),
    resolver: { ...resolverOff, servers: [report] },
  });
  expect(found.find((finding) => finding.id === id)).toEqual({
    severity: 'warning',
    id,
    text: 'What is wrong.',
    ...mend,
  });
});

it('a relaxed captive portal is a warning for as long as it lasts', () => {
  const during = findingsOf({
    ...condition('held', [split]),
    resolver: { ...resolverOff, portal: { links: ['wlan0'], relaxed: true } },
  });
  expect(during).toContainEqual(expect.objectContaining({ severity: 'warning', id: 'portal-relaxed' }));
  expect(during.find(({ id }) => id === 'portal-relaxed')?.text).toContain('wlan0');
  expect(findingsOf(condition('held', [split])).map(({ id }) => id)).not.toContain('portal-relaxed');
});

it.each([
  ['the only server of a link is silent', [{}], ['link-silent']],
  ['another one of the link answers', [{}, { state: 'good' }], []],
  ['the one of another link answers', [{}, { state: 'good', link: 'tun0' }], ['link-silent']],
  ['it was only slow once', [{ failures: 0 }], []],
  ['nobody was asked yet', [{ state: 'new', failures: 0 }], []],
] as const)('names that nobody answers for are a warning: %s', (_what, servers, ids) => {
  const bound: ResolverStatus = {
    ...resolverOff,
    state: 'bound',
    servers: servers.map((own) => ({ ...SERVER, ...own })),
  };
  const found = findingsOf({ ...condition('resolved'), resolver: bound });
  expect(found.map(({ id }) => id)).toEqual(ids);
});

it('without relaxing it is a warning that says why nothing resolves', () => {
  const found = findingsOf({
    ...condition('held', [split]),
    resolver: { ...resolverOff, portal: { links: ['wlan0'], relaxed: false } },
  });
  expect(
    found.filter(({ id }) => id.startsWith('portal-')).map(({ id, severity }) => [id, severity]),
  ).toEqual([['portal-strict', 'warning']]);
});
