import { DnskeeperError } from '../core/errors.ts';
import { formatServer, type Server } from '../core/server.ts';
import type { Clock } from '../system/clock.ts';
import { type Deadlines, Due } from './deadlines.ts';
import { NoRoomError } from './ede.ts';
import { EncryptionError } from './encryption.ts';
import { isReferral, type ResponseFacts } from './message-read.ts';
import type { ServerHealth } from './server-health.ts';
import type { StopSignal } from './stop.ts';
import { RCODE } from './wire.ts';

/**
 * Ask one server once; rejects when it does not answer in its own time, and with a NoRoomError when it was not asked at
 * all. `again` tells that the query is on its way already, so that this copy is the first to go without;
 * `waitedMs` for how long it has been.
 */
export type Attempt = (
  server: Server,
  signal: StopSignal,
  again: boolean,
  waitedMs: number,
) => Promise<ResponseFacts>;

/** An answer and who gave it. */
export interface Chosen {
  readonly response: ResponseFacts;
  readonly server: Server;
  readonly tookMs: number;
}

/** A server that may be asked, and what is remembered about it. */
export interface Candidate {
  readonly server: Server;
  readonly health: ServerHealth;
}

/** What a question is asked with. */
export interface RaceNeeds {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** The best first. */
  readonly order: readonly Candidate[];
  /** Those that get a copy though nobody waits for them. */
  readonly probes: readonly Candidate[];
  readonly attempt: Attempt;
  readonly signal: StopSignal;
  readonly enough: StopSignal | undefined;
}

/**
 * Each server is asked at most this often for one query, after pauses that double, and all of them together so many
 * times: where three packets of ten are lost, half of all attempts come to nothing.
 */
const ROUNDS = 8;
const LONGEST_PAUSE_MS = 1000;
const MOST_ATTEMPTS = 12;

/** One query on its way to the servers of one link. */
export class Race extends Due {
  readonly result: Promise<Chosen>;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #order: readonly Candidate[];
  readonly #attempt: Attempt;
  readonly #signal: StopSignal;
  readonly #enough: StopSignal | undefined;
  readonly #settled = Promise.withResolvers<Chosen>();
  /** Those that have had their say; few, so that a list is less work than a Set. */
  readonly #out: Candidate[] = [];
  readonly #started: number;
  #launched = 0;
  #open = 0;
  #done = false;
  #refusal: Chosen | undefined;
  #failure: unknown;
  #cancelNext: () => void = nothing;
  /** Whose time runs now, and how long it is. */
  #current: Candidate | undefined;
  #pauseMs = 0;

