import { dirname, join, resolve } from 'node:path';
import type { Config } from '../core/config.ts';
import { readEarlierConf } from '../core/earlier-conf.ts';
import { isOfProgramWeHear, writerOfTarget } from '../core/writer.ts';
import type { Files } from '../system/files.ts';
import type { Paths } from '../system/paths.ts';

const MOST_BYTES = 1 << 20;

/**
 * What /etc/resolv.conf said before us: from the saved original, or before we have taken it from the file itself. What is
 * not there or cannot be read says nothing; who keeps the file tells what is wrong with it.
 */
export async function loadEarlierConf(
  { original, etcResolvConf, root, linkText }: Paths,
  files: Pick<Files, 'read' | 'look'>,
): Promise<Partial<Config>> {
  try {
    const manifest = await files.read(join(original, 'manifest.json'), 4096);
    if (manifest === undefined) {
      const found = await files.look(etcResolvConf);
      if (found?.kind === 'file') return await read(etcResolvConf);
      const ours = found?.target === undefined || found.target === linkText;
      return ours ? {} : await behind(found.target);
    }
    const { kind, target } = Object(JSON.parse(manifest.toString('utf8'))) as Record<string, unknown>;
    if (kind === 'link' && typeof target === 'string') return await behind(target);
    return kind === 'file' ? await read(join(original, 'content')) : {};
  } catch {
    return {};
  }

  async function behind(target: string): Promise<Partial<Config>> {
    const program = writerOfTarget(target);
    if (program !== undefined && isOfProgramWeHear(program)) return {};
    return read(target.startsWith('/') ? join(root, target) : resolve(dirname(etcResolvConf), target));
  }

  async function read(path: string): Promise<Partial<Config>> {
    return readEarlierConf((await files.read(path, MOST_BYTES))?.toString('latin1') ?? '', path);
  }
}
