import type { Config } from './config.ts';
import type { LinkState } from './status.ts';
import { type Writer, writerOfTarget } from './writer.ts';

/** Whether systemd-resolved runs, as far as the bus has told. */
export type ResolvedPresence = 'unknown' | 'running' | 'absent';

/** What stands at /etc/resolv.conf. */
export type Found =
  | { readonly kind: 'missing' }
  | { readonly kind: 'no folder' }
  | { readonly kind: 'our link' }
  | { readonly kind: 'link'; readonly target: string; readonly dangling: boolean }
  | {
      readonly kind: 'file';
      readonly writer: Writer;
      readonly names: number;
      readonly immutable: boolean;
      /** A mount point cannot be replaced by a link. */
      readonly mounted: boolean;
      /** A mounted file: `ours` holds what we last wrote, `current` even what we want now. */
      readonly content: 'current' | 'ours' | 'foreign';
    }
  | { readonly kind: 'folder' }
  | { readonly kind: 'other' };

/** Everything that decides who is in charge of /etc/resolv.conf. */
export interface LinkFacts {
  readonly mode: 'system' | 'user';
  readonly takeover: Config['takeover'];
  readonly resolved: ResolvedPresence;
  /** An administrator said `dnsctl release`. */
  readonly released: boolean;
  /** Our own file is there, so that a link to it leads somewhere. */
  readonly published: boolean;
  readonly found: Found;
}

/** What to do with /etc/resolv.conf: leave it, put our link there, write our text into it, or put the original back. */
export type LinkAct = 'leave' | 'link' | 'write' | 'restore' | 'hand back';

/** How a state reads: who is in charge, why, and whether something is wrong. */
export interface Verdict {
  readonly state: LinkState;
  readonly inCharge: string;
  readonly reason: string;
  readonly degraded: boolean;
}

/** The act, and the verdict that holds once it is done. */
export type LinkDecision = Verdict & { readonly act: LinkAct };

const NAME = '/etc/resolv.conf';

/** Decide who is in charge of /etc/resolv.conf. */
export function decideLink(facts: LinkFacts): LinkDecision {
  const { found } = facts;
  if (facts.mode === 'user')
    return left('publish-only', facts, `dnskeeperd runs without root and only looks at ${NAME}`);
  if (facts.takeover === 'never')
    return left('publish-only', facts, `takeover = "never" is configured, so ${NAME} is not touched`);
  if (facts.released) return releasedLink(facts);
  if (facts.takeover === 'auto' && facts.resolved === 'unknown')
    return left('unknown', facts, 'the bus has not told yet whether systemd-resolved runs');
  if (facts.takeover === 'auto' && facts.resolved === 'running') return resolvedLink(facts);
  if (!facts.published) return left('unknown', facts, 'our own resolv.conf is not written yet');
  return ourLink(facts, found);
}

function releasedLink(facts: LinkFacts): LinkDecision {
  const why = `${NAME} was released with "dnsctl release"; "dnsctl takeover" takes it again`;
  return isOurs(facts.found)
    ? { act: 'restore', state: 'released', inCharge: 'the saved original', reason: why, degraded: false }
    : left('released', facts, why);
}

function resolvedLink(facts: LinkFacts): LinkDecision {
  const verdict = { state: 'resolved', inCharge: 'systemd-resolved', degraded: false } as const;
  if (isOurs(facts.found))
    return { ...verdict, act: 'hand back', reason: `systemd-resolved runs, so ${NAME} was handed back` };
  const whose = describe(facts.found);
  return whose === 'systemd-resolved'
    ? { ...verdict, act: 'leave', reason: `systemd-resolved runs and keeps ${NAME}` }
    : {
        ...verdict,
        act: 'leave',
        inCharge: whose,
        reason: `systemd-resolved runs, so ${NAME} is left alone; takeover = "always" would take it all the same`,
      };
}

function ourLink(facts: LinkFacts, found: Found): LinkDecision {
  const ours = { inCharge: 'dnskeeper', degraded: false } as const;
  const why =
    facts.resolved === 'running' ? 'takeover = "always" is configured' : 'systemd-resolved does not run';
  if (found.kind === 'our link')
    return { ...ours, act: 'leave', state: 'held', reason: `${why}; ${NAME} is our link` };
  if (found.kind === 'missing' || found.kind === 'link')
    return { ...ours, act: 'link', state: 'held', reason: `${why}; ${NAME} is our link` };
  if (found.kind === 'file') return ourFile(ours, why, found);
  return broken(found);
}

