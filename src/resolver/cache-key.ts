import { HOP_BY_HOP } from './message.ts';
import type { Query } from './query.ts';
import { CLASS_IN, TYPE, UDP_SIZE } from './wire.ts';

const bitsOf = (query: Query): number => (query.dnssecOk ? 1 : 0) | (query.checkingDisabled ? 2 : 0);

/**
 * What questions with the same answer have in common, for the cache's store: name, type, the two bits that change answers,
 * and the route by its number. The name comes first and ends itself, so no two keys run together.
 */
export function storeKey(query: Query, route: number): Buffer {
  const { name } = query;
  const key = Buffer.allocUnsafe(name.length + STORE_KEY_TAIL);
  name.copy(key);
  key.writeUInt16BE(query.type, name.length);
  key[name.length + 2] = bitsOf(query);
  key.writeUInt16BE(route, name.length + 3);
  return key;
}

/** Type, bits and route of a store's key stand behind the name. */
const STORE_KEY_TAIL = 5;

/** The name in a store's key, wire form. */
export const nameInKey = (key: Buffer): Buffer => key.subarray(0, key.length - STORE_KEY_TAIL);

/** The type in a store's key. */
export const typeInKey = (key: Buffer): number => key.readUInt16BE(key.length - STORE_KEY_TAIL);

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

/** Small numbers for texts, so that each of many answers need not hold its own. */
export interface Numbers {
  /** From 1 on. */
  numberOf(text: string): number;
  /** Undefined for a text that has not been given one. */
  known(text: string): number | undefined;
  /** Empty for a number that no text has. */
  nameOf(number: number): string;
}

/** A number has two bytes in the cache. Nobody meets so many routes before the next start. */
const MOST_NUMBERS = 0xffff;

/** Numbers that are given anew from 1 on when all are used up; `full` is told before that. */
export function numbers(full: () => void): Numbers {
  let texts: string[] = [];
  return {
    numberOf(text) {
      const known = texts.indexOf(text);
      if (known >= 0) return known + 1;
      if (texts.length >= MOST_NUMBERS) {
        full();
        texts = [];
      }
      return texts.push(text);
    },
    known(text) {
      const at = texts.indexOf(text);
      return at < 0 ? undefined : at + 1;
    },
    nameOf: (number) => texts[number - 1] ?? '',
  };
}
