import { type Address, formatAddress } from '../core/address.ts';
import { freeBindOption, socketAddress } from './libc-datagrams.ts';

/** What an Internet socket is, asked of the kernel. */
export interface SocketFacts {
  readonly kind: 'udp' | 'tcp';
  /** A TCP socket that accepts connections. */
  readonly listening: boolean;
  /** Its address as canonical text. */
  readonly host: string;
  readonly port: number;
  /** Whether further sockets may share the port (SO_REUSEPORT). */
  readonly reusePort: boolean;
}

/** How a TCP socket listens. */
export interface ListenOptions {
  /** The machine need not have the address yet (ip(7), IP_FREEBIND). */
  readonly freeBind?: boolean;
}

/** Listening sockets by their descriptors: calls of the C library that Node lacks. */
export interface SocketCalls {
  /** What a descriptor is; undefined for what is no UDP or TCP socket over IP. */
  describe(fd: number): SocketFacts | undefined;
  /** A TCP socket that listens on an address; throws a DnskeeperError when it cannot be had. */
  listenTcp(address: Address, port: number, options?: ListenOptions): number;
  /** Keep a descriptor from programs that this one starts. */
  closeOnExec(fd: number): void;
  /** Send one datagram to a socket address, with descriptors beside it (unix(7), SCM_RIGHTS); false when it was not sent. */
  sendDescriptors(socket: number, text: Buffer, address: Buffer, descriptors: readonly number[]): boolean;
}

/** Bind the calls. `library` is koffi's, which only system/libc.ts may import. */
export function bindSockets(
  library: { func(definition: string): (...values: unknown[]) => unknown },
  koffi: { address(value: unknown): bigint },
  failed: (what: string) => Error,
): SocketCalls {
  const call = (definition: string): ((...values: unknown[]) => number) =>
    library.func(definition) as (...values: unknown[]) => number;
  const getsockopt = call('int getsockopt(int fd, int level, int name, void *value, _Inout_ uint32_t *size)');
  const setsockopt = call('int setsockopt(int fd, int level, int name, const void *value, uint32_t size)');
  const getsockname = call('int getsockname(int fd, void *address, _Inout_ uint32_t *size)');
  const fcntl = call('int fcntl(int fd, int command, ...)');
  const socket = call('int socket(int family, int type, int protocol)');
  const bind = call('int bind(int fd, const void *address, uint32_t size)');
  const listen = call('int listen(int fd, int backlog)');
  const close = call('int close(int fd)');
  const sendmsg = call('long sendmsg(int fd, const void *header, int flags)');

  const option = (fd: number, name: number): number | undefined => {
    const value = Buffer.alloc(4);
    return getsockopt(fd, SOL_SOCKET, name, value, [value.length]) === 0 ? value.readInt32LE(0) : undefined;
  };

  return {
    describe(fd) {
      const type = option(fd, SO_TYPE);
      const protocol = option(fd, SO_PROTOCOL);
      const name = Buffer.alloc(SOCKADDR_BYTES);
      if (getsockname(fd, name, [name.length]) !== 0) return undefined;
      const place = readPlace(name);
      const udp = type === SOCK_DGRAM && protocol === IPPROTO_UDP;
      if (place === undefined || (!udp && (type !== SOCK_STREAM || protocol !== IPPROTO_TCP)))
        return undefined;
      return {
        kind: udp ? 'udp' : 'tcp',
        listening: option(fd, SO_ACCEPTCONN) === 1,
        ...place,
        reusePort: option(fd, SO_REUSEPORT) === 1,
      };
    },
    listenTcp(address, port, { freeBind = false } = {}) {
      const family = address.family === 4 ? AF_INET : AF_INET6;
      const fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      if (fd < 0) throw failed('open a TCP socket');
      const where = socketAddress(address, port);
      const done =
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, ON, ON.length) === 0 &&
        (family === AF_INET || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, ON, ON.length) === 0) &&
        (!freeBind || setsockopt(fd, ...freeBindOption(address), ON, ON.length) === 0) &&
        bind(fd, where, where.length) === 0 &&
        listen(fd, BACKLOG) === 0;
      if (done) return fd;
      const error = failed(`listen on TCP port ${port}`);
      close(fd);
      throw error;
    },
    closeOnExec(fd) {
      if (fcntl(fd, F_SETFD, 'int', FD_CLOEXEC) !== 0) throw failed('keep a descriptor to ourselves');
    },
    sendDescriptors(fd, text, address, descriptors) {
      const block = Buffer.alloc(HEADER_BYTES + VECTOR_BYTES + controlBytes(descriptors) + text.length);
      const at = koffi.address(block);
      const name = Buffer.from(address);
      writeMessage(block, at, text, descriptors, koffi.address(name), name.length);
      const sent = sendmsg(fd, block, MSG_NOSIGNAL);
      return sent === text.length && name.length === address.length; // the name has to live until here
    },
  };
}

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_TYPE = 3;
const SO_REUSEPORT = 15;
const SO_ACCEPTCONN = 30;
const SO_PROTOCOL = 38;
const SCM_RIGHTS = 1;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const MSG_NOSIGNAL = 0x4000;
/** The same as Node's. */
const BACKLOG = 511;
const SOCKADDR_BYTES = 28;
const ON = Buffer.from([1, 0, 0, 0]);

// struct msghdr, iovec and cmsghdr of 64-bit Linux; little-endian, like every architecture we ship for.
const HEADER_BYTES = 56;
const VECTOR_BYTES = 16;
const CONTROL_HEADER_BYTES = 16;

/** Room for the descriptors, in whole words of eight bytes. */
const controlBytes = (descriptors: readonly number[]): number =>
  CONTROL_HEADER_BYTES + Math.ceil(descriptors.length / 2) * 8;

/** All parts of the message in one block: header, vector, control message, text. */
function writeMessage(
  block: Buffer,
  at: bigint,
  text: Buffer,
  descriptors: readonly number[],
  name: bigint,
  nameBytes: number,
): void {
  const control = HEADER_BYTES + VECTOR_BYTES;
  const words = control + CONTROL_HEADER_BYTES;
  const texts = control + controlBytes(descriptors);
  block.writeBigUInt64LE(name, 0);
  block.writeUInt32LE(nameBytes, 8);
  block.writeBigUInt64LE(at + BigInt(HEADER_BYTES), 16);
  block.writeBigUInt64LE(1n, 24);
  block.writeBigUInt64LE(at + BigInt(control), 32);
  block.writeBigUInt64LE(BigInt(controlBytes(descriptors)), 40);
  block.writeBigUInt64LE(at + BigInt(texts), HEADER_BYTES);
  block.writeBigUInt64LE(BigInt(text.length), HEADER_BYTES + 8);
  block.writeBigUInt64LE(BigInt(CONTROL_HEADER_BYTES + 4 * descriptors.length), control);
  block.writeInt32LE(SOL_SOCKET, control + 8);
  block.writeInt32LE(SCM_RIGHTS, control + 12);
  for (const [index, fd] of descriptors.entries()) block.writeInt32LE(fd, words + 4 * index);
  text.copy(block, texts);
}

/** struct sockaddr_in or sockaddr_in6. */
function readPlace(name: Buffer): { readonly host: string; readonly port: number } | undefined {
  const type = name.readUInt16LE(0);
  if (type !== AF_INET && type !== AF_INET6) return undefined;
  const family = type === AF_INET ? 4 : 6;
  const bytes = [...(family === 4 ? name.subarray(4, 8) : name.subarray(8, 24))];
  return { host: formatAddress({ family, bytes, kind: 'unicast' }), port: name.readUInt16BE(2) };
}
