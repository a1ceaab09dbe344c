import { messageOf } from '../core/errors.ts';
import { retryPause } from '../core/pace.ts';
import { renderUplinkConf, withoutTime } from '../core/resolv-conf.ts';
import { TaskQueue } from '../core/task-queue.ts';
import { writerOfText } from '../core/writer.ts';
import type { Clock } from '../system/clock.ts';
import type { Files } from '../system/files.ts';
import type { Log } from '../system/log.ts';
import type { Paths } from '../system/paths.ts';
import type { Decision } from './output.ts';

/**
 * systemd-resolved's two files, as long as we stand in for it: stub-resolv.conf is a further name (a hard link) of our own
 * resolv.conf, and resolv.conf lists the servers that may be asked for every name. Many programs look there to find out
 * who answers, and what they find has to hold whether our resolv.conf names the stub or real servers:
 * - NetworkManager compares inodes with /etc/resolv.conf when it starts. It then leaves that file alone and gives its DNS
 *   to the bus name that we have; what it tells on its own bus stays as it was. The text does not matter to it.
 * - Docker and Podman read resolv.conf there when 127.0.0.53 is the only server in /etc/resolv.conf, and that file itself
 *   otherwise; so they meet real servers in both cases. Docker decides once for its life, hence the file outlives us.
 * - Tailscale looks for the word systemd-resolved in the header. With the stub it uses our bus name; with real servers
 *   only where nsswitch.conf asks nss-resolve before DNS, and writes the file itself otherwise.
 * - Mullvad compares texts, systemd-nspawn looks whether the file is there, NetBird asks the bus.
 */
export interface ResolvedFiles {
  /** We stand in: the files are made, and kept from now on. Failures are told by `problem` and tried again. */
  begin(): Promise<void>;
  /** Our own files were written for this decision, so these follow. */
  follow(decision: Decision): Promise<void>;
  /** systemd-resolved is here or comes: what is there of ours is taken away. */
  giveWay(): Promise<void>;
  /** We end. Who reads /etc/resolv.conf or the list of servers there goes on reading. */
  close(): Promise<void>;
  /** What is not as it should be, one sentence. */
  readonly problem: string | undefined;
}

/** What they are made with. */
export interface ResolvedFilesNeeds {
  /** systemd-resolved's user may have its folder, so nothing in it is trusted. */
  readonly paths: Pick<Paths, 'resolvConf' | 'etcResolvConf' | 'resolvedFolder'>;
  readonly files: Pick<
    Files,
    'look' | 'read' | 'realPath' | 'makeFolder' | 'replace' | 'replaceWithName' | 'remove'
  >;
  readonly clock: Clock;
  readonly log: Log;
}

/** More is nobody's resolv.conf. */
const MOST_BYTES = 256 * 1024;

/** The files, none of which is there yet. Everything is done one after the other. */
export function resolvedFiles({ paths, files, clock, log }: ResolvedFilesNeeds): ResolvedFiles {
  const folder = paths.resolvedFolder;
  const stub = `${folder}/stub-resolv.conf`;
  const uplink = `${folder}/resolv.conf`;
  let standing = false;
  let latest: Decision | undefined;
  let problem: string | undefined;
  let attempt = 0;
  let cancelRetry = (): void => {};
  const queue = new TaskQueue();

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
      cancelRetry = clock.after(retryPause(++attempt), () => void queue.run(() => tryTo(settle)));
    }
  }

  const settle = (): Promise<void> => (standing ? keep() : drop([uplink, stub]));

  /** The list of servers first: who finds the stub's address in the one file then reads the other. */
  async function keep(): Promise<void> {
    await files.makeFolder(folder, 0o755);
    if (latest !== undefined) {
      const text = renderUplinkConf(latest.plan, latest.time);
      const there = await textAt(uplink);
      if (there === undefined || withoutTime(there) !== withoutTime(text))
        await files.replace(uplink, Buffer.from(text));
    }
    const [there, wanted] = await Promise.all([files.look(stub), files.look(paths.resolvConf)]);
    // A file that is not written yet gets its name when it is.
    if (wanted !== undefined && there?.version !== wanted.version)
      await files.replaceWithName(stub, paths.resolvConf);
  }

  /** Take files away, but nobody else's. */
  async function drop(which: readonly string[]): Promise<void> {
    for (const path of which) {
      if (writerOfText((await textAt(path)) ?? '').program === 'dnskeeper') await files.remove(path);
    }
  }

  /** The text of a plain file as we write it, but for its owner; links are not followed. */
  async function textAt(path: string): Promise<string | undefined> {
    const facts = await files.look(path);
    if (facts?.kind !== 'file' || facts.mode !== 0o644 || facts.bytes > MOST_BYTES) return undefined;
    return (await files.read(path, MOST_BYTES))?.toString('utf8');
  }

  return {
    begin: () =>
      queue.run(async () => {
        standing = true;
        await tryTo(settle);
      }),
    follow: (decision) =>
      queue.run(async () => {
        latest = decision;
        if (standing) await tryTo(settle);
      }),
    giveWay: () =>
      queue.run(async () => {
        standing = false;
        await tryTo(settle);
      }),
    close: () =>
      queue.run(async () => {
        const led = await files.realPath(paths.etcResolvConf).catch(() => undefined);
        if (standing && led !== stub) await tryTo(() => drop([stub]));
        standing = false;
        cancelRetry();
      }),
    get problem() {
      return problem;
    },
  };
}
