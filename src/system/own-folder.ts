import { chown, lstat, mkdir } from 'node:fs/promises';
import { DnskeeperError } from '../core/errors.ts';

/**
 * Make a folder, or take over one that belongs to another user, so that a daemon which may give files away but not
 * write everywhere can work in it.
 */
export async function ownFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const facts = await lstat(folder);
  if (!facts.isDirectory())
    throw new DnskeeperError('IO', `Wanted ${folder} to be a folder, got something else; remove it.`);
  const own = process.geteuid?.() ?? facts.uid;
  if (facts.uid !== own) await chown(folder, own, process.getegid?.() ?? facts.gid);
}
