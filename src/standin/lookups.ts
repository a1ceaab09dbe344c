import { type Address, formatAddress, parseAddress, reverseName } from '../core/address.ts';
import type { Domain } from '../core/domain.ts';
import type { LookupRecord } from '../core/lookup.ts';
import { ask, flagsOf, isUnasked, type LookupContext } from './ask.ts';
import { FLAG } from './flags.ts';
import { LookupError } from './lookup-errors.ts';
import { asWritten, readName } from './names.ts';

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

/** What is asked about a name; `flags` must have gone through `readFlags`. */
export interface NameQuestion {
  readonly ifindex: number;
  readonly name: string;
  readonly flags: number;
}

/** Look up the addresses of a host; `family` undefined for both. */
export async function resolveHostname(
  context: LookupContext,
  question: NameQuestion & { readonly family: 4 | 6 | undefined },
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
  question: NameQuestion & { readonly class: number; readonly type: number },
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
const PTR = 12;
const AAAA = 28;

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
  question: NameQuestion & { readonly shown: string },
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
  question: Pick<NameQuestion, 'ifindex' | 'name'> & { readonly family: 4 | 6 | undefined },
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

const familyOf = (type: number): 4 | 6 => (type === A ? 4 : 6);

/** `what` stands before the name, as systemd-resolved has it for records. */
const noSuchRecord = (name: string, what = ''): LookupError =>
  new LookupError('no-such-record', name, `${what}'${name}' does not have any RR of the requested type`);
