import type { Config } from '../core/config.ts';
import { DnskeeperError, messageOf, systemCodeOf } from '../core/errors.ts';
import { answer, type Fight, isFighting, nameRival, PEACE, QUIET_MS } from '../core/fight.ts';
import { type ForeignRule, REASSERT_ALL } from '../core/foreign.ts';
import { Listeners } from '../core/listeners.ts';
import type { LinkStatus } from '../core/status.ts';
import {
  contested,
  decideLink,
  isOurs,
  type LinkDecision,
  type LinkFacts,
  type ResolvedPresence,
  refused,
  unsaved,
  type Verdict,
  yieldedByRule,
} from '../core/takeover.ts';
import { TaskQueue } from '../core/task-queue.ts';
import type { Clock } from '../system/clock.ts';
import type { Paths } from '../system/paths.ts';
import { type FoundLink, findLink, MOST_RESOLV_CONF_BYTES } from './find-link.ts';
import { type ForeignTextNeeds, foreignText } from './foreign-text.ts';
import {
  dropOriginal,
  handBack,
  isOriginalSaved,
  markReleased,
  type Outcome,
  restoreOriginal,
  saveOriginal,
} from './original.ts';
import type { Output } from './output.ts';
import { dealWithWritten } from './written-through.ts';

/** Keeps /etc/resolv.conf ours, or leaves it, as `decideLink` says. */
export interface EtcResolvConf extends Output {
  /** `dnsctl takeover`: ours again, also after a fight or a release. */
  takeover(): Promise<Outcome>;
  /** `dnsctl release`: the original again, and hands off until `takeover`, also over restarts. */
  release(): Promise<Outcome>;
  /** What the bus tells about systemd-resolved; until the first call the file is left alone. */
  resolved(presence: ResolvedPresence): Promise<void>;
  /** Go and look (a watch event, a resume, a new configuration). Looks that still wait are folded into one. */
  check(why: string): Promise<void>;
  /**
   * Somebody wrote into our own file, most likely through our link: what it says is dealt with before it is put right.
   * Never rejects.
   */
  writtenThrough(): Promise<void>;
  status(): LinkStatus;
  /** Hear every changed status until the returned function is called. */
  onStatus(listener: (status: LinkStatus) => void): () => void;
}

/** What the keeper works with. */
export interface EtcResolvConfNeeds extends ForeignTextNeeds {
  readonly paths: Paths;
  readonly clock: Clock;
  /** The setting in force now. */
  readonly takeover: () => Config['takeover'];
  /** Programs known to write the file that run right now (system/processes.ts). */
  readonly runningWriters: () => Promise<readonly string[]>;
}

