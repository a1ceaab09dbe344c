import { BACK_END, type BackEndKind, type BackEndStatus, whyUnfit, type Zone } from '../core/back-end.ts';
import type { Domain } from '../core/domain.ts';
import { messageOf } from '../core/errors.ts';
import { Listeners } from '../core/listeners.ts';
import type { Plan } from '../core/plan.ts';
import { TaskQueue } from '../core/task-queue.ts';
import type { Resolver } from '../resolver/resolver.ts';
import type { Clock } from '../system/clock.ts';
import type { Log } from '../system/log.ts';

/** Another resolver that can be started to ask the networks' servers for us. */
export interface BackEndProgram {
  /** Start it; resolves when it can be fed, and rejects with a DnskeeperError. */
  start(signal: AbortSignal): Promise<RunningBackEnd>;
}

/** One that runs. */
export interface RunningBackEnd {
  readonly version: string;
  /** Why it ended; it resolves when it has. */
  readonly ended: Promise<string>;
  /** Have it do what `zones` say instead of what it was fed before; resolves when it does. */
  feed(zones: readonly Zone[], signal: AbortSignal): Promise<void>;
  /** Resolves when it answers its control, which tells a silent program from a silent network. */
  probe(signal: AbortSignal): Promise<void>;
  /** Have it forget what it remembers, of a name and what is below it or of all. */
  flush(name: Domain | undefined, signal: AbortSignal): Promise<void>;
  /** Hear that it has forgotten what it was fed. */
  onForgot(listener: () => void): void;
  end(): Promise<void>;
}

/** Carries the plan out by another resolver where the configuration wants one, and by our own wherever that one is not fit. */
export interface BackEnd {
  /** Follow another plan: at once by our own resolver, and by the other one as soon as that has been told. */
  apply(plan: Plan): void;
  /** Undefined while our own resolver is wanted. */
  status(): BackEndStatus | undefined;
  /** Hear of every change of it until the returned function is called. */
  onStatus(listener: () => void): () => void;
  /** A question to it went unanswered. */
  unanswered(): void;
  /** Have it forget what it remembers, of a name and what is below it or of all. */
  flush(name: Domain | undefined): void;
  /** End it; names go by our own resolver from now on. */
  close(): Promise<void>;
}

