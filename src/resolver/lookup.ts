import {
  type ExtendedError,
  type FinishedQuery,
  type Lookup,
  type LookupAnswer,
  LookupFailed,
  type LookupFailure,
  type LookupOptions,
  type LookupQuestion,
  type LookupRecord,
} from '../core/lookup.ts';
import { printable } from '../core/text.ts';
import { lookupRecord } from './lookup-record.ts';
import { type ResponseFacts, readQuery, readResponse } from './message-read.ts';
import type { Answer, AnswerOrigin, Query, QueryWish } from './query.ts';
import type { Resolver } from './resolver.ts';
import { FLAG, HEADER, NAME_BYTES, readName, TYPE } from './wire.ts';

/** What lookups are made with. */
export interface LookupNeeds {
  readonly resolver: Pick<
    Resolver,
    'answer' | 'answerAnew' | 'answerAlone' | 'answerHere' | 'routeKeyOf' | 'linkKeys'
  >;
  /** The kernel's number of the link with this key; 0 where it has none. */
  readonly ifindexOf: (linkKey: string) => number;
  /** Hears of every lookup that ended. */
  readonly heard?: (finished: FinishedQuery) => void;
}

/** Looks names up through the resolver, as its clients on the stub do, without a packet. */
export function resolverLookup(needs: LookupNeeds): Lookup {
  return async (question, options) => {
    const link = options.ifindex === 0 ? undefined : linkOf(needs, options.ifindex);
    const query = queryOf(question, options, link);
    // Of a link that nothing is asked of nothing is known either.
    const given =
      options.ifindex === 0 || link !== undefined ? options : { ...options, network: false, cache: false };
    const answer = await answerTo(needs, query, given).catch((error: unknown) => {
      throw options.signal.aborted ? new LookupFailed('aborted') : error;
    });
    const outcome = answer === undefined ? 'no-servers' : readAnswer(answer, needs.ifindexOf);
    // A name that is only looked for among our own is no query yet.
    if (options.network) needs.heard?.({ question, outcome });
    if (typeof outcome === 'string') throw new LookupFailed(outcome);
    return outcome;
  };
}

/** What came of a client's query, for those who watch. */
export function finishedQuery(
  { name, type, class: queryClass }: Query,
  answer: Answer,
  ifindexOf: LookupNeeds['ifindexOf'],
): FinishedQuery {
  const question = { name: readName(name), type, class: queryClass };
  return { question, outcome: readAnswer(answer, ifindexOf) };
}

/** The key of the link with this number, if anything is asked of it. */
const linkOf = ({ resolver, ifindexOf }: LookupNeeds, ifindex: number): string | undefined =>
  resolver.linkKeys().find((key) => ifindexOf(key) === ifindex);

/** Undefined where nobody may be asked who would know. */
function answerTo(
  { resolver }: LookupNeeds,
  query: Query,
  { cache, network, signal }: LookupOptions,
): Promise<Answer | undefined> {
  if (!network) return (cache ? resolver.answerHere : resolver.answerAlone)(query, signal);
  return (cache ? resolver.answer : resolver.answerAnew)(query, signal);
}

function readAnswer(
  { wire, origin }: Answer,
  ifindexOf: LookupNeeds['ifindexOf'],
): LookupAnswer | LookupFailure {
  const response = readResponse(wire);
  if (!response.ok) return 'invalid-reply';
  const { rcode, authenticData, extendedErrors } = response.value;
  const [first] = extendedErrors;
  const failure = rcode === 0 ? undefined : failureOf(origin, first?.code);
  if (failure !== undefined) return failure;
  const local = origin.kind === 'local' || origin.kind === 'hosts' || origin.kind === 'refused';
  const records = answerRecords(response.value);
  return {
    rcode,
    records,
    ...(first === undefined ? {} : { error: extendedError(first) }),
    from: local ? 'local' : origin.kind === 'cache' ? 'cache' : 'network',
    authenticated: local || authenticData,
    confidential: local || (origin.kind === 'upstream' && origin.server.startsWith('dns+tls://')),
    ifindex: local ? localIfindex(origin, records) : ifindexOfWay(origin, ifindexOf),
  };
}

/** The answer section, one record by itself after the other. */
export const answerRecords = ({ wire, records }: ResponseFacts): readonly LookupRecord[] =>
  records
    .filter(({ section, type }) => section === 'answer' && type !== TYPE.OPT)
    .flatMap((record) => lookupRecord(wire, record) ?? []);