  constructor({ clock, deadlines, order, probes, attempt, signal, enough }: RaceNeeds) {
    super();
    this.#deadlines = deadlines;
    this.#clock = clock;
    this.#order = order;
    this.#attempt = attempt;
    this.#signal = signal;
    this.#enough = enough;
    this.#started = clock.elapsed();
    this.result = this.#settled.promise;
    deadlines.add(this);
    if (signal.aborted) this.#stop();
    else signal.addEventListener('abort', this.#stop, ONCE);
    enough?.addEventListener('abort', this.#stop, ONCE);
    this.#next();
    for (const entry of probes) this.#launch(entry);
  }

  expired(): void {
    this.#fail('DEADLINE', 'no server answered in time');
  }

  readonly #stop = (): void => this.#fail('DEADLINE', 'the query was given up');

  /** Nothing of it is left to happen but answers that come late. */
  #end(): void {
    this.#done = true;
    this.#deadlines.delete(this);
    this.#cancelNext();
    this.#cancelNext = nothing;
    this.#signal.removeEventListener('abort', this.#stop);
    this.#enough?.removeEventListener('abort', this.#stop);
  }

  #next(): void {
    this.#cancelNext();
    this.#cancelNext = nothing;
    if (this.#done) return;
    const most = Math.min(this.#order.length * ROUNDS, MOST_ATTEMPTS);
    while (this.#launched < most) {
      const round = Math.floor(this.#launched / this.#order.length);
      const entry = this.#order[this.#launched++ % this.#order.length];
      if (entry === undefined || this.#out.includes(entry)) continue;
      this.#current = entry;
      this.#pauseMs = Math.min(entry.health.patienceMs * 2 ** round, LONGEST_PAUSE_MS);
      this.#cancelNext = this.#clock.after(this.#pauseMs, () => {
        entry.health.late(this.#clock.elapsed());
        this.#next();
      });
      this.#launch(entry);
      return;
    }
    if (this.#open === 0) this.#giveUp();
  }

  #launch(entry: Candidate): void {
    const started = this.#clock.elapsed();
    const again = this.#open > 0;
    this.#open++;
    entry.health.asked();
    this.#attempt(entry.server, this.#signal, again, started - this.#started).then(
      (response) => this.#heard(entry, response, started),
      (error: unknown) => this.#lost(entry, error),
    );
  }

  #heard(entry: Candidate, response: ResponseFacts, started: number): void {
    const now = this.#clock.elapsed();
    this.#open--;
    entry.health.answered(now - started, now);
    const chosen = { response, server: entry.server, tookMs: now - this.#started };
    if (isReferral(response)) {
      entry.health.refused();
      this.#failure = noRecursion(entry.server);
      this.#drop(entry);
    } else if (response.rcode === RCODE.NOERROR || response.rcode === RCODE.NXDOMAIN) {
      const first = this.#order[0];
      if (!this.#done && first !== undefined && first !== entry && !this.#out.includes(first))
        entry.health.overtook();
      this.#finish(chosen);
    } else {
      entry.health.refused();
      // SERVFAIL says more than REFUSED: the server tried, and its extended error may tell why it failed.
      if (this.#refusal === undefined || response.rcode === RCODE.SERVFAIL) this.#refusal = chosen;
      this.#drop(entry);
    }
  }

  #lost(entry: Candidate, error: unknown): void {
    this.#open--;
    if (this.#signal.aborted) return;
    this.#failure = error;
    if (error instanceof NoRoomError) {
      this.#waitForRoom(entry);
      return;
    }
    entry.health.failed(this.#clock.elapsed(), error, this.#clock.now());
    // Silence is no word of the server: a later copy of the question may still be answered, if there is nothing to tell.
    if (!isSilence(error) || this.#refusal !== undefined) this.#drop(entry);
    else if (!this.#done && this.#open === 0) this.#next();
  }

  /** Nobody was asked, so nobody is late; copies on their way may still be answered, and the next try comes in its time. */
  #waitForRoom(entry: Candidate): void {
    if (this.#done || this.#current !== entry) return;
    this.#cancelNext();
    this.#cancelNext = this.#clock.after(this.#pauseMs, () => this.#next());
  }

  /** It has had its say on this query; whoever comes next is asked at once. */
  #drop(entry: Candidate): void {
    if (!this.#out.includes(entry)) this.#out.push(entry);
    if (this.#done) return;
    if (this.#out.length === this.#order.length) this.#giveUp();
    else if (this.#launched < this.#order.length || this.#open === 0) this.#next();
  }

  #giveUp(): void {
    if (this.#refusal !== undefined) this.#finish(this.#refusal);
    else this.#fail('DEADLINE', 'no server could be asked', this.#failure);
  }

  #finish(chosen: Chosen): void {
    this.#end();
    this.#settled.resolve(chosen);
  }

  #fail(code: 'DEADLINE', message: string, cause?: unknown): void {
    if (this.#done) return;
    if (this.#refusal !== undefined && !this.#signal.aborted) {
      this.#finish(this.#refusal);
      return;
    }
    this.#end();
    this.#settled.reject(new DnskeeperError(code, message, cause ?? this.#failure));
  }
}

const noRecursion = (server: Server): DnskeeperError =>
  new DnskeeperError('PROTOCOL', `${formatServer(server)} knows its own zones only and asks nobody else`);

const isSilence = (error: unknown): boolean =>
  error instanceof DnskeeperError && error.code === 'DEADLINE' && !(error instanceof EncryptionError);

const ONCE = { once: true };
const nothing = (): void => {};
