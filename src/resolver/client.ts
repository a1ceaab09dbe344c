/** Who asks, as far as places are shared out. */
export interface Client {
  /** The same for all that have one share. */
  readonly key: string;
  /** On loopback, where all users have one address: each socket counts for itself there, and each address elsewhere. */
  readonly local: boolean;
}

/** A client by its address and port as Node tells them. */
export function clientAt(address: string, port: number): Client {
  const local = address === '::1' || /^(?:::ffff:)?127\./i.test(address);
  return { key: local ? `${address} ${port}` : address, local };
}

/** A client as the kernel tells it (struct sockaddr_in or sockaddr_in6): family, port, address. */
export function clientOf(source: Buffer): Client {
  const isFour = source.length < SIX.end;
  const { at, end } = isFour ? FOUR : SIX;
  const local = isFour ? source[at] === 127 : isLoopback6(source);
  return { key: source.toString('latin1', local ? 0 : at, end), local };
}

/** Where the address stands. */
const FOUR = { at: 4, end: 8 };
const SIX = { at: 8, end: 24 };

/** ::1, the only one there is (RFC 4291 section 2.5.3). */
function isLoopback6(source: Buffer): boolean {
  for (let at = SIX.at; at < SIX.end - 1; at++) if (source[at] !== 0) return false;
  return source[SIX.end - 1] === 1;
}
