import { dirname, join, resolve } from 'node:path';
import type { Config } from '../core/config.ts';
import { readEarlierConf } from '../core/earlier-conf.ts';
import { isOfProgramWeHear, writerOfTarget } from '../core/writer.ts';
import type { Files } from '../system/files.ts';
import type { Paths } from '../system/paths.ts';

const MOST_BYTES = 1 << 20;

/** What it said, and where a program may go on writing it. */
export interface EarlierConf {
  readonly settings: Partial<Config>;
  /** What /etc/resolv.conf led to, as /mnt/wsl/resolv.conf. */
  readonly followed?: string;
}

/**
 * What /etc/resolv.conf said before us: from the saved original, or before we have taken it from the file itself. What is
 * not there or cannot be read says nothing; who keeps the file tells what is wrong with it.
 */
export async function loadEarlierConf(
  { original, etcResolvConf, root, linkText }: Paths,
  files: Pick<Files, 'read' | 'look'>,
): Promise<EarlierConf> {
  try {
    const manifest = await files.read(join(original, 'manifest.json'), 4096);
    if (manifest === undefined) {
      const found = await files.look(etcResolvConf);
      if (found?.kind === 'file') return { settings: await read(etcResolvConf) };
      const ours = found?.target === undefined || found.target === linkText;
      return ours ? NOTHING : await behind(found.target);
    }
    const { kind, target } = Object(JSON.parse(manifest.toString('utf8'))) as Record<string, unknown>;
    if (kind === 'link' && typeof target === 'string') return await behind(target);
    return kind === 'file' ? { settings: await read(join(original, 'content')) } : NOTHING;
  } catch {
    return NOTHING;
  }

  async function behind(target: string): Promise<EarlierConf> {
    const program = writerOfTarget(target);
    if (program !== undefined && isOfProgramWeHear(program)) return NOTHING;
    const followed = target.startsWith('/') ? join(root, target) : resolve(dirname(etcResolvConf), target);
    return { settings: await read(followed), followed };
  }

  async function read(path: string): Promise<Partial<Config>> {
    return readEarlierConf((await files.read(path, MOST_BYTES))?.toString('latin1') ?? '', path);
  }
}

const NOTHING: EarlierConf = { settings: {} };
