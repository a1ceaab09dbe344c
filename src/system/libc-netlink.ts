import type { Address } from '../core/address.ts';
import { socketAddress } from './libc-datagrams.ts';

/** Sockets to the kernel itself (netlink(7)), which Node cannot open: calls of the C library. */
export interface NetlinkCalls {
  /** A socket of the routing family that hears these groups (a bit for each; 0 for none). */
  open(groups: number): number;
  /** Have the kernel send SIGIO to the first thread of this process whenever something arrives (fcntl(2), O_ASYNC). */
  signalArrivals(fd: number): void;
  /** Ask the kernel something; false when it did not take it. */
  ask(fd: number, request: Buffer): boolean;
  /**
   * Take one datagram, never waiting: its whole length, which may be more than fits into `into`; 0 for one that is not
   * the kernel's; or a negative error number.
   */
  receive(fd: number, into: Buffer): number;
  /** Ask the routers of a link to advertise themselves now (RFC 4861 section 4.1); false when that could not be sent. */
  solicitRouters(ifindex: number): boolean;
}

/** Nothing has come (EAGAIN). */
export const NOTHING_CAME = -11;

/** So much came that some of it was lost (ENOBUFS). */
export const LOST = -105;

/** Bind the calls. `library` is koffi's, which only system/libc.ts may import. */
export function bindNetlink(
  library: { func(definition: string): (...values: unknown[]) => unknown },
  koffi: { errno(): number },
  failed: (what: string) => Error,
): NetlinkCalls {
  const call = (definition: string): ((...values: unknown[]) => number) =>
    library.func(definition) as (...values: unknown[]) => number;
  const socket = call('int socket(int family, int type, int protocol)');
  const bind = call('int bind(int fd, const void *address, uint32_t size)');
  const setsockopt = call('int setsockopt(int fd, int level, int name, const void *value, uint32_t size)');
  const fcntl = call('int fcntl(int fd, int command, ...)');
  const send = call('long send(int fd, const void *bytes, size_t size, int flags)');
  const recvfrom = call(
    'long recvfrom(int fd, void *bytes, size_t size, int flags, void *address, _Inout_ uint32_t *addressSize)',
  );
  const close = call('int close(int fd)');
  const sendto = call(
    'long sendto(int fd, const void *bytes, size_t size, int flags, const void *address, uint32_t addressSize)',
  );
  const sender = Buffer.alloc(ADDRESS_BYTES);

  return {
    open(groups) {
      const fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
      if (fd < 0) throw failed('open a netlink socket');
      // Older kernels than 4.20 do not know it; they then send more than was asked for.
      setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, ON, ON.length);
      const address = Buffer.alloc(ADDRESS_BYTES);
      address.writeUInt16LE(AF_NETLINK, 0);
      address.writeUInt32LE(groups, GROUPS_AT);
      if (bind(fd, address, address.length) === 0) return fd;
      const error = failed('hear of links from the kernel');
      close(fd);
      throw error;
    },
    signalArrivals(fd) {
      // To one thread by its number: another one may sit in a wait that a signal would end. The first has that of the process.
      const owner = Buffer.alloc(8);
      owner.writeInt32LE(F_OWNER_TID, 0);
      owner.writeInt32LE(process.pid, 4);
      if (
        fcntl(fd, F_SETOWN_EX, 'void *', owner) !== 0 ||
        fcntl(fd, F_SETFL, 'int', O_ASYNC | O_NONBLOCK) !== 0
      )
        throw failed('be told of changes by a signal');
    },
    ask: (fd, request) => send(fd, request, request.length, 0) === request.length,
    receive(fd, into) {
      const length = recvfrom(fd, into, into.length, MSG_DONTWAIT | MSG_TRUNC, sender, [ADDRESS_BYTES]);
      if (length < 0) return -koffi.errno();
      return sender.readUInt32LE(PORT_AT) === 0 ? length : 0;
    },
    solicitRouters(ifindex) {
      const fd = socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMPV6);
      if (fd < 0) return false;
      const to = socketAddress(ALL_ROUTERS, 0);
      to.writeUInt32LE(ifindex, SCOPE_AT);
      // Routers pass over what may have come from further away. The kernel puts in the checksum.
      const sent =
        setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, HOPS, HOPS.length) === 0 &&
        sendto(fd, SOLICITATION, SOLICITATION.length, MSG_DONTWAIT, to, to.length) === SOLICITATION.length;
      close(fd);
      return sent;
    },
  };
}

/** struct sockaddr_nl. */
const ADDRESS_BYTES = 12;
const PORT_AT = 4;
const GROUPS_AT = 8;
/** ff02::2. */
const ALL_ROUTERS: Address = {
  family: 6,
  bytes: [0xff, 2, ...Array<number>(13).fill(0), 2],
  kind: 'multicast',
};
/** sin6_scope_id. */
const SCOPE_AT = 24;
/** Type 133, without options. */
const SOLICITATION = Buffer.from([133, 0, 0, 0, 0, 0, 0, 0]);
const AF_INET6 = 10;
const IPPROTO_ICMPV6 = 58;
const IPPROTO_IPV6 = 41;
const IPV6_MULTICAST_HOPS = 18;
const HOPS = Buffer.from([255, 0, 0, 0]);
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const NETLINK_ROUTE = 0;
const SOL_NETLINK = 270;
const NETLINK_GET_STRICT_CHK = 12;
const F_SETFL = 4;
const F_SETOWN_EX = 15;
const F_OWNER_TID = 0;
const O_NONBLOCK = 0o4000;
const O_ASYNC = 0o20000;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const ON = Buffer.from([1, 0, 0, 0]);
