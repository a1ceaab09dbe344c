import { closeSync, constants, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { DnskeeperError } from '../core/errors.ts';
import { bindDatagrams, type DatagramCalls } from './libc-datagrams.ts';
import { bindEpoll, type EpollCalls } from './libc-epoll.ts';
import type { CLibrary } from './libc-library.ts';
import { bindNetlink, type NetlinkCalls } from './libc-netlink.ts';
import { LEVEL, MSG, newSockets, SO, SOCK } from './libc-new-socket.ts';
import { bindSignals, type SignalCalls } from './libc-signals.ts';
import { bindSockets, type SocketCalls } from './libc-sockets.ts';
import { bindWait, type WaitCalls } from './libc-wait.ts';
import { AF } from './socket-address.ts';

/** Who is on the other end of a Unix socket connection (unix(7), SO_PEERCRED). */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** The few calls of the C library that Node lacks. */
export interface Libc {
  /** Lock an open file for this process alone (flock(2)); false when another process holds it. */
  lockExclusive(fd: number): boolean;
  /** The process that opened a connected Unix stream socket. */
  peerCredentials(fd: number): PeerCredentials;
  /** Whether a file or folder carries the immutable flag (`chattr +i`); undefined where nobody can tell, as for links. */
  isImmutable(path: string): boolean | undefined;
  /**
   * Send one datagram to a Unix socket, with copies of descriptors beside it where some are given; a leading `@` in the
   * path means the abstract name space (sd_notify(3)).
   */
  notify(socketPath: string, text: string, descriptors?: readonly number[]): void;
  /** A TCP socket that only ever uses one link (socket(7), SO_BINDTODEVICE), not connected yet. */
  tcpSocketOnLink(family: 4 | 6, link: string): number;
  /**
   * Give memory back to the kernel that was freed but is kept for later (malloc_trim(3)), which takes some milliseconds;
   * nothing where the C library is another than GNU's.
   */
  trimMemory(): void;
  /** UDP in batches. */
  readonly datagrams: DatagramCalls;
  /** Many descriptors watched as one. */
  readonly epoll: EpollCalls;
  /** Waiting in another thread. */
  readonly wait: WaitCalls;
  /** Listening sockets by their descriptors. */
  readonly sockets: SocketCalls;
  /** Signals that Node does not know. */
  readonly signals: SignalCalls;
  /** Links, addresses and routes, from the kernel itself. */
  readonly netlink: NetlinkCalls;
}

/**
 * The C library by way of koffi, or undefined with the reason told to `unavailable`.
 * Loaded at the first call only: it costs several megabytes that `dnsctl` need not pay.
 */
export function loadLibc(unavailable: (reason: string) => void = () => {}): Libc | undefined {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    return bind(koffi);
  } catch (error) {
    unavailable(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

const LOCK_EX = 2;
const LOCK_NB = 4;
/** `_IOR('f', 1, long)` of linux/fs.h; the number holds on every 64-bit architecture we ship. */
const FS_IOC_GETFLAGS = 0x80086601;
const FS_IMMUTABLE_FL = 0x10;
const SUN_PATH_BYTES = 108;

function bind(koffi: typeof import('koffi')): Libc {
  const library = cLibrary(koffi);
  const { call, errno, failed } = library;
  const flock = call('int flock(int fd, int operation)');
  const getsockopt = call('int getsockopt(int fd, int level, int name, void *value, _Inout_ uint32_t *size)');
  const ioctl = call('int ioctl(int fd, unsigned long request, ...)');
  const sendto = call(
    'long sendto(int fd, const void *bytes, size_t size, int flags, const void *address, uint32_t addressSize)',
  );
  const mallocTrim = optional(() => call('int malloc_trim(size_t pad)'));
  const { open, set, close } = newSockets(library);
  const sockets = bindSockets(library);

  return {
    lockExclusive(fd) {
      if (flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
      if (errno() === koffi.os.errno['EAGAIN']) return false;
      throw failed('lock a file');
    },
    peerCredentials(fd) {
      const bytes = Buffer.alloc(12);
      const size = [bytes.length];
      if (getsockopt(fd, LEVEL.socket, SO.peerCredentials, bytes, size) !== 0)
        throw failed('ask who is on a socket');
      return { pid: bytes.readInt32LE(0), uid: bytes.readUInt32LE(4), gid: bytes.readUInt32LE(8) };
    },
    isImmutable(path) {
      const fd = openToLook(path);
      if (fd === undefined) return undefined;
      try {
        const flags = Buffer.alloc(8);
        if (ioctl(fd, FS_IOC_GETFLAGS, 'void *', flags) !== 0) return undefined;
        return (flags.readUInt32LE(0) & FS_IMMUTABLE_FL) !== 0;
      } finally {
        closeSync(fd);
      }
    },
    notify(socketPath, text, descriptors = []) {
      const address = unixAddress(socketPath);
      const fd = open(AF.unix, { type: SOCK.dgram, waits: true }, 'open a datagram socket');
      try {
        const bytes = Buffer.from(text);
        const sent =
          descriptors.length > 0
            ? sockets.sendDescriptors(fd, bytes, address, descriptors)
            : sendto(fd, bytes, bytes.length, MSG.noSignal, address, address.length) === bytes.length;
        if (!sent) throw failed(`send to ${socketPath}`);
      } finally {
        close(fd);
      }
    },
    tcpSocketOnLink: (family, link) =>
      open(
        family === 4 ? AF.inet : AF.inet6,
        { type: SOCK.stream },
        `tie a TCP socket to the link ${link}`,
        (fd) => set(fd, LEVEL.socket, SO.bindToDevice, link),
      ),
    trimMemory: () => void mallocTrim?.(0),
    datagrams: bindDatagrams(library),
    epoll: bindEpoll(library),
    wait: bindWait(library),
    sockets,
    signals: bindSignals(library),
    netlink: bindNetlink(library),
  };
}

function cLibrary(koffi: typeof import('koffi')): CLibrary {
  const library = koffi.load(null);
  return {
    call: (declaration) => library.func(declaration),
    find: (declaration) => library.func(declaration),
    addressOf: (value) => koffi.address(value),
    errno: () => koffi.errno(),
    failed: (what) => systemError(what, koffi.errno(), koffi.os.errno),
  };
}

/** A call that not every C library has. */
function optional<T>(find: () => T): T | undefined {
  try {
    return find();
  } catch {
    return undefined;
  }
}

/** O_NONBLOCK so that a FIFO in place of the file cannot hang us. */
function openToLook(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}

/** struct sockaddr_un: the family, then the path; an abstract name starts with a zero byte and has no end byte. */
function unixAddress(path: string): Buffer {
  const abstract = path.startsWith('@');
  const name = Buffer.from(abstract ? `\0${path.slice(1)}` : `${path}\0`);
  if (name.length > SUN_PATH_BYTES)
    throw new DnskeeperError('IO', `a Unix socket path of at most ${SUN_PATH_BYTES - 1} bytes, got ${path}`);
  const address = Buffer.alloc(2 + name.length);
  address.writeUInt16LE(AF.unix, 0);
  name.copy(address, 2);
  return address;
}

function systemError(what: string, number: number, names: Record<string, number>): DnskeeperError {
  const code = Object.keys(names).find((name) => names[name] === number) ?? `errno ${number}`;
  return new DnskeeperError('IO', `could not ${what}: ${code}`, Object.assign(new Error(code), { code }));
}
