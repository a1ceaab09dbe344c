import { readFile, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Whether something is mounted right at `path`, which may be a file; rejects where its folder cannot be reached. */
export async function isMountPoint(path: string): Promise<boolean> {
  const folder = await realpath(dirname(path));
  return (await mountPoints()).has(join(folder, basename(path)));
}

/** Every mount point that this process sees; empty where there is no proc(5), so EBUSY must be reckoned with all the same. */
async function mountPoints(): Promise<ReadonlySet<string>> {
  try {
    return parseMountPoints(await readFile('/proc/self/mountinfo', 'utf8'));
  } catch {
    return new Set();
  }
}

/** The fifth field of each line of proc_pid_mountinfo(5); blanks, tabs, line ends and backslashes come as `\040` and the like. */
export function parseMountPoints(text: string): ReadonlySet<string> {
  const points = new Set<string>();
  for (const line of text.split('\n')) {
    const point = line.split(' ')[4];
    if (point !== undefined) points.add(unescapeOctal(point));
  }
  return points;
}

const unescapeOctal = (text: string): string =>
  text.replace(/\\([0-3][0-7]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
