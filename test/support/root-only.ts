import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Run a program to its end; throws with its words when it fails. */
export function run(program: string, ...args: readonly string[]): void {
  execFileSync(program, [...args], { stdio: ['ignore', 'ignore', 'pipe'], timeout: 30_000 });
}

/** Why real mounts cannot be tried here; undefined when they can. */
export const noMounts: string | undefined = reasonAgainst('mount', (folder) => {
  run('mount', '-t', 'tmpfs', 'dnskeeper-probe', folder);
  run('umount', folder);
});

/** Why the immutable flag cannot be tried here; undefined when it can. */
export const noImmutable: string | undefined = reasonAgainst('chattr', (folder) => {
  const file = join(folder, 'file');
  writeFileSync(file, '');
  run('chattr', '+i', file);
  run('chattr', '-i', file);
});

/** A test's name with the reason behind it when it is left out. */
export const unless = (reason: string | undefined, name: string): string =>
  reason === undefined ? name : `${name} (left out: ${reason})`;

function reasonAgainst(what: string, trial: (folder: string) => void): string | undefined {
  if (process.getuid?.() !== 0) return `${what} needs root`;
  const folder = mkdtempSync(join(tmpdir(), 'dnskeeper-probe-'));
  try {
    trial(folder);
    return undefined;
  } catch {
    return `${what} does not work on this machine`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
