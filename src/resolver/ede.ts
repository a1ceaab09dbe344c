/** The Extended DNS Errors (RFC 8914, IANA registry) that the resolver itself gives. */
export const EDE = {
  other: 0,
  notReady: 14,
  filtered: 17,
  prohibited: 18,
  notSupported: 21,
  noReachableAuthority: 22,
  networkError: 23,
  invalidData: 24,
} as const;
