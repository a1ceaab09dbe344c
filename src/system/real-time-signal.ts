import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Libc } from './libc.ts';
import type { Log } from './log.ts';

/** A real-time signal that is heard. */
export interface RealTimeSignal {
  /** Called after every such signal, several that came together once; nobody is before this. */
  onSignal(listener: () => void): void;
  /** From now on it passes without a trace. */
  close(): void;
}

/**
 * Hear SIGRTMIN+offset. To be called before much else is open: the descriptor of the signal's own number has to be free
 * (system/libc-signals). Where it is not, or without the C library, the signal does nothing, which is logged.
 */
export function hearRealTimeSignal(libc: Libc | undefined, offset: number, log: Log): RealTimeSignal {
  let heard = (): void => {};
  const signal = libc?.signals.realTime(offset) ?? 0;
  const pipe = libc?.signals.hear(signal);
  if (libc === undefined || pipe === undefined) {
    libc?.signals.ignore(signal);
    log.info({ signal: `SIGRTMIN+${offset}` }, 'A signal cannot be heard here and does nothing.');
    return { onSignal: () => {}, close: () => {} };
  }
  const stream = new Socket({ fd: pipe.readFrom, writable: false });
  stream.on('data', () => heard());
  stream.on('error', () => {}); // a pipe that nobody else has cannot break
  stream.unref();
  return {
    onSignal(listener) {
      heard = listener;
    },
    close() {
      libc.signals.ignore(signal);
      closeSync(pipe.writtenTo);
      stream.destroy();
    },
  };
}
