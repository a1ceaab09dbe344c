import { DnskeeperError, messageOf } from '../core/errors.ts';
import { Listeners } from '../core/listeners.ts';
import { retryPause } from '../core/pace.ts';
import type { PortalReport, ResolverStatus } from '../core/status.ts';
import type { ResolvedPresence } from '../core/takeover.ts';
import { TaskQueue } from '../core/task-queue.ts';
import type { ListenAt, Listener, Reception } from '../resolver/listener.ts';
import type { Resolver } from '../resolver/resolver.ts';
import type { Clock } from '../system/clock.ts';
import { NO_STORE, type SocketStore } from '../system/listen-fds.ts';
import type { Log } from '../system/log.ts';
import type { BackEnd } from './back-end.ts';
import { isSame, listeningPlaces, type Place } from './listening-places.ts';
import type { Output } from './output.ts';

/** The resolver as an output: its routes follow the plan, its sockets follow systemd-resolved. */
export interface ResolverOutput extends Output {
  status(): ResolverStatus;
  /** Hear of every change of state until the returned function is called. */
  onStatus(listener: (status: ResolverStatus) => void): () => void;
  /** What the bus tells about systemd-resolved, which has the addresses before us. */
  resolved(presence: ResolvedPresence): Promise<void>;
  /** systemd-resolved is about to start: free its addresses, for a while; resolves when they are free. */
  giveWay(): Promise<void>;
  /**
   * systemd-resolved is about to end, and a file names its address: what is asked there over UDP waits from now on until
   * the resolver has the address.
   */
  standReady(): void;
  /** The files are written, and list this address of ours or none. Sockets close only after that. */
  filesName(nameserver: string | undefined): void;
  /** We end: from now on no file may name the resolver, which goes on answering until `close`. */
  standDown(): void;
  /** Whether our own sockets stand at an address. */
  isOwn(host: string, port: number): boolean;
}

/** What the output works with. */
export interface ResolverOutputNeeds {
  readonly resolver: Resolver;
  /** Who has the plan carried out by another resolver; absent where there can be none. */
  readonly backEnd?: BackEnd;
  readonly reception: Reception;
  /** Where to listen now; empty with the reason where it must not. */
  readonly places: () => Wanted;
  /** Whether systemd-resolved's running stands in the way: not where the addresses are others than its own. */
  readonly sharesAddresses: () => boolean;
  /** Open one address, UDP and TCP; rejects with a DnskeeperError when it cannot be had. */
  readonly listen: (at: ListenAt, reception: Reception) => Promise<readonly Listener[]>;
  /** Have queries wait at an address from now on; throws when it cannot be had. */
  readonly hold?: (at: ListenAt) => void;
  /** Where sockets wait that an earlier process had. */
  readonly sockets?: SocketStore;
  /** A file names us: questions will come. */
  readonly expectQuestions?: () => void;
  readonly clock: Clock;
  readonly log: Log;
  /** How long a socket stays open after the files have ceased to name it. */
  readonly lingerMs?: number;
}

/** Where to listen, and why nowhere. */
export interface Wanted {
  readonly at: readonly ListenAt[];
  readonly whyNone: string;
}

/** A systemd-resolved that leaves the bus closes its sockets some milliseconds later, which nothing tells. */
const LETTING_GO_MS = 1000;
const LETTING_GO_STEP_MS = 25;
/** A systemd-resolved that we gave way to and that is not there by then does not come, nor does one go that still is. */
const GIVE_WAY_MS = 10_000;

