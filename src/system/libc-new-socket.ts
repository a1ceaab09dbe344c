import type { Address } from '../core/address.ts';
import type { CLibrary } from './libc-library.ts';

/** Kinds of sockets (socket(2)), and how they are opened. */
export const SOCK = { stream: 1, dgram: 2, raw: 3, nonBlocking: 0o4000, closeOnExec: 0o2000000 } as const;

/** Levels of options, which are protocols as well. */
export const LEVEL = { ip: 0, socket: 1, ipv6: 41, netlink: 270 } as const;

/** Options of any socket (socket(7)). */
export const SO = {
  reuseAddress: 2,
  type: 3,
  receiveBuffer: 8,
  reusePort: 15,
  peerCredentials: 17,
  bindToDevice: 25,
  acceptsConnections: 30,
  protocol: 38,
} as const;

/** Whether an IPv6 socket hears nothing over IPv4 (ipv6(7), IPV6_V6ONLY). */
export const IPV6_ONLY = 26;

/** The option that lets a socket have an address which the machine does not have, by level and name (IP_FREEBIND). */
export const freeBind = ({ family }: Pick<Address, 'family'>): readonly [level: number, option: number] =>
  family === 4 ? [LEVEL.ip, 15] : [LEVEL.ipv6, 78];

/** How something is sent or taken (send(2), recv(2)). */
export const MSG = { truncate: 0x20, doNotWait: 0x40, noSignal: 0x4000 } as const;

/** What is opened within a family. */
export interface SocketKind {
  readonly type: number;
  readonly protocol?: number;
  /** Calls on it wait until they can be done. */
  readonly waits?: boolean;
}

/** What sockets of every kind are opened with. */
export interface NewSockets {
  /**
   * A socket that goes to no program of ours, made ready by `prepare`. Throws a DnskeeperError which says what it was for
   * when one of the two fails.
   */
  open(family: number, kind: SocketKind, purpose: string, prepare?: (fd: number) => boolean): number;
  /** Set an option to a number of four bytes, or to text. */
  set(fd: number, level: number, option: number, value: number | string): boolean;
  /** Give it an address. */
  bind(fd: number, address: Buffer): boolean;
  close(fd: number): void;
}

/** Bind the calls. */
export function newSockets({ call, failed }: Pick<CLibrary, 'call' | 'failed'>): NewSockets {
  const socket = call('int socket(int family, int type, int protocol)');
  const setsockopt = call('int setsockopt(int fd, int level, int name, const void *value, uint32_t size)');
  const bind = call('int bind(int fd, const void *address, uint32_t size)');
  const close = call('int close(int fd)');
  return {
    open(family, { type, protocol = 0, waits = false }, purpose, prepare = () => true) {
      const flags = SOCK.closeOnExec | (waits ? 0 : SOCK.nonBlocking);
      const fd = socket(family, type | flags, protocol);
      if (fd < 0) throw failed(purpose);
      if (prepare(fd)) return fd;
      const error = failed(purpose); // before close, which has an error number of its own
      close(fd);
      throw error;
    },
    set(fd, level, option, value) {
      const bytes = typeof value === 'string' ? Buffer.from(`${value}\0`) : fourBytes(value);
      return setsockopt(fd, level, option, bytes, bytes.length) === 0;
    },
    bind: (fd, address) => bind(fd, address, address.length) === 0,
    close: (fd) => void close(fd),
  };
}

function fourBytes(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}
