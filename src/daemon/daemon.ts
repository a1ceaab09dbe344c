import { messageOf } from '../core/errors.ts';
import { configTroubles } from '../core/health.ts';
import { Listeners } from '../core/listeners.ts';
import { lineReasons } from '../core/resolv-conf.ts';
import type { SourceEvent } from '../core/snapshot.ts';
import type { Change, Status } from '../core/status.ts';
import type { Decision } from '../outputs/output.ts';
import { commands } from './commands.ts';
import { Decisions, nameserverOf } from './decisions.ts';
import { Heard } from './heard.ts';
import { History } from './history.ts';
import { type FailedOutput, OutputsInOrder } from './in-order.ts';
import { Overrides } from './overrides.ts';
import type { Daemon, DaemonParts, PublishedFiles } from './parts.ts';
import { type StatusNeeds, statusOf } from './status.ts';
import { type Occasion, Turns } from './turns.ts';

/**
 * Start the loop: fold what the sources tell into the snapshot, decide, and apply when the plan differs.
 * The first event is applied at once; what arrives meanwhile is folded into one more run. `holdFirst` keeps the files
 * of an earlier run in place until every source has spoken and there are servers, or that many milliseconds have passed.
 */
export function startDaemon(parts: DaemonParts, holdFirst = 0): Daemon {
  for (const text of configTroubles(parts.configuration.current)) parts.log.warn({}, text);
  const loop = new Loop(parts, holdFirst);
  const { decisions, history, outputs, overrides, turns } = loop;
  const idle = (): Promise<void> => turns.idle();
  return {
    ...commands({
      ...parts,
      overrides,
      decisions,
      idle,
      redecide: (cause) => loop.redecide(cause),
      publish: () => loop.publish(),
    }),
    status: () => statusOf(loop),
    history: () => history.changes,
    onStatus: (listener) => loop.statusListeners.add(listener),
    onChange: (listener) => history.onChange(listener),
    get resolver() {
      return parts.resolver.view;
    },
    tell: (event) => loop.tell(event),
    recheck: (cause) => loop.recheck(cause),
    checkFile: () => loop.checkFile(),
    ready: outputs.written,
    spoken: loop.spoken.promise,
    idle,
    settled: () => turns.settled(),
    close: (next = 'nobody') => loop.close(next),
  };
}

/** What a running daemon consists of. Each part owns its piece of the state; here they are put to work. */
class Loop implements StatusNeeds {
  readonly parts: DaemonParts;
  readonly started: number;
  readonly heard: Heard;
  readonly overrides: Overrides;
  readonly decisions: Decisions;
  readonly files: PublishedFiles;
  readonly outputs: OutputsInOrder;
  readonly history: History;
  readonly turns: Turns;
  readonly spoken = Promise.withResolvers<void>();
  readonly statusListeners = new Listeners<Status>();
  readonly #stop = new AbortController();
  /** Apply though the plan stays. */
  #force = true;
  #holding: boolean;
  #cancelHold: () => void = () => {};
  #publishing = false;
  #occasion: Occasion = { cause: 'started', source: 'dnskeeper', since: 0 };

