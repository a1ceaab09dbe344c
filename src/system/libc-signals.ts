import type { CLibrary } from './libc-library.ts';

/** Real-time signals, which Node cannot hear (libuv knows those below 32 alone). */
export interface SignalCalls {
  /** The number of SIGRTMIN+offset; the C library keeps the first ones for itself. */
  realTime(offset: number): number;
  /** Let a signal through to the thread that calls. */
  unblock(signal: number): void;
  /** Let a signal pass without a trace; by itself it would end us. */
  ignore(signal: number): void;
  /**
   * Have eight bytes arrive at a descriptor for every such signal from now on, until it is ignored again; undefined where
   * it cannot be done.
   */
  hear(signal: number): { readonly readFrom: number; readonly writtenTo: number } | undefined;
}

/**
 * Bind the calls.
 *
 * A handler runs between any two instructions, so it can be no JavaScript. The C library's own `eventfd_write(fd, value)`
 * is one that fits: called as a handler its first argument is the number of the signal, its second some address, and what
 * it does is one write(2) of eight bytes, which a handler may do. So the pipe gets the number of the signal as descriptor.
 */
export function bindSignals({ call, find, addressOf }: CLibrary): SignalCalls {
  const sigrtmin = call('int __libc_current_sigrtmin(void)');
  const sigaction = call('int sigaction(int signal, const void *action, void *old)');
  const sigprocmask = call('int sigprocmask(int how, const void *set, void *old)');
  const pipe2 = call('int pipe2(_Out_ int *ends, int flags)');
  const dup3 = call('int dup3(int from, int to, int flags)');
  const fcntl = call('int fcntl(int fd, int command, ...)');
  const close = call('int close(int fd)');
  const dlsym = find('void *dlsym(void *library, const char *name)') as (
    library: null,
    name: string,
  ) => unknown;

  function act(signal: number, handler: bigint, flags: number): boolean {
    const action = Buffer.alloc(ACTION_BYTES);
    action.writeBigUInt64LE(handler, 0);
    action.writeInt32LE(flags, FLAGS_AT);
    return sigaction(signal, action, null) === 0;
  }

  return {
    realTime: (offset) => sigrtmin() + offset,
    unblock(signal) {
      const set = Buffer.alloc(SET_BYTES);
      set.writeUInt8(1 << ((signal - 1) % 8), Math.floor((signal - 1) / 8));
      sigprocmask(SIG_UNBLOCK, set, null);
    },
    ignore: (signal) => void act(signal, SIG_IGN, 0),
    hear(signal) {
      const handler = dlsym(null, 'eventfd_write');
      // Somebody else's descriptor must not be written to.
      if (handler === null || fcntl(signal, F_GETFD) >= 0) return undefined;
      const ends: number[] = [0, 0];
      if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) !== 0) return undefined;
      const [readFrom = -1, writeEnd = -1] = ends;
      const moved = dup3(writeEnd, signal, O_CLOEXEC) === signal;
      close(writeEnd);
      if (moved && act(signal, addressOf(handler), SA_SIGINFO | SA_RESTART | SA_ONSTACK))
        return { readFrom, writtenTo: signal };
      close(readFrom);
      if (moved) close(signal);
      return undefined;
    },
  };
}

// struct sigaction of glibc on 64-bit Linux: handler, mask of 128 bytes, flags, restorer.
const ACTION_BYTES = 152;
const FLAGS_AT = 136;
const SET_BYTES = 128;
const SIG_UNBLOCK = 1;
const SIG_IGN = 1n;
const SA_SIGINFO = 4;
const SA_ONSTACK = 0x08000000;
const SA_RESTART = 0x10000000;
const F_GETFD = 1;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
