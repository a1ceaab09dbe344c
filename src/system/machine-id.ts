import { readFileSync } from 'node:fs';

/** The machine's id (machine-id(5)); undefined where it was never given one. */
export function machineId(root = ''): string | undefined {
  try {
    return /^[0-9a-f]{32}$/m.exec(readFileSync(`${root}/etc/machine-id`, 'latin1'))?.[0];
  } catch {
    return undefined; // no such file
  }
}