  constructor(parts: DaemonParts, holdFirst: number) {
    const { signal: stop } = this.#stop;
    this.parts = parts;
    this.started = parts.clock.now();
    this.heard = new Heard(parts.sources.map(({ name }) => name));
    this.overrides = new Overrides({ ...parts, changed: (cause) => this.redecide(cause) });
    this.decisions = new Decisions({ ...parts, heard: this.heard, overrides: this.overrides });
    this.files = parts.files((before, after) => this.#written(before, after));
    const decisionFor = (cause: string): Decision => this.decisions.forOutputs(cause);
    this.outputs = new OutputsInOrder({ ...parts, files: this.files, stop, decisionFor });
    this.history = new History(parts);
    this.turns = new Turns({
      clock: parts.clock,
      stop,
      pause: () => this.history.pause(),
      act: (occasion) => this.#act(occasion),
      actWithoutFiles: (occasion) => this.#actWithoutFiles(occasion),
    });
    this.#holding = holdFirst > 0;
    this.#start(holdFirst);
  }

  #start(holdFirst: number): void {
    const { clock, link, resolver, sources } = this.parts;
    link.onStatus(() => this.#followMode('the state of the link changed'));
    resolver.onStatus(({ state }) => this.#followMode(`the local resolver is ${state}`));
    if (sources.length === 0) this.spoken.resolve();
    for (const source of sources) source.start((event) => this.tell(event), this.#stop.signal);
    if (this.#holding)
      this.#cancelHold = clock.after(holdFirst, () => this.#endHold('the sources took too long'));
    else this.#wake('started', 'dnskeeper');
  }

  tell(event: SourceEvent): void {
    if (this.#stop.signal.aborted) return;
    this.parts.onEvent?.(event);
    this.heard.take(event);
    if (event.kind === 'health') {
      this.parts.log.info({ source: event.source, state: event.health.state }, event.health.detail);
      this.publish();
    }
    const cause = event.kind === 'state' ? event.cause : 'started';
    if (this.#holding && this.heard.allSpoke && this.#anyServers()) this.#endHold(cause, event.source);
    else if (event.kind === 'state') this.#wake(cause, event.source);
    if (!this.#holding && this.heard.allSpoke) this.spoken.resolve();
  }

  recheck(cause: string): void {
    this.#force = true;
    this.#wake(cause, 'dnskeeper');
  }

  async checkFile(): Promise<void> {
    await this.turns.idle(); // what we are writing ourselves is no news
    try {
      if (await this.files.isIntact()) return;
    } catch (error) {
      // A watch event has nobody to hand it to; what is wrong shows when the file is put right.
      this.parts.log.warn({}, messageOf(error));
    }
    this.recheck('somebody changed the published file');
  }

  async close(next: 'nobody' | 'another process'): Promise<void> {
    this.#stop.abort();
    this.#cancelHold();
    this.overrides.close();
    await this.turns.close();
    await Promise.all(this.parts.sources.map((source) => source.close()));
    await this.#leaveFiles(next);
    await this.outputs.close();
  }

  /**
   * Nobody answers behind our address once we are gone, so the file goes back to the servers while we still do. Where the
   * next process takes our sockets it stays: for that moment the servers of a plain file would see each other's names.
   */
  async #leaveFiles(next: 'nobody' | 'another process'): Promise<void> {
    const { resolver, clock } = this.parts;
    resolver.standDown();
    if (this.decisions.fileMode.mode !== 'stub' || next === 'another process')
      return resolver.filesName(undefined);
    this.#occasion = { cause: 'dnskeeperd ends', source: 'dnskeeper', since: clock.elapsed() };
    await this.outputs.leaveServers(this.#occasion.cause);
  }

  /** The resolver or the link came or went: apply again where that changes what the file lists. */
  #followMode(cause: string): void {
    this.publish();
    if (this.#stop.signal.aborted || !this.decisions.begun) return;
    const next = this.decisions.modeOfNow();
    const last = this.decisions.fileMode;
    if (next.mode === last.mode && nameserverOf(next) === nameserverOf(last)) {
      // While a turn is under way only its end tells what the files say.
      if (!this.turns.running) this.parts.resolver.filesName(nameserverOf(next));
      return;
    }
    this.decisions.filesChange();
    this.recheck(cause);
  }

  /** A restart may fall into the gap of a profile switch: then what the file says is the last good. */
  #anyServers(): boolean {
    return this.decisions.planOfNow().upstream.length > 0;
  }

  #endHold(cause: string, source: Change['source'] = 'dnskeeper'): void {
    this.#holding = false;
    this.#cancelHold();
    this.#wake(cause, source);
    if (this.heard.allSpoke) this.spoken.resolve();
  }

  /** A setting may change what is applied though the plan stays. */
  async redecide(cause: string): Promise<void> {
    this.#force = true;
    this.#wake(cause, 'configuration');
    this.publish();
    await this.turns.idle();
  }

  #wake(cause: string, source: Change['source']): void {
    if (!this.#holding) this.turns.wake(cause, source); // the end of the hold looks at everything
  }

  async #act(occasion: Occasion): Promise<void> {
    const graceBefore = this.decisions.graceUntil;
    if (!this.#decide() && !this.#force) {
      if (this.decisions.graceUntil !== graceBefore) this.publish();
      return;
    }
    this.#force = false;
    this.#occasion = occasion;
    const failed = await this.outputs.apply(occasion.cause);
    if (failed !== undefined) {
      this.#force = true;
      this.#tryAgain(failed);
    }
    this.publish();
  }

  /** After its pause, or at the end of a gap, whichever comes first: the outputs before it are to follow that in time. */
  #tryAgain({ name, retryAfter }: FailedOutput): void {
    const { graceUntil } = this.decisions;
    const left = graceUntil === undefined ? retryAfter : graceUntil - this.parts.clock.now();
    this.turns.wakeAfter(Math.min(retryAfter, left), `trying ${name} again`);
  }

  /** Only the files are spared in a storm: names go the new way at once. */
  async #actWithoutFiles({ cause }: Occasion): Promise<void> {
    if (!this.#decide()) return;
    this.#force = true;
    await this.outputs.applyToResolver(this.decisions.forResolver(cause));
    this.publish();
  }

  /** Whether there is a new plan; when it was made only for the length of a gap, the next is made then. */
  #decide(): boolean {
    const isNew = this.decisions.decide();
    const { graceUntil } = this.decisions;
    if (graceUntil !== undefined)
      this.turns.wakeAfter(graceUntil - this.parts.clock.now(), 'the grace time ended');
    return isNew;
  }

  #written(before: string, after: string): void {
    const { plan, fileMode } = this.decisions;
    const reasons = lineReasons(plan, fileMode.mode === 'stub' ? fileMode : undefined);
    this.history.add(this.#occasion, { before, after, reasons });
  }

  /** Tell the listeners, once for all that happens in one turn of the event loop. */
  publish(): void {
    if (this.#publishing || this.statusListeners.size === 0) return;
    this.#publishing = true;
    queueMicrotask(() => {
      this.#publishing = false;
      this.statusListeners.tell(statusOf(this));
    });
  }
}
