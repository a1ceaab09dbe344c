import type { Outcome } from '../control/daemon-control.ts';
import type { Domain } from '../core/domain.ts';
import { messageOf } from '../core/errors.ts';
import { beyondFile, chooseFileMode, type FileModeDecision } from '../core/file-mode.ts';
import { holdOverGap } from '../core/grace.ts';
import { describeProblem, findingsOf } from '../core/health.ts';
import { Listeners } from '../core/listeners.ts';
import { pauseBeforeWrite, rememberWrite, retryPause } from '../core/pace.ts';
import type { Plan } from '../core/plan.ts';
import { makePlan } from '../core/policy.ts';
import type { QueryReport } from '../core/query-report.ts';
import { lineReasons } from '../core/resolv-conf.ts';
import type { ResolverView } from '../core/resolver-view.ts';
import {
  fold,
  type Snapshot,
  type SourceEvent,
  type SourceHealth,
  type SourceName,
} from '../core/snapshot.ts';
import { hitRate } from '../core/statistics.ts';
import type { Change, ResolverStatus, Status } from '../core/status.ts';
import type { Decision, Output } from '../outputs/output.ts';
import { Overrides } from './overrides.ts';
import type { Daemon, DaemonParts, NameService, PublishedFiles } from './parts.ts';

const HISTORY = 64;
const SILENT: ReadonlySet<SourceHealth['state']> = new Set(['absent', 'gone', 'failed']);
const APPLY_DEADLINE_MS = 15_000;

/**
 * Start the loop: fold what the sources tell into the snapshot, decide, and apply when the plan differs.
 * The first event is applied at once; what arrives meanwhile is folded into one more run. `holdFirst` keeps the files
 * of an earlier run in place until every source has spoken and there are servers, or that many milliseconds have passed.
 */
export function startDaemon(parts: DaemonParts, holdFirst = 0): Daemon {
  return new Loop(parts, holdFirst);
}

/** What waits to be decided, and when it was told. */
interface Pending {
  readonly cause: string;
  readonly source: Change['source'];
  /** Of the clock's `elapsed`. */
  readonly since: number;
}

class Loop implements Daemon {
  readonly #parts: DaemonParts;
  readonly #files: PublishedFiles;
  readonly #overrides: Overrides;
  readonly #ready = Promise.withResolvers<void>();
  readonly #spoken = Promise.withResolvers<void>();
  readonly #stop = new AbortController();
  readonly #health = new Map<SourceName, SourceHealth>();
  readonly #failures = new Map<string, string>();
  readonly #statusListeners = new Listeners<Status>();
  readonly #changeListeners = new Listeners<Change>();
  readonly #history: Change[] = [];
  readonly #started: number;
  #snapshot: Snapshot = {};
  #plan: Plan;
  #planText = '';
  /** The mode that the files were last decided for. */
  #fileMode: FileModeDecision = { mode: 'file', reason: 'Nothing is decided yet.' };
  #planTime: number;
  #gapSince: number | undefined;
  #graceUntil: number | undefined;
  #pending: Pending | undefined;
  #running: Promise<void> | undefined;
  /** Who waits until nothing is pending. */
  readonly #settling: (() => void)[] = [];
  #force = true;
  #holding: boolean;
  #attempt = 0;
  #writes: readonly number[] = [];
  #cancelTimer: () => void = () => {};
  #publishing = false;
  #applying: Pending = { cause: 'started', source: 'dnskeeper', since: 0 };
  #counters = { events: 0, plans: 0, writes: 0, failures: 0 };

