import type { Domain } from '../core/domain.ts';
import {
  type Lookup,
  type LookupAnswer,
  LookupFailed,
  type LookupFailure,
  type LookupOptions,
  type LookupRecord,
} from '../core/lookup.ts';
import { FLAG } from './flags.ts';
import { LookupError, NXDOMAIN, rcodeError } from './lookup-errors.ts';

/** What a lookup of the stand-in works with. */
export interface LookupContext {
  readonly lookup: Lookup;
  /** Domains tried for a single label, in order. */
  readonly search: readonly Domain[];
  readonly signal: AbortSignal;
}

/** How one question is asked. */
export interface AskOptions {
  /** 0 for any link. */
  readonly ifindex: number;
  readonly flags: number;
  /** IN unless given. */
  readonly class?: number;
  /** Whether anybody may be asked. */
  readonly network?: boolean;
  /** How the name is called in errors. */
  readonly shown?: string;
}

/** The records of an answer that were asked for, and the name they stand at. */
export interface Asked {
  readonly records: readonly LookupRecord[];
  readonly canonical: string;
  readonly answer: LookupAnswer;
}

/** One question, its aliases followed within the answer: the records of the type that are left at the end. */
export async function ask(
  { lookup, signal }: LookupContext,
  name: string,
  type: number,
  options: AskOptions,
): Promise<Asked> {
  const { ifindex, flags, shown = name } = options;
  const question = { name, type, class: options.class ?? IN };
  if (question.class !== IN && question.class !== ANY) throw failureOf('no-servers', flags, shown);
  const answer = await lookup(question, {
    ...optionsOf(flags, signal),
    ifindex,
    ...(options.network === false ? { network: false, cache: false } : {}),
  }).catch((error: unknown) => {
    throw error instanceof LookupFailed ? failureOf(error.failure, flags, shown) : error;
  });
  if (nobodyAsked(answer, flags)) throw failureOf('no-servers', flags, shown);
  if (answer.rcode !== 0) throw rcodeError(answer.rcode, shown, answer.error);
  const canonical = type === CNAME || type === ANY ? name : followAliases(answer.records, name, flags, shown);
  const records = answer.records.filter(
    (record) => sameName(record.name, canonical) && (type === ANY || record.type === type),
  );
  return { records, canonical, answer };
}

/** What holds of every answer holds of all together; where they came from adds up. */
export function flagsOf(answers: readonly LookupAnswer[]): number {
  const from = { local: FLAG.synthetic, cache: FLAG.fromCache, network: FLAG.fromNetwork };
  let flags: number = FLAG.dns;
  for (const answer of answers) flags |= from[answer.from];
  if (answers.every(({ authenticated }) => authenticated)) flags |= FLAG.authenticated;
  if (answers.every(({ confidential }) => confidential)) flags |= FLAG.confidential;
  return flags;
}

/** Whether a lookup failed only because nobody could or might be asked. */
export const isUnasked = (error: unknown): boolean =>
  error instanceof LookupError && (error.problem === 'no-servers' || error.problem === 'no-source');

/** Whether a lookup failed only because the name does not exist, or has nothing of what was asked. */
export const isAbsence = (error: unknown): boolean =>
  error instanceof LookupError &&
  (error.problem === 'no-such-record' ||
    (typeof error.problem === 'object' && error.problem.rcode === NXDOMAIN));

const CNAME = 5;
const ANY = 255;
const IN = 1;
const MOST_ALIASES = 16;

const optionsOf = (flags: number, signal: AbortSignal): Omit<LookupOptions, 'ifindex'> => ({
  local: (flags & FLAG.noSynthesize) === 0,
  cache: (flags & FLAG.noCache) === 0 && (flags & FLAG.dns) !== 0,
  // Over the network no other protocol is spoken.
  network: (flags & FLAG.noNetwork) === 0 && (flags & FLAG.dns) !== 0,
  validate: (flags & FLAG.noValidate) === 0,
  stale: (flags & FLAG.noStale) === 0,
  singleLabels: (flags & FLAG.relaxSingleLabel) !== 0,
  signal,
});

/** A name that no server is asked for is none that does not exist: somebody else may know it. */
const nobodyAsked = ({ rcode, from, error }: LookupAnswer, flags: number): boolean =>
  rcode === NXDOMAIN && from === 'local' && (error?.code === FILTERED || (flags & FLAG.noSynthesize) !== 0);

/** RFC 8914. */
const FILTERED = 17;

function followAliases(records: readonly LookupRecord[], name: string, flags: number, shown: string): string {
  let current = name;
  for (let steps = 0; steps <= MOST_ALIASES; steps++) {
    const alias = records.find((record) => record.type === CNAME && sameName(record.name, current));
    if (alias?.value.kind !== 'name') return current;
    if ((flags & FLAG.noCname) !== 0) break;
    current = alias.value.name;
  }
  throw new LookupError(
    'alias-loop',
    shown,
    `CNAME loop detected, or CNAME resolving disabled on '${shown}'`,
  );
}

const sameName = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

const FAILURE_TEXTS: Readonly<Record<LookupFailure | 'no-source', string>> = {
  'no-servers': 'No appropriate name servers or networks for name found',
  timeout: 'Query timed out',
  'attempts-exhausted': 'All attempts to contact name servers or networks failed',
  'network-down': 'Network is down',
  'invalid-reply': 'Received invalid reply',
  'stub-loop': 'Configured DNS server loops back to us',
  aborted: 'Query aborted',
  'no-source': 'All suitable resolution sources turned off',
};

/** Nobody to ask means something else to who has forbidden to ask. */
function failureOf(failure: LookupFailure, flags: number, name: string): LookupError {
  const forbidden = failure === 'no-servers' && (flags & FLAG.noNetwork) !== 0 && (flags & FLAG.dns) !== 0;
  const problem = forbidden ? 'no-source' : failure;
  return new LookupError(problem, name, FAILURE_TEXTS[problem]);
}
