import { describe, expect, test } from 'vitest';
import { answered, hitRate, originsSince, quantileMs } from '../../src/core/statistics.ts';
import { sampleStatistics } from '../support/sample-view.ts';

const latency = (counts: readonly number[]) => ({ boundsMs: [1, 10, 100], counts, sumMs: 0 });

describe('the time that a part of the answers did not exceed', () => {
  test.each([
    ['nothing was answered', [0, 0, 0, 0], 0.5, undefined],
    ['all are in one bucket', [0, 4, 0, 0], 0.5, 5.5],
    ['the bucket ends just there', [5, 5, 0, 0], 0.5, 1],
    ['the last bucket', [1, 1, 2, 0], 0.99, 10 + 90 * (3.96 - 2) * 0.5],
    ['beyond every bound, which is all that is known', [1, 0, 0, 9], 0.99, 100],
    ['an empty bucket between', [1, 0, 1, 0], 0.9, 10 + 90 * 0.8],
  ])('%s', (_what, counts, part, wanted) => {
    const got = quantileMs(latency(counts), part);
    if (wanted === undefined) expect(got).toBeUndefined();
    else expect(got).toBeCloseTo(wanted, 9);
  });
});

describe('the hit rate', () => {
  const none = originsSince(sampleStatistics.origins, sampleStatistics.origins);

  test('counts only what a server would have been asked', () => {
    expect(hitRate({ ...none, local: 5, hosts: 7 })).toBeUndefined();
    expect(hitRate({ ...none, local: 5, fastPath: 2, cache: 1, upstream: 1 })).toBe(0.75);
    expect(hitRate({ ...none, failure: 1 })).toBe(0);
  });

  test('of a second is that of the counts since', () => {
    const later = { ...sampleStatistics.origins, fastPath: 32_503, upstream: 4721 };
    const since = originsSince(later, sampleStatistics.origins);
    expect(answered(since)).toBe(4);
    expect(hitRate(since)).toBe(0.75);
  });

  test('never counts backwards when the daemon was restarted', () => {
    expect(answered(originsSince(none, sampleStatistics.origins))).toBe(0);
  });
});
