import { recordTypeNumber } from './dns-parameters.ts';
import { type Domain, parseDomain } from './domain.ts';
import { type Parsed, parsed, refused } from './parsed.ts';
import { formatServer, parseServer, type Server } from './server.ts';

/** A search entry of the configuration. */
export interface SearchEntry {
  readonly domain: Domain;
  readonly routingOnly: boolean;
}

/** One of the words. */
export function oneOf<const T extends readonly string[]>(...words: T): (value: unknown) => Parsed<T[number]> {
  return (value) => {
    const word = words.find((w) => w === value);
    return word === undefined ? refused(`none of ${words.map((w) => `"${w}"`).join(', ')}`) : parsed(word);
  };
}

/** True or false. */
export function parseFlag(value: unknown): Parsed<boolean> {
  return typeof value === 'boolean' ? parsed(value) : refused('neither true nor false');
}

/** A list of at most so many texts, each parsed. */
export function listOf<T>(
  parse: (text: string) => Parsed<T>,
  most: number,
): (value: unknown) => Parsed<readonly T[]> {
  return (value) => {
    if (!Array.isArray(value)) return refused('no list');
    if (value.length > most) return refused(`${value.length} entries; ${most} is the most`);
    const values: T[] = [];
    for (const [index, entry] of value.entries()) {
      if (typeof entry !== 'string') return refused(`entry ${index + 1}: no text`);
      const one = parse(entry);
      if (!one.ok) return refused(`entry ${index + 1}: ${one.reason}`);
      values.push(one.value);
    }
    return parsed(values);
  };
}

/** What a list of servers takes, for people. */
export const SERVER_LIST = 'list of servers: "IP", "IP#name", "dns+udp://IP:port", "dns+tls://IP#name"';

/** A server of the configuration. `IP:port` is no text of NetworkManager's, but what people try first. */
export function parseConfiguredServer(text: string): Parsed<Server> {
  const server = parseServer(text);
  if (server.ok) return server;
  const [, address = '', name = ''] =
    /^((?:\[[^\]]*\]|[^:[\]]+):[0-9]{1,5})(#.*)?$/.exec(text.slice(0, 320)) ?? [];
  const meant = parseServer(`dns+${name === '' ? 'udp' : 'tls'}://${address}${name}`);
  return meant.ok
    ? refused(`a port after the address; it is written "${formatServer(meant.value)}"`)
    : server;
}

/** A search domain, or with `~` before it a domain that is routed alone. */
export function parseSearch(text: string): Parsed<SearchEntry> {
  const routingOnly = text.startsWith('~');
  const name = routingOnly ? text.slice(1) : text;
  const domain = parseDomain(name === '' && routingOnly ? '.' : name);
  return domain.ok ? parsed({ domain: domain.value, routingOnly }) : domain;
}

/** A time with its unit, in milliseconds, up to a bound that `mostText` names. */
export function parseDuration(value: unknown, most: number, mostText: string): Parsed<number> {
  const match = typeof value === 'string' ? /^([0-9]{1,9})(ms|s|min|h|d)$/.exec(value) : null;
  const unit = UNIT_MS[match?.[2] ?? ''];
  if (!match || unit === undefined) return refused('no time with its unit (ms, s, min, h or d)');
  const ms = Number(match[1]) * unit;
  return ms <= most ? parsed(ms) : refused(`more than ${mostText}`);
}

/** A type that a question may have and that nobody needs for the rest to work. */
export function parseRecordType(text: string): Parsed<number> {
  const type = recordTypeNumber(text);
  if (type === undefined) return refused('no record type');
  return type === 0 || type === 41 ? refused('a type that no question has') : parsed(type);
}

/** A priority as NetworkManager has them: any 32-bit number but 0. */
export function parsePriority(value: unknown): Parsed<number> {
  const number = wholeNumber(value, -(2 ** 31), 2 ** 31 - 1);
  return number === undefined || number === 0 ? refused('no whole number in range, or 0') : parsed(number);
}

/** A whole number between two, both included. */
export function numberFrom(least: number, most: number): (value: unknown) => Parsed<number> {
  return (value) => {
    const number = wholeNumber(value, least, most);
    return number === undefined ? refused('no whole number in range') : parsed(number);
  };
}

/** Whole numbers of a TOML text may come as bigint. */
function wholeNumber(value: unknown, least: number, most: number): number | undefined {
  const number = typeof value === 'bigint' ? Number(value) : value;
  return typeof number === 'number' && Number.isInteger(number) && number >= least && number <= most
    ? number
    : undefined;
}

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
