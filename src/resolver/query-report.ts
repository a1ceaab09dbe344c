import {
  extendedErrorName,
  recordTypeName,
  recordTypeNumber,
  responseCodeName,
} from '../core/dns-parameters.ts';
import type { Domain } from '../core/domain.ts';
import { DnskeeperError } from '../core/errors.ts';
import type { QueryReport } from '../core/query-report.ts';
import { printable } from '../core/text.ts';
import { type ResponseFacts, readQuery, readResponse } from './message-read.ts';
import type { Answerer, AnswerOrigin, Query } from './query.ts';
import { recordText } from './record-text.ts';
import { CLASS_IN, encodeName, FLAG, HEADER, TYPE } from './wire.ts';

/** Ask the resolver as a client would, and tell what came of it. Rejects with `USAGE` for what is no type. */
export async function reportQuery(
  answer: Answerer,
  domain: Domain,
  typeText: string,
  signal: AbortSignal,
): Promise<QueryReport> {
  const type = typeOf(typeText);
  const query = clientQuery(domain, type);
  const started = performance.now();
  const { wire, origin } = await answer(query, signal);
  const tookMs = Math.round((performance.now() - started) * 100) / 100;
  const response = readResponse(wire);
  if (!response.ok) throw new DnskeeperError('PROTOCOL', `an answer of our own is ${response.reason}`);
  const facts = response.value;
  return {
    name: domain,
    type: recordTypeName(type),
    rcode: responseCodeName(facts.rcode),
    answers: facts.records
      .filter(({ section }) => section === 'answer')
      .map((record) => recordText(wire, record)),
    errors: facts.extendedErrors.map(extendedErrorText),
    flags: flagsOf(facts),
    authentic: facts.authenticData,
    ...wayOf(origin),
    tookMs,
  };
}

/** A question as a client sends it that wants to know whether servers validate: RD and AD set, EDNS without DO. */
export function clientQuery(domain: Domain, type: number): Query {
  const head = Buffer.alloc(HEADER.bytes);
  head.writeUInt16BE(FLAG.recursionDesired | FLAG.authenticData, HEADER.flags);
  head.writeUInt16BE(1, HEADER.questions);
  head.writeUInt16BE(1, HEADER.additional);
  const opt = Buffer.from([0, 0, TYPE.OPT, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
  const question = Buffer.from([type >> 8, type & 255, 0, CLASS_IN]);
  const read = readQuery(Buffer.concat([head, encodeName(domain), question, opt]), 'tcp', 'full');
  if (read.ok) return read.value;
  throw new DnskeeperError('USAGE', `a query for ${domain} cannot be made: ${read.reason}`);
}

function typeOf(text: string): number {
  const type = recordTypeNumber(text);
  if (type !== undefined) return type;
  throw new DnskeeperError(
    'USAGE',
    `wanted a record type such as A, AAAA, MX or TYPE65, got ${printable(text, 20)}`,
  );
}

/** `22 (No Reachable Authority): text`. */
function extendedErrorText({ code, text }: ResponseFacts['extendedErrors'][number]): string {
  const name = extendedErrorName(code);
  const head = name === undefined ? String(code) : `${code} (${name})`;
  return text === '' ? head : `${head}: ${printable(text, 200)}`;
}

function flagsOf(facts: ResponseFacts): string[] {
  const flags: Readonly<Record<string, boolean>> = {
    AA: facts.authoritative,
    TC: facts.truncated,
    RA: facts.recursionAvailable,
    AD: facts.authenticData,
    CD: facts.checkingDisabled,
  };
  return Object.keys(flags).filter((name) => flags[name] === true);
}

function wayOf(origin: AnswerOrigin): Pick<QueryReport, 'from' | 'route' | 'server'> {
  const route = 'route' in origin ? origin.route : undefined;
  return {
    from: origin.kind === 'cache' && origin.stale ? 'cache (stale)' : origin.kind,
    ...(route === undefined ? {} : { route }),
    ...('server' in origin ? { server: origin.server } : {}),
  };
}
