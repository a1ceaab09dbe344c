import type { ResponseFacts } from './message-read.ts';
import type { Answer } from './query.ts';
import { type EdnsOption, OPTION, RCODE, TYPE } from './wire.ts';

/** How long what is kept, in seconds. */
export interface CacheLimits {
  readonly positive: number;
  /** RFC 2308 section 5 advises one to three hours; people who add a name want to see it sooner. */
  readonly negative: number;
  /** A server's failure (RFC 9520 asks for 1 s to 5 min), short enough for nobody to notice that it has passed. */
  readonly failure: number;
  /** How long expired answers are kept in case no server answers (RFC 8767); 0 for not at all. */
  readonly stale: number;
}

/** What is remembered at all; what is left out is as without any policy. */
export interface CachePolicy {
  /** `no-negative`: answers with data alone. */
  readonly cache?: 'yes' | 'no' | 'no-negative';
  /** Whether a server on this machine is one whose answers are kept. */
  readonly cacheFromLocalhost?: boolean;
  /** Milliseconds instead of `CacheLimits.stale`. */
  readonly staleMs?: number;
}

/** How long it is kept when nobody says otherwise. */
export const LIMITS: CacheLimits = { positive: 86_400, negative: 900, failure: 5, stale: 86_400 };

/** That an answer is old is told with it (RFC 8914): 3 for data, 19 for a name that did not exist. */
export const staleOption = (kind: ResponseFacts['kind']): EdnsOption => ({
  code: OPTION.extendedError,
  data: Buffer.of(0, kind === 'nxdomain' ? 19 : 3),
});

/** A failure of our own, as when no server is reached, may pass within a second of a cable being put in. */
const OWN_FAILURE_SECONDS = 1;

/** For how many seconds an answer may be given again; 0 for not at all. */
export function lifetimeOf(
  facts: ResponseFacts,
  answer: Answer,
  limits: CacheLimits,
  policy: CachePolicy = {},
): number {
  if (policy.cache === 'no' || (policy.cache === 'no-negative' && facts.kind !== 'positive')) return 0;
  if (policy.cacheFromLocalhost === false && isFromLocalhost(answer)) return 0;
  // Nobody is asked who could be spared.
  if (answer.origin.kind === 'failure' && answer.origin.circle === true) return 0;
  if (answer.origin.kind !== 'upstream')
    return facts.rcode === RCODE.SERVFAIL ? Math.min(limits.failure, OWN_FAILURE_SECONDS) : 0;
  if (facts.kind === 'failure') return limits.failure;
  return Math.min(facts.ttl ?? 0, facts.kind === 'positive' ? limits.positive : limits.negative);
}

/**
 * Tell the first client no longer TTLs than all after it, who get them from what is kept. Only for an answer that can be
 * packed: in others a name may run through a TTL.
 */
export function lowerTtls({ wire, records }: ResponseFacts, mostSeconds: number): void {
  for (const { type, ttl, ttlAt } of records)
    if (ttl > mostSeconds && type !== TYPE.OPT) wire.writeUInt32BE(mostSeconds, ttlAt);
}

/** By the server's text, which begins with its address or with the scheme before that. */
const isFromLocalhost = ({ origin }: Answer): boolean =>
  origin.kind === 'upstream' && /^(?:dns\+[a-z]+:\/\/)?\[?(?:127\.|::1(?![0-9a-f:]))/.test(origin.server);

/**
 * Whether an expired answer may be given when no server answers. That something was not there is believed no longer than
 * it is kept at most: it may have been made meanwhile.
 */
export function isStale(
  entry: { readonly kind: ResponseFacts['kind']; readonly expiresAt: number },
  now: number,
  limits: CacheLimits,
  policy: CachePolicy = {},
): boolean {
  if (entry.kind === 'failure') return false;
  const stale = policy.staleMs === undefined ? limits.stale : policy.staleMs / 1000;
  const seconds = entry.kind === 'positive' ? stale : Math.min(stale, limits.negative);
  return now < entry.expiresAt + seconds * 1000;
}
