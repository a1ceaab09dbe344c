import type { Address } from '../core/address.ts';

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

/** struct sockaddr_in6, the larger of the two. */
export const SOCKADDR_BYTES = 28;

/** struct sockaddr_in or sockaddr_in6. */
export function socketAddress({ family, bytes }: Address, port: number): Buffer {
  const address = Buffer.alloc(family === 4 ? 16 : SOCKADDR_BYTES);
  address.writeUInt16LE(family === 4 ? AF_INET : AF_INET6, 0);
  address.writeUInt16BE(port, 2);
  address.set(bytes, family === 4 ? 4 : 8);
  return address;
}

/** The option that lets a socket have an address which the machine does not have, by level and name. */
export const freeBindOption = ({ family }: Address): readonly [level: number, name: number] =>
  family === 4 ? [IPPROTO_IP, IP_FREEBIND] : [IPPROTO_IPV6, IPV6_FREEBIND];

/** Bind the calls. `library` is koffi's, which only system/libc.ts may import. */
export function bindDatagrams(
  library: { func(definition: string): (...values: unknown[]) => unknown },
  koffi: { address(value: unknown): bigint; errno(): number },
  failed: (what: string) => Error,
): DatagramCalls {
  const call = (definition: string): ((...values: unknown[]) => number) =>
    library.func(definition) as (...values: unknown[]) => number;
  const recvmmsg = call('int recvmmsg(int fd, uintptr_t headers, uint32_t count, int flags, void *timeout)');
  const sendmmsg = call('int sendmmsg(int fd, uintptr_t headers, uint32_t count, int flags)');
  const sendto = call(
    'long sendto(int fd, const void *bytes, size_t size, int flags, const void *address, uint32_t addressSize)',
  );
  const poll = call('int poll(uintptr_t descriptors, unsigned long count, int timeout)');
  const eventfd = call('int eventfd(uint32_t count, int flags)');
  const send = call('long send(int fd, const void *bytes, size_t size, int flags)');
  const socket = call('int socket(int family, int type, int protocol)');
  const connect = call('int connect(int fd, const void *address, uint32_t size)');
  const ifNameToIndex = library.func('uint32_t if_nametoindex(const char *name)') as (name: string) => number;
  const bind = call('int bind(int fd, const void *address, uint32_t size)');
  const close = call('int close(int fd)');
  const setsockopt = call('int setsockopt(int fd, int level, int name, const void *value, uint32_t size)');
  const orError = (result: number): number => (result < 0 ? -koffi.errno() : result);

  return {
    addressOf: (bytes) => koffi.address(bytes),
    receive: (fd, headers, count) => orError(recvmmsg(fd, headers, count, MSG_DONTWAIT, null)),
    send: (fd, headers, count) => orError(sendmmsg(fd, headers, count, MSG_DONTWAIT)),
    sendTo: (fd, bytes, address) =>
      orError(sendto(fd, bytes, bytes.length, MSG_DONTWAIT, address, address.length)),
    sendOn: (fd, bytes) => orError(send(fd, bytes, bytes.length, MSG_DONTWAIT)),
    poll: (descriptors, count, timeoutMs) => orError(poll(descriptors, count, timeoutMs)),
    wakeDescriptor() {
      const fd = eventfd(0, O_NONBLOCK | O_CLOEXEC);
      if (fd < 0) throw failed('open an event descriptor');
      return fd;
    },
    bindUdp(address, port, options = {}) {
      const { reusePort = false, reuseAddress = false, freeBind = false, receiveBytes, device } = options;
      const family = address.family === 4 ? AF_INET : AF_INET6;
      const fd = socket(family, SOCK_DGRAM | O_NONBLOCK | O_CLOEXEC, 0);
      if (fd < 0) throw failed('open a UDP socket');
      const set = (level: number, name: number, value: Buffer): number =>
        setsockopt(fd, level, name, value, value.length);
      const where = socketAddress(address, port);
      const done =
        (family === AF_INET || set(IPPROTO_IPV6, IPV6_V6ONLY, ON) === 0) &&
        (!reuseAddress || set(SOL_SOCKET, SO_REUSEADDR, ON) === 0) &&
        (receiveBytes === undefined || set(SOL_SOCKET, SO_RCVBUF, number(receiveBytes)) === 0) &&
        (!reusePort || set(SOL_SOCKET, SO_REUSEPORT, ON) === 0) &&
        (!freeBind || set(...freeBindOption(address), ON) === 0) &&
        (device === undefined || set(SOL_SOCKET, SO_BINDTODEVICE, Buffer.from(`${device}\0`)) === 0) &&
        bind(fd, where, where.length) === 0;
      if (done) return fd;
      const error = failed(`bind a UDP socket to port ${port}`);
      close(fd);
      throw error;
    },
    connectUdp(address, port, zone, device) {
      const where = socketAddress(address, port);
      if (zone !== undefined && address.family === 6)
        where.writeUInt32LE(/^\d+$/.test(zone) ? Number(zone) : ifNameToIndex(zone), SCOPE_AT);
      const fd = socket(where.readUInt16LE(0), SOCK_DGRAM | O_NONBLOCK | O_CLOEXEC, 0);
      if (fd < 0) throw failed('open a UDP socket');
      const name = Buffer.from(`${device ?? ''}\0`);
      const done =
        (device === undefined || setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, name.length) === 0) &&
        connect(fd, where, where.length) === 0;
      if (done) return fd;
      const error = failed(`connect a UDP socket${device === undefined ? '' : ` on the link ${device}`}`);
      close(fd);
      throw error;
    },
  };
}

/** sin6_scope_id. */
const SCOPE_AT = 24;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_RCVBUF = 8;
const SO_REUSEPORT = 15;
const SO_BINDTODEVICE = 25;
const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;
const IP_FREEBIND = 15;
const IPV6_FREEBIND = 78;
const IPV6_V6ONLY = 26;

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

const ON = number(1);
