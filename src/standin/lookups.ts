import { domainToASCII } from 'node:url';
import { type Address, formatAddress, parseAddress } from '../core/address.ts';
import { type Domain, parseDomain } from '../core/domain.ts';
import {
  type Lookup,
  type LookupAnswer,
  LookupFailed,
  type LookupFailure,
  type LookupOptions,
  type LookupRecord,
} from '../core/lookup.ts';
import { FLAG } from './flags.ts';
import { LookupError, NXDOMAIN, rcodeError } from './lookup-errors.ts';

/** What a lookup of the stand-in works with. */
export interface LookupContext {
  readonly lookup: Lookup;
  /** Domains tried for a single label, in order. */
  readonly search: readonly Domain[];
  readonly signal: AbortSignal;
}

/** An address with the link it was learnt from. */
export interface FoundAddress {
  readonly ifindex: number;
  readonly family: 4 | 6;
  readonly bytes: Uint8Array;
}

/** The addresses of a name, the name they were found under, and flags of the answer. */
export interface HostnameResult {
  readonly addresses: readonly FoundAddress[];
  readonly canonical: string;
  readonly flags: number;
}

/** Look up the addresses of a host; `family` undefined for both. `flags` must have gone through `readFlags`. */
export async function resolveHostname(
  context: LookupContext,
  question: {
    readonly ifindex: number;
    readonly name: string;
    readonly family: 4 | 6 | undefined;
    readonly flags: number;
  },
): Promise<HostnameResult> {
  const literal = parseAddress(question.name);
  if (literal.ok) return literalResult(literal.value, question);
  if (question.name === '' || question.name === '.') throw noSuchRecord('.');
  const name = asWritten(question.name, readName(question.name, 'name', 'hostname'));
  const types = [A, AAAA].filter(
    (type) => question.family === undefined || question.family === familyOf(type),
  );
  const absolute = question.name.endsWith('.') || (question.flags & FLAG.noSearch) !== 0;
  let failure: unknown;
  for (const { candidate, network } of candidatesOf(name, absolute, context.search)) {
    try {
      return await addressesOf(context, { ...question, name: candidate, shown: name }, types, network);
    } catch (error) {
      // That nobody is asked for the name as it is says nothing against what the search has found.
      if (failure === undefined || !isUnasked(error)) failure = error;
      if (context.signal.aborted) break;
    }
  }
  throw failure;
}

/** The names of an address. */
export async function resolveAddress(
  context: LookupContext,
  question: { readonly ifindex: number; readonly address: Address; readonly flags: number },
): Promise<{ readonly names: readonly { ifindex: number; name: string }[]; readonly flags: number }> {
  const found = await ask(context, reverseName(question.address), PTR, question);
  const names = found.records.flatMap(({ value }) => (value.kind === 'name' ? [value.name] : []));
  if (names.length === 0) throw noSuchRecord(formatAddress(question.address));
  return {
    names: [...new Set(names)].map((name) => ({ ifindex: found.answer.ifindex, name })),
    flags: flagsOf([found.answer]),
  };
}

/** Records of one type as they are on the wire. */
export async function resolveRecord(
  context: LookupContext,
  question: {
    readonly ifindex: number;
    readonly name: string;
    readonly class: number;
    readonly type: number;
    readonly flags: number;
  },
): Promise<{
  readonly records: readonly LookupRecord[];
  readonly ifindex: number;
  readonly flags: number;
}> {
  const isRoot = question.name === '.' || question.name === '';
  const name = isRoot ? '.' : asWritten(question.name, readName(question.name, 'name'));
  refuseType(question.type, question.name);
  if (isRoot && (question.type === A || question.type === AAAA)) throw noSuchRecord('.', 'Name ');
  const { records, answer } = await ask(context, name, question.type, question);
  if (records.length === 0) throw noSuchRecord(name, 'Name ');
  return { records, ifindex: answer.ifindex, flags: flagsOf([answer]) };
}

const A = 1;
const CNAME = 5;
const PTR = 12;
const AAAA = 28;
const ANY = 255;
const IN = 1;
const MOST_ALIASES = 16;

/** Parse a name from a caller; other scripts become A-labels. `parameter` is what is blamed, `what` how it is called. */
export function readName(text: string, parameter: string, what = 'name'): Domain {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all that is not ASCII
  const plain = /^[\x00-\x7f]*$/.test(text) ? text : domainToASCII(text);
  const name = parseDomain(plain);
  if (name.ok) return name.value;
  throw new LookupError('invalid-argument', parameter, `Invalid ${what} '${text.slice(0, 255)}'`);
}

