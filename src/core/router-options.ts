import { type Address, addressOfBytes } from './address.ts';

/** DNS that a router advertises (RFC 8106): servers (RDNSS) or search domains (DNSSL), and for how long. */
export type RouterDns =
  | { readonly kind: 'servers'; readonly lifetime: number; readonly values: readonly Address[] }
  | { readonly kind: 'domains'; readonly lifetime: number; readonly values: readonly string[] };

/** A lifetime without end, in seconds; 0 means that what is named is no longer to be used. */
export const FOR_EVER = 0xffff_ffff;

/**
 * Read options of a router advertisement, one behind the other. Options of other kinds and what is no option are passed
 * over; addresses nobody can ask and names with odd bytes in them are left out.
 */
export function readRouterOptions(bytes: Uint8Array): readonly RouterDns[] {
  const found: RouterDns[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at + 8 <= bytes.length) {
    const length = view.getUint8(at + 1) * 8;
    if (length === 0 || at + length > bytes.length) break;
    const lifetime = view.getUint32(at + 4);
    const value = bytes.subarray(at + 8, at + length);
    const type = view.getUint8(at);
    if (type === RDNSS) found.push({ kind: 'servers', lifetime, values: addressesIn(value) });
    else if (type === DNSSL) found.push({ kind: 'domains', lifetime, values: namesIn(value) });
    at += length;
  }
  return found;
}

const RDNSS = 25;
const DNSSL = 31;

function addressesIn(bytes: Uint8Array): readonly Address[] {
  const addresses: Address[] = [];
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    const address = addressOfBytes([...bytes.subarray(at, at + 16)]);
    if (address?.kind === 'unicast' || address?.kind === 'link-local') addresses.push(address);
  }
  return addresses;
}

/** Names as labels, without pointers, and zeros up to the end (RFC 8106 section 5.2). */
function namesIn(bytes: Uint8Array): readonly string[] {
  const names: string[] = [];
  let labels: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    const length = bytes[at] ?? 0;
    if (length === 0) {
      const name = labels.join('.');
      if (labels.length > 0 && labels.every((label) => /^[\w-]+$/.test(label))) names.push(name);
      labels = [];
    } else if (length > 63 || at + 1 + length > bytes.length) break;
    else labels.push(Buffer.from(bytes.subarray(at + 1, at + 1 + length)).toString('latin1'));
    at += 1 + length;
  }
  return names;
}
