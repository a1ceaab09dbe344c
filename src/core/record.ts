import { type Parsed, parsed, refused } from './parsed.ts';
import { printable } from './text.ts';

/**
 * What a program handed to resolvconf(8), as it lies in the folder of records: one file per key, named by it. The first
 * line holds what came by option, the rest is the input byte for byte.
 */
export interface StoredRecord {
  /** Opaque; by convention an interface, a dot and the program: `eth0.dhclient`. */
  readonly key: string;
  /** The input: resolv.conf(5) text. */
  readonly text: string;
  /** Lower comes first, and none comes before any. */
  readonly metric?: number;
  /** Its servers are for its own domains alone. */
  readonly private: boolean;
  /** Its domains are not searched either. */
  readonly nosearch: boolean;
  /** It keeps all others out; the highest of these numbers is the newest. */
  readonly exclusive?: number;
  /** The interface that the key meant when it was stored. */
  readonly interface?: InterfaceOf;
}

/** A link by name and number; another number is another link. */
export interface InterfaceOf {
  readonly name: string;
  readonly ifindex: number;
}

/** Everything in the folder. */
export interface RecordSet {
  /** In the order of their keys. */
  readonly records: readonly StoredRecord[];
  /** Patterns of keys that resolvconf -C put behind all others. */
  readonly deprecated: readonly string[];
}

/** No resolv.conf is longer; more is not read from anybody. */
export const MOST_RECORD_BYTES = 65_536;

/** The same with our first line before it. */
export const MOST_FILE_BYTES = MOST_RECORD_BYTES + 256;

/** More records than this are no machine's. */
export const MOST_RECORDS = 1024;

/** Whether a text may be a key: it names a file, and openresolv's and Debian's rules hold. */
export function parseKey(text: string): Parsed<string> {
  if (text === '') return refused('an empty key');
  if (Buffer.byteLength(text) > 200)
    return refused(`a key of ${Buffer.byteLength(text)} bytes; 200 is the most`);
  if (/\p{C}/u.test(text)) return refused('a control character, which is not allowed in a key');
  const inside = /[/\\ *]/.exec(text)?.[0];
  if (inside !== undefined) return refused(`"${inside}", which is not allowed in a key`);
  const first = /^[.~-]/.exec(text)?.[0];
  if (first !== undefined) return refused(`"${first}", which is not allowed at the start of a key`);
  return parsed(text);
}

/** Whether bytes from standard input can be resolv.conf(5) text. */
export function parseInput(bytes: Uint8Array): Parsed<string> {
  if (bytes.length > MOST_RECORD_BYTES) return refused(`more than ${MOST_RECORD_BYTES} bytes`);
  const at = bytes.findIndex((byte) => byte === 127 || (byte < 32 && !(byte >= 9 && byte <= 13)));
  if (at >= 0)
    return refused(
      `byte 0x${(bytes[at] ?? 0).toString(16).padStart(2, '0')} at offset ${at}, which no text has`,
    );
  return parsed(Buffer.from(bytes).toString('latin1'));
}

/** The file of a record. */
export function formatRecord(record: Omit<StoredRecord, 'key'>): string {
  const words = [
    HEAD,
    record.metric === undefined ? '' : ` metric=${record.metric}`,
    record.private ? ' private' : '',
    record.nosearch ? ' nosearch' : '',
    record.exclusive === undefined ? '' : ` exclusive=${record.exclusive}`,
    record.interface === undefined ? '' : ` interface=${record.interface.name}/${record.interface.ifindex}`,
  ];
  return `${words.join('')}\n${record.text}`;
}

/** The record in a file; one without our first line is taken as plain text, as an administrator may have written it. */
export function parseRecord(key: string, file: string): StoredRecord {
  if (!file.startsWith(`${HEAD}\n`) && !file.startsWith(`${HEAD} `))
    return { key, text: file, private: false, nosearch: false };
  const end = file.indexOf('\n');
  const head = end < 0 ? file : file.slice(0, end);
  const words = new Set(head.slice(HEAD.length).trim().split(' '));
  const metric = numberAfter(words, 'metric=');
  const exclusive = numberAfter(words, 'exclusive=');
  const link = /^interface=([^/\s]{1,15})\/([0-9]{1,9})$/.exec(
    [...words].find((word) => word.startsWith('interface=')) ?? '',
  );
  return {
    key,
    text: end < 0 ? '' : file.slice(end + 1),
    private: words.has('private'),
    nosearch: words.has('nosearch'),
    ...(metric === undefined ? {} : { metric }),
    ...(exclusive === undefined ? {} : { exclusive }),
    ...(link === null ? {} : { interface: { name: link[1] ?? '', ifindex: Number(link[2]) } }),
  };
}

/** Whether the interface that a record was stored for is gone, also where its name has come to another one. */
export const isVanished = (record: StoredRecord, links: readonly InterfaceOf[]): boolean =>
  record.interface !== undefined &&
  !links.some(({ name, ifindex }) => name === record.interface?.name && ifindex === record.interface.ifindex);

/**
 * The interface that a key means: the longest piece between dots (or before a colon) that names one, from the start of
 * the key (`eth0.100.dhcp`), or behind one word that wg-quick(8) puts before it (`tun.wg0`, and `lo.wg0` where the loopback's
 * pattern is the first of interface-order(5)).
 */
export function interfaceOfKey<T extends { readonly name: string }>(
  key: string,
  links: readonly T[],
): T | undefined {
  const first = fromStart(key, links);
  if (first !== undefined && first.name !== 'lo') return first;
  return fromStart(key.slice(key.indexOf('.') + 1), links) ?? first;
}

function fromStart<T extends { readonly name: string }>(text: string, links: readonly T[]): T | undefined {
  for (
    let end = text.length;
    end > 0;
    end = Math.max(text.lastIndexOf('.', end - 1), text.lastIndexOf(':', end - 1))
  ) {
    const name = text.slice(0, end);
    const link = links.find((each) => each.name === name);
    if (link !== undefined) return link;
  }
  return undefined;
}

/** A key as messages show it. */
export const shownKey = (key: string): string => printable(key, 60);

const HEAD = '# dnskeeper:';

function numberAfter(words: ReadonlySet<string>, name: string): number | undefined {
  const text = [...words].find((word) => word.startsWith(name))?.slice(name.length);
  return text !== undefined && /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined;
}
