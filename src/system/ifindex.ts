import { readFileSync } from 'node:fs';

/** The kernel's number of a link, or undefined when there is no such link now. */
export function ifindexOf(name: string): number | undefined {
  if (!/^[^\s/]{1,15}$/.test(name) || name === '.' || name === '..') return undefined;
  try {
    const index = Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'latin1'));
    return Number.isInteger(index) && index > 0 ? index : undefined;
  } catch {
    return undefined; // the link went away between its mention and now
  }
}
