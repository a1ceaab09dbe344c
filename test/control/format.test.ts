import { describe, expect, test } from 'vitest';
import { formatAbsent } from '../../src/control/format-absent.ts';
import { formatCache } from '../../src/control/format-cache.ts';
import { formatFindings } from '../../src/control/format-doctor.ts';
import { formatExplanation } from '../../src/control/format-explanation.ts';
import { formatHistory } from '../../src/control/format-history.ts';
import { monitorLines } from '../../src/control/format-monitor.ts';
import { formatQuery } from '../../src/control/format-query.ts';
import { formatStatistics } from '../../src/control/format-statistics.ts';
import { formatStatus } from '../../src/control/format-status.ts';
import { formatTop, type TopView } from '../../src/control/format-top.ts';
import { newPage } from '../../src/control/page.ts';
import { reportOf } from '../../src/control/report.ts';
import { agoText, countText, percentText, sizeText } from '../../src/control/time-text.ts';
import { columnsOf, cut, wrap } from '../../src/control/wrap.ts';
import { parseDomain } from '../../src/core/domain.ts';
import { durationText } from '../../src/core/duration.ts';
import { explain } from '../../src/core/explain.ts';
import { FALLBACK_PRIORITY } from '../../src/core/fallback.ts';
import { originsSince, type StatisticsReport } from '../../src/core/statistics.ts';
import type { LinkStatus } from '../../src/core/status.ts';
import { type Terminal, terminalOf } from '../../src/system/terminal.ts';
import {
  degradedStatus,
  must,
  resolverOff,
  SAMPLE_NOW,
  sampleHistory,
  sampleQuery,
  sampleStatus,
} from '../support/sample-status.ts';

import { sampleCache, sampleHistoryOfTop, sampleOutlook, sampleStatistics } from '../support/sample-view.ts';

// Times are shown as the clock on the wall; the samples are written down in UTC.
process.env['TZ'] = 'UTC';

const plain = (columns: number): Terminal => ({
  columns,
  unicode: true,
  paint: (_style, text) => text,
});
const coloured: Terminal = terminalOf({ isTTY: true, columns: 80 }, { LANG: 'C.UTF-8' });

const resolvedLink: LinkStatus = {
  state: 'resolved',
  inCharge: 'systemd-resolved',
  reason: 'systemd-resolved runs and keeps /etc/resolv.conf',
  degraded: false,
  originalSaved: false,
};

const topView: TopView = { rows: 30, paused: false, hideNames: false, keys: true };

/** A resolver that has done nothing yet. */
const newStatistics: StatisticsReport = {
  ...sampleStatistics,
  clients: { udp: 0, tcp: 0, malformed: 0, inFlight: 0 },
  types: [],
  outcomes: [],
  origins: originsSince(sampleStatistics.origins, sampleStatistics.origins),
  servers: [],
  connections: { tcpOpened: 0, tlsOpened: 0, tlsResumed: 0, reused: 0, failed: 0 },
  bounds: [],
  latency: { ...sampleStatistics.latency, counts: sampleStatistics.latency.counts.map(() => 0), sumMs: 0 },
};

