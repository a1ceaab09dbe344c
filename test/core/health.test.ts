import { expect, it } from 'vitest';
import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import { type Condition, findingsOf } from '../../src/core/health.ts';
import { makePlan } from '../../src/core/policy.ts';
import type { LinkState } from '../../src/core/status.ts';
import { snapshotOf, vpn } from '../support/links.ts';

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
  problems: [],
  holdingGap: false,
  resolver: {
    state: 'off',
    reason: 'because',
    addresses: [],
    servers: [],
    queries: 0,
    malformed: 0,
    overBound: 0,
    inFlight: 0,
  },
  fileMode: 'file',
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
