import { messageOf } from '../core/errors.ts';
import { formatLinkState, type LinkStateFile, parseLinkState } from '../core/link-state-file.ts';
import type { PushedLink } from '../core/pushed-links.ts';
import { printable } from '../core/text.ts';
import type { PushedLinks } from '../sources/pushed-links.ts';
import type { Files } from '../system/files.ts';
import type { KernelLinks } from '../system/kernel-links.ts';
import type { Log } from '../system/log.ts';

/**
 * Settings of links in systemd-resolved's files, so that they outlive a restart of ours and a change from one of the
 * two to the other.
 */
export interface LinkStates {
  /** Take up what stands in the files, and keep them from now on. */
  begin(): Promise<void>;
  /** Leave the files to the next; resolves when the last change is in them. */
  end(): Promise<void>;
}

/** What they are kept with. */
export interface LinkStatesNeeds {
  /** `/run/systemd/resolve/netif`. */
  readonly folder: string;
  readonly files: Pick<Files, 'makeFolder' | 'look' | 'read' | 'replace' | 'remove'>;
  readonly pushed: PushedLinks;
  readonly links: KernelLinks;
  readonly log: Log;
}

/** 1024 domains of 255 bytes, and the rest. */
const MOST_BYTES = 1 << 20;

/** Settings of links in files. A file that cannot be written is said in the log and harms nothing else. */
export function linkStates({ folder, files, pushed, links, log }: LinkStatesNeeds): LinkStates {
  const waiting = new Set<number>();
  let writing: Promise<void> | undefined;
  let stop = (): void => {};

  /** Settings that change faster than they are written are written once, as they are then. */
  async function writeAll(): Promise<void> {
    for (const ifindex of waiting) {
      waiting.delete(ifindex);
      const link = pushed.get(ifindex);
      const path = `${folder}/${ifindex}`;
      try {
        if (link === undefined) await files.remove(path);
        else await files.replace(path, Buffer.from(formatLinkState(link)));
      } catch (error) {
        log.warn({ path, error: messageOf(error) }, 'settings of a link would not outlive a restart');
      }
    }
    writing = undefined;
  }

  /** systemd-resolved's user may write here: what is no plain file of a sane size keeps nothing else back. */
  async function readState(ifindex: number): Promise<LinkStateFile | undefined> {
    const path = `${folder}/${ifindex}`;
    try {
      if ((await files.look(path))?.kind !== 'file') return undefined;
      const bytes = await files.read(path, MOST_BYTES);
      return bytes === undefined ? undefined : parseLinkState(bytes.toString('utf8'));
    } catch (error) {
      log.warn({ path, error: messageOf(error) }, 'settings of a link from before cannot be read');
      return undefined;
    }
  }

  return {
    async begin() {
      await files
        .makeFolder(folder, 0o755)
        .catch((error: unknown) => log.warn({ error: messageOf(error) }, 'settings of links are not kept'));
      const earlier: PushedLink[] = [];
      for (const { ifindex, name, tunnel, loopback, managedByNetworkd } of links.all()) {
        const state = loopback || managedByNetworkd ? undefined : await readState(ifindex);
        if (state === undefined || isOfAnother(state, name)) continue;
        const { settings, by } = state;
        if (Object.keys(settings).length > 0)
          earlier.push({ ifindex, interface: name, tunnel, settings, by });
      }
      pushed.restore(earlier);
      stop = pushed.onChange((ifindex) => {
        waiting.add(ifindex);
        writing ??= writeAll();
      });
    },
    async end() {
      stop();
      await writing;
    },
  };
}

/** The number of a link that is gone may be another's by now. */
const isOfAnother = (state: LinkStateFile, name: string): boolean =>
  state.interface !== undefined && state.interface !== printable(name, 60);
