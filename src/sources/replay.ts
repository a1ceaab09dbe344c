import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { DnskeeperError, messageOf, systemCodeOf } from '../core/errors.ts';
import { parseRecordedEvent } from '../core/recording.ts';
import type { RecordedEvent, SourceEvent } from '../core/snapshot.ts';
import type { Clock } from '../system/clock.ts';

/** A clock that stands still until it is moved; replay moves it to the time of each event. */
export interface MovedClock extends Clock {
  /** Move to `time` and run, in their order, the tasks that fall due on the way; `between` is awaited after each. */
  moveTo(time: number, between: () => Promise<void>): Promise<void>;
}

/** A clock that starts at `time`. */
export function movedClock(time: number): MovedClock {
  let now = time;
  const tasks = new Set<{ at: number; task: () => void }>();
  return {
    now: () => now,
    elapsed: () => performance.now(),
    after(ms, task) {
      const entry = { at: now + ms, task };
      tasks.add(entry);
      return () => tasks.delete(entry);
    },
    async moveTo(target, between) {
      for (;;) {
        const [due] = [...tasks].filter((entry) => entry.at <= target).sort((a, b) => a.at - b.at);
        if (due === undefined) break;
        tasks.delete(due);
        now = Math.max(now, due.at);
        due.task();
        await between();
      }
      now = Math.max(now, target);
    },
  };
}

/** No line that --record writes comes near this; a longer one would only fill the memory. */
const MOST_LINE_BYTES = 16 << 20;

/** Read the events of a recording one by one; a line that is none is an error that names it. */
export async function* readRecording(path: string): AsyncGenerator<RecordedEvent> {
  const file = await openRegular(path);
  try {
    let number = 0;
    for await (const line of linesOf(file, path)) {
      number++;
      if (line.trim() === '') continue;
      const event = parseRecordedEvent(line);
      if (!event.ok) {
        throw new DnskeeperError(
          'IO',
          `${path}:${number}: wanted an event that dnskeeperd --record wrote, got: ${event.reason}.`,
        );
      }
      yield event.value;
    }
  } finally {
    await file.close();
  }
}

/** A recording is read twice (for its first time, then to be fed), which a pipe or a device does not allow. */
async function openRegular(path: string): Promise<FileHandle> {
  const refuse = (got: string, cause?: unknown): DnskeeperError =>
    new DnskeeperError('IO', `Wanted a recording in the regular file ${path}, got ${got}.`, cause);
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw refuse(systemCodeOf(error) ?? messageOf(error), error);
  });
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw refuse('something else');
}

async function* linesOf(file: FileHandle, path: string): AsyncGenerator<string> {
  let rest = '';
  for await (const part of file.createReadStream({ encoding: 'utf8', autoClose: false })) {
    const lines = `${rest}${String(part)}`.split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
    if (rest.length > MOST_LINE_BYTES)
      throw new DnskeeperError('IO', `${path}: wanted lines of at most ${MOST_LINE_BYTES} bytes, got more.`);
  }
  yield rest;
}

/** Where replayed events go, and how to know that each has taken effect. */
export interface ReplayTarget {
  tell(event: SourceEvent): void;
  idle(): Promise<void>;
}

/**
 * Feed a recording: each event at its own time, the next one only when the last has taken effect. At speed `clock` is
 * moved and nothing waits; paced, the pauses between the events are waited out on it as they were.
 */
export async function replay(
  path: string,
  target: ReplayTarget,
  clock:
    | { readonly kind: 'moved'; readonly clock: MovedClock }
    | { readonly kind: 'paced'; readonly clock: Clock },
  signal: AbortSignal,
): Promise<number> {
  let count = 0;
  let last: number | undefined;
  for await (const { time, event } of readRecording(path)) {
    if (signal.aborted) break;
    if (clock.kind === 'moved') await clock.clock.moveTo(time, () => target.idle());
    else if (last !== undefined) await pause(clock.clock, time - last, signal);
    last = time;
    target.tell(event);
    await target.idle();
    count++;
  }
  // The end of the recording is the end of its gaps: what was held over one is decided now.
  if (clock.kind === 'moved' && last !== undefined)
    await clock.clock.moveTo(last + 120_000, () => target.idle());
  return count;
}

/** The time of a recording's first event; an empty recording is an error. */
export async function firstTime(path: string): Promise<number> {
  for await (const event of readRecording(path)) return event.time;
  throw new DnskeeperError('IO', `The recording ${path} holds no event.`);
}

function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (ms <= 0 || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const cancel = clock.after(ms, done);
    signal.addEventListener('abort', done, { once: true });
    function done(): void {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    }
  });
}
