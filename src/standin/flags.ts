/** The flags of a lookup, in and out (org.freedesktop.resolve1(5)); every bit fits into a JavaScript number. */
export const FLAG = {
  dns: 1 << 0,
  llmnr4: 1 << 1,
  llmnr6: 1 << 2,
  mdns4: 1 << 3,
  mdns6: 1 << 4,
  noCname: 1 << 5,
  noTxt: 1 << 6,
  noAddress: 1 << 7,
  noSearch: 1 << 8,
  authenticated: 1 << 9,
  noValidate: 1 << 10,
  noSynthesize: 1 << 11,
  noCache: 1 << 12,
  noZone: 1 << 13,
  noTrustAnchor: 1 << 14,
  noNetwork: 1 << 15,
  confidential: 1 << 18,
  synthetic: 1 << 19,
  fromCache: 1 << 20,
  fromZone: 1 << 21,
  fromTrustAnchor: 1 << 22,
  fromNetwork: 1 << 23,
  noStale: 1 << 24,
  relaxSingleLabel: 1 << 25,
} as const;

const PROTOCOLS = FLAG.dns | FLAG.llmnr4 | FLAG.llmnr6 | FLAG.mdns4 | FLAG.mdns6;

const ALWAYS =
  PROTOCOLS |
  FLAG.noCname |
  FLAG.noValidate |
  FLAG.noSynthesize |
  FLAG.noCache |
  FLAG.noZone |
  FLAG.noTrustAnchor |
  FLAG.noNetwork |
  FLAG.noStale |
  FLAG.relaxSingleLabel;

/** What each lookup takes beside the flags that all of them take. */
const EXTRA = {
  hostname: FLAG.noSearch,
  address: 0,
  record: FLAG.noSearch,
  service: FLAG.noTxt | FLAG.noAddress,
} as const;

/** Kinds of lookups. */
export type LookupKind = keyof typeof EXTRA;

/** The flags of a call with its protocols spelled out (none means all); undefined when one is not for callers to set. */
export function readFlags(flags: number | bigint, kind: LookupKind): number | undefined {
  const bits = Number(flags);
  if (!Number.isSafeInteger(bits) || bits < 0 || bits >= 2 ** 31) return undefined;
  if ((bits & ~(ALWAYS | EXTRA[kind])) !== 0) return undefined;
  return (bits & PROTOCOLS) === 0 ? bits | PROTOCOLS : bits;
}
