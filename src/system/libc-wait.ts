import type { CLibrary } from './libc-library.ts';

/** Waiting for what Node itself cannot wait for. */
export interface WaitCalls {
  /**
   * Wait until one of the descriptors is ready (poll(2)), for as long as that takes, in a thread of libuv's pool of four,
   * where files are read as well: there may be two such waits (memory pressure, doorbell). Gives what came of each: the
   * bits of its events that happened. What is waited for must include a way to end it.
   */
  ready(wanted: readonly WantedEvents[]): Promise<readonly number[]>;
}

/** Events of a descriptor as poll(2) numbers them. */
export interface WantedEvents {
  readonly fd: number;
  readonly events: number;
}

/** Events of poll(2). */
export const POLL = { in: 1, priority: 2, error: 8, hangUp: 16, invalid: 32 };

/** Bind the call. */
export function bindWait({ find, addressOf, failed }: CLibrary): WaitCalls {
  const poll = find('int poll(uintptr_t descriptors, unsigned long count, int timeout)') as {
    async(at: bigint, count: number, ms: number, done: (error: Error | null, result: number) => void): void;
  };
  return {
    ready(wanted) {
      // struct pollfd: the descriptor, then two bytes of what is wanted and two of what happened.
      const list = Int32Array.from(wanted.flatMap(({ fd, events }) => [fd, events]));
      return new Promise((resolve, reject) => {
        poll.async(addressOf(list), wanted.length, -1, (error, result) => {
          if (error !== null) reject(error);
          // The number of an error stays behind in the thread that met it; a signal is the only one to expect.
          else if (result < 0) reject(failed('wait for a descriptor'));
          else resolve(wanted.map((_, i) => (list[2 * i + 1] ?? 0) >>> 16));
        });
      });
    },
  };
}