/** What it works with. */
export interface BackEndNeeds {
  /** The setting in force now. */
  readonly kind: () => BackEndKind;
  readonly programs: Readonly<Record<BackEndStatus['kind'], BackEndProgram>>;
  readonly resolver: Pick<Resolver, 'apply' | 'zonesOf'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** One that ends again and again is left alone for a while, as NetworkManager does with its dnsmasq. */
const MOST_STARTS = 5;
const BURST_MS = 30_000;
const LONG_PAUSE_MS = 60_000;
const SHORT_PAUSE_MS = 200;
/** Another plan ends a pause only when nothing was started for so long. */
const CALM_MS = 1000;

const START_DEADLINE_MS = 10_000;
const FEED_DEADLINE_MS = 5000;
const PROBE_DEADLINE_MS = 1000;

/** The keeper of another resolver. Everything it does to it runs one after the other. */
export function backEnd(needs: BackEndNeeds): BackEnd {
  const { resolver, clock, log } = needs;
  const stop = new AbortController();
  const listeners = new Listeners<BackEndStatus | undefined>();
  let plan: Plan | undefined;
  let running: { readonly kind: BackEndStatus['kind']; readonly program: RunningBackEnd } | undefined;
  /** What it was told last, as text; undefined while that is not known. */
  let fed: string | undefined;
  let carrying = false;
  let told: BackEndStatus | undefined;
  /** Starts within the last while, and all of them. */
  let starts: readonly number[] = [];
  let startCount = 0;
  let cancelPause: (() => void) | undefined;
  let probing = false;
  let waking = false;
  const queue = new TaskQueue();

  const wanted = (): BackEndStatus['kind'] | undefined => {
    const kind = needs.kind();
    return kind === 'builtin' || stop.signal.aborted ? undefined : kind;
  };

  function tell(next: Pick<BackEndStatus, 'state' | 'reason'> | undefined): void {
    const kind = wanted();
    const version = running?.program.version;
    const status =
      next === undefined || kind === undefined
        ? undefined
        : { kind, ...next, ...(version === undefined ? {} : { version }), starts: startCount };
    if (JSON.stringify(status) === JSON.stringify(told)) return;
    told = status;
    if (status !== undefined)
      log[status.state === 'failed' ? 'warn' : 'info']({ backEnd: kind, state: status.state }, status.reason);
    listeners.tell(told);
  }

  /** Names go by our own resolver. */
  function goAlone(): void {
    carrying = false;
    if (plan !== undefined) resolver.apply(plan);
  }

  function apply(next: Plan): void {
    plan = next;
    const kind = wanted();
    if (kind === undefined && told === undefined) {
      resolver.apply(next);
    } else if (carrying && running?.kind === kind && textOf(resolver.zonesOf(next)) === fed) {
      resolver.apply(next, BACK_END);
    } else {
      goAlone();
      // What changed may be what was in its way; in a storm of changes that is no reason to start it again and again.
      if (clock.elapsed() - (starts.at(-1) ?? -CALM_MS) >= CALM_MS) rest();
      wake();
    }
  }

  /** Wakes that still wait are folded into one. */
  function wake(): void {
    if (waking) return;
    waking = true;
    queue
      .run(() => {
        waking = false;
        return settle();
      })
      .catch((error: unknown) => log.error({}, messageOf(error)));
  }

  /** Bring the other resolver in line with what is wanted now. Never rejects: what went wrong is a state. */
  async function settle(): Promise<void> {
    const kind = wanted();
    if (running !== undefined && running.kind !== kind) await end();
    if (kind === undefined) {
      rest();
      return tell(undefined);
    }
    if (plan === undefined || (carrying && fed === textOf(resolver.zonesOf(plan)))) return;
    const zones = resolver.zonesOf(plan);
    const unfit = whyUnfit(kind, zones);
    if (unfit !== undefined)
      return tell({ state: 'unfit', reason: `Names go by the built-in resolver, because ${unfit}.` });
    if (running === undefined && cancelPause !== undefined) return;
    try {
      const program = running?.program ?? (await start(kind));
      fed = undefined;
      await program.feed(zones, within(FEED_DEADLINE_MS));
    } catch (error) {
      return failed(kind, messageOf(error));
    }
    fed = textOf(zones);
    carry(kind);
  }

  /** It knows the plan; unless that is an older one, names go by it from now on. */
  function carry(kind: BackEndStatus['kind']): void {
    if (plan === undefined || running === undefined || wanted() !== kind) return;
    if (textOf(resolver.zonesOf(plan)) !== fed) return; // the next plan has woken us already
    carrying = true;
    resolver.apply(plan, BACK_END);
    tell({ state: 'carrying', reason: `Names go through ${kind} ${running.program.version}.` });
  }

  async function start(kind: BackEndStatus['kind']): Promise<RunningBackEnd> {
    const now = clock.elapsed();
    starts = [...starts.filter((time) => time > now - BURST_MS), now];
    startCount++;
    tell({ state: 'starting', reason: `Names go by the built-in resolver until ${kind} is ready.` });
    const program = await needs.programs[kind].start(within(START_DEADLINE_MS));
    running = { kind, program };
    program.onForgot(() => {
      if (running?.program !== program) return;
      fed = undefined;
      goAlone();
      wake();
    });
    void program.ended.then((why) => {
      if (running?.program !== program) return;
      running = undefined;
      goAlone();
      void queue.run(() => failed(kind, why));
    });
    return program;
  }

  async function failed(kind: BackEndStatus['kind'], why: string): Promise<void> {
    await end();
    if (wanted() !== kind) return settle();
    const pause = starts.length >= MOST_STARTS ? LONG_PAUSE_MS : SHORT_PAUSE_MS;
    cancelPause?.();
    cancelPause = clock.after(pause, () => {
      cancelPause = undefined;
      wake();
    });
    const again = pause === LONG_PAUSE_MS ? 'after a minute' : 'at once';
    tell({
      state: 'failed',
      reason: `Names go by the built-in resolver: ${why}. ${kind} is started again ${again}.`,
    });
  }

  async function end(): Promise<void> {
    const ending = running;
    running = undefined;
    fed = undefined;
    if (carrying) goAlone();
    await ending?.program.end();
  }

  /** Begin afresh: a pause is over, and earlier failures do not count. */
  function rest(): void {
    starts = [];
    cancelPause?.();
    cancelPause = undefined;
  }

  /** A timeout of one question says little: the network may be silent. Its control tells. */
  async function probe(): Promise<void> {
    const asked = running;
    if (!carrying || asked === undefined) return;
    try {
      await asked.program.probe(within(PROBE_DEADLINE_MS));
    } catch (error) {
      if (running === asked) await failed(asked.kind, `${asked.kind} hangs: ${messageOf(error)}`);
    }
  }

  const within = (ms: number): AbortSignal => AbortSignal.any([stop.signal, AbortSignal.timeout(ms)]);

  return {
    apply,
    status: () => told,
    onStatus: (listener) => listeners.add(listener),
    unanswered() {
      if (probing || !carrying) return;
      probing = true;
      void queue.run(probe).finally(() => {
        probing = false;
      });
    },
    flush(name) {
      if (running === undefined) return;
      void queue.run(async () => {
        try {
          await running?.program.flush(name, within(PROBE_DEADLINE_MS));
        } catch (error) {
          log.warn({ backEnd: running?.kind }, `It does not forget: ${messageOf(error)}`);
        }
      });
    },
    async close() {
      stop.abort();
      rest();
      await queue.idle();
      await end();
    },
  };
}

const textOf = (zones: readonly Zone[]): string => JSON.stringify(zones);
