import { type Address, formatAddress } from '../core/address.ts';
import { type Domain, isWithin } from '../core/domain.ts';
import { EDE } from './ede.ts';
import { endsWith, labelsOf } from './labels.ts';
import { type NewRecord, type NewResponse, responseTo } from './message.ts';
import type { Answer, Answerer, Query, Stage } from './query.ts';
import type { StopSignal } from './stop.ts';
import { CLASS_IN, encodeName, FLAG, HEADER, RCODE, TYPE } from './wire.ts';

/** What is known about this machine without asking anybody; the properties are looked up when they are read. */
export interface LocalFacts {
  /** Its own name, full as it is set. */
  readonly hostName: Domain | undefined;
  /** Its addresses beside loopback, best link first. */
  readonly addresses: readonly Address[];
  /** Its default gateways, best first. */
  readonly gateways: readonly Address[];
  /** The addresses that it sends from towards them. */
  readonly outbound: readonly Address[];
  /** Whether the loopback has an IPv6 address: without one, `::1` is a name's wrong answer. */
  readonly ipv6: boolean;
}

/** Which names and addresses the hosts file has a line for. */
export interface HostsLines {
  readonly names: { has(name: Domain): boolean };
  readonly addresses: { has(address: string): boolean };
}

/**
 * Answers what is never asked over the network: this machine's own names, and queries that are refused whoever asks. What
 * the hosts file says of the machine's own name and of loopback comes before what is known without it, as in
 * systemd-resolved: Debian's own file has the host name at 127.0.1.1.
 */
export const localNames =
  (
    facts: () => LocalFacts,
    nsid?: Buffer,
    refuses: (type: number) => boolean = () => false,
    hosts: () => HostsLines = () => NO_LINES,
  ): Stage =>
  (next) =>
  (query, signal) => {
    const name = nsid === undefined ? {} : { nsid };
    const refusal = refusalOf(query, refuses);
    if (refusal !== undefined)
      return Promise.resolve({
        wire: responseTo(query, { ...refusal, ...name }),
        origin: { kind: 'refused' },
      });
    const labels = labelsOf(query.name);
    const lines = query.service === 'full' ? hosts() : NO_LINES;
    const own = ownAnswer(query, labels, facts, lines);
    if (own === undefined) return askedFirst(query, next, signal, reverseNames(query, labels, facts), name);
    const response = query.service === 'proxy' ? NOTHING : own;
    return Promise.resolve({ wire: responseTo(query, { ...response, ...name }), origin: { kind: 'local' } });
  };

const NO_LINES: HostsLines = { names: new Set(), addresses: new Set() };

/** Obsolete since RFC 973, 1127, 2505, 3755 and 6563, and what is no type of a record at all. */
const REFUSED_TYPES: ReadonlySet<number> = new Set([
  ...[3, 4, 7, 8, 9, 10, 11, 14, 30, 38, 253, 254],
  ...[TYPE.AXFR, TYPE.IXFR, TYPE.OPT, TYPE.TSIG, 249, 0],
]);

const CLASS_ANY = 255;

function refusalOf(query: Query, refuses: (type: number) => boolean): NewResponse | undefined {
  const refused = (text: string): NewResponse => ({
    rcode: RCODE.REFUSED,
    ede: { code: EDE.prohibited, text },
  });
  if (query.class !== CLASS_IN && query.class !== CLASS_ANY)
    return { rcode: RCODE.NOTIMP, ede: { code: EDE.notSupported, text: 'only the class IN' } };
  if (!query.recursionDesired) return refused('recursion has to be desired');
  if (REFUSED_TYPES.has(query.type)) return refused('a type that is not served');
  if (refuses(query.type)) return refused('a type that the configuration refuses');
  if (query.name.length === 1 && (query.type === TYPE.A || query.type === TYPE.AAAA))
    return refused('the root has no addresses');
  return undefined;
}