/** The keeper of /etc/resolv.conf. Everything it does runs one after the other. */
export function etcResolvConf(needs: EtcResolvConfNeeds): EtcResolvConf {
  const { paths, files, clock, log } = needs;
  const theirs = foreignText(needs);
  const listeners = new Listeners<LinkStatus>();
  let resolved: ResolvedPresence = 'unknown';
  let status: LinkStatus = {
    state: 'unknown',
    inCharge: 'nobody yet',
    reason: 'dnskeeperd has just started',
    degraded: false,
    originalSaved: false,
  };
  /** We had the file in this run, so that a foreign text in it means that somebody overwrote us. */
  let had = false;
  /** What we last wrote into a mounted file. */
  let lastWritten: string | undefined;
  let fight: Fight = PEACE;
  let foreign: LinkStatus['foreign'];
  /** Version of the link as we put it; the same link in another version was put by somebody who gave it back. */
  let ownVersion: string | undefined;
  /** Version of the foreign file that was answered already. */
  let answered: string | undefined;
  let cancelPause: (() => void) | undefined;
  let cancelQuiet = (): void => {};
  const queue = new TaskQueue();
  let looking = false;
  /** `dnsctl takeover` goes before every rule. */
  let insisting = false;
  let closed = false;

  /** Look, decide, act, tell. Never rejects: what went wrong is a verdict. */
  async function settle(why: string): Promise<void> {
    let verdict: Verdict;
    try {
      const found = await findLink(paths, files, lastWritten);
      verdict = await act(decideLink(await factsOf(found)), found);
    } catch (error) {
      verdict = { state: 'failed', inCharge: 'nobody', reason: messageOf(error), degraded: true };
    }
    await publish(verdict, why);
  }

  async function factsOf(found: FoundLink): Promise<LinkFacts> {
    return {
      mode: paths.mode,
      takeover: needs.takeover(),
      resolved,
      released: (await files.look(paths.released)) !== undefined,
      published: (await files.look(paths.resolvConf)) !== undefined,
      found,
    };
  }

  async function act(decision: LinkDecision, found: FoundLink): Promise<Verdict> {
    if (decision.act === 'link' || decision.act === 'write') {
      if (had && !isOurs(found)) return resist(decision, found);
      return (await isTheirs(found)) ? yieldedByRule(await nameOf(found), found) : take(decision, found);
    }
    if (decision.act === 'restore' || decision.act === 'hand back') return giveBack(decision, found);
    if (decision.state === 'held' || decision.state === 'bind-mount') return keep(decision, found);
    standBack();
    if ((decision.state === 'released' || decision.state === 'resolved') && !isOurs(found))
      await dropOriginal(paths, files); // somebody else has taken over: what was before us is history
    return decision;
  }

  const ruleOf = (found: FoundLink): Promise<ForeignRule> => theirs.ruleOf(found, paths.etcResolvConf);

  /** A file that an earlier daemon let somebody have, who still has it. */
  const isTheirs = async (found: FoundLink): Promise<boolean> =>
    !insisting && (await ruleOf(found)) === 'yield' && (await isOriginalSaved(paths, files));

  const nameOf = async (found: FoundLink): Promise<string> => nameRival(found, await needs.runningWriters());

  async function keep(decision: LinkDecision, found: FoundLink): Promise<Verdict> {
    if (decision.state === 'bind-mount') lastWritten = await published();
    if (ownVersion !== undefined && ownVersion !== found.version) theirs.end('our link was put back');
    ownVersion = found.version;
    had = true;
    answered = undefined;
    cancelPause?.();
    cancelPause = undefined;
    return isFighting(fight) && !fight.yielded && foreign !== undefined
      ? contested(foreign.writer, found, false)
      : decision;
  }

  /** Put our link or text in place, the original saved first. */
  async function take(decision: LinkDecision, found: FoundLink, savedNow = false): Promise<Verdict> {
    let saved = savedNow;
    try {
      // Our own text, found again without a saved original, is nothing to save.
      if (!isOurs(found) && !(await isOriginalSaved(paths, files))) {
        await saveOriginal(paths, files);
        saved = true;
      }
    } catch (error) {
      return unsaved(messageOf(error), found);
    }
    try {
      await put(decision.act === 'write');
    } catch (error) {
      const code = codeOf(error);
      const mountpoint = { ...found, mounted: true } as FoundLink;
      if (code === 'EBUSY' && found.kind === 'file' && !found.mounted)
        return take(decideLink(await factsOf(mountpoint)), mountpoint, saved);
      // Nothing was changed, so the copy would only grow stale; unless the rename went through before the failure.
      if (saved && !isOurs(await findLink(paths, files, lastWritten))) await dropOriginal(paths, files);
      had = false;
      return refused(code, messageOf(error), found);
    }
    had = true;
    answered = undefined;
    ownVersion = (await findLink(paths, files, lastWritten)).version;
    return isFighting(fight) && foreign !== undefined ? contested(foreign.writer, found, false) : decision;
  }

  async function put(inPlace: boolean): Promise<void> {
    if (!inPlace) return files.replaceWithLink(paths.etcResolvConf, paths.linkText);
    const text = await published();
    await files.overwrite(paths.etcResolvConf, Buffer.from(text, 'latin1'), true);
    lastWritten = text;
  }

  const published = async (): Promise<string> =>
    (await files.read(paths.resolvConf, MOST_RESOLV_CONF_BYTES))?.toString('latin1') ?? '';

  /** Somebody overwrote us: put it back, at once or after a pause, or give in. */
  async function resist(decision: LinkDecision, found: FoundLink): Promise<Verdict> {
    const isNew = found.version !== answered;
    const before = fight;
    if (isNew) await rememberForeign(found);
    const writer = foreign?.writer ?? 'somebody';
    const rule = await ruleOf(found);
    if (rule === 'yield') return yieldedByRule(writer, found);
    if (isNew && (rule === 'import' || isOwnText(found))) await theirs.take(paths.etcResolvConf, rule);
    if (cancelPause !== undefined) return contested(writer, found, false);
    if (!isNew) return contested(writer, found, fight.yielded);
    const reply = answer(before);
    fight = reply.fight;
    if (reply.do === 'yield') {
      if (!before.yielded)
        log.warn({ writer, assertions: fight.assertions }, 'stopped putting /etc/resolv.conf back');
      return contested(writer, found, true);
    }
    log.info({ writer, pause: reply.afterMs }, '/etc/resolv.conf was overwritten and is put back');
    if (reply.afterMs === 0) return take(decision, found);
    cancelPause = clock.after(reply.afterMs, () => void queue.run(reassert));
    return contested(writer, found, false);
  }

  async function reassert(): Promise<void> {
    if (closed || cancelPause === undefined) return;
    cancelPause = undefined;
    had = false; // this write is answered: take, do not answer it again
    await settle('putting /etc/resolv.conf back');
  }

  async function rememberForeign(found: FoundLink): Promise<void> {
    answered = found.version;
    foreign = {
      time: clock.now(),
      writer: await nameOf(found),
      count: (foreign?.count ?? 0) + 1,
    };
    cancelQuiet();
    cancelQuiet = clock.after(QUIET_MS, () => void queue.run(endFight));
  }

  async function endFight(): Promise<void> {
    if (closed) return;
    if (fight.yielded) had = false; // a fresh start, not one more answer
    fight = PEACE;
    await settle('nobody touched it for a while');
  }

  /** Put the original back, or what suits systemd-resolved when that takes over. */
  async function giveBack(decision: LinkDecision, found: FoundLink): Promise<Verdict> {
    standBack();
    try {
      if (decision.act === 'restore') await restoreOriginal(paths, files, lastWritten);
      else await handBack(paths, files, found.kind === 'file');
    } catch (error) {
      return { ...refused(codeOf(error), messageOf(error), found), state: 'failed' };
    }
    lastWritten = undefined;
    return decision;
  }

  /** The file is not ours to keep for now. */
  function standBack(): void {
    had = false;
    answered = undefined;
    fight = PEACE;
    cancelPause?.();
    cancelPause = undefined;
    cancelQuiet();
  }

  async function publish(verdict: Verdict, why: string): Promise<void> {
    const { state, inCharge, reason, degraded } = verdict;
    const originalSaved = await isOriginalSaved(paths, files).catch(() => false);
    const next: LinkStatus = {
      state,
      inCharge,
      reason,
      degraded,
      originalSaved,
      ...(foreign === undefined ? {} : { foreign }),
    };
    if (JSON.stringify(next) === JSON.stringify(status)) return;
    if (next.state !== status.state || next.reason !== status.reason)
      log[degraded ? 'warn' : 'info']({ state, inCharge, why }, reason);
    status = next;
    listeners.tell(status);
  }

  async function takeover(): Promise<Outcome> {
    if (paths.mode === 'user' || needs.takeover() === 'never') {
      await settle('takeover');
      return { ok: false, text: status.reason };
    }
    standBack();
    theirs.end('dnsctl takeover');
    try {
      await files.remove(paths.released);
    } catch (error) {
      return { ok: false, text: messageOf(error) };
    }
    insisting = true;
    await settle('takeover');
    insisting = false;
    const ok = status.state === 'held' || status.state === 'bind-mount';
    return { ok, text: status.reason };
  }

  async function release(): Promise<Outcome> {
    if (paths.mode === 'user') return restoreOriginal(paths, files);
    standBack();
    try {
      await markReleased(paths, files);
      return await restoreOriginal(paths, files, lastWritten);
    } catch (error) {
      return { ok: false, text: messageOf(error) };
    } finally {
      await settle('release');
      lastWritten = undefined;
    }
  }

  return {
    name: 'etc-resolv-conf',
    async apply(_decision, signal) {
      await queue.run(async () => {
        if (signal.aborted) throw new DnskeeperError('DEADLINE', 'The link was not looked at in time.');
        if (!closed) await settle('a new plan');
      });
      if (status.state === 'failed') throw new DnskeeperError('IO', status.reason);
    },
    takeover: () => queue.run(takeover),
    writtenThrough: () =>
      queue.run(async () => {
        if (closed || status.state !== 'held' || needs.foreign() === REASSERT_ALL) return;
        const isOursNow = async () => isOurs(await findLink(paths, files, lastWritten));
        await dealWithWritten({ ...needs, theirs, isOurs: isOursNow, settle });
      }),
    release: () => queue.run(release),
    resolved: (presence) =>
      queue.run(async () => {
        resolved = presence;
        if (!closed) await settle(`systemd-resolved is ${presence}`);
      }),
    async check(why) {
      if (looking || closed) return;
      looking = true;
      await queue.run(async () => {
        looking = false;
        if (!closed) await settle(why);
      });
    },
    status: () => status,
    onStatus: (listener) => listeners.add(listener),
    /** Link and files stay, so that names resolve on without us; a change that has begun is finished. */
    async close() {
      closed = true;
      cancelPause?.();
      cancelQuiet();
      await queue.idle();
    },
  };
}

const isOwnText = (found: FoundLink): boolean =>
  found.kind === 'file' && found.writer.program === 'dnskeeper';

/** The system's code behind an error of system/files.ts. */
const codeOf = (error: unknown): string => systemCodeOf((error as Error).cause) ?? 'unknown';