const texts: Readonly<Record<string, (terminal: Terminal) => string>> = {
  'status-healthy': (terminal) => formatStatus(reportOf(sampleStatus), SAMPLE_NOW, terminal),
  'status-degraded': (terminal) => formatStatus(reportOf(degradedStatus), SAMPLE_NOW, terminal),
  explain: (terminal) =>
    formatExplanation(
      explain(must(parseDomain('git.corp.example')), sampleStatus.plan, sampleStatus.link),
      terminal,
    ),
  'explain-not-in-force': (terminal) =>
    formatExplanation(
      explain(must(parseDomain('git.corp.example')), sampleStatus.plan, resolvedLink),
      terminal,
    ),
  'status-resolved': (terminal) =>
    formatStatus(
      reportOf({ ...sampleStatus, link: resolvedLink, resolver: resolverOff, findings: [] }),
      SAMPLE_NOW,
      terminal,
    ),
  'explain-stub': (terminal) =>
    formatExplanation(
      explain(must(parseDomain('git.office.example')), sampleStatus.plan, sampleStatus.link, 'stub'),
      terminal,
    ),
  'explain-live': (terminal) =>
    formatExplanation(
      {
        ...explain(must(parseDomain('git.office.example')), sampleStatus.plan, sampleStatus.link, 'stub'),
        live: sampleOutlook,
      },
      terminal,
    ),
  'explain-own': (terminal) =>
    formatExplanation(
      {
        ...explain(must(parseDomain('localhost')), sampleStatus.plan, sampleStatus.link, 'stub'),
        live: {
          own: 'The resolver knows this name itself and answers with 127.0.0.1, ::1; no server is asked.',
          exclusive: false,
          servers: [],
          cached: [],
        },
      },
      terminal,
    ),
  statistics: (terminal) => formatStatistics(sampleStatistics, terminal),
  'statistics-new': (terminal) => formatStatistics(newStatistics, terminal),
  cache: (terminal) => formatCache(sampleCache, '.', 3, terminal),
  'cache-of-a-name': (terminal) =>
    formatCache({ ...sampleCache, entries: [], matching: 0 }, 'corp.example', 50, terminal),
  top: (terminal) => `${formatTop(sampleHistoryOfTop(), topView, terminal).join('\n')}\n`,
  'top-small': (terminal) =>
    `${formatTop(sampleHistoryOfTop(), { ...topView, rows: 14, paused: true, hideNames: true }, terminal).join('\n')}\n`,
  'top-not-root': (terminal) => {
    const { names, ...seen } = sampleHistoryOfTop();
    return `${formatTop(seen, { ...topView, keys: false }, { ...terminal, unicode: false }).join('\n')}\n`;
  },
  query: (terminal) => formatQuery(sampleQuery, terminal),
  history: (terminal) => formatHistory(sampleHistory, SAMPLE_NOW, terminal),
  doctor: (terminal) =>
    formatFindings(
      [
        { severity: 'error', id: 'a', text: '/etc/resolv.conf links to nowhere.', mend: 'dnsctl takeover' },
        {
          severity: 'warning',
          id: 'b',
          text: 'Something that takes more than one line to be said on a narrow terminal.',
        },
        { severity: 'note', id: 'c', text: 'Good to know.' },
      ],
      terminal,
    ),
  absent: (terminal) =>
    formatAbsent(
      'no daemon answers on /run/dnskeeper/io.dnskeeper; start it: systemctl start dnskeeper',
      {
        path: '/etc/resolv.conf',
        linkText: '../run/systemd/resolve/stub-resolv.conf',
        content: 'nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n',
      },
      terminal,
    ),
};

describe.each(Object.keys(texts))('the text of %s', (name) => {
  test.each([60, 80, 120])('at %i columns is as written down, and fits', async (columns) => {
    const text = texts[name]?.(plain(columns)) ?? '';
    await expect(text).toMatchFileSnapshot(`../cases-control/${name}-${columns}.txt`);
    for (const line of text.split('\n')) expect(columnsOf(line)).toBeLessThanOrEqual(columns);
  });

  test('says the same with colour as without', () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape sequences of colour are what is taken away
    const bare = texts[name]?.(coloured).replace(/\u001b\[[0-9]+m/g, '');
    expect(bare).toBe(texts[name]?.(plain(80)));
  });
});

describe('nothing from outside can steer a terminal', () => {
  const hostile = '\u001b]0;owned\u0007\u009b31m\u202enet\r\n\u2028';

  test.each(['text', 'line', 'heading'] as const)('through %s', (way) => {
    const page = newPage(plain(80));
    page[way](hostile);
    expect(page.end()).toMatch(/^\n?[ -~]*\n$/);
  });

  test('through the rows of a list', () => {
    const page = newPage(plain(80));
    page.rows([{ label: hostile, text: hostile }]);
    expect(page.end()).toMatch(/^[ -~]*\n$/);
  });

  test('fallback servers are called so, with the file that names them', () => {
    const [first] = sampleStatus.plan.nameservers;
    if (first === undefined) throw new Error('the sample has a server');
    const origin = {
      source: 'configuration',
      vpn: false,
      priority: FALLBACK_PRIORITY,
      file: '/etc/a.conf',
    } as const;
    const plan = { ...sampleStatus.plan, nameservers: [{ ...first, origin }] };
    expect(formatStatus(reportOf({ ...sampleStatus, plan }), SAMPLE_NOW, plain(80))).toContain(
      '\n  the configuration (/etc/a.conf), fallback\n',
    );
  });

  test('through a status, however long the names are', () => {
    const [first] = sampleStatus.plan.nameservers;
    const id = hostile + 'x'.repeat(10_000);
    const plan = {
      ...sampleStatus.plan,
      nameservers:
        first === undefined
          ? []
          : [{ ...first, origin: { ...first.origin, connection: { id, uuid: '', type: '' } } }],
    };
    const text = formatStatus(reportOf({ ...sampleStatus, plan }), SAMPLE_NOW, plain(80));
    expect(text).not.toMatch(/[^\P{C}\n]/u);
    expect(text.length).toBeLessThan(6000);
  });
});