/** Zones that hold nothing and that nobody is asked for (RFC 6761, 9476, 1918's neighbours; resolved does the same). */
const EMPTY: readonly (readonly string[])[] = [
  ['invalid'],
  ['alt'],
  ['0', 'in-addr', 'arpa'],
  ['255', '255', '255', '255', 'in-addr', 'arpa'],
  [...new Array<string>(32).fill('0'), 'ip6', 'arpa'],
];
const LOCALHOST: readonly (readonly string[])[] = [['localhost'], ['localhost', 'localdomain']];
const RESOLVER_ARPA = ['resolver', 'arpa'];
const LOOPBACK_4 = ['127', 'in-addr', 'arpa'];
const LOOPBACK_6 = ['1', ...new Array<string>(31).fill('0'), 'ip6', 'arpa'];
const STUB = '_localdnsstub' as Domain;
const PROXY = '_localdnsproxy' as Domain;
const GATEWAY = '_gateway' as Domain;

const V4_LOOPBACK: Address = { family: 4, bytes: [127, 0, 0, 1], kind: 'loopback' };
const V4_HOST: Address = { family: 4, bytes: [127, 0, 0, 2], kind: 'loopback' };
const V6_LOOPBACK: Address = { family: 6, bytes: [...new Array<number>(15).fill(0), 1], kind: 'loopback' };

function ownAnswer(
  query: Query,
  labels: readonly string[],
  facts: () => LocalFacts,
  lines: HostsLines,
): NewResponse | undefined {
  const under = (suffix: readonly string[]): boolean => endsWith(labels, suffix);
  if (LOCALHOST.some(under)) return addresses(query, loopback(query, V4_LOOPBACK, facts));
  if (EMPTY.some(under)) return NOTHING;
  if (under(RESOLVER_ARPA)) return resolverArpa(query, labels);
  if (under(LOOPBACK_4) || under(LOOPBACK_6)) {
    const address = reversedAddress(labels);
    if (address !== undefined && lines.addresses.has(formatAddress(address))) return undefined;
    return under(LOOPBACK_4) ? reverse(query, labels, facts) : pointers(query, [LOCAL]);
  }
  if (query.domain !== undefined && lines.names.has(query.domain)) return undefined;
  return namedAnswer(query, labels, facts);
}

/** What a network calls our address is worth more than what we do, but where it has no name for it ours serves. */
async function askedFirst(
  query: Query,
  next: Answerer,
  signal: StopSignal,
  names: readonly Domain[],
  nsid: { readonly nsid?: Buffer },
): Promise<Answer> {
  if (names.length === 0) return next(query, signal);
  // With a wish, because the fast path must not learn what stands below ours.
  const answer = await next({ ...query, wish: query.wish ?? {} }, signal);
  if ((answer.wire.readUInt16BE(HEADER.flags) & FLAG.rcode) === RCODE.NOERROR) return answer;
  return { wire: responseTo(query, { ...pointers(query, names), ...nsid }), origin: { kind: 'local' } };
}

/** Our names for the machine's own addresses and its gateways, as systemd-resolved has them. */
function reverseNames(query: Query, labels: readonly string[], facts: () => LocalFacts): readonly Domain[] {
  if (query.service === 'proxy' || query.type !== TYPE.PTR) return [];
  const address = reversedAddress(labels);
  if (address === undefined) return [];
  const text = formatAddress(address);
  const { hostName, addresses, gateways } = facts();
  const isOneOf = (found: readonly Address[]): boolean => found.some((each) => formatAddress(each) === text);
  return [
    ...(hostName !== undefined && !isWithin(hostName, LOCAL) && isOneOf(addresses) ? [hostName] : []),
    ...(isOneOf(gateways) ? [GATEWAY] : []),
  ];
}

/** `_dns.resolver.arpa` finds encrypted servers (RFC 9462) and is the one name there that servers are asked for. */
function resolverArpa(query: Query, labels: readonly string[]): NewResponse | undefined {
  return labels.length === 3 && labels[0] === '_dns' && query.type === TYPE.SVCB ? undefined : NOTHING;
}

function namedAnswer(
  query: Query,
  labels: readonly string[],
  facts: () => LocalFacts,
): NewResponse | undefined {
  if (labels.length === 1)
    switch (labels[0]) {
      case STUB:
        return addresses(query, [stubAddress(53)]);
      case PROXY:
        return addresses(query, [stubAddress(54)]);
      case GATEWAY:
        return someOrNone(query, facts().gateways);
      case '_outbound':
        return someOrNone(query, facts().outbound);
    }
  const known = facts();
  if (!isOwnName(query.domain, known.hostName)) return undefined;
  return addresses(
    query,
    known.addresses.length > 0 ? known.addresses : loopback(query, V4_HOST, () => known),
  );
}