/** A name that was read, in the letters of who asks: they are shown again, and no server minds. */
export function asWritten(text: string, name: Domain): string {
  const bare = text.replace(/\.$/, '');
  return bare.toLowerCase() === name ? bare : name;
}

/** One question, its aliases followed within the answer: the records of the type that are left at the end. */
export async function ask(
  { lookup, signal }: LookupContext,
  name: string,
  type: number,
  options: {
    readonly ifindex: number;
    readonly flags: number;
    readonly class?: number;
    /** Whether anybody may be asked. */
    readonly network?: boolean;
    /** How the name is called in errors. */
    readonly shown?: string;
  },
): Promise<{
  readonly records: readonly LookupRecord[];
  readonly canonical: string;
  readonly answer: LookupAnswer;
}> {
  const { ifindex, flags, shown = name } = options;
  const question = { name, type, class: options.class ?? IN };
  if (question.class !== IN && question.class !== ANY) throw failureOf('no-servers', flags, shown);
  const answer = await lookup(question, {
    ...optionsOf(flags, signal),
    ifindex,
    ...(options.network === false ? { network: false, cache: false } : {}),
  }).catch((error: unknown) => {
    throw error instanceof LookupFailed ? failureOf(error.failure, flags, shown) : error;
  });
  if (nobodyAsked(answer, flags)) throw failureOf('no-servers', flags, shown);
  if (answer.rcode !== 0) throw rcodeError(answer.rcode, shown, answer.error);
  const canonical = type === CNAME || type === ANY ? name : followAliases(answer.records, name, flags, shown);
  const records = answer.records.filter(
    (record) => sameName(record.name, canonical) && (type === ANY || record.type === type),
  );
  return { records, canonical, answer };
}

const optionsOf = (flags: number, signal: AbortSignal): Omit<LookupOptions, 'ifindex'> => ({
  local: (flags & FLAG.noSynthesize) === 0,
  cache: (flags & FLAG.noCache) === 0 && (flags & FLAG.dns) !== 0,
  // Over the network no other protocol is spoken.
  network: (flags & FLAG.noNetwork) === 0 && (flags & FLAG.dns) !== 0,
  validate: (flags & FLAG.noValidate) === 0,
  stale: (flags & FLAG.noStale) === 0,
  singleLabels: (flags & FLAG.relaxSingleLabel) !== 0,
  signal,
});

/** A name that no server is asked for is none that does not exist: somebody else may know it. */
const nobodyAsked = ({ rcode, from, error }: LookupAnswer, flags: number): boolean =>
  rcode === NXDOMAIN && from === 'local' && (error?.code === FILTERED || (flags & FLAG.noSynthesize) !== 0);

/** RFC 8914. */
const FILTERED = 17;

function followAliases(records: readonly LookupRecord[], name: string, flags: number, shown: string): string {
  let current = name;
  for (let steps = 0; steps <= MOST_ALIASES; steps++) {
    const alias = records.find((record) => record.type === CNAME && sameName(record.name, current));
    if (alias?.value.kind !== 'name') return current;
    if ((flags & FLAG.noCname) !== 0) break;
    current = alias.value.name;
  }
  throw new LookupError(
    'alias-loop',
    shown,
    `CNAME loop detected, or CNAME resolving disabled on '${shown}'`,
  );
}

const sameName = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

/**
 * A single label is looked for here first, then below each search domain, then as it is; who names a whole name or
 * wants no search gets it as it is.
 */
function candidatesOf(
  name: string,
  absolute: boolean,
  search: readonly Domain[],
): readonly { readonly candidate: string; readonly network: boolean }[] {
  if (absolute || name.includes('.') || search.length === 0) return [{ candidate: name, network: true }];
  return [
    { candidate: name, network: false },
    ...search.map((domain) => ({ candidate: `${name}.${domain}`, network: true })),
    { candidate: name, network: true },
  ];
}

async function addressesOf(
  context: LookupContext,
  question: {
    readonly ifindex: number;
    readonly name: string;
    readonly shown: string;
    readonly flags: number;
  },
  types: readonly number[],
  network: boolean,
): Promise<HostnameResult> {
  const { name, shown } = question;
  const outcomes = await Promise.allSettled(
    types.map((type) => ask(context, name, type, { ...question, network })),
  );
  const found = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  const withAddresses = found.filter(({ records }) => records.length > 0);
  if (withAddresses.length === 0) {
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    throw failed === undefined ? noSuchRecord(shown) : failed.reason;
  }
  return {
    addresses: withAddresses.flatMap(({ records, answer }) =>
      records.flatMap(({ value }) =>
        value.kind === 'address'
          ? [{ ifindex: answer.ifindex, family: value.family, bytes: value.bytes }]
          : [],
      ),
    ),
    canonical: withAddresses[0]?.canonical ?? name,
    flags: flagsOf(withAddresses.map(({ answer }) => answer)),
  };
}

