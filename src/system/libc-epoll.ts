import type { CLibrary } from './libc-library.ts';

/** Many descriptors watched as one (epoll(7)): calls of the C library that Node keeps to itself. */
export interface EpollCalls {
  /** A descriptor that is readable while any of those it watches is. */
  open(): number;
  /** Watch a descriptor for input and errors, under a number of two bytes. Throws when the kernel does not take it. */
  watch(epoll: number, fd: number, id: number): void;
  /** Watch it no more. */
  unwatch(epoll: number, fd: number): void;
  /** Room to be told of this many descriptors in one call. */
  readyList(most: number): ReadyList;
}

/** Filled anew by each `take`. */
export interface ReadyList {
  /** Ask which descriptors are ready, without waiting; how many, or a negative error number. */
  take(epoll: number): number;
  fdAt(index: number): number;
  /** What it is watched under. */
  idAt(index: number): number;
}

/** Bind the calls. */
export function bindEpoll({ call, addressOf, errno, failed }: CLibrary): EpollCalls {
  const create = call('int epoll_create1(int flags)');
  const control = call('int epoll_ctl(int epoll, int operation, int fd, const void *event)');
  const wait = call('int epoll_wait(int epoll, uintptr_t events, int count, int timeout)');

  return {
    open() {
      const fd = create(EPOLL_CLOEXEC);
      if (fd < 0) throw failed('open an epoll descriptor');
      return fd;
    },
    watch(epoll, fd, id) {
      const event = Buffer.alloc(EVENT_BYTES);
      event.writeUInt32LE(EPOLLIN, 0);
      event.writeUInt32LE(fd, DATA_AT);
      event.writeUInt32LE(id, DATA_AT + 4);
      if (control(epoll, EPOLL_CTL_ADD, fd, event) !== 0) throw failed('watch a socket');
    },
    unwatch(epoll, fd) {
      // It fails for what is not watched any more, which is what was wanted.
      control(epoll, EPOLL_CTL_DEL, fd, Buffer.alloc(EVENT_BYTES));
    },
    readyList(most) {
      const events = Buffer.alloc(most * EVENT_BYTES);
      const address = addressOf(events);
      return {
        take(epoll) {
          const count = wait(epoll, address, most, 0);
          return count < 0 ? -errno() : count;
        },
        fdAt: (index) => events.readUInt32LE(index * EVENT_BYTES + DATA_AT),
        idAt: (index) => events.readUInt32LE(index * EVENT_BYTES + DATA_AT + 4),
      };
    },
  };
}

/** struct epoll_event is packed on x86-64 alone (linux/eventpoll.h, EPOLL_PACKED). */
const [EVENT_BYTES, DATA_AT] = process.arch === 'x64' ? [12, 4] : [16, 8];
const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
