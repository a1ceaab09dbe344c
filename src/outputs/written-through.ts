import { messageOf } from '../core/errors.ts';
import type { Clock } from '../system/clock.ts';
import type { Files } from '../system/files.ts';
import type { Log } from '../system/log.ts';
import type { Paths } from '../system/paths.ts';
import { type ForeignText, namesServers } from './foreign-text.ts';

/** What dealing with a text that was written through our link works with. */
export interface WrittenThroughNeeds {
  readonly paths: Paths;
  readonly files: Files;
  readonly clock: Clock;
  readonly log: Log;
  readonly theirs: ForeignText;
  /** Whether /etc/resolv.conf is our link. */
  readonly isOurs: () => Promise<boolean>;
  /** Look at /etc/resolv.conf and act. */
  readonly settle: (why: string) => Promise<void>;
}

/** Some programs write in several goes. */
const WRITTEN_MS = 100;

/** A shell truncates the file before the program that fills it has even begun, which takes long on a busy machine. */
const UNFILLED_MS = 1000;

/**
 * Wait until whoever writes into our file through our link has written, and deal with the text by its rule. Never rejects:
 * what cannot be dealt with goes, as ours is put right next.
 */
export async function dealWithWritten(needs: WrittenThroughNeeds): Promise<void> {
  const { paths, clock, log, theirs } = needs;
  try {
    await pause(clock, WRITTEN_MS);
    const written = await theirs.written(paths.resolvConf);
    if (written?.text === '') await pause(clock, UNFILLED_MS);
    await deal(needs);
  } catch (error) {
    log.warn({}, `What was written through our link is lost: ${messageOf(error)}`);
  }
}

async function pause(clock: Clock, milliseconds: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  clock.after(milliseconds, resolve);
  await promise;
}

async function deal({ paths, files, theirs, isOurs, settle }: WrittenThroughNeeds): Promise<void> {
  const written = await theirs.written(paths.resolvConf);
  if (written === undefined) return;
  if (written.rule !== 'yield') return theirs.take(paths.resolvConf, written.rule);
  if (!namesServers(written.text)) return;
  // While we waited somebody may have put a file of their own in the link's place.
  if (!(await isOurs())) return settle('/etc/resolv.conf changed');
  // From now on it is a file of theirs, and ours is put right beside it.
  await files.replace(paths.etcResolvConf, Buffer.from(written.text, 'latin1'));
  await settle('somebody wrote through our link');
}
