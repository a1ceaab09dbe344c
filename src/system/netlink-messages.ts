import { type Address, addressOfBytes } from '../core/address.ts';
import { AF } from './socket-address.ts';

/** What the kernel says of links, addresses and routes over rtnetlink(7), as values. */
export type NetlinkMessage =
  | LinkMessage
  | AddressMessage
  | RouteMessage
  | RouterOptionMessage
  | { readonly kind: 'done'; readonly interrupted: boolean }
  /** The kernel's answer to a request of ours; 0 where it has done it. */
  | { readonly kind: 'error'; readonly errno: number }
  | { readonly kind: 'overrun' };

/** RTM_NEWLINK and RTM_DELLINK. What is undefined was not said this time, and is what it was before. */
export interface LinkMessage {
  readonly kind: 'link';
  readonly gone: boolean;
  readonly ifindex: number;
  readonly name: string | undefined;
  /** ARPHRD_* of linux/if_arp.h. */
  readonly hardware: number;
  /** IFF_* of netdevice(7). */
  readonly flags: number;
  readonly mtu: number | undefined;
  /** What made it: `veth`, `wireguard`, `tun`, …; absent for hardware. */
  readonly driver: string | undefined;
}

/** RTM_NEWADDR and RTM_DELADDR. */
export interface AddressMessage {
  readonly kind: 'address';
  readonly gone: boolean;
  readonly ifindex: number;
  readonly address: Address;
  readonly prefixLength: number;
  /** RT_SCOPE_*: 0 for the whole world, 253 for the link, 254 for the machine. */
  readonly scope: number;
  /** Not usable yet, or found on another machine too (IFA_F_TENTATIVE, IFA_F_DADFAILED). */
  readonly tentative: boolean;
}

/** RTM_NEWROUTE and RTM_DELROUTE of a default route in the main table; other routes give no message. */
export interface RouteMessage {
  readonly kind: 'route';
  readonly gone: boolean;
  readonly family: 4 | 6;
  readonly metric: number;
  /** One for each way it may take. */
  readonly hops: readonly { readonly ifindex: number; readonly gateway: Address | undefined }[];
}

/** RTM_NEWNDUSEROPT: options of a router advertisement that are for programs (RFC 8106). */
export interface RouterOptionMessage {
  readonly kind: 'router-option';
  readonly ifindex: number;
  /** Options as they came, one behind the other: type, length in units of eight bytes, value. */
  readonly options: Uint8Array;
  /** The router that sent it. */
  readonly router: Address | undefined;
}

/**
 * Read what came in one datagram. What is not understood is passed over; what lies about its length ends the reading,
 * because nothing behind it can be found.
 */
export function readNetlink(bytes: Uint8Array): readonly NetlinkMessage[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: NetlinkMessage[] = [];
  let at = 0;
  while (at + HEADER <= view.byteLength) {
    const length = view.getUint32(at, true);
    if (length < HEADER || at + length > view.byteLength) break;
    const body = new DataView(view.buffer, view.byteOffset + at + HEADER, length - HEADER);
    const message = readMessage(view.getUint16(at + 4, true), view.getUint16(at + 6, true), body);
    if (message !== undefined) messages.push(message);
    at += aligned(length);
  }
  return messages;
}

/** A request for all links, addresses or routes (NLM_F_DUMP). */
export function dumpRequest(what: 'links' | 'addresses' | 'routes', sequence: number): Buffer {
  const [type, body] = { links: [18, 16 + 8], addresses: [22, 8], routes: [26, 12] }[what] as [
    number,
    number,
  ];
  const request = Buffer.alloc(HEADER + body);
  request.writeUInt32LE(request.length, 0);
  request.writeUInt16LE(type, 4);
  request.writeUInt16LE(NLM_F_REQUEST | NLM_F_DUMP, 6);
  request.writeUInt32LE(sequence, 8);
  if (what === 'links') {
    // Without the packet counters, which are most of a link's message.
    request.writeUInt16LE(8, HEADER + 16);
    request.writeUInt16LE(IFLA_EXT_MASK, HEADER + 18);
    request.writeUInt32LE(RTEXT_FILTER_SKIP_STATS, HEADER + 20);
  }
  if (what === 'routes') request.writeUInt8(RT_TABLE_MAIN, HEADER + 4);
  return request;
}

