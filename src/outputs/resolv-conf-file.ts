import { DnskeeperError, messageOf } from '../core/errors.ts';
import { withoutTime } from '../core/resolv-conf.ts';
import type { FileStatus } from '../core/status.ts';
import type { Files } from '../system/files.ts';
import type { Paths } from '../system/paths.ts';
import type { Decision, Output } from './output.ts';
import type { OwnTexts } from './own-texts.ts';
import type { ResolvedFiles } from './resolved-files.ts';

/** The two files as text. */
export interface RenderedFiles {
  readonly resolvConf: string;
  readonly upstreamConf: string;
}

/** The files' output, and what it tells about them. */
export interface ResolvConfFile extends Output {
  status(): readonly FileStatus[];
  /** Whether resolv.conf still holds what was applied last. */
  isIntact(): Promise<boolean>;
}

/** What we write is bounded far below this; more on the disk is not ours. */
const MOST_BYTES = 256 * 1024;

/**
 * Keep Paths.resolvConf and Paths.upstreamConf. The disk is compared at every apply, not our memory of it, so that a
 * deleted, edited or half-forgotten file (SIGKILL) is put right; `written` hears of resolv.conf's changes. `names` are
 * systemd-resolved's files, which follow at once; `own` keeps what resolv.conf said.
 */
export function resolvConfFile(
  paths: Paths,
  files: Files,
  render: (decision: Decision) => RenderedFiles,
  written: (before: string, after: string) => void = () => {},
  names: Pick<ResolvedFiles, 'follow'> = { follow: async () => {} },
  own: Pick<OwnTexts, 'remember'> = { remember: () => {} },
): ResolvConfFile {
  const status = new Map<string, FileStatus>(
    [paths.upstreamConf, paths.resolvConf].map((path) => [path, { path, state: 'pending', bytes: 0 }]),
  );

  /** The bytes of resolv.conf as they were left; the time in them may be that of an earlier change. */
  let applied: string | undefined;

  /** The text that was left there. */
  async function keep(path: string, text: string, told: (before: string) => void): Promise<string> {
    const bytes = Buffer.byteLength(text);
    try {
      const before = await present(files, path);
      const differs = before === undefined || withoutTime(before) !== withoutTime(text);
      if (differs) await files.replace(path, Buffer.from(text));
      status.set(path, { path, state: differs ? 'written' : 'unchanged', bytes });
      if (differs) told(before ?? '');
      return differs ? text : before;
    } catch (error) {
      status.set(path, { path, state: 'failed', bytes, error: messageOf(error) });
      throw error;
    }
  }

  return {
    name: 'resolv-conf-file',
    async apply(decision, signal) {
      if (signal.aborted) throw new DnskeeperError('DEADLINE', 'The files were not looked at in time.');
      const text = render(decision);
      await files.makeFolder(paths.runtime, 0o755);
      await keep(paths.upstreamConf, text.upstreamConf, () => {});
      // Not read again: what somebody wrote in between would pass for ours.
      applied = await keep(paths.resolvConf, text.resolvConf, (before) => written(before, text.resolvConf));
      own.remember(Buffer.from(applied));
      await names.follow(decision);
    },
    // The files stay: they name real servers, which answer without us.
    close: async () => {},
    status: () => [...status.values()],
    isIntact: async () => applied !== undefined && (await present(files, paths.resolvConf)) === applied,
  };
}

/** The text of a file that is as we write it (plain, ours, 0644, bounded); anything else counts as absent and is replaced. */
async function present(files: Files, path: string): Promise<string | undefined> {
  const facts = await files.look(path);
  if (facts === undefined || facts.kind !== 'file' || facts.bytes > MOST_BYTES) return undefined;
  // With the folder of systemd-resolved, systemd gives its user whatever is in there, our inode under its further name too.
  const own = facts.mode === 0o644 && facts.uid === process.geteuid?.();
  if (!own && !(await files.isMountPoint(path))) return undefined;
  return (await files.read(path, MOST_BYTES))?.toString('utf8');
}
