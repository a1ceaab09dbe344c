import type { Address } from '../core/address.ts';
import type { CLibrary } from './libc-library.ts';
import { freeBind, IPV6_ONLY, LEVEL, MSG, newSockets, SO, SOCK } from './libc-new-socket.ts';
import { AF, readSocketAddress, SOCKADDR_BYTES, socketAddress } from './socket-address.ts';

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

/** Bind the calls. */
export function bindSockets(library: CLibrary): SocketCalls {
  const { call, addressOf, failed } = library;
  const sockets = newSockets(library);
  const getsockopt = call('int getsockopt(int fd, int level, int name, void *value, _Inout_ uint32_t *size)');
  const getsockname = call('int getsockname(int fd, void *address, _Inout_ uint32_t *size)');
  const fcntl = call('int fcntl(int fd, int command, ...)');
  const listen = call('int listen(int fd, int backlog)');
  const sendmsg = call('long sendmsg(int fd, const void *header, int flags)');

  const option = (fd: number, name: number): number | undefined => {
    const value = Buffer.alloc(4);
    return getsockopt(fd, LEVEL.socket, name, value, [value.length]) === 0 ? value.readInt32LE(0) : undefined;
  };

  return {
    describe(fd) {
      const type = option(fd, SO.type);
      const protocol = option(fd, SO.protocol);
      const name = Buffer.alloc(SOCKADDR_BYTES);
      if (getsockname(fd, name, [name.length]) !== 0) return undefined;
      const place = readSocketAddress(name);
      const udp = type === SOCK.dgram && protocol === IPPROTO_UDP;
      if (place === undefined || (!udp && (type !== SOCK.stream || protocol !== IPPROTO_TCP)))
        return undefined;
      return {
        kind: udp ? 'udp' : 'tcp',
        listening: option(fd, SO.acceptsConnections) === 1,
        ...place,
        reusePort: option(fd, SO.reusePort) === 1,
      };
    },
    listenTcp(address, port, options = {}) {
      const ipv6 = address.family === 6;
      return sockets.open(
        ipv6 ? AF.inet6 : AF.inet,
        { type: SOCK.stream },
        `listen on TCP port ${port}`,
        (fd) =>
          sockets.set(fd, LEVEL.socket, SO.reuseAddress, 1) &&
          (!ipv6 || sockets.set(fd, LEVEL.ipv6, IPV6_ONLY, 1)) &&
          (options.freeBind !== true || sockets.set(fd, ...freeBind(address), 1)) &&
          sockets.bind(fd, socketAddress(address, port)) &&
          listen(fd, BACKLOG) === 0,
      );
    },
    closeOnExec(fd) {
      if (fcntl(fd, F_SETFD, 'int', FD_CLOEXEC) !== 0) throw failed('keep a descriptor to ourselves');
    },
    sendDescriptors(fd, text, address, descriptors) {
      const block = Buffer.alloc(HEADER_BYTES + VECTOR_BYTES + controlBytes(descriptors) + text.length);
      const at = addressOf(block);
      const name = Buffer.from(address);
      writeMessage(block, at, text, descriptors, addressOf(name), name.length);
      const sent = sendmsg(fd, block, MSG.noSignal);
      return sent === text.length && name.length === address.length; // the name has to live until here
    },
  };
}

const SCM_RIGHTS = 1;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
/** The same as Node's. */
const BACKLOG = 511;

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
  block.writeInt32LE(LEVEL.socket, control + 8);
  block.writeInt32LE(SCM_RIGHTS, control + 12);
  for (const [index, fd] of descriptors.entries()) block.writeInt32LE(fd, words + 4 * index);
  text.copy(block, texts);
}