function ourFile(
  ours: { readonly inCharge: string; readonly degraded: boolean },
  why: string,
  found: Extract<Found, { kind: 'file' }>,
): LinkDecision {
  if (found.immutable)
    return {
      act: 'leave',
      state: 'publish-only',
      inCharge: 'the administrator (immutable file)',
      reason: `${NAME} carries the immutable flag and is left alone; "chattr -i ${NAME}" gives it to dnskeeper`,
      degraded: false,
    };
  if (!found.mounted) {
    const others =
      found.names > 1
        ? `; the file that was there has ${found.names - 1} more name(s) and lives on under them`
        : '';
    return { ...ours, act: 'link', state: 'held', reason: `${why}; ${NAME} is our link${others}` };
  }
  return {
    ...ours,
    act: found.content === 'current' ? 'leave' : 'write',
    state: 'bind-mount',
    reason: `${why}; ${NAME} is a mount point (a container or "ip netns exec"), so it is written in place`,
  };
}

function broken(found: Found): LinkDecision {
  const reason =
    found.kind === 'folder'
      ? `${NAME} is a folder; remove it, then run "dnsctl takeover"`
      : found.kind === 'no folder'
        ? `the folder of ${NAME} does not exist; make it, then run "dnsctl takeover"`
        : `${NAME} is no file and no link; remove it, then run "dnsctl takeover"`;
  return { act: 'leave', state: 'failed', inCharge: 'nobody', reason, degraded: true };
}

/** How it reads when the system refused an act with an error code. */
export function refused(code: string, message: string, found: Found): Verdict {
  const publishOnly = { state: 'publish-only', inCharge: describe(found), degraded: true } as const;
  if (code === 'EROFS' && found.kind === 'file' && found.mounted)
    return {
      ...publishOnly,
      reason: `${NAME} is a read-only mount and cannot be written; names resolve as it says, our servers are in our own file only`,
    };
  if (code === 'EROFS')
    return {
      ...publishOnly,
      reason: `${NAME} lies on a read-only file system; remount it writable, ship a link to our file in the image, or set takeover = "never"`,
    };
  if (code === 'EPERM' || code === 'EACCES')
    return {
      ...publishOnly,
      reason: `the system refuses to change ${NAME} (${code}); check that dnskeeperd is root, lsattr of file and folder, SELinux and AppArmor`,
    };
  return { state: 'failed', inCharge: describe(found), degraded: true, reason: message };
}

/** How it reads while another writer is fought, or after we gave in. */
export function contested(writer: string, found: Found, yielded: boolean): Verdict {
  return yielded
    ? {
        state: 'yielded',
        inCharge: describe(found),
        reason: `${writer} overwrote ${NAME} again and again, so dnskeeper stopped; keep that program from writing it, then run "dnsctl takeover"`,
        degraded: true,
      }
    : {
        state: 'fighting',
        inCharge: 'dnskeeper',
        reason: `${writer} overwrites ${NAME} again and again and dnskeeper puts it back; keep that program from writing it`,
        degraded: true,
      };
}

/** How it reads while the configuration lets another writer have the file. */
export function yieldedByRule(writer: string, found: Found): Verdict {
  return {
    state: 'yielded',
    inCharge: describe(found),
    reason: `link.foreign lets ${writer} have ${NAME}; "dnsctl takeover" takes it back`,
    degraded: false,
  };
}

/** How it reads when the original could not be saved, so that nothing was changed. */
export function unsaved(message: string, found: Found): Verdict {
  return {
    state: 'failed',
    inCharge: describe(found),
    reason: `${NAME} is left alone because what is in it could not be saved first: ${message}`,
    degraded: true,
  };
}

/** Whether what stands there is our work. */
export const isOurs = (found: Found): boolean =>
  found.kind === 'our link' || (found.kind === 'file' && found.mounted && found.content !== 'foreign');

function left(state: LinkState, facts: LinkFacts, why: string): LinkDecision {
  return { act: 'leave', state, inCharge: describe(facts.found), reason: why, degraded: false };
}

/** Whose work stands there, in two or three words. */
export function describe(found: Found): string {
  if (isOurs(found)) return 'dnskeeper';
  if (found.kind === 'link') return writerOfTarget(found.target) ?? 'another program (a link)';
  if (found.kind === 'file')
    return found.immutable
      ? 'the administrator (immutable file)'
      : (found.writer.program ?? 'a hand-written file');
  return 'nobody';
}

/** What to put in place of our link when systemd-resolved starts. */
export function handBackTo(
  original: 'none' | 'link' | { readonly writer: Writer },
): 'original' | 'stub link' {
  if (original === 'none') return 'stub link';
  if (original === 'link') return 'original';
  // A generated file is stale by now: the program that made it goes on in systemd-resolved. cloud-init writes it once.
  const { program } = original.writer;
  return program === undefined || program === 'cloud-init' ? 'original' : 'stub link';
}