  constructor(parts: DaemonParts, holdFirst: number) {
    this.#parts = parts;
    this.#files = parts.files((before, after) => this.#note(before, after));
    this.#started = parts.clock.now();
    this.#planTime = this.#started;
    this.#plan = makePlan({}, parts.configuration.current.config);
    const { clock, configuration, profileChoice } = parts;
    this.#overrides = new Overrides({
      clock,
      configuration,
      profileChoice,
      changed: (cause) => this.#redecide(cause),
    });
    this.#holding = holdFirst > 0;
    for (const source of parts.sources)
      this.#health.set(source.name, { state: 'starting', detail: 'It has not spoken yet.' });
    parts.link.onStatus(() => this.#followMode('the state of the link changed'));
    parts.resolver.onStatus(({ state }) => this.#followMode(`the local resolver is ${state}`));
    if (parts.sources.length === 0) this.#spoken.resolve();
    for (const source of parts.sources) source.start((event) => this.tell(event), this.#stop.signal);
    if (this.#holding)
      this.#cancelTimer = parts.clock.after(holdFirst, () => this.#endHold('the sources took too long'));
    else this.#wake('started', 'dnskeeper');
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  get spoken(): Promise<void> {
    return this.#spoken.promise;
  }

  tell(event: SourceEvent): void {
    if (this.#stop.signal.aborted) return;
    this.#counters.events++;
    this.#parts.onEvent?.(event);
    if (event.kind === 'health') {
      this.#health.set(event.source, event.health);
      this.#parts.log.info({ source: event.source, state: event.health.state }, event.health.detail);
      this.#publish();
    } else {
      this.#snapshot = fold(this.#snapshot, event);
      if ((this.#health.get(event.source)?.state ?? 'starting') === 'starting') {
        this.#health.set(event.source, { state: 'running', detail: `First heard: ${event.cause}.` });
      }
    }
    const cause = event.kind === 'state' ? event.cause : 'started';
    if (this.#holding && this.#allSpoke() && this.#anyServers()) this.#endHold(cause, event.source);
    else if (event.kind === 'state') this.#wake(cause, event.source);
    if (!this.#holding && this.#allSpoke()) this.#spoken.resolve();
  }

  status(): Status {
    const { clock, configuration, link, resolver, about, residentBytes } = this.#parts;
    const { files: configFiles, problems } = configuration.current;
    const sources = [...this.#health].map(([name, health]) => ({ name, ...health }));
    const holdingGap = this.#graceUntil !== undefined && this.#graceUntil > clock.now();
    const linkStatus = link.status();
    const { mode, reason } = this.#fileMode;
    const resolverStatus = withMemory(resolver);
    const own = findingsOf({
      plan: this.#plan,
      resolver: resolverStatus,
      fileMode: mode,
      link: linkStatus,
      sources,
      failures: this.#failures,
      problems,
      holdingGap,
    });
    const findings = [...this.#parts.findings(), ...own];
    const last = this.#history.at(-1);
    const fileStatus = this.#files.status();
    return {
      ...about,
      started: this.#started,
      healthy: findings.every((finding) => finding.severity === 'note'),
      link: linkStatus,
      resolvConf: { mode, reason },
      resolver: resolverStatus,
      plan: this.#plan,
      files: fileStatus,
      sources,
      ...this.#overrides.told,
      ...(holdingGap && this.#graceUntil !== undefined ? { graceUntil: this.#graceUntil } : {}),
      ...(last === undefined
        ? {}
        : { lastChange: { time: last.time, cause: last.cause, tookMs: last.tookMs } }),
      counters: { ...this.#counters },
      runtime: {
        bytes: fileStatus.reduce((sum, file) => sum + file.bytes, 0),
        residentBytes: residentBytes(),
      },
      findings,
      configuration: { files: configFiles, problems },
    };
  }

  get resolver(): ResolverView {
    return this.#parts.resolver.view;
  }

  history(): readonly Change[] {
    return this.#history;
  }

  onStatus(listener: (status: Status) => void): () => void {
    return this.#statusListeners.add(listener);
  }

  onChange(listener: (change: Change) => void): () => void {
    return this.#changeListeners.add(listener);
  }

  reload(): Promise<Outcome> {
    return this.reloadFor('dnsctl reload');
  }

  async reloadFor(cause: string): Promise<Outcome> {
    const before = JSON.stringify(this.#parts.configuration.current);
    const loaded = await this.#parts.configuration.reload();
    const { problems, files } = loaded;
    const [first] = problems;
    const changed = JSON.stringify(loaded) !== before;
    const fields = { files: files.length, problems: problems.length, changed, cause };
    this.#parts.log[changed ? 'info' : 'debug'](fields, 'The configuration was read.');
    void this.#redecide(cause);
    return first === undefined
      ? { ok: true, text: `Read ${files.length} configuration file(s).` }
      : { ok: false, text: `${describeProblem(first)} The last good configuration stays in force.` };
  }

  useProfile(name: string | undefined, forMs: number | undefined): Promise<Outcome> {
    return this.#steer('profile', () => this.#overrides.useProfile(name, forMs));
  }

  tryConfiguration(name: string, text: string, forMs: number): Promise<Outcome> {
    return this.#steer('try', () => this.#overrides.tryConfiguration(name, text, forMs));
  }

  endTrial(how: 'keep' | 'go back'): Promise<Outcome> {
    return this.#steer(how, () => this.#overrides.endTrial(how));
  }

  takeover(): Promise<Outcome> {
    return this.#steer('takeover', () => this.#parts.link.takeover());
  }

  release(): Promise<Outcome> {
    return this.#steer('release', () => this.#parts.link.release());
  }

  giveWay(): Promise<Outcome> {
    return this.#steer('give-way', async () => {
      await this.#parts.resolver.giveWay();
      return { ok: true, text: 'The addresses of the resolver are free for systemd-resolved.' };
    });
  }

  standIn(): Promise<Outcome> {
    return this.#steer('stand-in', async () => {
      // The resolver gets its addresses only when systemd-resolved is gone, so until then the file has to say it all.
      const [first] = beyondFile(this.#plan, this.#parts.configuration.current.config);
      if (first !== undefined) {
        this.#parts.resolver.standReady();
        return { ok: true, text: `Nothing changes before systemd-resolved is gone: ${first}` };
      }
      await this.#parts.link.resolved('absent');
      await this.idle();
      return { ok: true, text: this.#parts.link.status().reason };
    });
  }

  query(name: Domain, type: string, signal: AbortSignal): Promise<QueryReport> {
    return this.#parts.resolver.query(name, type, signal);
  }

  async flush(name?: Domain): Promise<Outcome> {
    const count = this.#parts.resolver.flush(name);
    const whose = name === undefined ? '' : ` for ${name} and names below it`;
    this.#parts.log.info({ count }, 'Remembered answers were forgotten.');
    return { ok: true, text: `Forgot ${count} remembered ${count === 1 ? 'answer' : 'answers'}${whose}.` };
  }

  recheck(cause: string): void {
    this.#force = true;
    this.#wake(cause, 'dnskeeper');
  }

  async checkFile(): Promise<void> {
    await this.idle(); // what we are writing ourselves is no news
    if (await this.#files.isIntact()) return;
    await this.#parts.link.writtenThrough();
    this.recheck('somebody changed the published file');
  }

  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  settled(): Promise<void> {
    if (this.#running === undefined && this.#pending === undefined) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#settling.push(resolve);
    return promise;
  }

  async close(next: 'nobody' | 'another process' = 'nobody'): Promise<void> {
    this.#stop.abort();
    this.#cancelTimer();
    this.#overrides.close();
    await this.idle();
    this.#tellSettled();
    await Promise.all(this.#parts.sources.map((source) => source.close()));
    await this.#leaveFiles(next);
    const { resolver, link, others } = this.#parts;
    for (const output of [...others.toReversed(), link, this.#files, resolver]) await output.close();
  }

  /**
   * Nobody answers behind our address once we are gone, so the file goes back to the servers while we still do. Where the
   * next process takes our sockets it stays: for that moment the servers of a plain file would see each other's names.
   */
  async #leaveFiles(next: 'nobody' | 'another process'): Promise<void> {
    this.#parts.resolver.standDown();
    if (this.#fileMode.mode !== 'stub' || next === 'another process')
      return this.#parts.resolver.filesName(undefined);
    const cause = 'dnskeeperd ends';
    this.#applying = { cause, source: 'dnskeeper', since: this.#parts.clock.elapsed() };
    const decision = this.#decisionFor(cause);
    try {
      await this.#files.apply(decision, AbortSignal.timeout(APPLY_DEADLINE_MS));
      await this.#parts.link.apply(decision, AbortSignal.timeout(APPLY_DEADLINE_MS));
      this.#parts.resolver.filesName(decision.nameserver);
    } catch (error) {
      this.#parts.log.error({}, `The real servers could not be written at the end: ${messageOf(error)}`);
    }
  }

  /** What the files are to say with everything as it is now. */
  #decisionFor(cause: string): Decision {
    this.#fileMode = this.#chooseMode();
    return this.#decision(cause, this.#fileMode);
  }

  #decision(cause: string, mode: FileModeDecision): Decision {
    const decision = { plan: this.#plan, time: this.#planTime, cause };
    return mode.mode === 'stub' ? { ...decision, nameserver: mode.nameserver } : decision;
  }

  #chooseMode(): FileModeDecision {
    const { link, resolver, configuration } = this.#parts;
    const { config } = configuration.current;
    return chooseFileMode({
      plan: this.#plan,
      config,
      resolver: resolver.status(),
      link: link.status().state,
    });
  }

  /** The resolver or the link came or went: apply again where that changes what the file lists. */
  #followMode(cause: string): void {
    this.#publish();
    if (this.#stop.signal.aborted || this.#planText === '') return;
    const next = this.#chooseMode();
    if (next.mode === this.#fileMode.mode && nameserverOf(next) === nameserverOf(this.#fileMode)) {
      // While a run is under way only its end tells what the files say.
      if (this.#running === undefined) this.#parts.resolver.filesName(nameserverOf(next));
      return;
    }
    this.#force = true;
    this.#planTime = this.#parts.clock.now();
    this.#wake(cause, 'dnskeeper');
  }

  /** A source that only tells how it is has not spoken, unless it is in no state to say more. */
  #allSpoke(): boolean {
    return this.#parts.sources.every(
      ({ name }) => name in this.#snapshot || SILENT.has(this.#health.get(name)?.state ?? 'starting'),
    );
  }

  /** A restart may fall into the gap of a profile switch: then what the file says is the last good. */
  #anyServers(): boolean {
    return this.#planOfNow().upstream.length > 0;
  }

  #planOfNow(): Plan {
    const { config } = this.#parts.configuration.current;
    return makePlan(this.#snapshot, config, this.#overrides.profile?.name);
  }

  #endHold(cause: string, source: Change['source'] = 'dnskeeper'): void {
    this.#holding = false;
    this.#cancelTimer();
    this.#wake(cause, source);
    if (this.#allSpoke()) this.#spoken.resolve();
  }

  /** A setting may change what is applied though the plan stays. */
  async #redecide(cause: string): Promise<void> {
    this.#force = true;
    this.#wake(cause, 'configuration');
    this.#publish();
    await this.idle();
  }

  async #steer(cause: string, act: () => Promise<Outcome>): Promise<Outcome> {
    await this.idle();
    const outcome = await act();
    this.#parts.log.info({ command: cause, ok: outcome.ok }, outcome.text);
    this.#publish();
    return outcome;
  }

  #wake(cause: string, source: Change['source']): void {
    if (this.#holding) return; // the end of the hold looks at everything
    // Of what is folded together the first cause is told; one from outside tells more than one of our own.
    const earlier = this.#pending;
    if (earlier === undefined || earlier.source === 'dnskeeper') {
      this.#pending = { cause, source, since: earlier?.since ?? this.#parts.clock.elapsed() };
    }
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#pending !== undefined && !this.#stop.signal.aborted && !this.#holdBack())
        this.#wake(cause, source);
      this.#tellSettled();
    });
  }

  #tellSettled(): void {
    if (this.#running !== undefined || (this.#pending !== undefined && !this.#stop.signal.aborted)) return;
    for (const resolve of this.#settling.splice(0)) resolve();
  }

  /** In a storm of changes the next write waits; the timer wakes us with whatever holds by then. */
  #holdBack(): boolean {
    const pause = pauseBeforeWrite(this.#writes, this.#parts.clock.now());
    if (pause > 0) this.#later(pause);
    return pause > 0;
  }

  async #run(): Promise<void> {
    await Promise.resolve(); // let what arrives in the same turn be folded in
    if (this.#stop.signal.aborted) return;
    if (this.#holdBack()) return this.#applyToResolver();
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending === undefined) return;
    const graceBefore = this.#graceUntil;
    const text = this.#decide();
    if (text === this.#planText && !this.#force) {
      if (this.#graceUntil !== graceBefore) this.#publish();
      return;
    }
    this.#keepPlan(text);
    this.#force = false;
    await this.#apply(pending);
    this.#publish();
  }

  /** Only the files are spared in a storm: names go the new way at once. */
  async #applyToResolver(): Promise<void> {
    const text = this.#decide();
    if (text === this.#planText || this.#pending === undefined) return;
    this.#keepPlan(text);
    this.#force = true;
    try {
      const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(APPLY_DEADLINE_MS)]);
      await this.#parts.resolver.apply(this.#decision(this.#pending.cause, this.#chooseMode()), signal);
    } catch (error) {
      // Tried again, and told where it fails again, when the files have their turn.
      this.#parts.log.debug({}, messageOf(error));
    }
    this.#publish();
  }

  #keepPlan(text: string): void {
    if (text !== this.#planText) this.#planTime = this.#parts.clock.now();
    this.#planText = text;
  }

  /** Make the plan that is to hold now; returns its text, by which plans are compared. */
  #decide(): string {
    const now = this.#parts.clock.now();
    const { config } = this.#parts.configuration.current;
    const next = this.#planOfNow();
    this.#counters.plans++;
    const last = this.#planText === '' ? undefined : this.#plan;
    const held = holdOverGap(last, next, this.#gapSince, now, config.graceMs);
    this.#gapSince = held.until === undefined ? undefined : (this.#gapSince ?? now);
    this.#graceUntil = held.until;
    if (held.until !== undefined) this.#later(held.until - now, 'the grace time ended');
    this.#plan = held.plan;
    return JSON.stringify(held.plan);
  }

  async #apply(pending: Pending): Promise<void> {
    this.#applying = pending;
    this.#failures.clear();
    let written: string | undefined;
    const { resolver, link, others } = this.#parts;
    for (const output of [resolver, this.#files, link, ...others] satisfies readonly Output[]) {
      const decision = this.#decisionFor(pending.cause);
      if (output === this.#files) written = decision.nameserver;
      try {
        // What somebody has just written there is dealt with by rule, not lost under our own text.
        if (output === this.#files && !(await this.#files.isIntact()))
          await this.#parts.link.writtenThrough();
        await output.apply(
          decision,
          AbortSignal.any([this.#stop.signal, AbortSignal.timeout(APPLY_DEADLINE_MS)]),
        );
      } catch (error) {
        if (!this.#stop.signal.aborted) this.#fail(output.name, messageOf(error));
        break; // what comes after would stand on what failed
      }
      if (output === this.#files) this.#ready.resolve();
    }
    if (this.#failures.size > 0 || this.#stop.signal.aborted) return;
    this.#attempt = 0;
    this.#parts.resolver.filesName(written);
  }

  #fail(name: string, message: string): void {
    this.#counters.failures++;
    this.#failures.set(name, message);
    this.#attempt++;
    this.#force = true;
    this.#parts.log.error({ output: name, attempt: this.#attempt }, message);
    this.#later(retryPause(this.#attempt), `trying ${name} again`);
  }

  #note(before: string, after: string): void {
    const now = this.#parts.clock.now();
    const { cause, source, since } = this.#applying;
    this.#counters.writes++;
    this.#writes = rememberWrite(this.#writes, now);
    const change: Change = {
      time: now,
      cause,
      source,
      before,
      after,
      tookMs: Math.round((this.#parts.clock.elapsed() - since) * 100) / 100,
      reasons: lineReasons(this.#plan, this.#fileMode.mode === 'stub' ? this.#fileMode : undefined),
    };
    this.#history.push(change);
    if (this.#history.length > HISTORY) this.#history.shift();
    this.#parts.log.info(
      { cause, source, tookMs: change.tookMs, reasons: change.reasons },
      'resolv.conf was written.',
    );
    this.#changeListeners.tell(change);
  }

  #later(ms: number, cause = 'a burst of changes was folded'): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#parts.clock.after(Math.max(1, ms), () => this.#wake(cause, 'dnskeeper'));
  }

  /** Tell the listeners, once for all that happens in one turn. */
  #publish(): void {
    if (this.#publishing || this.#statusListeners.size === 0) return;
    this.#publishing = true;
    queueMicrotask(() => {
      this.#publishing = false;
      this.#statusListeners.tell(this.status());
    });
  }
}

/** What the resolver remembers goes with its status; its output knows sockets and routes alone. */
function withMemory(service: NameService): ResolverStatus {
  const told = service.status();
  if (told.state !== 'bound') return told;
  const { cache, origins } = service.view.statistics();
  const rate = hitRate(origins);
  const memory = {
    answers: cache.entries,
    bytes: cache.bytes,
    ...(rate === undefined ? {} : { hitRate: rate }),
  };
  return { ...told, memory };
}

const nameserverOf = (mode: FileModeDecision): string | undefined =>
  mode.mode === 'stub' ? mode.nameserver : undefined;