function literalResult(
  address: Address,
  question: { readonly ifindex: number; readonly name: string; readonly family: 4 | 6 | undefined },
): HostnameResult {
  if (question.family !== undefined && question.family !== address.family)
    throw new LookupError(
      'no-such-record',
      question.name,
      'The specified address is not of the requested family.',
    );
  return {
    addresses: [{ ifindex: question.ifindex, family: address.family, bytes: Uint8Array.from(address.bytes) }],
    canonical: formatAddress(address),
    flags: FLAG.dns | FLAG.authenticated | FLAG.confidential | FLAG.synthetic,
  };
}

/** What holds of every answer holds of all together; where they came from adds up. */
export function flagsOf(answers: readonly LookupAnswer[]): number {
  const from = { local: FLAG.synthetic, cache: FLAG.fromCache, network: FLAG.fromNetwork };
  let flags: number = FLAG.dns;
  for (const answer of answers) flags |= from[answer.from];
  if (answers.every(({ authenticated }) => authenticated)) flags |= FLAG.authenticated;
  if (answers.every(({ confidential }) => confidential)) flags |= FLAG.confidential;
  return flags;
}

/** Types that no question may have, and those that nobody should ask for any more. */
function refuseType(type: number, name: string): void {
  if (INVALID.has(type) || type > 0xffff)
    throw new LookupError(
      'type-invalid',
      name,
      `Specified resource record type ${type} may not be used in a query.`,
    );
  if (type === 251 || type === 252)
    throw new LookupError(
      'zone-transfer',
      name,
      'Zone transfers not permitted via this programming interface.',
    );
  if (OBSOLETE.has(type))
    throw new LookupError('type-obsolete', name, `Specified DNS resource record type ${type} is obsolete.`);
}

/** None, OPT, RRSIG, TKEY, TSIG. */
const INVALID: ReadonlySet<number> = new Set([0, 41, 46, 249, 250]);
/** MD, MF, MB, MG, MR, NULL, WKS, MINFO, NXT, A6, MAILB, MAILA. */
const OBSOLETE: ReadonlySet<number> = new Set([3, 4, 7, 8, 9, 10, 11, 14, 30, 38, 253, 254]);

/** The name that PTR records of an address stand at (RFC 1035 section 3.5, RFC 3596 section 2.5). */
function reverseName({ family, bytes }: Address): string {
  if (family === 4) return `${bytes.toReversed().join('.')}.in-addr.arpa`;
  const nibbles = bytes.flatMap((byte) => [byte >> 4, byte & 15]);
  return `${nibbles
    .toReversed()
    .map((nibble) => nibble.toString(16))
    .join('.')}.ip6.arpa`;
}

const familyOf = (type: number): 4 | 6 => (type === A ? 4 : 6);

/** `what` stands before the name, as systemd-resolved has it for records. */
const noSuchRecord = (name: string, what = ''): LookupError =>
  new LookupError('no-such-record', name, `${what}'${name}' does not have any RR of the requested type`);

const FAILURE_TEXTS: Readonly<Record<LookupFailure | 'no-source', string>> = {
  'no-servers': 'No appropriate name servers or networks for name found',
  timeout: 'Query timed out',
  'attempts-exhausted': 'All attempts to contact name servers or networks failed',
  'network-down': 'Network is down',
  'invalid-reply': 'Received invalid reply',
  'stub-loop': 'Configured DNS server loops back to us',
  aborted: 'Query aborted',
  'no-source': 'All suitable resolution sources turned off',
};

/** Nobody to ask means something else to who has forbidden to ask. */
function failureOf(failure: LookupFailure, flags: number, name: string): LookupError {
  const forbidden = failure === 'no-servers' && (flags & FLAG.noNetwork) !== 0 && (flags & FLAG.dns) !== 0;
  const problem = forbidden ? 'no-source' : failure;
  return new LookupError(problem, name, FAILURE_TEXTS[problem]);
}

const isUnasked = (error: unknown): boolean =>
  error instanceof LookupError && (error.problem === 'no-servers' || error.problem === 'no-source');

/** Whether a lookup failed only because the name does not exist, or has nothing of what was asked. */
export const isAbsence = (error: unknown): boolean =>
  error instanceof LookupError &&
  (error.problem === 'no-such-record' ||
    (typeof error.problem === 'object' && error.problem.rcode === NXDOMAIN));
