import { type Address, formatAddress, parseAddress } from '../core/address.ts';
import { type Domain, isWithin, parseDomain, ROOT } from '../core/domain.ts';
import { labelsOf } from './labels.ts';
import { addressRecords, pointerRecords, reversedAddress } from './local.ts';
import { type NewRecord, type NewResponse, responseTo } from './message.ts';
import type { Query, Stage } from './query.ts';
import { encodeName, RCODE, TYPE } from './wire.ts';

/** What a hosts file says (hosts(5)), ready to be looked up. */
export interface Hosts {
  readonly names: ReadonlyMap<Domain, HostsName>;
  /** Names of each address, the canonical one of its first line first. */
  readonly addresses: ReadonlyMap<string, readonly Domain[]>;
  /** Lines or names beyond the bounds, which were left out. */
  readonly leftOut: number;
}

/** One name of a hosts file. */
export interface HostsName {
  /** Empty for a name that is mapped to 0.0.0.0 or :: so that nothing is found. */
  readonly addresses: readonly Address[];
  /** The name that stands first on each of its lines, when that is the same other one. */
  readonly aliasOf?: Domain;
}

/** Bounds on a hosts file: people block advertisers with some hundred thousand lines. */
export const MOST_HOSTS = {
  bytes: 64 * 1024 * 1024,
  names: 500_000,
  lineBytes: 64 * 1024,
  namesPerLine: 64,
  addressesPerName: 64,
};

/** A file that says nothing. */
export const NO_HOSTS: Hosts = { names: new Map(), addresses: new Map(), leftOut: 0 };

/** Read the text of a hosts file. Lines that say nothing valid are passed over, as libc does. */
export function parseHosts(text: string): Hosts {
  const reader = hostsReader();
  reader.take(text);
  return reader.end();
}

/** Reads a hosts file piece by piece, so that a large one can be read while queries are answered. */
export interface HostsReader {
  /** The next piece, which may end within a line. */
  take(text: string): void;
  /** What all pieces say together. */
  end(): Hosts;
}

/** A reader that has seen nothing yet. */
export function hostsReader(): HostsReader {
  const names = new Map<Domain, { addresses: Address[]; aliasOf?: Domain }>();
  const addresses = new Map<string, Domain[]>();
  const readAddress = rememberingLast();
  let leftOut = 0;
  let begun = '';
  /** Within a line that is longer than any sensible one. */
  let skipping = false;

  function takeName(name: Domain, canonical: Domain, address: Address): void {
    const held = names.get(name);
    if (held === undefined && names.size >= MOST_HOSTS.names) {
      leftOut++;
      return;
    }
    const entry = held ?? {
      addresses: [] as Address[],
      ...(name === canonical ? {} : { aliasOf: canonical }),
    };
    // A name can be an alias of one name alone (RFC 2181 section 10.1); libc gives it the addresses of all its lines.
    if (entry.aliasOf !== undefined && entry.aliasOf !== canonical) delete entry.aliasOf;
    if (
      address.kind !== 'unspecified' &&
      entry.addresses.length < MOST_HOSTS.addressesPerName &&
      !entry.addresses.some((known) => isSame(known, address))
    )
      entry.addresses.push(address);
    if (held === undefined) names.set(name, entry);
  }

  function takeLine(line: string): void {
    const read = parseLine(line, readAddress);
    if (read === undefined) return;
    const { address, canonical, all } = read;
    for (const name of all) takeName(name, canonical, address);
    if (address.kind === 'unspecified') return;
    const key = formatAddress(address);
    const named = addresses.get(key) ?? [];
    if (named.length < MOST_HOSTS.namesPerLine) addresses.set(key, [...new Set([...named, ...all])]);
  }

  return {
    take(text) {
      const [first = '', ...others] = text.split('\n');
      const last = others.pop();
      if (!skipping) begun += first;
      if (last === undefined) {
        if (begun.length <= MOST_HOSTS.lineBytes) return;
        begun = '';
        skipping = true;
        leftOut++;
        return;
      }
      takeLine(begun);
      for (const line of others) takeLine(line);
      begun = last;
      skipping = false;
    },
    end() {
      takeLine(begun);
      return { names, addresses, leftOut };
    },
  };
}

/** Answers from the hosts file, which owns every name in it whole: other types than addresses have no data. */
export const hostsFile =
  (hosts: () => Hosts, nsid?: Buffer): Stage =>
  (next) =>
  (query, signal) => {
    const answers = query.service === 'full' ? fromHosts(query, hosts()) : undefined;
    if (answers === undefined) return next(query, signal);
    const response: NewResponse = {
      rcode: RCODE.NOERROR,
      answers,
      authoritative: true,
      authenticData: true,
      ...(nsid === undefined ? {} : { nsid }),
    };
    return Promise.resolve({ wire: responseTo(query, response), origin: { kind: 'hosts' } });
  };

function fromHosts(query: Query, hosts: Hosts): readonly NewRecord[] | undefined {
  if (query.domain === undefined) return undefined;
  const found = hosts.names.get(query.domain);
  if (found !== undefined) return nameRecords(query, found, hosts);
  if (hosts.addresses.size === 0 || !query.domain.endsWith('.arpa')) return undefined;
  const address = reversedAddress(labelsOf(query.name));
  const names = address && hosts.addresses.get(formatAddress(address));
  return names && pointerRecords(query.type, names);
}

function nameRecords(query: Query, { addresses, aliasOf }: HostsName, hosts: Hosts): readonly NewRecord[] {
  if (aliasOf === undefined) return addressRecords(query.type, addresses);
  const target = encodeName(aliasOf);
  const cname: NewRecord = { type: TYPE.CNAME, ttl: 0, data: target };
  if (query.type === TYPE.CNAME) return [cname];
  return [cname, ...addressRecords(query.type, hosts.names.get(aliasOf)?.addresses ?? [], target)];
}

function parseLine(
  line: string,
  readAddress: typeof parseAddress,
): { readonly address: Address; readonly canonical: Domain; readonly all: readonly Domain[] } | undefined {
  const [first = '', ...words] = (line.split('#', 1)[0] ?? '').trim().split(/\s+/);
  if (first === '' || words.length === 0) return undefined;
  const address = readAddress(first); // one with a zone cannot be told in a record
  if (!address.ok) return undefined;
  const all = words.slice(0, MOST_HOSTS.namesPerLine).flatMap((word) => {
    const name = parseDomain(word);
    return name.ok && name.value !== ROOT ? [name.value] : [];
  });
  const [canonical] = all;
  if (canonical === undefined || (address.value.kind === 'loopback' && all.every(isLocalhost)))
    return undefined;
  return { address: address.value, canonical, all };
}

const isSame = (a: Address, b: Address): boolean =>
  a === b || (a.family === b.family && a.bytes.every((byte, at) => byte === b.bytes[at]));

/** Names that are answered without any file; `ip6-localhost` and its like are Debian's lines for the same. */
const isLocalhost = (name: Domain): boolean =>
  isWithin(name, 'localhost' as Domain) || isWithin(name, 'localhost.localdomain' as Domain);

/** Block lists say the same address some hundred thousand times in a row. */
function rememberingLast(): typeof parseAddress {
  let last: string | undefined;
  let address = parseAddress('');
  return (text) => {
    if (text !== last) address = parseAddress(text);
    last = text;
    return address;
  };
}