/** struct nlmsghdr. */
const HEADER = 16;
const NLM_F_REQUEST = 1;
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_DUMP = 0x300;
const AF_UNSPEC = 0;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;
const IFLA_EXT_MASK = 29;
const RTEXT_FILTER_SKIP_STATS = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
const IFA_F_UNUSABLE = 0x40 | 0x08;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RTA_VIA = 18;
const RT_TABLE_MAIN = 254;
const RTN_UNICAST = 1;
const NDUSEROPT_SRCADDR = 1;
/** The two highest bits of an attribute's type are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER). */
const TYPE_MASK = 0x3fff;
/** More ways than this no route has (the kernel's own bound is its message). */
const MOST_HOPS = 64;

const aligned = (length: number): number => (length + 3) & ~3;

function readMessage(type: number, flags: number, body: DataView): NetlinkMessage | undefined {
  switch (type) {
    case 2:
      return body.byteLength < 4 ? undefined : { kind: 'error', errno: -body.getInt32(0, true) };
    case 3:
      return { kind: 'done', interrupted: (flags & NLM_F_DUMP_INTR) !== 0 };
    case 4:
      return { kind: 'overrun' };
    case 16:
    case 17:
      return readLink(type === 17, body);
    case 20:
    case 21:
      return readAddress(type === 21, body);
    case 24:
    case 25:
      return readRoute(type === 25, body);
    case 68:
      return readRouterOption(body);
    default:
      return undefined;
  }
}

/** struct ifinfomsg. Of another family it tells of a bridge's port, which may leave its bridge and stay a link. */
function readLink(gone: boolean, body: DataView): LinkMessage | undefined {
  if (body.byteLength < 16 || body.getUint8(0) !== AF_UNSPEC) return undefined;
  const ifindex = body.getInt32(4, true);
  if (ifindex <= 0) return undefined;
  const found = attributes(body, 16);
  const info = found.get(IFLA_LINKINFO);
  return {
    kind: 'link',
    gone,
    ifindex,
    name: nameIn(found.get(IFLA_IFNAME)),
    hardware: body.getUint16(2, true),
    flags: body.getUint32(8, true),
    mtu: numberIn(found.get(IFLA_MTU)),
    driver: info && nameIn(attributes(info, 0).get(IFLA_INFO_KIND)),
  };
}

/** struct ifaddrmsg. */
function readAddress(gone: boolean, body: DataView): AddressMessage | undefined {
  if (body.byteLength < 8) return undefined;
  const found = attributes(body, 8);
  // The other end's address stands in IFA_ADDRESS where a link has two ends.
  const address = addressIn(found.get(IFA_LOCAL) ?? found.get(IFA_ADDRESS), body.getUint8(0));
  const ifindex = body.getInt32(4, true);
  const prefixLength = body.getUint8(1);
  if (address === undefined || ifindex <= 0 || prefixLength > 8 * address.bytes.length) return undefined;
  const flags = numberIn(found.get(IFA_FLAGS)) ?? body.getUint8(2);
  return {
    kind: 'address',
    gone,
    ifindex,
    address,
    prefixLength,
    scope: body.getUint8(3),
    tentative: (flags & IFA_F_UNUSABLE) !== 0,
  };
}

