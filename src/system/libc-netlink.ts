import type { Address } from '../core/address.ts';
import type { CLibrary } from './libc-library.ts';
import { LEVEL, MSG, newSockets, SOCK } from './libc-new-socket.ts';
import { AF, SCOPE_AT, socketAddress } from './socket-address.ts';

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

/** Bind the calls. */
export function bindNetlink(library: CLibrary): NetlinkCalls {
  const { call, errno, failed } = library;
  const sockets = newSockets(library);
  const fcntl = call('int fcntl(int fd, int command, ...)');
  const send = call('long send(int fd, const void *bytes, size_t size, int flags)');
  const recvfrom = call(
    'long recvfrom(int fd, void *bytes, size_t size, int flags, void *address, _Inout_ uint32_t *addressSize)',
  );
  const sendto = call(
    'long sendto(int fd, const void *bytes, size_t size, int flags, const void *address, uint32_t addressSize)',
  );
  const sender = Buffer.alloc(ADDRESS_BYTES);

  return {
    open(groups) {
      const address = Buffer.alloc(ADDRESS_BYTES);
      address.writeUInt16LE(AF.netlink, 0);
      address.writeUInt32LE(groups, GROUPS_AT);
      return sockets.open(AF.netlink, ROUTING, 'hear of links from the kernel', (fd) => {
        // Older kernels than 4.20 do not know it; they then send more than was asked for.
        sockets.set(fd, LEVEL.netlink, NETLINK_GET_STRICT_CHK, 1);
        return sockets.bind(fd, address);
      });
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
      const length = recvfrom(fd, into, into.length, MSG.doNotWait | MSG.truncate, sender, [ADDRESS_BYTES]);
      if (length < 0) return -errno();
      return sender.readUInt32LE(PORT_AT) === 0 ? length : 0;
    },
    solicitRouters(ifindex) {
      const to = socketAddress(ALL_ROUTERS, 0);
      to.writeUInt32LE(ifindex, SCOPE_AT);
      let fd: number;
      try {
        // Routers pass over what may have come from further away. The kernel puts in the checksum.
        fd = sockets.open(AF.inet6, NEIGHBOURS, 'ask routers', (open) =>
          sockets.set(open, LEVEL.ipv6, IPV6_MULTICAST_HOPS, 255),
        );
      } catch {
        return false;
      }
      const sent =
        sendto(fd, SOLICITATION, SOLICITATION.length, MSG.doNotWait, to, to.length) === SOLICITATION.length;
      sockets.close(fd);
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
/** Type 133, without options. */
const SOLICITATION = Buffer.from([133, 0, 0, 0, 0, 0, 0, 0]);
const IPPROTO_ICMPV6 = 58;
const IPV6_MULTICAST_HOPS = 18;
const NETLINK_ROUTE = 0;
const NETLINK_GET_STRICT_CHK = 12;
const ROUTING = { type: SOCK.raw, protocol: NETLINK_ROUTE };
const NEIGHBOURS = { type: SOCK.raw, protocol: IPPROTO_ICMPV6 };
const F_SETFL = 4;
const F_SETOWN_EX = 15;
const F_OWNER_TID = 0;
const O_NONBLOCK = 0o4000;
const O_ASYNC = 0o20000;