describe('monitor', () => {
  const linesOf = () => monitorLines(plain(120), () => SAMPLE_NOW);

  test('tells the present state once, then only what is new', () => {
    const lines = linesOf();
    const status = reportOf(sampleStatus);
    expect(lines({ status })).toMatchInlineSnapshot(`
      "12:00:00 /etc/resolv.conf: dnskeeper is in charge; systemd-resolved does not run, so /etc/resolv.conf is our link.
      12:00:00 source networkmanager running: NetworkManager 1.42.4 on the system bus.
      12:00:00 source configuration running: No file; defaults are in force.
      "
    `);
    expect(lines({ status })).toBeUndefined();
    expect(lines({ status: { ...status, counters: { ...status.counters, events: 43 } } })).toBeUndefined();
    expect(lines({ status: reportOf(degradedStatus) })).toMatchInlineSnapshot(`
      "12:00:00 /etc/resolv.conf: dhclient?[31m is in charge; dhclient wrote /etc/resolv.conf 10 times in a minute, so we
      stopped; stop it, then run dnsctl takeover.
      12:00:00 source networkmanager gone: NetworkManager left the bus 3 minutes ago.
      12:00:00 /run/dnskeeper/resolv.conf could not be written: No space left on device (ENOSPC).
      12:00:00 degraded; dnsctl status says why
      "
    `);
  });

  test('tells what changed in the file', () => {
    const [, change] = sampleHistory;
    expect(change && linesOf()({ change })).toMatchInlineSnapshot(`
      "11:57:55 DnsManager.Configuration changed (networkmanager), 3.1 ms
        -search home.example
        +search office.example home.example
        +nameserver 10.8.0.1
      "
    `);
  });
});

describe('the terminal', () => {
  const tty = { isTTY: true, columns: 100 };
  test.each([
    ['a terminal has colour', tty, {}, true],
    ['NO_COLOR takes it away', tty, { NO_COLOR: '1' }, false],
    ['an empty NO_COLOR does not', tty, { NO_COLOR: '' }, true],
    ['a dumb terminal has none', tty, { TERM: 'dumb' }, false],
    ['a pipe has none', {}, {}, false],
  ])('%s', (_what, stream, environment, colour) => {
    expect(terminalOf(stream, environment).paint('bad', 'x') !== 'x').toBe(colour);
  });

  test('a pipe has no width, so lines stay whole', () => {
    expect(terminalOf({}, {}).columns).toBe(Number.POSITIVE_INFINITY);
    expect(terminalOf(tty, {}).columns).toBe(100);
  });
});

describe('wrapping', () => {
  test.each([
    ['breaks at spaces', 'one two three', 7, ['one two', 'three']],
    ['breaks words that are too long', 'abcdefgh', 3, ['abc', 'def', 'gh']],
    ['counts wide characters twice', '漢字漢字', 4, ['漢字', '漢字']],
    ['counts combining marks not at all', 'e\u0301e\u0301e\u0301', 3, ['e\u0301e\u0301e\u0301']],
    ['keeps an empty text', '', 10, ['']],
  ])('%s', (_what, text, width, lines) => {
    expect(wrap(text, width)).toEqual(lines);
  });

  test('cutting leaves dots', () => {
    expect(cut('abcdefgh', 6)).toBe('abc...');
    expect(cut('abcdef', 6)).toBe('abcdef');
  });
});

describe('numbers for people', () => {
  test.each([
    [3.1234, '3.1 ms'],
    [0.04, '0.04 ms'],
    [250.7, '251 ms'],
    [2500, '2.5 s'],
    [59_000, '59 s'],
    [125_000, '2 minutes'],
    [7_300_000, '2 hours'],
    [200_000_000, '2 days'],
    // Since a time that is still to come, after the clock was set back.
    [-3_600_000, '0 ms'],
  ])('%f ms is %s', (ms, text) => {
    expect(durationText(ms)).toBe(text);
  });

  test('times of another day carry their date', () => {
    expect(agoText(SAMPLE_NOW - 172_800_000, SAMPLE_NOW)).toBe('2 days ago (2026-11-19 12:00:00)');
    expect(agoText(SAMPLE_NOW, SAMPLE_NOW)).toBe('just now (12:00:00)');
  });

  test.each([
    [0, '0 failures'],
    [1, '1 failure'],
    [999, '999 failures'],
    [1000, '1,000 failures'],
    [1_234_567, '1,234,567 failures'],
  ])('%i of something', (count, text) => {
    expect(countText(count, 'failure')).toBe(text);
  });

  test.each([
    [0, '0%'],
    [0.00001, '0.1%'],
    [0.0345, '3.5%'],
    [0.5, '50%'],
    [0.9999, '99%'],
    [1, '100%'],
  ])('a part of %f is %s', (part, text) => {
    expect(percentText(part)).toBe(text);
  });

  test('sizes', () => {
    expect([1592, 61_000, 61_000_000].map(sizeText)).toEqual(['1592 bytes', '61 kB', '61 MB']);
  });
});
