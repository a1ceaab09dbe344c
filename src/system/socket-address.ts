import { type Address, formatAddress } from '../core/address.ts';

/** Address families (socket(2)). */
export const AF = { unix: 1, inet: 2, inet6: 10, netlink: 16 } as const;

/** struct sockaddr_in6, the larger of the two. */
export const SOCKADDR_BYTES = 28;

/** Where the link stands in a struct sockaddr_in6 (sin6_scope_id). */
export const SCOPE_AT = 24;

/** struct sockaddr_in or sockaddr_in6. */
export function socketAddress({ family, bytes }: Address, port: number): Buffer {
  const address = Buffer.alloc(family === 4 ? 16 : SOCKADDR_BYTES);
  address.writeUInt16LE(family === 4 ? AF.inet : AF.inet6, 0);
  address.writeUInt16BE(port, 2);
  address.set(bytes, family === 4 ? 4 : 8);
  return address;
}

/** The address as canonical text and the port of either structure; undefined for those of other families. */
export function readSocketAddress(
  name: Buffer,
): { readonly host: string; readonly port: number } | undefined {
  const type = name.readUInt16LE(0);
  if (type !== AF.inet && type !== AF.inet6) return undefined;
  const family = type === AF.inet ? 4 : 6;
  const bytes = [...(family === 4 ? name.subarray(4, 8) : name.subarray(8, 24))];
  return { host: formatAddress({ family, bytes, kind: 'unicast' }), port: name.readUInt16BE(2) };
}
