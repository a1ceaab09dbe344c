import type { Address } from '../core/address.ts';
import type { CLibrary } from './libc-library.ts';
import { freeBind, IPV6_ONLY, LEVEL, MSG, newSockets, SO, SOCK } from './libc-new-socket.ts';
import { AF, SCOPE_AT, socketAddress } from './socket-address.ts';

/**
 * UDP by the handful: calls of the C library that Node lacks. Structures are passed by their address and are the
 * caller's to keep alive; a failed call gives its error number, negative.
 */
export interface DatagramCalls {
  /** Where the bytes of an array lie; they stay there as long as its ArrayBuffer lives. */
  addressOf(bytes: NodeJS.ArrayBufferView): bigint;
  /** Take what is there (recvmmsg(2)), never waiting. */
  receive(fd: number, headers: bigint, count: number): number;
  /** Send several datagrams (sendmmsg(2)), never waiting. */
  send(fd: number, headers: bigint, count: number): number;
  /** Send one datagram to a socket address, never waiting. */
  sendTo(fd: number, bytes: Buffer, address: Buffer): number;
  /** Send one datagram from a connected socket, never waiting. */
  sendOn(fd: number, bytes: Buffer): number;
  /** Wait for one of several descriptors (poll(2)). */
  poll(descriptors: bigint, count: number, timeoutMs: number): number;
  /** A descriptor that becomes readable when eight bytes are written to it (eventfd(2)). */
  wakeDescriptor(): number;
  /** A UDP socket bound to an address. */
  bindUdp(address: Address, port: number, options?: BindOptions): number;
  /**
   * A UDP socket on a port that the kernel draws, connected: only that address and port can answer on it. `zone` is the
   * link of a link-local address, by name or number; `device` the link that alone is used.
   */
  connectUdp(address: Address, port: number, zone?: string, device?: string): number;
}

/** How a UDP socket is bound. */
export interface BindOptions {
  /** Let further sockets share the port, each getting a part of the packets. */
  readonly reusePort?: boolean;
  /** Let another program that allows it too have the same address: the one that came last gets the packets. */
  readonly reuseAddress?: boolean;
  /** How many bytes of packets may wait in the kernel. */
  readonly receiveBytes?: number;
  /** Take packets of one link alone (`lo` for a stub). */
  readonly device?: string;
  /** The machine need not have the address yet (ip(7), IP_FREEBIND). */
  readonly freeBind?: boolean;
}

/** Bind the calls. */
export function bindDatagrams(library: CLibrary): DatagramCalls {
  const { call, find, addressOf, errno, failed } = library;
  const sockets = newSockets(library);
  const recvmmsg = call('int recvmmsg(int fd, uintptr_t headers, uint32_t count, int flags, void *timeout)');
  const sendmmsg = call('int sendmmsg(int fd, uintptr_t headers, uint32_t count, int flags)');
  const sendto = call(
    'long sendto(int fd, const void *bytes, size_t size, int flags, const void *address, uint32_t addressSize)',
  );
  const poll = call('int poll(uintptr_t descriptors, unsigned long count, int timeout)');
  const eventfd = call('int eventfd(uint32_t count, int flags)');
  const send = call('long send(int fd, const void *bytes, size_t size, int flags)');
  const connect = call('int connect(int fd, const void *address, uint32_t size)');
  const ifNameToIndex = find('uint32_t if_nametoindex(const char *name)') as (name: string) => number;
  const orError = (result: number): number => (result < 0 ? -errno() : result);

  return {
    addressOf,
    receive: (fd, headers, count) => orError(recvmmsg(fd, headers, count, MSG.doNotWait, null)),
    send: (fd, headers, count) => orError(sendmmsg(fd, headers, count, MSG.doNotWait)),
    sendTo: (fd, bytes, address) =>
      orError(sendto(fd, bytes, bytes.length, MSG.doNotWait, address, address.length)),
    sendOn: (fd, bytes) => orError(send(fd, bytes, bytes.length, MSG.doNotWait)),
    poll: (descriptors, count, timeoutMs) => orError(poll(descriptors, count, timeoutMs)),
    wakeDescriptor() {
      const fd = eventfd(0, SOCK.nonBlocking | SOCK.closeOnExec);
      if (fd < 0) throw failed('open an event descriptor');
      return fd;
    },
    bindUdp(address, port, options = {}) {
      const { reusePort = false, reuseAddress = false, receiveBytes, device } = options;
      const ipv6 = address.family === 6;
      return sockets.open(
        ipv6 ? AF.inet6 : AF.inet,
        { type: SOCK.dgram },
        `bind a UDP socket to port ${port}`,
        (fd) => {
          const set = (option: number, value: number | string): boolean =>
            sockets.set(fd, LEVEL.socket, option, value);
          return (
            (!ipv6 || sockets.set(fd, LEVEL.ipv6, IPV6_ONLY, 1)) &&
            (!reuseAddress || set(SO.reuseAddress, 1)) &&
            (receiveBytes === undefined || set(SO.receiveBuffer, receiveBytes)) &&
            (!reusePort || set(SO.reusePort, 1)) &&
            (options.freeBind !== true || sockets.set(fd, ...freeBind(address), 1)) &&
            (device === undefined || set(SO.bindToDevice, device)) &&
            sockets.bind(fd, socketAddress(address, port))
          );
        },
      );
    },
    connectUdp(address, port, zone, device) {
      const where = socketAddress(address, port);
      if (zone !== undefined && address.family === 6)
        where.writeUInt32LE(/^\d+$/.test(zone) ? Number(zone) : ifNameToIndex(zone), SCOPE_AT);
      return sockets.open(
        where.readUInt16LE(0),
        { type: SOCK.dgram },
        `connect a UDP socket${device === undefined ? '' : ` on the link ${device}`}`,
        (fd) =>
          (device === undefined || sockets.set(fd, LEVEL.socket, SO.bindToDevice, device)) &&
          connect(fd, where, where.length) === 0,
      );
    },
  };
}
