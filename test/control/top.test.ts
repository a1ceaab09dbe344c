import { describe, expect, test } from 'vitest';
import { formatTop } from '../../src/control/format-top.ts';
import { sparkline } from '../../src/control/sparkline.ts';
import { addReply, MOST_SECONDS, NO_HISTORY } from '../../src/control/top-history.ts';
import { columnsOf } from '../../src/control/wrap.ts';
import type { StatisticsReport } from '../../src/core/statistics.ts';
import { serverReport } from '../support/sample-status.ts';
import { sampleHistoryOfTop, sampleNames, sampleStatistics } from '../support/sample-view.ts';

describe('a curve', () => {
  test.each([
    ['grows with its values', [0, 1, 2, 4, 8], 10, true, undefined, '▁▁▂▄█'],
    ['has only ASCII where the terminal has', [0, 4, 8], 10, false, undefined, '_=#'],
    ['shows the newest', [9, 1, 2], 2, true, undefined, '▄█'],
    ['has a gap where nothing is known', [1, undefined, 1], 5, true, undefined, '█ █'],
    ['is flat when nothing happened', [0, 0], 5, true, undefined, '▁▁'],
    ['goes by a highest value that is told', [0.5, 1], 5, true, 1, '▄█'],
    ['is nothing without room', [1], -3, true, undefined, ''],
  ] as const)('%s', (_what, values, width, unicode, most, shown) => {
    expect(sparkline(values, width, unicode, most)).toBe(shown);
  });
});

describe('what top remembers', () => {
  const later = (ms: number, own: Partial<StatisticsReport> = {}): StatisticsReport => ({
    ...sampleStatistics,
    time: sampleStatistics.time + ms,
    ...own,
  });
  const first = addReply(NO_HISTORY, { statistics: sampleStatistics });

  test('the first report is only where counting stands', () => {
    expect(first.seconds).toEqual([]);
  });

  test('what happened is told per second, however long the pause was', () => {
    const origins = { ...sampleStatistics.origins, fastPath: 32_530, failure: 16 };
    const servers = sampleStatistics.servers.map((server) => ({ ...server, asked: server.asked + 4 }));
    const [second] = addReply(first, { statistics: later(2000, { origins, servers }) }).seconds;
    expect(second).toMatchObject({ answers: 16, failures: 1 });
    expect(second?.hitRate).toBeCloseTo(30 / 32);
    expect(second?.servers.get('10.8.0.1 (tun0)')).toEqual({ asked: 2, failures: 0, roundTripMs: 21.4 });
  });

  test('no more than a minute is kept', () => {
    let history = first;
    for (let i = 1; i <= 200; i++) history = addReply(history, { statistics: later(1000 * i) });
    expect(history.seconds).toHaveLength(MOST_SECONDS);
  });

  test('a daemon that was restarted begins anew', () => {
    const once = addReply(first, { statistics: later(1000) });
    const again = addReply(once, { statistics: later(2000, { since: sampleStatistics.since + 5000 }) });
    expect([once.seconds.length, again.seconds.length]).toEqual([1, 0]);
  });
});

describe('a frame of top', () => {
  const view = { rows: 24, paused: false, hideNames: false, keys: true };
  const plain = (columns: number) => ({ columns, unicode: true, paint: (_: unknown, text: string) => text });

  test('fits every terminal, whatever names and servers there are', () => {
    const wild = '漢字\u001b[31m'.repeat(40);
    const history = sampleHistoryOfTop();
    const odd = {
      ...history,
      ...(history.statistics === undefined
        ? {}
        : {
            statistics: {
              ...history.statistics,
              servers: Array.from({ length: 40 }, (_, i) => serverReport(wild, `192.0.2.${i}`, {})),
            },
          }),
      names: {
        ...sampleNames,
        asked: Array.from({ length: 64 }, () => ({ name: wild, count: 7, countedTooHigh: 1 })),
        slowest: Array.from({ length: 16 }, () => ({
          name: wild,
          type: 'A',
          tookMs: 9e6,
          by: wild,
          time: 0,
        })),
      },
    };
    for (const columns of [20, 40, 61, 80, 300])
      for (const rows of [1, 2, 5, 10, 24, 100]) {
        const lines = formatTop(odd, { ...view, rows }, plain(columns));
        expect(lines.length).toBeLessThanOrEqual(rows);
        for (const line of lines) {
          expect(columnsOf(line)).toBeLessThanOrEqual(columns);
          expect(line).not.toMatch(/\p{C}/u);
        }
      }
  });

  test('says that it counts before there is a second', () => {
    expect(formatTop(NO_HISTORY, view, plain(80))).toEqual(['dnsctl top: the first second is being counted']);
  });
});