/** struct rtmsg. */
function readRoute(gone: boolean, body: DataView): RouteMessage | undefined {
  if (body.byteLength < 12) return undefined;
  const family = body.getUint8(0);
  const wholeWorld = body.getUint8(1) === 0 && body.getUint8(2) === 0;
  if (!wholeWorld || body.getUint8(7) !== RTN_UNICAST || (family !== AF.inet && family !== AF.inet6))
    return undefined;
  const found = attributes(body, 12);
  if ((numberIn(found.get(RTA_TABLE)) ?? body.getUint8(4)) !== RT_TABLE_MAIN) return undefined;
  const several = found.get(RTA_MULTIPATH);
  const hops =
    several === undefined ? hopOf(found, numberIn(found.get(RTA_OIF)), family) : hopsIn(several, family);
  const metric = numberIn(found.get(RTA_PRIORITY)) ?? 0;
  return { kind: 'route', gone, family: family === AF.inet ? 4 : 6, metric, hops };
}

/** struct rtnexthop, one behind the other. */
function hopsIn(several: DataView, family: number): RouteMessage['hops'] {
  const hops: RouteMessage['hops'][number][] = [];
  let at = 0;
  while (at + 8 <= several.byteLength && hops.length < MOST_HOPS) {
    const length = several.getUint16(at, true);
    if (length < 8 || at + length > several.byteLength) break;
    const hop = new DataView(several.buffer, several.byteOffset + at, length);
    hops.push(...hopOf(attributes(hop, 8), hop.getInt32(4, true), family));
    at += aligned(length);
  }
  return hops;
}

function hopOf(
  found: ReadonlyMap<number, DataView>,
  ifindex: number | undefined,
  family: number,
): RouteMessage['hops'] {
  if (ifindex === undefined || ifindex <= 0) return [];
  return [{ ifindex, gateway: addressIn(found.get(RTA_GATEWAY), family) ?? viaIn(found.get(RTA_VIA)) }];
}

/** struct rtvia: a router of the other family. */
function viaIn(via: DataView | undefined): Address | undefined {
  if (via === undefined || via.byteLength < 2) return undefined;
  const address = new DataView(via.buffer, via.byteOffset + 2, via.byteLength - 2);
  return addressIn(address, via.getUint16(0, true));
}

/** struct nduseroptmsg, the options, then attributes. */
function readRouterOption(body: DataView): RouterOptionMessage | undefined {
  if (body.byteLength < 16 || body.getUint8(0) !== AF.inet6) return undefined;
  const length = body.getUint16(2, true);
  const ifindex = body.getInt32(4, true);
  if (ifindex <= 0 || 16 + length > body.byteLength) return undefined;
  return {
    kind: 'router-option',
    ifindex,
    options: new Uint8Array(body.buffer, body.byteOffset + 16, length).slice(),
    router: addressIn(attributes(body, 16 + aligned(length)).get(NDUSEROPT_SRCADDR), AF.inet6),
  };
}

/** struct rtattr from `start` on, by type; the last of a type counts. */
function attributes(body: DataView, start: number): ReadonlyMap<number, DataView> {
  const found = new Map<number, DataView>();
  let at = start;
  while (at + 4 <= body.byteLength) {
    const length = body.getUint16(at, true);
    if (length < 4 || at + length > body.byteLength) break;
    const type = body.getUint16(at + 2, true) & TYPE_MASK;
    found.set(type, new DataView(body.buffer, body.byteOffset + at + 4, length - 4));
    at += aligned(length);
  }
  return found;
}

const numberIn = (value: DataView | undefined): number | undefined =>
  value === undefined || value.byteLength < 4 ? undefined : value.getUint32(0, true);

/** A name of at most 15 bytes with a zero behind it, as the kernel lets links be called (dev_valid_name). */
function nameIn(value: DataView | undefined): string | undefined {
  if (value === undefined) return undefined;
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    .toString('latin1')
    .split('\0', 1)[0];
  return text !== undefined && /^[^\s/]{1,15}$/.test(text) && text !== '.' && text !== '..'
    ? text
    : undefined;
}

function addressIn(value: DataView | undefined, family: number): Address | undefined {
  const wanted = { [AF.inet]: 4, [AF.inet6]: 16 }[family];
  if (value === undefined || value.byteLength !== wanted) return undefined;
  return addressOfBytes(Array.from({ length: wanted }, (_, i) => value.getUint8(i)));
}
