import type { CacheEntryReport } from '../core/cache-report.ts';
import { recordTypeName, responseCodeName } from '../core/dns-parameters.ts';
import type { RememberedLookup } from '../core/lookup.ts';
import { answerBytes, answerInPlace, newGlance, type PackedAnswer, rcodeOf } from './fast-path-answer.ts';
import { answerRecords } from './lookup.ts';
import { readResponse } from './message-read.ts';
import { recordText } from './record-text.ts';
import { CLASS_IN, FLAG, HEADER, readName, readRecords } from './wire.ts';

/** A remembered answer as the cache holds it. */
export interface RememberedAnswer {
  /** Wire form. */
  readonly name: Buffer;
  readonly type: number;
  readonly packed: PackedAnswer;
  readonly route: string;
  readonly hits: number;
  readonly bytes: number;
  /** Milliseconds since the epoch. */
  readonly storedAt: number;
  readonly expiresAt: number;
}

/** So many records of one answer are shown; a listing is to be read, not to be restored from. */
const MOST_RECORDS = 8;

/** A remembered answer for people, as it is at `now`. */
export function entryReport(entry: RememberedAnswer, now: number): CacheEntryReport {
  const { name, type, packed, storedAt, expiresAt } = entry;
  const wire = answerWire(name, type, packed, Math.floor((now - storedAt) / 1000));
  const questionEnd = HEADER.bytes + name.length + 4;
  const answers = (readRecords(wire, questionEnd) ?? []).filter(({ section }) => section === 'answer');
  return {
    name: readName(name),
    type: recordTypeName(type),
    rcode: responseCodeName(rcodeOf(packed)),
    records: answers.slice(0, MOST_RECORDS).map((record) => recordText(wire, record)),
    recordCount: answers.length,
    secondsLeft: Math.ceil((expiresAt - now) / 1000),
    route: entry.route,
    hits: entry.hits,
    bytes: entry.bytes,
  };
}

/** A remembered answer with its records, as it is at `now`. */
export function rememberedLookup(entry: RememberedAnswer, now: number): RememberedLookup {
  const { name, type, packed, storedAt, expiresAt, route } = entry;
  const response = readResponse(answerWire(name, type, packed, Math.floor((now - storedAt) / 1000)));
  return {
    question: { name: readName(name), type, class: CLASS_IN },
    rcode: rcodeOf(packed),
    records: response.ok ? answerRecords(response.value) : [],
    remainingMs: expiresAt - now,
    route,
  };
}

/** The answer to a client that takes all there is. */
function answerWire(name: Buffer, type: number, packed: PackedAnswer, elapsed: number): Buffer {
  const questionEnd = HEADER.bytes + name.length + 4;
  const wire = Buffer.alloc(answerBytes(questionEnd, packed));
  wire.writeUInt16BE(1, HEADER.questions);
  name.copy(wire, HEADER.bytes);
  wire.writeUInt16BE(type, questionEnd - 4);
  wire.writeUInt16BE(CLASS_IN, questionEnd - 2);
  const asking = { ...newGlance(), flags: FLAG.recursionDesired, questionEnd, most: wire.length };
  return wire.subarray(0, answerInPlace(wire, 0, asking, packed, 0, Math.max(0, elapsed)));
}
