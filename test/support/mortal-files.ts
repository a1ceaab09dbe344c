import { writeFileSync } from 'node:fs';
import { type Files, temporaryNameOf } from '../../src/system/files.ts';

/** How the process dies at the fatal change: before it, after it, or in the middle with a half-written temporary file. */
export type Death = 'before' | 'after' | 'torn';

/** The error that stands for SIGKILL: nothing after it happens. */
export class Killed extends Error {}

/** Files of a process that is killed at its change number `fatal` (counted from 1); nothing works after that. */
export function mortalFiles(real: Files, fatal: number, death: Death): Files & { readonly dead: boolean } {
  let changes = 0;
  let dead = false;
  const die = (): never => {
    dead = true;
    throw new Killed('killed');
  };
  async function change<T>(path: string, act: () => Promise<T>): Promise<T> {
    if (dead) die();
    if (++changes < fatal) return act();
    if (death === 'after') await act();
    if (death === 'torn') tear(path);
    return die();
  }
  async function look<T>(act: () => Promise<T>): Promise<T> {
    if (dead) die();
    return act();
  }
  return {
    look: (path) => look(() => real.look(path)),
    read: (path, most) => look(() => real.read(path, most)),
    realPath: (path) => look(() => real.realPath(path)),
    isMountPoint: (path) => look(() => real.isMountPoint(path)),
    isImmutable: (path) => real.isImmutable(path),
    replace: (path, bytes, options) => change(path, () => real.replace(path, bytes, options)),
    overwrite: (path, bytes, durable) => change(path, () => real.overwrite(path, bytes, durable)),
    replaceWithLink: (path, target) => change(path, () => real.replaceWithLink(path, target)),
    replaceWithName: (path, existing) => change(path, () => real.replaceWithName(path, existing)),
    makeFolder: (path, mode) => change(path, () => real.makeFolder(path, mode)),
    remove: (path) => change(path, () => real.remove(path)),
    get dead() {
      return dead;
    },
  };
}

function tear(path: string): void {
  try {
    writeFileSync(temporaryNameOf(path), 'half a li', { mode: 0o600 });
  } catch {
    // The folder is not there yet, so nothing could be torn in it either.
  }
}
