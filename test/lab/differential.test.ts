/**
 * dnskeeper beside unbound in front of the same authoritative server, asked the same random questions. Everything runs in
 * a network namespace of its own. DNSKEEPER_SEED chooses other questions; which differences are right, and why, stands in
 * differential-compare.ts.
 */
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Report } from './differential-run.ts';
import { succeed } from './processes.ts';

const QUERIES = 10_000;
const SEED = Number(process.env['DNSKEEPER_SEED'] ?? 1);

describe(`${QUERIES} random questions (seed ${SEED}) to dnskeeper and to unbound, asked twice`, () => {
  let report: Report;

  beforeAll(async () => {
    const program = join(import.meta.dirname, 'differential-run.ts');
    const words = ['--net', process.execPath, program, '--seed', String(SEED), '--count', String(QUERIES)];
    report = JSON.parse(await succeed('unshare', words, 500_000));
  });

  it('are all answered, with every kind of answer among them', () => {
    expect(report.compared).toBe(2 * QUERIES);
    expect(report.codes['0']).toBeGreaterThan(QUERIES / 2);
    expect(report.codes['3']).toBeGreaterThan(QUERIES / 10);
    expect(report.truncated).toBeGreaterThan(QUERIES / 100);
  });

  it('get the same answers but for the differences that are listed with their reasons', () => {
    expect(report.failures).toEqual([]);
  });

  it('differ seldom even in what is listed', () => {
    const permitted = Object.values(report.permitted).reduce((sum, count) => sum + count, 0);
    expect(permitted).toBeLessThan(report.compared / 20);
  });
});
