import { DnskeeperError, messageOf } from '../core/errors.ts';
import type { Bus, BusCall, BusSignal, BusValue } from './bus.ts';
import type { BusConnection, Connect, Reply } from './bus-connection.ts';
import type { CallHandler, NameOptions, NameState, OutgoingSignal, ServiceBus } from './bus-service.ts';
import type { Clock } from './clock.ts';
import { IncomingCalls } from './incoming-calls.ts';
import type { Log } from './log.ts';
import { BUS_NAME, isWellKnown, matches, ruleOf } from './match-rules.ts';
import { OwnedNames } from './owned-names.ts';
import { type CallOptions, DEADLINE_MS, PendingCalls, type Send } from './pending-calls.ts';

/** What a reconnecting bus is made of. */
export interface ReconnectingBusOptions {
  readonly connect: Connect;
  readonly log: Log;
  readonly clock: Clock;
}

/**
 * A Bus over connections that come and go: deadlines, counted match rules, followed names, growing pauses; and what we
 * offer to others, which comes back with each connection.
 */
export function reconnectingBus(options: ReconnectingBusOptions): ServiceBus {
  return new ReconnectingBus(options);
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 30_000;
/** A connection that stood this long was a good one: the next pause is short again. */
const STEADY_MS = 5_000;

type Listener<T> = (value: T) => void;

interface Subscription {
  readonly match: Parameters<Bus['onSignal']>[0];
  readonly listener: Listener<BusSignal>;
}

/** A well-known name whose owner we follow, for listeners or for telling true signals from forged ones. */
interface FollowedName {
  uses: number;
  owner: string | undefined;
  known: boolean;
  readonly listeners: Set<Listener<string | undefined>>;
}

class ReconnectingBus implements ServiceBus {
  readonly #connect: Connect;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #subscriptions = new Set<Subscription>();
  readonly #rules = new Map<string, number>();
  readonly #names = new Map<string, FollowedName>();
  readonly #connectedListeners = new Set<Listener<boolean>>();
  readonly #calls: PendingCalls;
  readonly #incoming: IncomingCalls;
  readonly #ownNames: OwnedNames;
  readonly #send: Send = (call, settle) => {
    if (this.#connection === undefined) throw new DnskeeperError('BUS', 'The message bus is not connected.');
    return this.#connection.call(call, settle);
  };
  #connection: BusConnection | undefined;
  #ready = false;
  #uniqueName: string | undefined;
  #readyAt = 0;
  #pause = FIRST_PAUSE_MS;
  #cancelTimer: () => void = () => {};
  #closing: { promise: Promise<void>; done: () => void } | undefined;

  constructor(options: ReconnectingBusOptions) {
    this.#connect = options.connect;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#calls = new PendingCalls(options.clock);
    this.#incoming = new IncomingCalls(options.log, options.clock);
    this.#ownNames = new OwnedNames((...question) => this.#ask(...question));
    this.#open();
  }

  get connected(): boolean {
    return this.#ready;
  }

  get uniqueName(): string | undefined {
    return this.#uniqueName;
  }

  serve(handler: CallHandler): () => void {
    if (this.#incoming.serving) throw new DnskeeperError('BUS', 'Calls on this bus are answered already.');
    const stop = this.#incoming.serve(handler);
    this.#addRule(CALLERS_LEAVING);
    let stopped = false;
    return () => {
      if (stopped) return;
      stopped = true;
      stop();
      this.#removeRule(CALLERS_LEAVING);
    };
  }

  emit(signal: OutgoingSignal): void {
    if (this.#ready) this.#connection?.emit(signal);
  }

  own(name: string, options: NameOptions, listener: Listener<NameState>): () => Promise<void> {
    return this.#ownNames.own(name, options, (state) => {
      if (!this.#closing) this.#tell([listener], state);
    });
  }

  call(call: BusCall, options: CallOptions = {}): Promise<readonly BusValue[]> {
    if (this.#closing) return Promise.reject(closedError());
    return this.#calls.begin(call, options, this.#ready ? this.#send : undefined);
  }

  onSignal(match: Subscription['match'], listener: Listener<BusSignal>): () => void {
    const rule = ruleOf(match);
    const release =
      match.sender !== undefined && isWellKnown(match.sender) ? this.#follow(match.sender) : () => {};
    const subscription: Subscription = { match, listener };
    this.#subscriptions.add(subscription);
    this.#addRule(rule);
    return () => {
      if (!this.#subscriptions.delete(subscription)) return;
      this.#removeRule(rule);
      release();
    };
  }

  onOwner(name: string, listener: Listener<string | undefined>): () => void {
    const told = { listener: (owner: string | undefined) => listener(owner) };
    const release = this.#follow(name);
    const followed = this.#names.get(name);
    followed?.listeners.add(told.listener);
    if (followed?.known)
      queueMicrotask(() => {
        if (followed.listeners.has(told.listener) && followed.known)
          this.#tell([told.listener], followed.owner);
      });
    return () => {
      if (followed?.listeners.delete(told.listener)) release();
    };
  }

  onConnected(listener: Listener<boolean>): () => void {
    const wrapped = (connected: boolean): void => listener(connected);
    this.#connectedListeners.add(wrapped);
    queueMicrotask(() => {
      if (this.#connectedListeners.has(wrapped)) this.#tell([wrapped], this.#ready);
    });
    return () => {
      this.#connectedListeners.delete(wrapped);
    };
  }

  close(): Promise<void> {
    if (this.#closing) return this.#closing.promise;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#closing = { promise, done: resolve };
    this.#cancelTimer();
    this.#calls.failAll(closedError());
    this.#subscriptions.clear();
    this.#names.clear();
    this.#rules.clear();
    this.#connectedListeners.clear();
    this.#ready = false;
    this.#uniqueName = undefined;
    this.#incoming.lost();
    this.#ownNames.lost();
    if (this.#connection) this.#connection.close('closed by us');
    else resolve();
    return promise;
  }

  #open(): void {
    const connection = this.#connect({
      ready: (uniqueName) => this.#onReady(uniqueName),
      signal: (signal) => this.#onSignal(signal),
      called: (call, reply) => {
        if (!this.#closing) this.#incoming.answer(call, reply);
      },
      closed: (reason) => this.#onClosed(reason),
    });
    this.#connection = connection;
    this.#cancelTimer = this.#clock.after(DEADLINE_MS, () =>
      connection.close(`no greeting from the bus within ${DEADLINE_MS} ms`),
    );
  }

  #onReady(uniqueName: string): void {
    if (this.#closing) return;
    this.#cancelTimer();
    this.#ready = true;
    this.#uniqueName = uniqueName;
    this.#readyAt = this.#clock.elapsed();
    this.#log.debug({}, 'connected to the message bus');
    // Owners first: a signal is judged by the owner that stood when it was sent, and the bus answers in order.
    for (const name of this.#names.keys()) {
      this.#sendRule('AddMatch', ownerRule(name));
      this.#askOwner(name);
    }
    const owners = new Set([...this.#names.keys()].map(ownerRule));
    for (const rule of this.#rules.keys()) if (!owners.has(rule)) this.#sendRule('AddMatch', rule);
    this.#ownNames.connected();
    this.#tell(this.#connectedListeners, true);
    this.#calls.startWaiting(this.#send);
  }

  #onClosed(reason: string): void {
    this.#cancelTimer();
    this.#connection = undefined;
    if (this.#closing) {
      this.#closing.done();
      return;
    }
    const wasReady = this.#ready;
    this.#ready = false;
    this.#uniqueName = undefined;
    if (wasReady) this.#lose(reason);
    if (wasReady && this.#clock.elapsed() - this.#readyAt >= STEADY_MS) this.#pause = FIRST_PAUSE_MS;
    this.#log.debug({ reason, pauseMs: this.#pause }, 'no connection to the message bus');
    if (this.#closing) return; // by a listener that was just told
    this.#cancelTimer = this.#clock.after(this.#pause, () => this.#open());
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
  }

  #lose(reason: string): void {
    this.#calls.failAll(new DnskeeperError('BUS', `The connection to the message bus was lost: ${reason}.`));
    for (const followed of this.#names.values()) {
      followed.owner = undefined;
      followed.known = false;
      this.#tell(followed.listeners, undefined);
    }
    this.#incoming.lost();
    this.#ownNames.lost();
    this.#tell(this.#connectedListeners, false);
  }

  #onSignal(signal: BusSignal): void {
    if (this.#closing) return;
    if (signal.sender === BUS_NAME) this.#onBusSignal(signal);
    const ownerOf = (name: string): string | undefined => this.#names.get(name)?.owner;
    for (const { match, listener } of [...this.#subscriptions])
      if (matches(match, signal, ownerOf)) this.#tell([listener], signal);
  }

  #onBusSignal(signal: BusSignal): void {
    this.#ownNames.onSignal(signal);
    if (signal.member !== 'NameOwnerChanged') return;
    const [name, , owner] = signal.body;
    if (typeof name !== 'string' || typeof owner !== 'string') return;
    if (owner === '' && name.startsWith(':')) this.#incoming.callerGone(name);
    this.#setOwner(name, owner === '' ? undefined : owner);
  }

  #setOwner(name: string, owner: string | undefined): void {
    const followed = this.#names.get(name);
    if (followed === undefined || (followed.known && followed.owner === owner)) return;
    followed.owner = owner;
    followed.known = true;
    this.#tell(followed.listeners, owner);
  }

  /** Use a name's owner until the returned function is called. */
  #follow(name: string): () => void {
    const followed = this.#names.get(name);
    if (followed) followed.uses++;
    else {
      this.#names.set(name, { uses: 1, owner: undefined, known: false, listeners: new Set() });
      this.#addRule(ownerRule(name));
      if (this.#ready) this.#askOwner(name);
    }
    let released = false;
    return () => {
      const current = this.#names.get(name);
      if (released || current === undefined) return;
      released = true;
      if (--current.uses > 0) return;
      this.#names.delete(name);
      this.#removeRule(ownerRule(name));
    };
  }

  /** To be asked after the rule for changes was sent, or a change between the two would be missed. */
  #askOwner(name: string): void {
    this.#ask('GetNameOwner', 's', [name], (reply) => {
      const [owner] = reply.ok ? reply.body : [];
      this.#setOwner(name, typeof owner === 'string' ? owner : undefined);
    });
  }

  #addRule(rule: string): void {
    const count = this.#rules.get(rule) ?? 0;
    this.#rules.set(rule, count + 1);
    if (count === 0 && this.#ready) this.#sendRule('AddMatch', rule);
  }

  #removeRule(rule: string): void {
    const count = this.#rules.get(rule) ?? 0;
    if (count > 1) this.#rules.set(rule, count - 1);
    else if (this.#rules.delete(rule) && this.#ready) this.#sendRule('RemoveMatch', rule);
  }

  #sendRule(member: 'AddMatch' | 'RemoveMatch', rule: string): void {
    this.#ask(member, 's', [rule], (reply) => {
      if (!reply.ok) this.#log.error({ rule, error: reply.error.message }, `the bus refused ${member}`);
    });
  }

  /** Ask the bus itself; one that does not answer is as good as gone. */
  #ask(member: string, signature: string, body: readonly BusValue[], settle: (reply: Reply) => void): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    const cancel = this.#clock.after(DEADLINE_MS, () =>
      connection.close(`no answer from the bus to ${member} within ${DEADLINE_MS} ms`),
    );
    const call = { ...BUS_CALL, member, signature, body };
    try {
      connection.call(call, (reply) => {
        cancel();
        settle(reply);
      });
    } catch (error) {
      cancel();
      connection.close(messageOf(error));
    }
  }

  #tell<T>(listeners: Iterable<Listener<T>>, value: T): void {
    for (const listener of [...listeners]) {
      try {
        listener(value);
      } catch (error) {
        this.#log.error({ error: messageOf(error) }, 'a listener of the message bus failed');
      }
    }
  }
}

const BUS_CALL = { destination: BUS_NAME, path: '/org/freedesktop/DBus', interface: BUS_NAME };

const ownerRule = (name: string): string =>
  ruleOf({ sender: BUS_NAME, interface: BUS_NAME, member: 'NameOwnerChanged', arg0: name });

/** One rule for all callers: a rule for each would cost two calls to the bus for every call to us. */
const CALLERS_LEAVING = `type='signal',sender='${BUS_NAME}',interface='${BUS_NAME}',member='NameOwnerChanged',arg2=''`;

const closedError = (): DnskeeperError => new DnskeeperError('BUS', 'The message bus was closed by us.');
