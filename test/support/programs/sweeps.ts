/** Prints the resident memory, in megabytes, with messages of a storm, without them, and after a sweep. */
import { setTimeout as pause } from 'node:timers/promises';
import { loadLibc } from '../../../src/system/libc.ts';
import { sweep } from '../../../src/system/sweep.ts';

const MESSAGES = 4000;
const MESSAGE_BYTES = 20_000;

const libc = loadLibc();
const resident = (): number => Math.round(process.memoryUsage.rss() / 1e6);

let messages: (Buffer | undefined)[] = Array.from({ length: MESSAGES }, () => Buffer.alloc(MESSAGE_BYTES, 1));
const full = resident();
// What is left here and there keeps the memory between from being given back by itself.
messages = messages.map((message, i) => (i % 16 === 0 ? message : undefined));
sweep(undefined);
await pause(0); // V8 frees what buffers held beside everything else
sweep(undefined);
const swept = resident();
sweep(libc);
process.stdout.write(
  JSON.stringify({ full, swept, given: resident(), kept: messages.filter(Boolean).length }),
);