/** The full name, its first label, and that below `local`: systemd-resolved asks nobody for these three. */
function isOwnName(name: Domain | undefined, hostName: Domain | undefined): boolean {
  if (name === undefined || hostName === undefined) return false;
  if (name === hostName) return true;
  const dot = hostName.indexOf('.');
  const first = dot < 0 ? hostName : hostName.slice(0, dot);
  return name === first || name === `${first}.local`;
}

/** Both loopback addresses; whether there is IPv6 is looked up only for those who ask for it. */
const loopback = (query: Query, four: Address, facts: () => LocalFacts): readonly Address[] =>
  query.type === TYPE.A || !facts().ipv6 ? [four] : [four, V6_LOOPBACK];

const stubAddress = (last: number): Address => ({ family: 4, bytes: [127, 0, 0, last], kind: 'loopback' });

const someOrNone = (query: Query, found: readonly Address[]): NewResponse =>
  found.length === 0 ? NOTHING : addresses(query, found);

/** That there is no such name, said with the same certainty as own data. */
const NOTHING: NewResponse = { rcode: RCODE.NXDOMAIN, authoritative: true, authenticData: true };

/** Own data is certain and changes at any moment, so it is authentic and must not be kept. */
function certain(answers: readonly NewRecord[]): NewResponse {
  return { rcode: RCODE.NOERROR, answers, authoritative: true, authenticData: true };
}

function addresses(query: Query, found: readonly Address[]): NewResponse {
  return certain(addressRecords(query.type, found));
}

/** Records for those addresses that a type asks for, not to be kept. */
export function addressRecords(type: number, found: readonly Address[], name?: Buffer): readonly NewRecord[] {
  return found
    .filter(({ family }) => type === TYPE.ANY || type === (family === 4 ? TYPE.A : TYPE.AAAA))
    .map(({ family, bytes }) => ({
      ...(name === undefined ? {} : { name }),
      type: family === 4 ? TYPE.A : TYPE.AAAA,
      ttl: 0,
      data: Buffer.from(bytes),
    }));
}

/** Records that name an address; none for other types. */
export function pointerRecords(type: number, names: readonly Domain[]): readonly NewRecord[] {
  if (type !== TYPE.PTR && type !== TYPE.ANY) return [];
  return names.map((name) => ({ type: TYPE.PTR, ttl: 0, data: encodeName(name) }));
}

const pointers = (query: Query, names: readonly Domain[]): NewResponse =>
  certain(pointerRecords(query.type, names));

/** 127.0.0.2 is where the host's name goes without a network; 127.0.0.53 and .54 have names of their own. */
function reverse(query: Query, labels: readonly string[], facts: () => LocalFacts): NewResponse {
  const address = reversedAddress(labels);
  if (address === undefined) return certain([]); // a name on the way down to the addresses
  const text = formatAddress(address);
  if (text === '127.0.0.53') return pointers(query, [STUB]);
  if (text === '127.0.0.54') return pointers(query, [PROXY]);
  const { hostName } = facts();
  const named =
    text === '127.0.0.2' && hostName !== undefined && !isWithin(hostName, LOCAL) ? [hostName] : [];
  return pointers(query, [...named, LOCAL]);
}

const LOCAL = 'localhost' as Domain;

/** The address whose reverse name has these labels, if it is one. */
export function reversedAddress(labels: readonly string[]): Address | undefined {
  const four = endsWith(labels, ['in-addr', 'arpa']);
  const parts = labels.slice(0, -2).toReversed();
  if (four)
    return parts.length === 4 &&
      parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) < 256)
      ? plain(4, parts.map(Number))
      : undefined;
  if (!endsWith(labels, ['ip6', 'arpa']) || parts.length !== 32) return undefined;
  if (!parts.every((part) => /^[0-9a-f]$/.test(part))) return undefined;
  const bytes = Array.from({ length: 16 }, (_, i) =>
    Number.parseInt(`${parts[2 * i]}${parts[2 * i + 1]}`, 16),
  );
  return plain(6, bytes);
}

const plain = (family: 4 | 6, bytes: readonly number[]): Address => ({ family, bytes, kind: 'unicast' });
