import { messageOf } from '../core/errors.ts';
import type { LinkDns, SourceEvent, SourceHealth } from '../core/snapshot.ts';
import type { Bus, BusSignal, SignalMatch } from '../system/bus.ts';
import type { Clock } from '../system/clock.ts';
import type { Log } from '../system/log.ts';
import { ACTIVE, isExternal } from './networkmanager-owners.ts';
import { DEFAULT_SETTINGS, type ProfileSettings, settingsOf } from './networkmanager-settings.ts';
import { deriveState, isUnconfigured, MANAGER_PATH } from './networkmanager-state.ts';
import { createTree, INTERFACES } from './networkmanager-tree.ts';
import type { Source } from './source.ts';

/** What the source runs on. */
export interface NetworkManagerOptions {
  /** The kernel's number of a link, if it is there. */
  ifindexOf(name: string): number | undefined;
  readonly log: Log;
  readonly clock: Clock;
}

/**
 * NetworkManager over the system bus: its objects are read once and then followed by their signals. What it said
 * last stays in force when it or the bus goes away, because interfaces and VPNs usually outlive both.
 */
export function networkManagerSource(bus: Bus, options: NetworkManagerOptions): Source {
  let follower: Follower | undefined;
  return {
    name: 'networkmanager',
    start(tell, signal) {
      if (signal.aborted) return;
      const started = new Follower(bus, options, tell);
      follower = started;
      signal.addEventListener('abort', () => started.stop(), { once: true });
    },
    async close() {
      follower?.stop();
    },
  };
}

const NAME = 'org.freedesktop.NetworkManager';
const PROFILE = 'org.freedesktop.NetworkManager.Settings.Connection';
const OBJECT_MANAGER = 'org.freedesktop.DBus.ObjectManager';
/** Reading everything takes longer than one answer where a machine has thousands of objects. */
const READ_DEADLINE_MS = 15_000;
const SETTINGS_DEADLINE_MS = 1_000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;
/** How long a bus may take at the start before status says that there is none. */
const NO_BUS_MS = 2_000;
/** Signals that may wait for the first reading; more of them mean reading again. */
const MOST_WAITING = 50_000;

/** One rule for each interface, so that signal strengths and counters never wake us. */
const MATCHES: readonly SignalMatch[] = [
  ...Object.keys(INTERFACES)
    .filter((name) => name !== 'org.freedesktop.NetworkManager.AccessPoint')
    .map((arg0) => ({ interface: 'org.freedesktop.DBus.Properties', member: 'PropertiesChanged', arg0 })),
  { path: '/org/freedesktop', interface: OBJECT_MANAGER },
  { interface: PROFILE, member: 'Updated' },
].map((match) => ({ sender: NAME, ...match }));

class Follower {
  readonly #bus: Bus;
  readonly #options: NetworkManagerOptions;
  readonly #log: Log;
  readonly #tell: (event: SourceEvent) => void;
  readonly #letGo: (() => void)[] = [];
  readonly #tree = createTree();
  readonly #settings = new Map<string, ProfileSettings>();
  readonly #stopped = new AbortController();
  /** Profiles being read; true when they changed meanwhile and must be read again. */
  #reading = new Map<string, boolean>();
  #owner: string | undefined;
  /** Signals that came while everything is being read; undefined once it was. */
  #waiting: BusSignal[] | undefined;
  #round = 0;
  #retryMs = FIRST_RETRY_MS;
  #cancelTimer: () => void = () => {};
  #everSeen = false;
  #busWasLost = false;
  #cause: string | undefined;
  #scheduled = false;
  #toldState: string | undefined;
  #toldLinks: readonly LinkDns[] = [];
  #toldHealth: string | undefined;
  #dropped = 0;

  constructor(bus: Bus, options: NetworkManagerOptions, tell: (event: SourceEvent) => void) {
    this.#bus = bus;
    this.#options = options;
    this.#log = options.log.child('networkmanager');
    this.#tell = tell;
    this.#cancelTimer = options.clock.after(NO_BUS_MS, () => {
      if (!bus.connected && !this.#everSeen) this.#health('absent', 'there is no system bus to find it on');
    });
    this.#letGo.push(() => this.#cancelTimer());
    for (const match of MATCHES) this.#letGo.push(bus.onSignal(match, (signal) => this.#onSignal(signal)));
    this.#letGo.push(bus.onOwner(NAME, (owner) => this.#onOwner(owner)));
    queueMicrotask(() => this.#health('starting', 'waiting for the system bus'));
  }

