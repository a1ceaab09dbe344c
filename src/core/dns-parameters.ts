/** Record types by name (IANA registry "DNS Resource Record TYPEs"): those that anybody meets. */
export const RECORD_TYPES: Readonly<Record<string, number>> = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  MX: 15,
  TXT: 16,
  RP: 17,
  AFSDB: 18,
  SIG: 24,
  KEY: 25,
  AAAA: 28,
  LOC: 29,
  SRV: 33,
  NAPTR: 35,
  KX: 36,
  CERT: 37,
  DNAME: 39,
  OPT: 41,
  APL: 42,
  DS: 43,
  SSHFP: 44,
  IPSECKEY: 45,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  DHCID: 49,
  NSEC3: 50,
  NSEC3PARAM: 51,
  TLSA: 52,
  SMIMEA: 53,
  HIP: 55,
  CDS: 59,
  CDNSKEY: 60,
  OPENPGPKEY: 61,
  CSYNC: 62,
  ZONEMD: 63,
  SVCB: 64,
  HTTPS: 65,
  SPF: 99,
  EUI48: 108,
  EUI64: 109,
  TKEY: 249,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
  URI: 256,
  CAA: 257,
};

/** Response codes by number (IANA registry "DNS RCODEs"). */
const RCODES = new Map<number, string>([
  [0, 'NOERROR'],
  [1, 'FORMERR'],
  [2, 'SERVFAIL'],
  [3, 'NXDOMAIN'],
  [4, 'NOTIMP'],
  [5, 'REFUSED'],
  [6, 'YXDOMAIN'],
  [7, 'YXRRSET'],
  [8, 'NXRRSET'],
  [9, 'NOTAUTH'],
  [10, 'NOTZONE'],
  [16, 'BADVERS'],
  [23, 'BADCOOKIE'],
]);

const NAMES = new Map(Object.entries(RECORD_TYPES).map(([name, number]) => [number, name]));

/** `A`, or `TYPE1234` for a type without a name here (RFC 3597 section 5). */
export const recordTypeName = (type: number): string => NAMES.get(type) ?? `TYPE${type}`;

/** The number of a type by name in any case, or as `TYPE1234`; undefined for what is no type. */
export function recordTypeNumber(text: string): number | undefined {
  const name = text.toUpperCase();
  if (Object.hasOwn(RECORD_TYPES, name)) return RECORD_TYPES[name];
  const digits = /^TYPE([0-9]{1,5})$/.exec(name)?.[1];
  const number = digits === undefined ? undefined : Number(digits);
  return number !== undefined && number <= 0xffff ? number : undefined;
}

/** `NOERROR`, `NXDOMAIN`, …, or `RCODE11`. */
export const responseCodeName = (rcode: number): string => RCODES.get(rcode) ?? `RCODE${rcode}`;

/** The name of a parameter of SVCB and HTTPS records (IANA registry "Service Parameter Keys"), or `key9`. */
export const serviceParameterName = (key: number): string => SERVICE_PARAMETERS[key] ?? `key${key}`;

/** In the order of their numbers, from 0. */
const SERVICE_PARAMETERS: readonly string[] = [
  'mandatory',
  'alpn',
  'no-default-alpn',
  'port',
  'ipv4hint',
  'ech',
  'ipv6hint',
  'dohpath',
  'ohttp',
];

/** What an extended error's code stands for (IANA registry "Extended DNS Error Codes"); undefined for one not listed here. */
export const extendedErrorName = (code: number): string | undefined => EXTENDED_ERRORS[code];

/** In the order of their codes, from 0. */
const EXTENDED_ERRORS = [
  'other',
  'unsupported DNSKEY algorithm',
  'unsupported DS digest type',
  'stale answer',
  'forged answer',
  'DNSSEC indeterminate',
  'DNSSEC bogus',
  'signature expired',
  'signature not yet valid',
  'DNSKEY missing',
  'RRSIGs missing',
  'no zone key bit set',
  'NSEC missing',
  'cached error',
  'not ready',
  'blocked',
  'censored',
  'filtered',
  'prohibited',
  'stale NXDOMAIN answer',
  'not authoritative',
  'not supported',
  'no reachable authority',
  'network error',
  'invalid data',
  'signature expired before valid',
  'too early',
  'unsupported NSEC3 iterations value',
  'unable to conform to policy',
  'synthesized',
];
