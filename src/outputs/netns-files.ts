import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DnskeeperError, messageOf } from '../core/errors.ts';
import { isOfNamespace } from '../core/netns-conf.ts';
import { withoutTime } from '../core/resolv-conf.ts';
import type { Clock } from '../system/clock.ts';
import type { Files } from '../system/files.ts';
import type { Log } from '../system/log.ts';
import type { Watch } from '../system/watch.ts';
import type { Decision, Output } from './output.ts';

/** What the output works with. */
export interface NetnsFilesNeeds {
  /** `/etc/netns`, as ip-netns(8) has it. */
  readonly folder: string;
  readonly files: Files;
  /** Names of the configuration. */
  readonly names: () => readonly string[];
  readonly render: (decision: Decision, name: string) => string;
  /** Tell whenever something may have happened to a file, also while its folder comes and goes. */
  readonly watch: (path: string, onEvent: () => void) => Pick<Watch, 'close'>;
  readonly clock: Pick<Clock, 'after'>;
  readonly log: Log;
}

/** The output, and what it could not do. */
export interface NetnsFiles extends Output {
  /** One sentence for the status. */
  readonly problem: string | undefined;
  /** Somebody has changed or removed one of the files, or one that was in our way; at most once a second. */
  onChange(listener: () => void): void;
}

const MOST_BYTES = 256 * 1024;
const MOST_FOLDERS = 1024;

/** Two programs that both never stop would wear out the disk. */
const PAUSE_MS = 1000;

/**
 * Keep `resolv.conf` of each network namespace that the configuration names, for `ip netns exec`. A file of somebody
 * else is left alone and told about; ours goes when its name is no longer configured.
 */
export function netnsFiles({ folder, files, names, render, watch, clock, log }: NetnsFilesNeeds): NetnsFiles {
  let problem: string | undefined;
  /** Names whose file may be ours; undefined before the first look at the folder. */
  let kept: Set<string> | undefined;
  /** How each file was left: our text, or undefined where it is somebody else's. */
  const left = new Map<string, string | undefined>();
  const watches = new Map<string, Pick<Watch, 'close'>>();
  let changed = (): void => {};
  let pausing = false;

  /** Others may stand in our way for good, which is no reason to stop anything else. */
  function tell(what: string | undefined): void {
    if (what !== undefined && what !== problem) log.warn({}, what);
    problem = what;
  }

  async function keep(name: string, text: string): Promise<string | undefined> {
    const path = join(folder, name, 'resolv.conf');
    left.set(name, undefined);
    if (await leadsAway(name))
      return `${join(folder, name)} is no folder of its own, so nothing is written there; remove it to have its resolv.conf kept.`;
    const facts = await files.look(path);
    if (facts === undefined) {
      await files.makeFolder(join(folder, name), 0o755);
      await files.replace(path, Buffer.from(text));
      left.set(name, text);
      return undefined;
    }
    const before = await ownText(path);
    const differs = before !== undefined && withoutTime(before) !== withoutTime(text);
    if (before === undefined)
      return `${path} is not ours: somebody else wrote it, so it is left alone; remove it to have it kept.`;
    left.set(name, differs ? text : before);
    // Written in place: programs that run in the namespace have this very file mounted over theirs.
    if (differs) await files.overwrite(path, Buffer.from(text));
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

  function watchOnly(wanted: ReadonlySet<string>): void {
    for (const [name, one] of watches) if (!wanted.has(name) && watches.delete(name)) void one.close();
    for (const name of wanted)
      if (!watches.has(name))
        watches.set(
          name,
          watch(join(folder, name, 'resolv.conf'), () => void look(name)),
        );
  }

  /** Our own writes are events as well, and no news. */
  async function look(name: string): Promise<void> {
    const path = join(folder, name, 'resolv.conf');
    const there = await files.look(path).catch(() => undefined);
    const text = await ownText(path).catch(() => undefined);
    if (pausing || !left.has(name) || (there !== undefined && text === left.get(name))) return;
    pausing = true;
    clock.after(PAUSE_MS, () => {
      pausing = false;
      if (watches.size > 0) changed();
    });
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
        watchOnly(wanted);
        for (const name of kept) {
          if (wanted.has(name)) continue;
          left.delete(name);
          await forget(name);
        }
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
    async close() {
      await Promise.all([...watches.values()].map((one) => one.close()));
      watches.clear();
    },
    onChange(listener) {
      changed = listener;
    },
    get problem() {
      return problem;
    },
  };
}
