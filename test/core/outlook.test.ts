import { expect, test } from 'vitest';
import { rankServers } from '../../src/core/outlook.ts';
import type { ServerReport } from '../../src/core/status.ts';
import { serverReport } from '../support/sample-status.ts';

const good = (server: string): ServerReport =>
  serverReport('wlan0', server, { state: 'good', roundTripMs: 8.25, patienceMs: 40 });
const late = (server: string, text?: string): ServerReport =>
  serverReport('wlan0', server, {
    state: 'late',
    ...(text === undefined ? {} : { lastFailure: { time: 0, text } }),
  });
const fresh = (server: string): ServerReport => serverReport('wlan0', server, {});

test.each([
  [
    'the only server',
    [good('a')],
    ['a'],
    'strict',
    ['Asked: it is the only one, and it answers within 8.3 ms.'],
  ],
  [
    'the first of the plan, and how long the second waits',
    [good('a'), fresh('b')],
    ['a', 'b'],
    'strict',
    [
      'Asked first: it comes first in the plan, and it answers within 8.3 ms.',
      'Asked when a refuses, fails, or has not answered within 40 ms; it has not been asked yet.',
    ],
  ],
  [
    'the second while the first does not answer',
    [good('b'), late('a', 'a did not answer within 2000 ms')],
    ['a', 'b'],
    'strict',
    [
      'Asked first: those before it in the plan do not answer, and it answers within 8.3 ms.',
      'Asked when b refuses, fails, or has not answered within 40 ms; it failed (a did not answer within 2000 ms).',
    ],
  ],
  [
    'the quickest',
    [good('b'), good('a')],
    ['a', 'b'],
    'fastest',
    [
      'Asked first: the quickest is preferred, and it answers within 8.3 ms.',
      'Asked when b refuses, fails, or has not answered within 40 ms; it answers within 8.3 ms.',
    ],
  ],
  [
    'none that answers',
    [late('a'), late('b')],
    ['a', 'b'],
    'strict',
    [
      'Asked first: none of them answered lately, and it was late to answer.',
      'Asked when a refuses, fails, or has not answered within 150 ms; it was late to answer.',
    ],
  ],
  ['no servers', [], [], 'strict', []],
] as const)('says why servers are asked in their order: %s', (_what, ranked, plan, policy, reasons) => {
  const told = rankServers(ranked, plan, policy);
  expect(told.map(({ reason }) => reason)).toEqual(reasons);
  expect(told.map(({ server }) => server)).toEqual(ranked.map(({ server }) => server));
});
