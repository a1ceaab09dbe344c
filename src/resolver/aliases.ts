import { parseDomain } from '../core/domain.ts';
import { type NewRecord, responseTo } from './message.ts';
import { type ResponseFacts, readResponse } from './message-read.ts';
import { dataWithWholeNames } from './names-in-data.ts';
import type { Query } from './query.ts';
import { FLAG, HEADER, nameAt, RCODE, readName, TYPE, type WireRecord } from './wire.ts';

/** Where a chain of aliases is to be cut. */
export interface Leaving {
  /** How many aliases come before the one that leaves. */
  readonly index: number;
  readonly target: Buffer;
  /** The server itself ended there, so that all of its records belong to the chain, signatures too. */
  readonly whole?: boolean;
}

/** The first alias of a response that `leaves` says belongs elsewhere. */
export function aliasThatLeaves(
  response: ResponseFacts,
  leaves: (name: Buffer) => boolean,
): Leaving | undefined {
  const index = response.aliases.findIndex(leaves);
  const target = response.aliases[index];
  return target === undefined ? undefined : { index, target };
}

/**
 * The alias at which a server stopped without a word about what is there, as one does that answers for its own zones
 * only. Whoever asks us expects the whole chain (RFC 1034 section 5.2.2).
 */
export function aliasLeftOpen(response: ResponseFacts): Leaving | undefined {
  const target = response.aliases.at(-1);
  const told = response.records.some(({ section, type }) => section === 'authority' && type === TYPE.SOA);
  if (target === undefined || told || response.kind !== 'nodata') return undefined;
  return { index: response.aliases.length - 1, target, whole: true };
}

/** Whether a chain leads back to where it has been. */
export const isCircle = (query: Query, response: ResponseFacts): boolean =>
  response.aliases.some((alias) => alias.equals(query.name));

/** A query for another name, with the same type and wishes. */
export function queryFor(query: Query, name: Buffer): Query {
  const rest = query.wire.subarray(HEADER.bytes + query.name.length);
  const wire = Buffer.concat([query.wire.subarray(0, HEADER.bytes), name, rest]);
  const domain = parseDomain(readName(name));
  return { ...query, wire, name, domain: domain.ok ? domain.value : undefined };
}

/** The chain of a response up to the alias that leaves, then what another server said about that alias. */
export function answerWithAlias(
  query: Query,
  response: ResponseFacts,
  { index, whole }: Leaving,
  target: Query,
  rest: Buffer,
): Buffer {
  const read = readResponse(rest);
  const tail = read.ok ? read.value : undefined;
  const from = (section: WireRecord['section'], facts = tail): readonly NewRecord[] =>
    (facts?.records ?? [])
      .filter((record) => record.section === section && record.type !== TYPE.OPT)
      .flatMap((record) => copied(facts?.wire ?? rest, record) ?? []);
  const chain = whole === true ? from('answer', response) : aliasRecords(query, response, index);
  // What proves a wildcard behind an alias (RFC 4035 section 3.1.3.3); the servers' names are no part of an answer.
  const proofs = whole === true ? from('authority', response).filter(({ type }) => type !== TYPE.NS) : [];
  const ede = tail?.extendedErrors[0];
  const authentic = response.authenticData && tail !== undefined && isAuthentic(rest, target);
  return responseTo(query, {
    rcode: tail?.rcode ?? RCODE.SERVFAIL,
    answers: unique([...chain, ...from('answer')]),
    authority: [...proofs, ...from('authority')],
    authenticData: authentic,
    ...(ede === undefined ? {} : { ede }),
  });
}

/** No record twice (RFC 2181 section 5): of a chain longer than we read, each answer has the rest of it. */
const unique = (records: readonly NewRecord[]): readonly NewRecord[] => [
  ...new Map(
    records.map((record) => [
      `${record.type} ${record.name?.toString('latin1')} ${record.data.toString('latin1')}`,
      record,
    ]),
  ).values(),
];

/** The answer to the target came through us, and carries AD only when the client asked for it. */
const isAuthentic = (wire: Buffer, target: Query): boolean =>
  (target.authenticData || target.dnssecOk) && (wire.readUInt16BE(HEADER.flags) & FLAG.authenticData) !== 0;

function aliasRecords(query: Query, response: ResponseFacts, index: number): readonly NewRecord[] {
  const names = [query.name, ...response.aliases.slice(0, index + 1)];
  return names.slice(0, -1).map((name, i) => {
    const record = response.records.find(
      ({ type, section, start }) =>
        type === TYPE.CNAME && section === 'answer' && nameAt(response.wire, start)?.equals(name) === true,
    );
    return { name, type: TYPE.CNAME, ttl: record?.ttl ?? 0, data: names[i + 1] ?? Buffer.of(0) };
  });
}

/** A record free of the message it stood in, or undefined when its data is not what its type says. */
function copied(wire: Buffer, record: WireRecord): NewRecord | undefined {
  const name = nameAt(wire, record.start);
  const data = dataWithWholeNames(wire, record);
  return name && data && { name, type: record.type, ttl: record.ttl, data };
}
