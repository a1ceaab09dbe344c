import { HOP_BY_HOP } from './message.ts';
import type { Query } from './query.ts';
import { CLASS_IN, TYPE, UDP_SIZE } from './wire.ts';

/**
 * What questions with the same answer have in common: name, type, class, the two bits that change answers, and the route.
 * Not comparable with keys of other kinds. The name comes first and ends itself, so no two keys run together.
 */
export function cacheKey(query: Query, route: string): string {
  const bits = (query.dnssecOk ? 1 : 0) | (query.checkingDisabled ? 2 : 0);
  return `${query.name.toString('latin1')}${query.type},${query.class},${bits},${route}`;
}

/** The name in a key, wire form. */
export function nameInKey(key: string): Buffer {
  let end = 0;
  for (let size = key.charCodeAt(end); size > 0; size = key.charCodeAt(end)) end += size + 1;
  return Buffer.from(key.slice(0, end + 1), 'latin1');
}

/**
 * The query as all clients with the same question ask it, so that its answer serves them all: with EDNS, nothing cut, and
 * the AD bit told. Undefined for a query whose answer is its own alone: options that go on to the server, types that are
 * no records (RFC 6895 section 3.1), no recursion, other classes.
 */
export function sharedForm(query: Query): Query | undefined {
  const own = query.edns?.options.some(({ code }) => !HOP_BY_HOP.has(code)) === true;
  const meta = query.type === 0 || query.type === TYPE.OPT || (query.type >= 128 && query.type <= TYPE.ANY);
  if (own || meta || !query.recursionDesired || query.class !== CLASS_IN) return undefined;
  if (query.authenticData && query.transport === 'tcp' && query.edns?.options.length === 0) return query;
  return {
    ...query,
    edns: { version: 0, udpSize: UDP_SIZE, options: [] },
    authenticData: true,
    transport: 'tcp',
  };
}
