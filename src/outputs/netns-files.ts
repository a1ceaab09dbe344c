import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DnskeeperError, messageOf } from '../core/errors.ts';
import { isOfNamespace } from '../core/netns-conf.ts';
import { withoutTime } from '../core/resolv-conf.ts';
import type { Files } from '../system/files.ts';
import type { Log } from '../system/log.ts';
import type { Decision, Output } from './output.ts';

/** What the output works with. */
export interface NetnsFilesNeeds {
  /** `/etc/netns`, as ip-netns(8) has it. */
  readonly folder: string;
  readonly files: Files;
  /** Names of the configuration. */
  readonly names: () => readonly string[];
  readonly render: (decision: Decision, name: string) => string;
  readonly log: Log;
}

/** The output, and what it could not do. */
export interface NetnsFiles extends Output {
  /** One sentence for the status. */
  readonly problem: string | undefined;
}

const MOST_BYTES = 256 * 1024;
const MOST_FOLDERS = 1024;

/**
 * Keep `resolv.conf` of each network namespace that the configuration names, for `ip netns exec`. A file of somebody
 * else is left alone and told about; ours goes when its name is no longer configured.
 */
export function netnsFiles({ folder, files, names, render, log }: NetnsFilesNeeds): NetnsFiles {
  let problem: string | undefined;
  /** Names whose file may be ours; undefined before the first look at the folder. */
  let kept: Set<string> | undefined;

  /** Others may stand in our way for good, which is no reason to stop anything else. */
  function tell(what: string | undefined): void {
    if (what !== undefined && what !== problem) log.warn({}, what);
    problem = what;
  }

  async function keep(name: string, text: string): Promise<string | undefined> {
    const path = join(folder, name, 'resolv.conf');
    if (await leadsAway(name))
      return `${join(folder, name)} is no folder of its own, so nothing is written there; remove it to have its resolv.conf kept.`;
    const facts = await files.look(path);
    if (facts === undefined) {
      await files.makeFolder(join(folder, name), 0o755);
      await files.replace(path, Buffer.from(text));
      return undefined;
    }
    const before = await ownText(path);
    if (before === undefined)
      return `${path} is not ours: somebody else wrote it, so it is left alone; remove it to have it kept.`;
    // Written in place: programs that run in the namespace have this very file mounted over theirs.
    if (withoutTime(before) !== withoutTime(text)) await files.overwrite(path, Buffer.from(text));
    return undefined;
  }

  /** What is written behind a link is somebody else's file. */
  const leadsAway = async (name: string): Promise<boolean> => {
    const kind = (await files.look(join(folder, name)))?.kind;
    return kind !== undefined && kind !== 'folder';
  };

  async function forget(name: string): Promise<void> {
    if (await leadsAway(name)) return;
    const path = join(folder, name, 'resolv.conf');
    if ((await ownText(path)) !== undefined) await files.remove(path);
  }

  /** The text of a file of ours; undefined for everything else, links above all. */
  async function ownText(path: string): Promise<string | undefined> {
    const facts = await files.look(path);
    if (facts?.kind !== 'file' || facts.bytes > MOST_BYTES) return undefined;
    const text = (await files.read(path, MOST_BYTES))?.toString('latin1');
    return text !== undefined && isOfNamespace(text) ? text : undefined;
  }

  return {
    name: 'netns-files',
    async apply(decision, signal) {
      if (signal.aborted)
        throw new DnskeeperError('DEADLINE', 'The files of network namespaces were not looked at in time.');
      const wanted = new Set(names());
      if (wanted.size === 0 && kept?.size === 0) return;
      kept ??= new Set((await readdir(folder).catch(() => [])).slice(0, MOST_FOLDERS));
      let first: string | undefined;
      try {
        for (const name of kept) if (!wanted.has(name)) await forget(name);
        for (const name of wanted) {
          const said = await keep(name, render(decision, name));
          first ??= said;
        }
        kept = wanted;
      } catch (error) {
        first = `Files of network namespaces: ${messageOf(error)}`;
      }
      tell(first);
    },
    // They list real servers, which answer without us.
    close: async () => {},
    get problem() {
      return problem;
    },
  };
}
