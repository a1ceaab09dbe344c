import type { Forwarder } from './dns-programs.ts';

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
