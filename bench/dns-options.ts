import type { Forwarder } from './dns-programs.ts';
import type { Row } from './measurement.ts';

/** What a measurement of `npm run bench:dns` is told. */
export interface DnsOptions {
  /** Who takes turns; dnskeeper is the first. */
  readonly servers: readonly Forwarder[];
  readonly rounds: number;
  /** How long each server is loaded in each round. */
  readonly seconds: number;
  /** Where everything of the run stands; removed at its end. */
  readonly folder: string;
}

/** What a measurement gives: lines of the table, and what the chart shows of them. */
export interface DnsResult {
  readonly rows: readonly Row[];
  readonly charts: readonly Chart[];
}

/** Bars beside each other, one for each server. */
export interface Chart {
  readonly title: string;
  readonly bars: readonly { readonly name: string; readonly value: number; readonly text: string }[];
}
