import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../core/config.ts';
import { messageOf, systemCodeOf } from '../core/errors.ts';
import { describeProblem } from '../core/health.ts';
import { type ResolvedConfFile, readResolvedConf } from '../core/resolved-conf.ts';
import type { ConfigProblem, Finding } from '../core/status.ts';
import { compareText } from '../core/text.ts';
import type { Files } from '../system/files.ts';

const NAME = 'resolved.conf';
const MAX_BYTES = 256 * 1024;
const MAX_FILES = 256;

/** What systemd-resolved's files say, as settings beneath our own. */
export interface LoadedResolvedConf {
  readonly settings: Partial<Config>;
  readonly files: readonly string[];
  readonly remarks: readonly Finding[];
}

/**
 * Read resolved.conf(5) as systemd-resolved does: the strongest main file, then the drop-ins of all folders in the order
 * of their names, of which one in a stronger folder hides those of the same name. `folders` come strongest first.
 *
 * It counts whether or not systemd-resolved runs. What it says is in force there then; when it goes, our plan is the same
 * already, and the change from one to the other changes nothing else.
 */
export async function loadResolvedConf(
  folders: readonly string[],
  files: Pick<Files, 'read'>,
): Promise<LoadedResolvedConf> {
  const problems: ConfigProblem[] = [];
  const found: ResolvedConfFile[] = [];
  const take = async (file: string): Promise<boolean> => {
    try {
      const bytes = await files.read(file, MAX_BYTES);
      if (bytes === undefined) return false;
      found.push({ file, text: bytes.toString('utf8') });
    } catch (error) {
      problems.push({ file, wanted: `a readable file of at most ${MAX_BYTES} bytes`, got: messageOf(error) });
    }
    return true;
  };
  for (const folder of folders) if (await take(join(folder, NAME))) break;
  for (const file of await dropIns(folders, problems)) await take(file);
  const read = readResolvedConf(found);
  return {
    settings: read.settings,
    files: found.filter(({ text }) => /^\s*[^#;\s]/m.test(text)).map(({ file }) => file),
    remarks: [
      ...[...problems, ...read.problems].map(
        (problem): Finding => ({
          severity: 'warning',
          id: 'resolved-conf',
          text: `${describeProblem(problem)} It is left out.`,
          mend: 'dnskeeperd --check',
        }),
      ),
      ...read.unsupported,
    ],
  };
}

async function dropIns(folders: readonly string[], problems: ConfigProblem[]): Promise<readonly string[]> {
  const byName = new Map<string, string>();
  for (const folder of folders.map((each) => join(each, `${NAME}.d`)))
    for (const name of await namesIn(folder, problems))
      if (!byName.has(name)) byName.set(name, join(folder, name));
  return [...byName]
    .toSorted(([a], [b]) => compareText(a, b))
    .slice(0, MAX_FILES)
    .map(([, file]) => file);
}

async function namesIn(folder: string, problems: ConfigProblem[]): Promise<readonly string[]> {
  try {
    const names = await readdir(folder);
    return names.filter((name) => name.endsWith('.conf') && !name.startsWith('.'));
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT')
      problems.push({ file: folder, wanted: 'a readable folder', got: messageOf(error) });
    return [];
  }
}
