import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../src/core/errors.ts';
import type { Machine } from '../test/lab/machine.ts';
import { builtPackage } from '../test/lab/package.ts';

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

/** Why no machine can be booted here. */
export async function noLab(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'the lab needs root';
  const folders = (process.env['PATH'] ?? '').split(':');
  const missing = LAB_TOOLS.filter((tool) => !folders.some((folder) => existsSync(join(folder, tool))));
  if (missing.length > 0) return `the lab needs ${missing.join(', ')}`;
  return builtPackage().then(() => undefined, messageOf);
}

const LAB_TOOLS = [
  'debootstrap',
  'systemd-nspawn',
  'nsenter',
  'unshare',
  'setpriv',
  'dnsmasq',
  'openvpn',
  'ip',
];
