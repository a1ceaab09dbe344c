import { DnskeeperError } from '../core/errors.ts';
import type { BusSignal, SignalMatch } from './bus.ts';

/** Name of the bus itself, as destination and as sender. */
export const BUS_NAME = 'org.freedesktop.DBus';

/** The match rule of the bus for a match; equal matches give equal text, so it serves as a key. */
export function ruleOf(match: SignalMatch): string {
  const parts: [string, string | undefined][] = [
    ['type', 'signal'],
    ['sender', match.sender],
    ['path', match.path],
    ['path_namespace', match.pathNamespace],
    ['interface', match.interface],
    ['member', match.member],
    ['arg0', match.arg0],
  ];
  return parts
    .filter((part): part is [string, string] => part[1] !== undefined)
    .map(([key, value]) => `${key}='${checked(value)}'`)
    .join(',');
}

/**
 * Whether a signal is one of those wanted. The bus filters broadcasts by the same rules, but anybody may address
 * a signal straight at us past every rule, so each one is held against the match again; `ownerOf` gives the
 * unique name behind a well-known one.
 */
export function matches(
  match: SignalMatch,
  signal: BusSignal,
  ownerOf: (name: string) => string | undefined,
): boolean {
  if (match.member !== undefined && match.member !== signal.member) return false;
  if (match.interface !== undefined && match.interface !== signal.interface) return false;
  if (match.path !== undefined && match.path !== signal.path) return false;
  if (match.arg0 !== undefined && match.arg0 !== signal.body[0]) return false;
  if (match.pathNamespace !== undefined && !isBelow(signal.path, match.pathNamespace)) return false;
  if (match.sender === undefined) return true;
  return signal.sender === (isWellKnown(match.sender) ? ownerOf(match.sender) : match.sender);
}

/** Whether a name has an owner to be looked up: neither a unique name nor the bus itself. */
export const isWellKnown = (name: string): boolean => !name.startsWith(':') && name !== BUS_NAME;

function isBelow(path: string, namespace: string): boolean {
  return namespace === '/' || path === namespace || path.startsWith(`${namespace}/`);
}

function checked(value: string): string {
  if (/^[A-Za-z0-9_./:-]+$/.test(value)) return value;
  throw new DnskeeperError(
    'PROTOCOL',
    'A match rule wants names and paths of letters, digits and _./:- only; it got another character.',
  );
}
