import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { Machine } from '../test/lab/machine.ts';

/** The host's number of a unit's main process, under which the host's /proc shows it. */
export async function pidOf(machine: Machine, unit: string): Promise<number> {
  const inside = Number(await machine.ok(`systemctl show -P MainPID ${unit}`));
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const found = inside === 0 ? undefined : pids.find((pid) => isInside(pid, machine.pid, inside));
  if (found === undefined) throw new Error(`${unit} does not run in the machine`);
  return Number(found);
}

/** NSpid lists the numbers of a process from the outermost namespace to its own. */
function isInside(pid: string, init: number, inside: number): boolean {
  try {
    if (readlinkSync(`/proc/${pid}/ns/pid`) !== readlinkSync(`/proc/${init}/ns/pid`)) return false;
    const own = /^NSpid:.*\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(own) === inside;
  } catch {
    return false; // it has just ended
  }
}
