import { closeSync, readSync } from 'node:fs';
import { wake } from '../system/event-descriptor.ts';
import type { Libc } from '../system/libc.ts';
import { POLL } from '../system/libc-wait.ts';

/** Tells when the first packet has come to one of some sockets, and leaves it there for whoever takes it. */
export interface Doorbell {
  /** Wait at these sockets from now on, and at no others; resolves when the others may be closed. */
  watch(fds: readonly number[]): Promise<void>;
  close(): Promise<void>;
}

/**
 * Wait in the kernel, in a thread of libuv's pool, which costs next to nothing: a worker takes some 20 MB, and where
 * resolv.conf lists real servers nobody may ask us for days. It rings once; a wait that fails rings too.
 */
export function doorbell(libc: Libc, rung: () => void): Doorbell {
  const wakeFd = libc.datagrams.wakeDescriptor();
  let watched: readonly number[] = [];
  let ended = false;
  const changes: (() => void)[] = [];
  let running: Promise<void> | undefined;

  const wakeUp = (): void => wake(wakeFd);

  async function wait(): Promise<void> {
    while (!ended) {
      const [woken = 0, ...came] = await libc.wait.ready(
        [wakeFd, ...watched].map((fd) => ({ fd, events: POLL.in })),
      );
      if (woken !== 0) readSync(wakeFd, Buffer.alloc(8));
      // Whoever asked for the change may close what was waited at before.
      for (const done of changes.splice(0)) done();
      if (woken === 0 && came.some((events) => events !== 0)) return;
    }
  }

  function run(): void {
    // Node waits at its end for all threads of the pool, and this one waits in the kernel.
    process.on('exit', wakeUp);
    running = wait()
      .catch(() => {})
      .finally(() => {
        process.off('exit', wakeUp);
        for (const done of changes.splice(0)) done();
        const rings = !ended;
        ended = true;
        closeSync(wakeFd);
        if (rings) rung();
      });
  }

  return {
    async watch(fds) {
      watched = fds;
      if (ended) return;
      if (running === undefined) return run();
      const seen = new Promise<void>((done) => changes.push(done));
      wakeUp();
      await seen;
    },
    async close() {
      if (ended) return running;
      ended = true;
      if (running === undefined) return closeSync(wakeFd);
      wakeUp();
      await running;
    },
  };
}
