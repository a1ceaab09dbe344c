import { readdirSync, readFileSync } from 'node:fs';

/** What a process holds of the machine's memory, in bytes. */
export interface Memory {
  /** Everything resident, shared pages in full. */
  readonly resident: number;
  /** Shared pages divided among those who share them (PSS). */
  readonly proportional: number;
}

/** Memory of a process (proc_pid_smaps(5)). */
export function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const bytes = (name: string): number =>
    1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]);
  return { resident: bytes('Rss'), proportional: bytes('Pss') };
}

/**
 * Processor time of a process and all its threads so far, in seconds. From the scheduler's own count in nanoseconds:
 * utime and stime of /proc/PID/stat come in hundredths of a second, too coarse for a daemon that sleeps.
 */
export function processorSeconds(pid: number): number {
  const threads = readThreads(pid);
  return threads.reduce((sum, text) => sum + Number(text.split(' ')[0]), 0) / 1e9;
}

function readThreads(pid: number): readonly string[] {
  const folder = `/proc/${pid}/task`;
  return readdirSync(folder).map((thread) => readFileSync(`${folder}/${thread}/schedstat`, 'utf8'));
}
