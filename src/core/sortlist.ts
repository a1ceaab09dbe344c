import { formatAddress, parseAddress } from './address.ts';
import { type Parsed, parsed, refused } from './parsed.ts';

/** glibc reads no more (MAXRESOLVSORT). */
export const MOST_SORTLIST = 10;

/**
 * One pair of the `sortlist` of resolv.conf(5), as it is written there: an IPv4 network, and its mask where it is not that of
 * the network's class. glibc puts addresses in such networks first in what gethostbyname(3) gives.
 */
export function parseSortlistPair(text: string): Parsed<string> {
  const [network = '', mask, ...more] = text.split('/');
  if (more.length > 0) return refused('more than a network and its mask');
  const parts = (mask === undefined ? [network] : [network, mask]).map(addressFour);
  const written = parts.filter((part) => part !== undefined);
  return written.length === parts.length
    ? parsed(written.join('/'))
    : refused('resolv.conf(5) wants an IPv4 network and a mask such as 192.0.2.0/255.255.255.0');
}

function addressFour(text: string): string | undefined {
  const address = parseAddress(text);
  return address.ok && address.value.family === 4 ? formatAddress(address.value) : undefined;
}
