import { datagramSender } from '../system/datagram-batch.ts';
import type { DatagramCalls } from '../system/libc-datagrams.ts';
import { MOST_UDP_BYTES } from './wire.ts';

/** Answers on their way out by one socket. */
export interface Replies {
  /** Send an answer to a socket address, together with all others of this turn of the loop; false for one too large. */
  send(response: Buffer, address: Buffer): boolean;
  /** Send what waits now, because the socket is about to close. */
  flush(): void;
}

const SLOTS = 64;

/**
 * Answers of one turn go out in one call. Not so much for the call: whoever waits for them is woken once, and not put to
 * sleep and woken again between any two. `lost` hears how many the kernel did not take.
 */
export function repliesBy(calls: DatagramCalls, fd: number, lost: (count: number) => void): Replies {
  const sender = datagramSender(calls, SLOTS, MOST_UDP_BYTES);
  let waiting = false;
  const flush = (): void => {
    if (!waiting) return;
    waiting = false;
    const count = sender.flush(fd);
    if (count > 0) lost(count);
  };
  return {
    send(response, address) {
      if (response.length > MOST_UDP_BYTES) return false;
      if (sender.full) flush();
      sender.add(response, address);
      if (!waiting) setImmediate(flush);
      waiting = true;
      return true;
    },
    flush,
  };
}
