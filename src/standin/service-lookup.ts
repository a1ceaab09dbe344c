import { ask, flagsOf, isAbsence, type LookupContext } from './ask.ts';
import { FLAG } from './flags.ts';
import { LookupError } from './lookup-errors.ts';
import { type FoundAddress, resolveHostname } from './lookups.ts';
import { asWritten, readName } from './names.ts';

/** One place where a service is offered. */
export interface FoundService {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  readonly host: string;
  /** Empty where addresses were not asked for or not found. */
  readonly addresses: readonly FoundAddress[];
  /** The host's own name, after aliases; empty without addresses. */
  readonly canonical: string;
}

/** Where a service is, and what is said about it. */
export interface ServiceResult {
  readonly services: readonly FoundService[];
  readonly texts: readonly Uint8Array[];
  readonly canonical: ServiceName;
  readonly flags: number;
}

/** A service's name in three parts; `name` and `type` may be empty. */
export interface ServiceName {
  readonly name: string;
  readonly type: string;
  readonly domain: string;
}

/**
 * Look up a service (RFC 2782, RFC 6763): name, type and domain for DNS-SD; type and domain; or the whole name as
 * domain. `flags` must have gone through `readFlags`.
 */
export async function resolveService(
  context: LookupContext,
  question: ServiceName & {
    readonly ifindex: number;
    readonly family: 4 | 6 | undefined;
    readonly flags: number;
  },
): Promise<ServiceResult> {
  const full = joinName(question);
  // Flags of the service alone mean nothing to the lookups it is made of.
  const base = question.flags & ~(FLAG.noTxt | FLAG.noAddress);
  const found = await ask(context, full, SRV, { ifindex: question.ifindex, flags: base });
  const offers = found.records.flatMap(({ value }) => (value.kind === 'service' ? [value] : []));
  if (offers.length === 0)
    throw new LookupError('no-such-record', full, `'${full}' does not have any RR of the requested type`);
  if (offers.length === 1 && offers[0]?.host === '.')
    throw new LookupError('service-not-provided', full, `'${full}' does not provide the requested service`);
  const texts =
    (question.flags & FLAG.noTxt) === 0 ? await textsOf(context, full, question.ifindex, base) : [];
  const addresses = await Promise.all(
    offers
      .slice(0, MOST_HOSTS)
      .map(({ host }) =>
        (question.flags & FLAG.noAddress) === 0
          ? hostOf(context, { ...question, name: `${host}.`, flags: base & ~FLAG.noCname })
          : { addresses: [], canonical: '' },
      ),
  );
  return {
    services: offers.slice(0, MOST_HOSTS).map(({ priority, weight, port, host }, index) => ({
      priority,
      weight,
      port,
      host,
      ...(addresses[index] ?? { addresses: [], canonical: '' }),
    })),
    texts,
    canonical: splitName(found.canonical),
    flags: flagsOf([found.answer]),
  };
}

const SRV = 33;
const TXT = 16;
const MOST_HOSTS = 64;

/** A host without addresses is no reason to hide the service. */
async function hostOf(
  context: LookupContext,
  question: Parameters<typeof resolveHostname>[1],
): Promise<{ addresses: readonly FoundAddress[]; canonical: string }> {
  try {
    return await resolveHostname(context, question);
  } catch (error) {
    if (error instanceof LookupError) return { addresses: [], canonical: '' };
    throw error;
  }
}

async function textsOf(
  context: LookupContext,
  name: string,
  ifindex: number,
  flags: number,
): Promise<readonly Uint8Array[]> {
  try {
    const { records } = await ask(context, name, TXT, { ifindex, flags });
    return records.flatMap(({ value }) => (value.kind === 'text' ? value.items : []));
  } catch (error) {
    if (isAbsence(error)) return [];
    throw error;
  }
}

/** The parts as one name; an instance name may hold anything and becomes one escaped label (RFC 6763 section 4.3). */
function joinName({ name, type, domain }: ServiceName): string {
  const below = readName(domain, 'domain');
  if (type === '') {
    if (name !== '') throw invalid('type', 'Service name cannot be specified without service type.');
    return asWritten(domain, below);
  }
  if (!SERVICE_TYPE.test(type)) throw invalid('type', `Invalid SRV service type '${type.slice(0, 64)}'`);
  if (name === '') return `${type}.${below}`;
  const bytes = Buffer.from(name, 'utf8');
  if (bytes.length > 63) throw invalid('name', `Invalid service name '${name.slice(0, 255)}'`);
  return `${escapeLabel(bytes)}.${type}.${below}`;
}

const SERVICE_TYPE = /^_[A-Za-z0-9](?:[A-Za-z0-9-]{0,13}[A-Za-z0-9])?\._(?:tcp|udp)$/i;

const escapeLabel = (bytes: Uint8Array): string =>
  [...bytes]
    .map((byte) => {
      const letter = String.fromCharCode(byte);
      return /[A-Za-z0-9_-]/.test(letter) ? letter : `\\${String(byte).padStart(3, '0')}`;
    })
    .join('');

/** The other way round; a name that is no service's is all domain. */
function splitName(full: string): ServiceName {
  const labels = full.split('.');
  const at = labels.findIndex(
    (label, index) => label.startsWith('_') && /^_(?:tcp|udp)$/i.test(labels[index + 1] ?? ''),
  );
  if (at < 0 || at > 1) return { name: '', type: '', domain: full };
  return {
    name: at === 1 ? unescapeLabel(labels[0] ?? '') : '',
    type: labels.slice(at, at + 2).join('.'),
    domain: labels.slice(at + 2).join('.') || '.',
  };
}

function unescapeLabel(label: string): string {
  const bytes = label.replace(/\\([0-9]{3})/g, (_, code: string) => String.fromCharCode(Number(code) & 255));
  return Buffer.from(bytes, 'latin1').toString('utf8').replaceAll('\0', '');
}

const invalid = (parameter: string, text: string): LookupError =>
  new LookupError('invalid-argument', parameter, text);