  stop(): void {
    if (this.#stopped.signal.aborted) return;
    this.#stopped.abort();
    for (const letGo of this.#letGo) letGo();
  }

  #onOwner(owner: string | undefined): void {
    this.#owner = owner;
    this.#round++;
    this.#retryMs = FIRST_RETRY_MS;
    this.#cancelTimer();
    if (owner !== undefined) void this.#read(owner);
    else if (!this.#bus.connected) this.#onBusLost();
    else if (this.#everSeen)
      this.#health('gone', 'it left the bus; what it said last stays in force until it is back');
    else this.#health('absent', 'it is not on the system bus');
  }

  #onBusLost(): void {
    this.#busWasLost = true;
    if (this.#everSeen) this.#health('gone', 'the system bus is gone; what it said last stays in force');
    else this.#health('absent', 'the system bus is gone');
  }

  /** Read all objects and the profiles in use; signals that come meanwhile are taken in on top of them. */
  async #read(owner: string): Promise<void> {
    const round = this.#round;
    this.#waiting = [];
    try {
      const [objects] = await this.#bus.call(
        {
          destination: owner,
          path: '/org/freedesktop',
          interface: OBJECT_MANAGER,
          member: 'GetManagedObjects',
        },
        { deadlineMs: READ_DEADLINE_MS, signal: this.#stopped.signal },
      );
      if (round !== this.#round || this.#stopped.signal.aborted) return;
      this.#tree.load(objects);
      this.#dropped = 0;
      this.#settings.clear();
      this.#reading = new Map();
      await Promise.all(this.#profilesInUse().map((path) => this.#readProfile(path)));
      if (round !== this.#round || this.#stopped.signal.aborted) return;
      this.#takeWaiting();
      this.#retryMs = FIRST_RETRY_MS;
      this.#health('running', describeVersion(this.#tree.get(MANAGER_PATH, NAME)['Version']));
      this.#cause = this.#readCause();
      this.#schedule(this.#cause);
    } catch (error) {
      if (round !== this.#round || this.#stopped.signal.aborted) return;
      this.#health('failed', `it could not be read (${messageOf(error)}); trying again`);
      this.#cancelTimer = this.#options.clock.after(this.#retryMs, () => void this.#read(owner));
      this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS);
    }
  }

  #takeWaiting(): void {
    const signals = this.#waiting ?? [];
    if (signals.length >= MOST_WAITING) throw new Error(`${MOST_WAITING} changes while it was read`);
    this.#waiting = undefined;
    this.#cause = undefined;
    for (const signal of signals) this.#take(signal);
  }

  #readCause(): string {
    const cause = !this.#everSeen
      ? 'NetworkManager was read'
      : this.#busWasLost
        ? 'the system bus came back'
        : 'NetworkManager started';
    this.#everSeen = true;
    this.#busWasLost = false;
    return cause;
  }

  #onSignal(signal: BusSignal): void {
    if (this.#owner === undefined) return;
    if (this.#waiting === undefined) this.#take(signal);
    else if (this.#waiting.length < MOST_WAITING) this.#waiting.push(signal);
  }

  #take(signal: BusSignal): void {
    if (signal.member === 'Updated') {
      // What is on its way of one that is read for the first time may be from before the change.
      const known = this.#settings.has(signal.path) || this.#reading.has(signal.path);
      if (known) void this.#readProfile(signal.path);
      return;
    }
    const cause = this.#tree.apply(signal);
    if (cause !== undefined) this.#schedule(cause);
  }

  /** Tell once for all signals of this turn of the event loop. */
  #schedule(cause: string): void {
    if (this.#cause === undefined || cause === CONFIGURATION_CHANGED) this.#cause = cause;
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const because = this.#cause ?? cause;
      this.#cause = undefined;
      try {
        this.#tellState(because);
      } catch (error) {
        this.#health('failed', `what it says could not be understood (${messageOf(error)})`);
      }
    });
  }

  #tellState(cause: string): void {
    if (this.#stopped.signal.aborted || this.#owner === undefined || this.#waiting !== undefined) return;
    this.#readNewProfiles();
    this.#logDropped();
    // While it starts it takes its devices up one by one; until the first of them what held before is better.
    const starting = this.#tree.get(MANAGER_PATH, NAME)['Startup'] === true;
    if (starting && isUnconfigured(this.#tree)) return;
    const state = deriveState(this.#tree, {
      settings: this.#settings,
      ifindexOf: (name) => this.#options.ifindexOf(name),
      before: this.#toldLinks,
    });
    const text = JSON.stringify(state);
    if (text === this.#toldState) return;
    this.#toldState = text;
    this.#toldLinks = state.links;
    this.#tell({ source: 'networkmanager', kind: 'state', cause, state });
  }

  #profilesInUse(): string[] {
    const paths = this.#tree.paths(ACTIVE).flatMap((active) => {
      const profile = this.#tree.get(active, ACTIVE)['Connection'];
      // While it is set up an active connection has no profile yet, which is told as the path "/".
      const known = typeof profile === 'string' && profile !== '/';
      return known && !isExternal(this.#tree, active) ? [profile] : [];
    });
    return [...new Set(paths)];
  }

  /** Profiles are read as soon as they are activated, well before their DNS comes, and forgotten after use. */
  #readNewProfiles(): void {
    const inUse = this.#profilesInUse();
    for (const path of this.#settings.keys()) if (!inUse.includes(path)) this.#settings.delete(path);
    for (const path of inUse)
      if (!this.#settings.has(path) && !this.#reading.has(path)) void this.#readProfile(path);
  }

  async #readProfile(path: string): Promise<void> {
    const reading = this.#reading;
    if (reading.has(path)) {
      reading.set(path, true);
      return;
    }
    const before = this.#settings.get(path);
    do {
      reading.set(path, false);
      const settings = await this.#askProfile(path);
      if (reading !== this.#reading || this.#stopped.signal.aborted) return;
      this.#settings.set(path, settings);
    } while (reading.get(path));
    reading.delete(path);
    if (JSON.stringify(before ?? DEFAULT_SETTINGS) !== JSON.stringify(this.#settings.get(path)))
      this.#schedule('profile settings were read');
  }

  async #askProfile(path: string): Promise<ProfileSettings> {
    const { signal } = this.#stopped;
    try {
      const [profile] = await this.#bus.call(
        { destination: this.#owner ?? NAME, path, interface: PROFILE, member: 'GetSettings' },
        { deadlineMs: SETTINGS_DEADLINE_MS, signal },
      );
      return settingsOf(profile);
    } catch (error) {
      if (!signal.aborted) this.#log.warn({ path, error: messageOf(error) }, 'a profile could not be read');
      return this.#settings.get(path) ?? DEFAULT_SETTINGS;
    }
  }

  #logDropped(): void {
    if (this.#tree.dropped === this.#dropped) return;
    this.#dropped = this.#tree.dropped;
    this.#log.warn(
      { dropped: this.#dropped },
      'NetworkManager says more than can be kept; the rest is ignored',
    );
  }

  #health(state: SourceHealth['state'], detail: string): void {
    const text = `${state}: ${detail}`;
    if (text === this.#toldHealth || this.#stopped.signal.aborted) return;
    this.#toldHealth = text;
    this.#tell({ source: 'networkmanager', kind: 'health', health: { state, detail } });
  }
}

const CONFIGURATION_CHANGED = 'DnsManager.Configuration changed';
const OLDEST_MINOR = 42;

function describeVersion(version: unknown): string {
  const match = typeof version === 'string' ? /^(\d{1,4})\.(\d{1,4})[\w.+~-]{0,40}$/.exec(version) : null;
  if (match === null) return 'NetworkManager of unknown version';
  const [text, major, minor] = match;
  const old = Number(major) < 1 || (Number(major) === 1 && Number(minor) < OLDEST_MINOR);
  return old
    ? `NetworkManager ${text}, older than 1.${OLDEST_MINOR}, the oldest that is known to work`
    : `NetworkManager ${text}`;
}