/** The resolver's output. Everything it does runs one after the other, but for closing, which takes its time. */
export function resolverOutput(needs: ResolverOutputNeeds): ResolverOutput {
  const { resolver, backEnd, reception, clock, log, sockets = NO_STORE } = needs;
  const listeners = new Listeners<ResolverStatus>();
  let presence: ResolvedPresence = 'unknown';
  /** When systemd-resolved left the bus, of the clock's `elapsed`. */
  let leftAt = -LETTING_GO_MS;
  let open: readonly Place[] = [];
  const places = listeningPlaces({ ...needs, sockets, atEnd: () => closed });
  /** Why further addresses cannot be listened on. */
  let unbound: readonly string[] = [];
  let state: ResolverStatus['state'] = 'off';
  let reason = 'dnskeeperd has just started.';
  /** Links whose encrypted servers a captive portal keeps us from. */
  let portal: PortalReport = { links: [], relaxed: false };
  /** Without a plan there is nobody to ask; what is asked until then waits in sockets that an earlier process had. */
  let planned = false;
  let leaving = false;
  let closed = false;
  let attempt = 0;
  let cancelRetry = (): void => {};
  let cancelGiveWay: (() => void) | undefined;
  let cancelHold: (() => void) | undefined;
  const queue = new TaskQueue();

  function tell(next: ResolverStatus['state'], why: string): void {
    if (next === state && why === reason) return;
    state = next;
    reason = why;
    const { nameserver } = status();
    places.offer(nameserver);
    log[next === 'failed' ? 'warn' : 'info']({ state }, why);
    listeners.tell(status());
  }

  function tellPortal(): void {
    const before = portal;
    portal = resolver.portal();
    const { links, relaxed } = portal;
    const text = relaxed
      ? 'A captive portal is in the way: its servers may be asked without encryption.'
      : 'A captive portal is in the way: its servers are asked encrypted alone, so its names do not resolve.';
    for (const link of links)
      if (relaxed !== before.relaxed || !before.links.includes(link)) log.warn({ link }, text);
    for (const link of before.links)
      if (!links.includes(link))
        log.info({ link }, 'The captive portal is no longer in the way: encryption is strict again.');
  }

  /** Undefined while it cannot be known yet. */
  const wanted = (): Wanted | undefined => {
    if (closed) return { at: [], whyNone: 'dnskeeperd ends.' };
    if (!planned) return undefined;
    if (needs.sharesAddresses()) {
      if (cancelGiveWay !== undefined) return { at: [], whyNone: 'systemd-resolved is about to start.' };
      if (presence === 'running')
        return { at: [], whyNone: 'systemd-resolved runs and answers on these addresses.' };
      if (presence === 'unknown') return undefined;
    }
    return needs.places();
  };

  /** Bring the sockets in line with what is wanted. Never rejects: what went wrong is a state. */
  async function settle(): Promise<void> {
    cancelRetry();
    const now = wanted();
    if (now === undefined) {
      if (open.length === 0) tell('off', 'The bus has not told yet whether systemd-resolved runs.');
      return;
    }
    const { at, whyNone } = now;
    const gone = open.filter((place) => !at.some((each) => isSame(each, place.at)));
    open = open.filter((place) => !gone.includes(place));
    try {
      for (const each of at.filter((place) => place.extra !== true))
        if (!open.some((place) => isSame(each, place.at))) await addPatiently(each, gone);
      await addExtra(at, gone);
      if (unbound.length === 0) attempt = 0;
      else retry();
      if (open.length === 0) tell('off', whyNone);
      else tell('bound', `It answers on ${addresses().join(', ')}.`);
    } catch (error) {
      gone.push(...open);
      open = [];
      tell(
        'failed',
        `The local resolver cannot listen: ${messageOf(error)}; it is tried again with growing pauses.`,
      );
      retry();
    }
    for (const place of gone) void places.close(place);
    if (state === 'bound') letGo();
  }

  function retry(): void {
    attempt++;
    cancelRetry = clock.after(retryPause(attempt), () => void queue.run(settle));
  }

  /** One that cannot be had is no reason to be without the others. */
  async function addExtra(at: readonly ListenAt[], gone: readonly Place[]): Promise<void> {
    const failures: string[] = [];
    for (const each of at.filter((place) => place.extra === true)) {
      if (open.some((place) => isSame(each, place.at))) continue;
      try {
        open = [...open, await places.add(each, gone)];
      } catch (error) {
        failures.push(messageOf(error));
      }
    }
    for (const text of failures)
      if (!unbound.includes(text)) log.warn({}, `The local resolver listens there not: ${text}`);
    unbound = failures;
  }

  /** Nobody takes up any more what waits. */
  function letGo(): void {
    cancelHold?.();
    cancelHold = undefined;
    sockets.closeRest();
  }

  /** Right after systemd-resolved has left, its addresses are tried for until it has really let go of them. */
  async function addPatiently(at: ListenAt, gone: readonly Place[]): Promise<void> {
    for (;;) {
      try {
        open = [...open, await places.add(at, gone)];
        return;
      } catch (error) {
        if (clock.elapsed() - leftAt > LETTING_GO_MS) throw error;
        await new Promise<void>((done) => void clock.after(LETTING_GO_STEP_MS, done));
      }
    }
  }

  const addresses = (): readonly string[] => [
    ...new Set(
      open.map(({ at }) => (at.host.includes(':') ? `[${at.host}]:${at.port}` : `${at.host}:${at.port}`)),
    ),
  ];

  function status(): ResolverStatus {
    const host = open.find(({ at }) => isNameable(at))?.at.host;
    const carrier = backEnd?.status();
    const usable = state === 'bound' && !leaving && host !== undefined;
    const unnameable = state === 'bound' && !leaving && host === undefined;
    return {
      state,
      reason: leaving
        ? 'dnskeeperd ends.'
        : unnameable
          ? `${reason} A resolv.conf can name none of these: it takes port 53 and UDP, at an address of our own.`
          : reason,
      addresses: addresses(),
      ...(usable ? { nameserver: host } : {}),
      servers: resolver.servers(),
      ...(portal.links.length > 0 ? { portal } : {}),
      ...(unbound.length > 0 ? { unbound } : {}),
      ...(carrier === undefined ? {} : { backEnd: carrier }),
      ...reception.traffic,
    };
  }

  function endGiveWay(): void {
    cancelGiveWay?.();
    cancelGiveWay = undefined;
  }

  backEnd?.onStatus(() => listeners.tell(status()));

  return {
    name: 'resolver',
    async apply({ plan }, signal) {
      await queue.run(async () => {
        if (closed) return;
        if (signal.aborted) throw new DnskeeperError('DEADLINE', 'The resolver was not told of it in time.');
        (backEnd ?? resolver).apply(plan);
        tellPortal();
        planned = true;
        await settle();
      });
    },
    status,
    onStatus: (listener) => listeners.add(listener),
    resolved: (told) =>
      queue.run(async () => {
        if (presence === 'running' && told === 'absent') leftAt = clock.elapsed();
        presence = told;
        if (told === 'running') endGiveWay();
        if (!closed) await settle();
      }),
    async giveWay() {
      await queue.run(async () => {
        if (closed || !needs.sharesAddresses()) return;
        if (cancelHold !== undefined) letGo();
        endGiveWay();
        cancelGiveWay = clock.after(GIVE_WAY_MS, () => {
          endGiveWay();
          void queue.run(settle);
        });
        await settle();
      });
      await places.allClosed();
    },
    standReady() {
      if (closed || presence !== 'running' || cancelHold !== undefined || !needs.sharesAddresses()) return;
      cancelHold = clock.after(GIVE_WAY_MS, letGo);
      try {
        for (const at of needs.places().at) if (at.extra !== true) needs.hold?.(at);
      } catch (error) {
        log.warn({}, `What is asked while systemd-resolved ends is lost: ${messageOf(error)}`);
        letGo();
      }
    },
    filesName(nameserver) {
      if (nameserver !== undefined) needs.expectQuestions?.();
      places.filesName(nameserver, status().nameserver);
      // What an earlier process left may be named by its file until ours is written.
      if (state === 'off' && cancelHold === undefined && wanted()?.at.length === 0) sockets.closeRest();
    },
    standDown() {
      leaving = true;
    },
    isOwn: (host, port) =>
      [...open, ...places.closing()].some(({ at }) => at.port === port && at.host === host),
    async close() {
      cancelRetry();
      cancelHold?.();
      endGiveWay();
      await queue.run(async () => {
        closed = true;
        await settle();
      });
      await places.allClosed();
      await backEnd?.close();
      reception.close();
      resolver.close();
    },
  };
}

/** libc asks over UDP first, on port 53. */
const isNameable = ({ port, service, transport, extra }: ListenAt): boolean =>
  port === 53 && service === 'full' && transport !== 'tcp' && extra !== true;
