import type { ExtendedError, LookupFailure } from '../core/lookup.ts';
import { BusError } from '../system/bus-service.ts';
import { VarlinkError } from '../system/varlink-frames.ts';
import { RESOLVE1 } from './resolve1-tables.ts';

/** Everything that can come of a lookup but an answer. */
export type LookupProblem =
  | LookupFailure
  | 'no-source'
  | 'no-such-record'
  | 'alias-loop'
  | 'type-refused'
  | 'type-invalid'
  | 'zone-transfer'
  | 'type-obsolete'
  | 'service-not-provided'
  | 'invalid-argument'
  | 'bad-address-size';

/** Thrown by lookups of the stand-in; each transport has its own name for it. */
export class LookupError extends Error {
  override readonly name = 'LookupError';
  readonly problem: LookupProblem | { readonly rcode: number };
  readonly extended: ExtendedError | undefined;
  /** What was asked: a name, or the parameter that is wrong. */
  readonly query: string;

  constructor(problem: LookupError['problem'], query: string, text: string, extended?: ExtendedError) {
    super(text);
    this.problem = problem;
    this.query = query;
    this.extended = extended;
  }
}

/** The names of both transports for each problem. */
const NAMES: Readonly<Record<LookupProblem, readonly [bus: string, varlink: string]>> = {
  'no-servers': [`${RESOLVE1}.NoNameServers`, 'NoNameServers'],
  'no-source': [`${RESOLVE1}.NoSource`, 'NoSource'],
  timeout: ['org.freedesktop.DBus.Error.Timeout', 'QueryTimedOut'],
  'attempts-exhausted': ['org.freedesktop.DBus.Error.Timeout', 'MaxAttemptsReached'],
  'network-down': [`${RESOLVE1}.NetworkDown`, 'NetworkDown'],
  'invalid-reply': [`${RESOLVE1}.InvalidReply`, 'InvalidReply'],
  'stub-loop': [`${RESOLVE1}.StubLoop`, 'StubLoop'],
  aborted: [`${RESOLVE1}.Aborted`, 'QueryAborted'],
  'no-such-record': [`${RESOLVE1}.NoSuchRR`, 'NoSuchResourceRecord'],
  'alias-loop': [`${RESOLVE1}.CNameLoop`, 'CNAMELoop'],
  'type-refused': [`${RESOLVE1}.ResourceRecordTypeUnsupported`, 'ResourceRecordTypeUnsupported'],
  'type-invalid': ['org.freedesktop.DBus.Error.InvalidArgs', 'ResourceRecordTypeInvalidForQuery'],
  'zone-transfer': ['org.freedesktop.DBus.Error.NotSupported', 'ZoneTransfersNotPermitted'],
  'type-obsolete': ['org.freedesktop.DBus.Error.NotSupported', 'ResourceRecordTypeObsolete'],
  'service-not-provided': [`${RESOLVE1}.NoSuchService`, 'ServiceNotProvided'],
  'invalid-argument': ['org.freedesktop.DBus.Error.InvalidArgs', 'org.varlink.service.InvalidParameter'],
  'bad-address-size': ['org.freedesktop.DBus.Error.InvalidArgs', 'BadAddressSize'],
};

/** The error as D-Bus carries it; anything that is no LookupError stays as it is. */
export function busErrorOf(error: unknown): unknown {
  if (!(error instanceof LookupError)) return error;
  const { problem } = error;
  const name =
    typeof problem === 'string' ? NAMES[problem][0] : `${RESOLVE1}.DnsError.${rcodeName(problem.rcode)}`;
  return new BusError(name, error.message);
}

/** The error as varlink carries it, its parameters in the order in which clients print them. */
export function varlinkErrorOf(error: unknown): unknown {
  if (!(error instanceof LookupError)) return error;
  const { problem, query, extended } = error;
  if (problem === 'invalid-argument') return new VarlinkError(NAMES[problem][1], { parameter: query });
  if (typeof problem === 'string') return new VarlinkError(`io.systemd.Resolve.${NAMES[problem][1]}`);
  return new VarlinkError('io.systemd.Resolve.DNSError', {
    rcode: problem.rcode,
    ...(extended === undefined ? {} : { extendedDNSErrorCode: extended.code }),
    ...(extended === undefined || extended.text === '' ? {} : { extendedDNSErrorMessage: extended.text }),
    queryString: query,
  });
}

/** The error for a response code that is none of success (IANA registry "DNS RCODEs"). */
export function rcodeError(rcode: number, query: string, extended: ExtendedError | undefined): LookupError {
  const said = extended === undefined ? '' : ` (${describeExtended(extended)})`;
  const text =
    rcode === NXDOMAIN
      ? `Name '${query}' not found${said}`
      : `Could not resolve '${query}', server or network returned error: ${rcodeName(rcode)}${said}`;
  return new LookupError({ rcode }, query, text, extended);
}

/** NXDOMAIN of RFC 1035. */
export const NXDOMAIN = 3;

const RCODES: Readonly<Record<number, string>> = {
  0: 'SUCCESS',
  1: 'FORMERR',
  2: 'SERVFAIL',
  3: 'NXDOMAIN',
  4: 'NOTIMP',
  5: 'REFUSED',
  6: 'YXDOMAIN',
  7: 'YRRSET',
  8: 'NXRRSET',
  9: 'NOTAUTH',
  10: 'NOTZONE',
  11: 'DSOTYPENI',
  16: 'BADVERS',
  17: 'BADKEY',
  18: 'BADTIME',
  19: 'BADMODE',
  20: 'BADNAME',
  21: 'BADALG',
  22: 'BADTRUNC',
  23: 'BADCOOKIE',
};

/** A response code as systemd-resolved writes it; its number where it has no name. */
export const rcodeName = (rcode: number): string => RCODES[rcode] ?? String(rcode);

/** RFC 8914 and the IANA registry "Extended DNS Error Codes". */
const EXTENDED: readonly string[] = [
  'Other',
  'Unsupported DNSKEY Algorithm',
  'Unsupported DS Digest Type',
  'Stale Answer',
  'Forged Answer',
  'DNSSEC Indeterminate',
  'DNSSEC Bogus',
  'Signature Expired',
  'Signature Not Yet Valid',
  'DNSKEY Missing',
  'RRSIGs Missing',
  'No Zone Key Bit Set',
  'NSEC Missing',
  'Cached Error',
  'Not Ready',
  'Blocked',
  'Censored',
  'Filtered',
  'Prohibited',
  'Stale NXDOMAIN Answer',
  'Not Authoritative',
  'Not Supported',
  'No Reachable Authority',
  'Network Error',
  'Invalid Data',
  'Signature Expired before Valid',
  'Too Early',
  'Unsupported NSEC3 Iterations Value',
  'Unable to conform to policy',
  'Synthesized',
];

function describeExtended({ code, text }: ExtendedError): string {
  const name = EXTENDED[code] ?? `EDE ${code}`;
  return text === '' ? name : `${name}: ${text}`;
}
