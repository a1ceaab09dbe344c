import { readPlainFile } from './plain-file.ts';

/** The machine's id (machine-id(5)); undefined where it was never given one. */
export function machineId(root = ''): string | undefined {
  return machineIdIn(`${root}/etc/machine-id`);
}

/** The same from a file; a container may have none there, or have something else. */
export function machineIdIn(file: string): string | undefined {
  const bytes = readPlainFile(file, MOST_BYTES, 'followed');
  return Buffer.isBuffer(bytes) ? /^[0-9a-f]{32}$/m.exec(bytes.toString('latin1'))?.[0] : undefined;
}

const MOST_BYTES = 4096;
