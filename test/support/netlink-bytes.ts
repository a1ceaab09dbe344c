import { parseAddress } from '../../src/core/address.ts';
import { must } from './sample-status.ts';

/** Messages of rtnetlink(7) as the kernel sends them, made by hand. */

/** struct nlmsghdr and a body. */
export function message(type: number, body: Buffer, flags = 0): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt32LE(16 + body.length, 0);
  head.writeUInt16LE(type, 4);
  head.writeUInt16LE(flags, 6);
  return Buffer.concat([head, padded(body)]);
}

/** struct rtattr and a value. */
export function attribute(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16LE(4 + value.length, 0);
  head.writeUInt16LE(type, 2);
  return padded(Buffer.concat([head, value]));
}

/** A link that is up and runs, unless said otherwise. */
export function linkMessage(link: {
  readonly ifindex: number;
  readonly name?: string;
  readonly hardware?: number;
  readonly flags?: number;
  readonly mtu?: number;
  readonly driver?: string;
  readonly gone?: boolean;
  readonly family?: number;
}): Buffer {
  const body = Buffer.alloc(16);
  body.writeUInt8(link.family ?? 0, 0);
  body.writeUInt16LE(link.hardware ?? 1, 2);
  body.writeInt32LE(link.ifindex, 4);
  body.writeUInt32LE(link.flags ?? 0x11043, 8);
  return message(
    link.gone ? 17 : 16,
    Buffer.concat([
      body,
      link.name === undefined ? NOTHING : attribute(3, Buffer.from(`${link.name}\0`)),
      link.mtu === undefined ? NOTHING : attribute(4, number(link.mtu)),
      // Nested, and said to be so.
      link.driver === undefined
        ? NOTHING
        : attribute(0x8000 | 18, attribute(1, Buffer.from(`${link.driver}\0`))),
    ]),
  );
}

/** An address; `local` where the other end has one as well. */
export function addressMessage(entry: {
  readonly ifindex?: number;
  readonly address: string;
  readonly local?: string;
  readonly prefixLength: number;
  readonly scope?: number;
  readonly flags?: number;
  readonly gone?: boolean;
}): Buffer {
  const body = Buffer.alloc(8);
  body.writeUInt8(entry.address.includes(':') ? 10 : 2, 0);
  body.writeUInt8(entry.prefixLength, 1);
  body.writeUInt8(entry.scope ?? 0, 3);
  body.writeInt32LE(entry.ifindex ?? 0, 4);
  return message(
    entry.gone ? 21 : 20,
    Buffer.concat([
      body,
      attribute(1, bytesOf(entry.address)),
      entry.local === undefined ? NOTHING : attribute(2, bytesOf(entry.local)),
      attribute(8, number(entry.flags ?? 0)),
    ]),
  );
}

/** A default route of the main table, unless said otherwise. */
export function routeMessage(route: {
  readonly ifindex?: number;
  readonly family?: number;
  readonly gateway?: string;
  readonly via?: string;
  readonly metric?: number;
  readonly hops?: readonly (readonly [ifindex: number, gateway: string])[];
  readonly destinationLength?: number;
  readonly sourceLength?: number;
  readonly table?: number;
  readonly type?: number;
  readonly gone?: boolean;
}): Buffer {
  const body = Buffer.alloc(12);
  body.writeUInt8(route.family ?? 2, 0);
  body.writeUInt8(route.destinationLength ?? 0, 1);
  body.writeUInt8(route.sourceLength ?? 0, 2);
  body.writeUInt8((route.table ?? 254) > 255 ? 252 : (route.table ?? 254), 4);
  body.writeUInt8(route.type ?? 1, 7);
  const hops = (route.hops ?? []).map(([ifindex, gateway]) => {
    const nested = attribute(5, bytesOf(gateway));
    const hop = Buffer.alloc(8);
    hop.writeUInt16LE(8 + nested.length, 0);
    hop.writeInt32LE(ifindex, 4);
    return Buffer.concat([hop, nested]);
  });
  return message(
    route.gone ? 25 : 24,
    Buffer.concat([
      body,
      attribute(15, number(route.table ?? 254)),
      route.ifindex === undefined ? NOTHING : attribute(4, number(route.ifindex)),
      route.gateway === undefined ? NOTHING : attribute(5, bytesOf(route.gateway)),
      route.via === undefined
        ? NOTHING
        : attribute(18, Buffer.concat([Buffer.from([10, 0]), bytesOf(route.via)])),
      route.metric === undefined ? NOTHING : attribute(6, number(route.metric)),
      hops.length === 0 ? NOTHING : attribute(9, Buffer.concat(hops)),
    ]),
  );
}

/** Options of a router advertisement. */
export function routerOptionMessage(entry: {
  readonly ifindex: number;
  readonly options: Buffer;
  readonly router: string;
}): Buffer {
  const body = Buffer.alloc(16);
  body.writeUInt8(10, 0);
  body.writeUInt16LE(entry.options.length, 2);
  body.writeInt32LE(entry.ifindex, 4);
  body.writeUInt8(134, 8);
  return message(68, Buffer.concat([body, padded(entry.options), attribute(1, bytesOf(entry.router))]));
}

/** The option of a router advertisement that names servers (RFC 8106 section 5.1). */
export function rdnss(lifetime: number, ...servers: readonly string[]): Buffer {
  return option(25, lifetime, Buffer.concat(servers.map(bytesOf)));
}

/** The option of a router advertisement that names search domains (RFC 8106 section 5.2). */
export function dnssl(lifetime: number, ...domains: readonly string[]): Buffer {
  const names = domains.map((domain) =>
    Buffer.concat([
      ...domain.split('.').map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`)),
      Buffer.alloc(1),
    ]),
  );
  return option(31, lifetime, Buffer.concat(names));
}

function option(type: number, lifetime: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(8 + Math.ceil(value.length / 8) * 8);
  bytes.writeUInt8(type, 0);
  bytes.writeUInt8(bytes.length / 8, 1);
  bytes.writeUInt32BE(lifetime, 4);
  value.copy(bytes, 8);
  return bytes;
}

const NOTHING = Buffer.alloc(0);

const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);

const bytesOf = (address: string): Buffer => Buffer.from(must(parseAddress(address)).bytes);

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