/** What stands in the hosts file is of no link. */
const localIfindex = ({ kind }: AnswerOrigin, records: readonly LookupRecord[]): number =>
  kind === 'local' && records.length > 0 && records.every(isLoopback) ? LOOPBACK : 0;

/** The kernel gives this number to `lo` first. */
const LOOPBACK = 1;

const isLoopback = ({ name, value }: LookupRecord): boolean =>
  value.kind === 'address'
    ? value.family === 4
      ? value.bytes[0] === 127
      : value.bytes.every((byte, at) => byte === (at === 15 ? 1 : 0))
    : LOOPBACK_REVERSE.test(name);

const LOOPBACK_REVERSE = /(?:^|\.)127\.in-addr\.arpa$|^1\.(?:0\.){31}ip6\.arpa$/i;

const extendedError = ({ code, text }: ExtendedError): ExtendedError => ({
  code,
  text: printable(text, 200),
});

/** RFC 8914: no server could be reached, or the way to it failed. */
const NO_REACHABLE_AUTHORITY = 22;
const NETWORK_ERROR = 23;

/** A failure of ours is no server's SERVFAIL: clients go on to another source of names after these. */
function failureOf(origin: AnswerOrigin, extended: number | undefined): LookupFailure | undefined {
  if (origin.kind !== 'failure') return undefined;
  if (origin.route === undefined) return 'no-servers';
  if (origin.circle === true) return 'stub-loop';
  return extended === NO_REACHABLE_AUTHORITY || extended === NETWORK_ERROR ? 'attempts-exhausted' : undefined;
}

/** An upstream names its link behind the server; of what is remembered only the whole route is known. */
function ifindexOfWay(origin: AnswerOrigin, ifindexOf: LookupNeeds['ifindexOf']): number {
  if (origin.kind === 'upstream') return ifindexOf(/ \((.*)\)$/.exec(origin.server)?.[1] ?? origin.route);
  if (origin.kind !== 'cache') return 0;
  const [only, ...others] = origin.route.split('+');
  return only === undefined || others.length > 0 ? 0 : ifindexOf(only);
}

/** A question as clients send it that want to know whether servers validate; without length limits. */
function queryOf(question: LookupQuestion, options: LookupOptions, link: string | undefined): Query {
  const head = Buffer.alloc(HEADER.bytes);
  const checking = options.validate ? 0 : FLAG.checkingDisabled;
  head.writeUInt16BE(FLAG.recursionDesired | FLAG.authenticData | checking, HEADER.flags);
  head.writeUInt16BE(1, HEADER.questions);
  head.writeUInt16BE(1, HEADER.additional);
  const tail = Buffer.alloc(4);
  tail.writeUInt16BE(question.type, 0);
  tail.writeUInt16BE(question.class, 2);
  const opt = Buffer.from([0, 0, TYPE.OPT, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
  const wire = Buffer.concat([head, encodePresentation(question.name), tail, opt]);
  const read = readQuery(wire, 'tcp', options.local ? 'full' : 'proxy');
  if (!read.ok) throw new LookupFailed('invalid-reply');
  const wish = wishOf(options, link);
  return wish === undefined ? read.value : { ...read.value, wish };
}

/** Undefined for callers that want nothing of their own, as nearly all do. */
function wishOf({ stale, singleLabels }: LookupOptions, link: string | undefined): QueryWish | undefined {
  if (stale && !singleLabels && link === undefined) return undefined;
  return {
    ...(link === undefined ? {} : { link }),
    ...(singleLabels ? { singleLabels } : {}),
    ...(stale ? {} : { fresh: true }),
  };
}

/** A name in presentation form (RFC 1035 section 5.1), with `\DDD` and `\X` for bytes, in wire form. */
export function encodePresentation(text: string): Buffer {
  const wire: number[] = [];
  let label: number[] = [];
  const end = (): void => {
    if (label.length === 0 || label.length > 63) throw new LookupFailed('invalid-reply');
    wire.push(label.length, ...label);
    label = [];
  };
  const bytes = Buffer.from(text === '.' ? '' : text, 'utf8');
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === DOT) end();
    else if (byte !== BACKSLASH) label.push(byte);
    else {
      const digits = /^[0-9]{3}/.exec(bytes.toString('latin1', at + 1, at + 4))?.[0];
      label.push(digits === undefined ? (bytes[at + 1] ?? 0) : Number(digits) & 255);
      at += digits === undefined ? 1 : 3;
    }
  }
  if (label.length > 0) end();
  wire.push(0);
  if (wire.length > NAME_BYTES) throw new LookupFailed('invalid-reply');
  return Buffer.from(wire);
}

const DOT = 0x2e;
const BACKSLASH = 0x5c;
