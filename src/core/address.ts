import type { Domain } from './domain.ts';
import { type Parsed, parsed, refused } from './parsed.ts';

/** An IP address as bytes, 4 or 16 of them. IPv4-mapped IPv6 addresses are stored as the IPv4 address they mean. */
export interface Address {
  readonly family: 4 | 6;
  readonly bytes: readonly number[];
  readonly kind: 'unspecified' | 'loopback' | 'link-local' | 'multicast' | 'unicast';
}

/** An address with a prefix length. */
export interface Prefix {
  readonly address: Address;
  readonly length: number;
}

/** Parse an IPv4 address (four plain decimal numbers: no octal, no short forms) or an IPv6 address (RFC 4291). */
export function parseAddress(text: string): Parsed<Address> {
  if (text.length > 45) return refused('no IP address (too long)');
  const bytes = text.includes(':') ? parseSix(text) : parseFour(text);
  if (bytes === undefined) return refused('no IP address');
  return parsed(classify(isMapped(bytes) ? bytes.slice(12) : bytes));
}

/** An address from its bytes in network order; undefined unless they are 4 or 16. */
export function addressOfBytes(bytes: readonly number[]): Address | undefined {
  if (bytes.length !== 4 && bytes.length !== 16) return undefined;
  return classify(isMapped(bytes) ? bytes.slice(12) : bytes);
}

/** Parse `address/length`; a missing length means the whole address. */
export function parsePrefix(text: string): Parsed<Prefix> {
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (!address.ok) return address;
  const most = address.value.family === 4 ? 32 : 128;
  const lengthText = slash < 0 ? String(most) : text.slice(slash + 1);
  if (!/^[0-9]{1,3}$/.test(lengthText) || Number(lengthText) > most)
    return refused(`a prefix length outside 0 to ${most}`);
  return parsed({ address: address.value, length: Number(lengthText) });
}

/** Canonical text: dotted decimal, or RFC 5952 for IPv6. */
export function formatAddress(address: Address): string {
  return address.family === 4 ? address.bytes.join('.') : formatSix(address.bytes);
}

/** The name under which an address's names are found (RFC 1035 section 3.5, RFC 3596 section 2.5). */
export function reverseName({ family, bytes }: Address): Domain {
  const labels =
    family === 4 ? bytes.map(String) : bytes.flatMap((b) => [(b >> 4).toString(16), (b & 15).toString(16)]);
  return `${labels.reverse().join('.')}.${family === 4 ? 'in-addr' : 'ip6'}.arpa` as Domain;
}

/** Whether `address` lies within `prefix`. */
export function contains(prefix: Prefix, address: Address): boolean {
  if (prefix.address.family !== address.family) return false;
  for (let bit = 0; bit < prefix.length; bit += 8) {
    const mask = prefix.length - bit >= 8 ? 255 : (255 << (8 - (prefix.length - bit))) & 255;
    const index = bit / 8;
    if (((prefix.address.bytes[index] ?? 0) & mask) !== ((address.bytes[index] ?? 0) & mask)) return false;
  }
  return true;
}

const isMapped = (bytes: readonly number[]): boolean =>
  bytes.length === 16 && bytes.slice(0, 10).every((b) => b === 0) && bytes[10] === 255 && bytes[11] === 255;

function parseFour(text: string): number[] | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const bytes = parts.map((part) => (/^(0|[1-9][0-9]{0,2})$/.test(part) ? Number(part) : 256));
  return bytes.every((b) => b <= 255) ? bytes : undefined;
}

function parseSix(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head = '', tail] = halves;
  const left = groupsOf(head, tail === undefined);
  const right = tail === undefined ? [] : groupsOf(tail, true);
  if (left === undefined || right === undefined) return undefined;
  const missing = 16 - left.length - right.length;
  if (tail === undefined ? missing !== 0 : missing < 2) return undefined;
  return [...left, ...new Array<number>(missing).fill(0), ...right];
}

function groupsOf(text: string, last: boolean): number[] | undefined {
  if (text === '') return [];
  const bytes: number[] = [];
  const groups = text.split(':');
  for (const [index, group] of groups.entries()) {
    if (last && index === groups.length - 1 && group.includes('.')) {
      const four = parseFour(group);
      if (four === undefined) return undefined;
      bytes.push(...four);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 255);
    } else return undefined;
  }
  return bytes;
}

function formatSix(bytes: readonly number[]): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  const run = longestZeroRun(groups);
  const hex = (part: readonly number[]): string => part.map((g) => g.toString(16)).join(':');
  if (run.length < 2) return hex(groups);
  return `${hex(groups.slice(0, run.start))}::${hex(groups.slice(run.start + run.length))}`;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (start + length < groups.length && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}

function classify(bytes: readonly number[]): Address {
  const [a = 0, b = 0] = bytes;
  const family = bytes.length === 4 ? 4 : 6;
  const kind = bytes.every((byte) => byte === 0)
    ? 'unspecified'
    : family === 4
      ? a === 127
        ? 'loopback'
        : a >= 224 && a < 240
          ? 'multicast'
          : bytes.every((byte) => byte === 255)
            ? 'multicast'
            : a === 169 && b === 254
              ? 'link-local'
              : 'unicast'
      : bytes.slice(0, 15).every((byte) => byte === 0) && bytes[15] === 1
        ? 'loopback'
        : a === 255
          ? 'multicast'
          : a === 0xfe && (b & 0xc0) === 0x80
            ? 'link-local'
            : 'unicast';
  return { family, bytes, kind };
}
