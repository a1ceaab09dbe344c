import { messageOf } from '../core/errors.ts';
import { retryPause } from '../core/pace.ts';
import { writerOfText } from '../core/writer.ts';
import type { Clock } from '../system/clock.ts';
import type { Files } from '../system/files.ts';
import type { Log } from '../system/log.ts';
import type { Paths } from '../system/paths.ts';

/**
 * Our two files under the names that systemd-resolved gives its own, as long as we stand in for it. Many programs look
 * there to find out who answers, and what they find has to hold whether resolv.conf names the stub or real servers:
 * - NetworkManager compares inodes with /etc/resolv.conf when it starts. It then leaves that file alone and gives its DNS
 *   to the bus name that we have; what it tells on its own bus stays as it was. The text does not matter to it.
 * - Docker and Podman read resolv.conf there when 127.0.0.53 is the only server in /etc/resolv.conf, and that file itself
 *   otherwise; so they meet real servers in both cases. Docker decides once for its life, hence the file outlives us.
 * - Tailscale looks for the word systemd-resolved in the header. With the stub it uses our bus name; with real servers
 *   only where nsswitch.conf asks nss-resolve before DNS, and writes the file itself otherwise.
 * - Mullvad compares texts, systemd-nspawn looks whether the file is there, NetBird asks the bus.
 */
export interface ResolvedFiles {
  /** We stand in: the names are made, and kept from now on. Failures are told by `problem` and tried again. */
  begin(): Promise<void>;
  /** Our files were written, so the names follow them. */
  follow(): Promise<void>;
  /** systemd-resolved is here or comes: the names are free for it. */
  giveWay(): Promise<void>;
  /** We end. What reads /etc/resolv.conf or systemd-resolved's own list of servers through these names goes on. */
  close(): Promise<void>;
  /** What is not as it should be, one sentence. */
  readonly problem: string | undefined;
}

/** What they are made with. */
export interface ResolvedFilesNeeds {
  /** systemd-resolved's user may have its folder, so nothing in it is trusted. */
  readonly paths: Pick<Paths, 'resolvConf' | 'upstreamConf' | 'etcResolvConf' | 'resolvedFolder'>;
  readonly files: Pick<Files, 'look' | 'read' | 'realPath' | 'makeFolder' | 'replaceWithName' | 'remove'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** More is nobody's resolv.conf. */
const MOST_BYTES = 256 * 1024;

/** The names, none of which is there yet. Everything is done one after the other. */
export function resolvedFiles({ paths, files, clock, log }: ResolvedFilesNeeds): ResolvedFiles {
  const folder = paths.resolvedFolder;
  const stub = { name: `${folder}/stub-resolv.conf`, file: paths.resolvConf };
  const uplink = { name: `${folder}/resolv.conf`, file: paths.upstreamConf };
  let standing = false;
  let problem: string | undefined;
  let attempt = 0;
  let cancelRetry = (): void => {};
  let queue: Promise<unknown> = Promise.resolve();

  function enqueue(task: () => Promise<void>): Promise<void> {
    const run = queue.then(task);
    queue = run;
    return run;
  }

  /** Never rejects: bus and sockets serve without the files, so a failure keeps nothing else back. */
  async function tryTo(act: () => Promise<void>): Promise<void> {
    cancelRetry();
    try {
      await act();
      attempt = 0;
      problem = undefined;
    } catch (error) {
      const before = problem;
      problem = `The files under systemd-resolved's names are not as they should be: ${messageOf(error)}.`;
      if (problem !== before) log.warn({}, problem);
      cancelRetry = clock.after(retryPause(++attempt), () => void enqueue(() => tryTo(settle)));
    }
  }

  const settle = (): Promise<void> => (standing ? keep() : drop([uplink, stub]));

  /** The uplink first: who finds the stub's address in the one then reads the other. */
  async function keep(): Promise<void> {
    await files.makeFolder(folder, 0o755);
    for (const { name, file } of [uplink, stub]) {
      const [there, wanted] = await Promise.all([files.look(name), files.look(file)]);
      // A file that is not written yet gets its name when it is.
      if (wanted !== undefined && there?.version !== wanted.version) await files.replaceWithName(name, file);
    }
  }

  /** Take names away, but from nobody else's files. */
  async function drop(which: readonly { readonly name: string }[]): Promise<void> {
    for (const { name } of which) if (await isOurs(name)) await files.remove(name);
  }

  async function isOurs(name: string): Promise<boolean> {
    const facts = await files.look(name);
    if (facts?.kind !== 'file' || facts.bytes > MOST_BYTES) return false;
    const text = (await files.read(name, MOST_BYTES))?.toString('latin1') ?? '';
    return writerOfText(text).program === 'dnskeeper';
  }

  return {
    begin: () =>
      enqueue(async () => {
        standing = true;
        await tryTo(settle);
      }),
    follow: () =>
      enqueue(async () => {
        if (standing) await tryTo(settle);
      }),
    giveWay: () =>
      enqueue(async () => {
        standing = false;
        await tryTo(settle);
      }),
    close: () =>
      enqueue(async () => {
        const led = await files.realPath(paths.etcResolvConf).catch(() => undefined);
        if (standing && led !== stub.name) await tryTo(() => drop([stub]));
        standing = false;
        cancelRetry();
      }),
    get problem() {
      return problem;
    },
  };
}
