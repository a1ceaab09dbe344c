import { DnskeeperError } from '../core/errors.ts';
import type { BusValue, Variant } from './bus.ts';

/** One complete type of a D-Bus signature: its letter, and what an array, struct, dict entry holds. */
interface Type {
  readonly letter: string;
  readonly inner: readonly Type[];
}

/** The specification allows 32 levels of arrays and 32 of structs. */
const DEEPEST = 64;

/**
 * Check a body against its signature and hand it over with every variant built by `variant`.
 * The bus cuts off whoever sends it a bad path, signature or string, so nothing unchecked may leave.
 */
export function toWire(
  signature: string,
  body: readonly BusValue[],
  variant: (signature: string, value: unknown) => unknown,
): unknown[] {
  const types = parseSignature(signature);
  if (types.length !== body.length)
    throw unfit(`${types.length} values for the signature '${signature}'`, `${body.length}`);
  return types.map((type, index) => valueToWire(type, body[index], variant));
}

/** Make plain values of what arrived: variants give their value, dicts become objects without prototype. */
export function unwrap(value: unknown, isVariant: (value: object) => boolean): BusValue {
  if (typeof value !== 'object' || value === null) return value;
  // A copy: what arrives is a slice that would keep the whole message in memory.
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (Array.isArray(value)) return value.map((item) => unwrap(item, isVariant));
  if (isVariant(value)) return unwrap((value as Variant).value, isVariant);
  const plain: Record<string, unknown> = Object.create(null);
  for (const [key, item] of Object.entries(value)) plain[key] = unwrap(item, isVariant);
  return plain;
}

/** Whether a text is a D-Bus object path. */
export const isObjectPath = (text: string): boolean => text === '/' || /^(?:\/[A-Za-z0-9_]+)+$/.test(text);

function valueToWire(
  type: Type,
  value: BusValue,
  variant: (signature: string, value: unknown) => unknown,
): unknown {
  switch (type.letter) {
    case 's':
    case 'o':
    case 'g':
      return checkedText(type.letter, value);
    case 'v':
      return variantToWire(value, variant);
    case 'a':
      return arrayToWire(type, value, variant);
    case '(':
      if (!Array.isArray(value) || value.length !== type.inner.length)
        throw unfit(`a list of ${type.inner.length} values`, typeof value);
      return type.inner.map((inner, index) => valueToWire(inner, value[index], variant));
    case 'h':
      throw unfit('no file descriptor: they cannot be passed here', 'one');
    default:
      return checkedNumber(type.letter, value);
  }
}

function variantToWire(value: BusValue, variant: (signature: string, value: unknown) => unknown): unknown {
  const { signature, value: inner } = (value ?? {}) as Partial<Variant>;
  if (typeof signature !== 'string') throw unfit('a variant { signature, value }', typeof value);
  const [only, ...more] = parseSignature(signature);
  if (only === undefined || more.length > 0) throw unfit('a variant of one type', `'${signature}'`);
  return variant(signature, valueToWire(only, inner, variant));
}

function arrayToWire(
  type: Type,
  value: BusValue,
  variant: (signature: string, value: unknown) => unknown,
): unknown {
  const [inner] = type.inner;
  if (inner === undefined) throw unfit('an array with an element type', 'none');
  if (inner.letter === 'y' && value instanceof Uint8Array) return Buffer.from(value);
  if (inner.letter !== '{') {
    if (!Array.isArray(value)) throw unfit('a list', typeof value);
    return value.map((item) => valueToWire(inner, item, variant));
  }
  const [key, held] = inner.inner;
  if (typeof value !== 'object' || value === null || key === undefined || held === undefined)
    throw unfit('an object for a dict', typeof value);
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [checkedText('s', name), valueToWire(held, item, variant)]),
  );
}

function checkedText(letter: string, value: BusValue): string {
  if (typeof value !== 'string' || value.includes('\0')) throw unfit('a text without NUL', typeof value);
  if (!value.isWellFormed()) throw unfit('a well-formed text', 'a lone surrogate');
  if (letter === 'o' && !isObjectPath(value)) throw unfit('an object path', `'${value}'`);
  if (letter === 'g') parseSignature(value);
  return value;
}

function checkedNumber(letter: string, value: BusValue): unknown {
  const wanted = letter === 'b' ? 'boolean' : letter === 'x' || letter === 't' ? 'bigint' : 'number';
  if (typeof value !== wanted) throw unfit(`a ${wanted} for '${letter}'`, typeof value);
  return value;
}

function parseSignature(signature: string): Type[] {
  if (signature.length > 255) throw unfit('a signature of at most 255 letters', `${signature.length}`);
  const types: Type[] = [];
  for (let at = 0; at < signature.length; ) {
    const { type, next } = parseType(signature, at, 0);
    types.push(type);
    at = next;
  }
  return types;
}

function parseType(signature: string, at: number, depth: number): { type: Type; next: number } {
  const letter = signature[at] ?? '';
  if (depth > DEEPEST) throw unfit('a signature less deep', `'${signature}'`);
  if (letter === 'a') {
    const element = parseType(signature, at + 1, depth + 1);
    return { type: { letter, inner: [element.type] }, next: element.next };
  }
  if (letter === '(' || letter === '{') return parseGroup(signature, at, depth);
  if (letter === '' || !'ybnqiuxtdsogvh'.includes(letter)) throw unfit('a D-Bus signature', `'${signature}'`);
  return { type: { letter, inner: [] }, next: at + 1 };
}

function parseGroup(signature: string, at: number, depth: number): { type: Type; next: number } {
  const letter = signature[at] ?? '';
  const closing = letter === '(' ? ')' : '}';
  const inner: Type[] = [];
  let next = at + 1;
  while (signature[next] !== closing) {
    const member = parseType(signature, next, depth + 1);
    inner.push(member.type);
    next = member.next;
  }
  if (letter === '{' ? inner.length !== 2 || signature[at - 1] !== 'a' : inner.length === 0)
    throw unfit('a D-Bus signature', `'${signature}'`);
  return { type: { letter, inner }, next: next + 1 };
}

const unfit = (wanted: string, got: string): DnskeeperError =>
  new DnskeeperError('PROTOCOL', `This message cannot be sent over the bus: wanted ${wanted}, got ${got}.`);
