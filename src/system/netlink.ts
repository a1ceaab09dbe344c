import { closeSync } from 'node:fs';
import { DnskeeperError, messageOf } from '../core/errors.ts';
import type { DefaultRoute, LinkState } from '../core/link-state.ts';
import { Listeners } from '../core/listeners.ts';
import { retryPause } from '../core/pace.ts';
import type { Clock } from './clock.ts';
import { LOST, type NetlinkCalls, NOTHING_CAME } from './libc-netlink.ts';
import type { Log } from './log.ts';
import {
  dumpRequest,
  type NetlinkMessage,
  type RouterOptionMessage,
  readNetlink,
} from './netlink-messages.ts';
import { defaultRoutes, type LinkChange, networkState } from './network-state.ts';

/** Links, addresses and default routes of the machine, at once known and always up to date. */
export interface KernelNetwork {
  /** In the order of their numbers. */
  links(): readonly LinkState[];
  byIndex(ifindex: number): LinkState | undefined;
  /** The best first. */
  defaultRoutes(): readonly DefaultRoute[];
  /** Hear of each change of a link, in their order, until the returned function is called. */
  onLink(listener: (change: LinkChange) => void): () => void;
  /** Hear that the default routes are others now. */
  onRoutes(listener: () => void): () => void;
  /** Hear of options in router advertisements that the kernel hands on. */
  onRouterOption(listener: (option: RouterOptionMessage) => void): () => void;
  /** Ask the routers of a link to advertise themselves now, instead of in some minutes. Nothing comes of it without the right to. */
  solicit(ifindex: number): void;
  /** Why changes go unnoticed, one sentence. */
  readonly problem: string | undefined;
  close(): void;
}

/** What it is followed with. */
export interface NetlinkNeeds {
  readonly calls: NetlinkCalls;
  readonly clock: Pick<Clock, 'after'>;
  readonly log: Log;
}

/** Larger than what the kernel puts into one datagram (NLMSG_GOODSIZE, 32 KiB for what is dumped). */
const ROOM_BYTES = 64 * 1024;

/** So much is taken in one turn; a flood may come, and others have their turns between. */
const MOST_AT_ONCE = 256;

/** Default routes stand first in the kernel's order, and a router of the Internet has a million more. */
const MOST_ROUTE_BYTES = 4 * 1024 * 1024;
const MOST_BYTES = 64 * 1024 * 1024;

/** A dump during which something changed may lack something else. */
const MOST_TRIES = 5;

/**
 * Follow the kernel over rtnetlink(7). Node can wait neither for such a socket nor, without holding a thread of its pool,
 * for any other descriptor, but it hears signals: the kernel sends SIGIO when something has come (fcntl(2)). Throws where
 * there is no netlink.
 */
export function openNetlink({ calls, clock, log }: NetlinkNeeds): KernelNetwork {
  const state = networkState();
  const heard = {
    link: new Listeners<LinkChange>(),
    routes: new Listeners<void>(),
    routerOption: new Listeners<RouterOptionMessage>(),
  };
  const room = Buffer.allocUnsafeSlow(ROOM_BYTES);
  let routes: readonly DefaultRoute[] = [];
  let problem: string | undefined;
  let closed = false;
  let draining = false;
  /** Something was said that was not heard. */
  let lost = false;
  /** The default routes may be others. */
  let stale = false;
  let failures = 0;
  let cancelRetry = (): void => {};

  const fd = calls.open(GROUPS);
  const close = (): void => {
    if (closed) return;
    closed = true;
    cancelRetry();
    // In this order: a signal that nobody hears ends the process.
    closeSync(fd);
    process.off('SIGIO', drain);
    process.off('exit', close);
  };
  process.on('SIGIO', drain);
  process.on('exit', close);
  try {
    calls.signalArrivals(fd);
    state.replace(readLinks(calls));
    routes = readRoutes(calls);
    drain(); // what came before signals were asked for gave none
  } catch (error) {
    close();
    throw error;
  }

  /** Take what has come. Whoever hears of it may look at the links meanwhile, and sees them as of what was heard. */
  function drain(): void {
    if (closed || draining) return;
    draining = true;
    try {
      if (takeAll()) renew();
      else setImmediate(drain);
    } finally {
      draining = false;
    }
  }

  /** Whether nothing is left. What was said before something was lost still counts, and is heard before all is asked anew. */
  function takeAll(): boolean {
    for (let count = 0; count < MOST_AT_ONCE; count++) {
      const length = calls.receive(fd, room);
      if (length === NOTHING_CAME) return true;
      if (length === LOST || length > room.length) lost = true;
      else if (length < 0) {
        lost = true;
        return true;
      } else for (const message of readNetlink(room.subarray(0, length))) take(message);
    }
    return false;
  }

  function take(message: NetlinkMessage): void {
    if (message.kind === 'overrun') lost = true;
    if (message.kind === 'router-option') heard.routerOption.tell(message);
    const change = state.apply(message);
    if (change !== undefined) heard.link.tell(change);
    // Routes go without a word when their link goes down or loses an address.
    const wentDown = change?.before?.up === true && change.after?.up !== true;
    if (message.kind === 'route' || (message.kind === 'address' && message.gone) || wentDown) stale = true;
  }

  /** Ask the kernel for what may have changed unheard. */
  function renew(): void {
    if (!lost && !stale) return;
    cancelRetry();
    const before = JSON.stringify(routes);
    let changes: readonly LinkChange[] = [];
    try {
      if (lost) changes = state.replace(readLinks(calls));
      routes = readRoutes(calls);
      lost = false;
      stale = false;
      failures = 0;
      problem = undefined;
    } catch (error) {
      failures++;
      problem = `Links that come and go are noticed late: ${messageOf(error)}.`;
      log.warn({ failures }, problem);
      cancelRetry = clock.after(retryPause(failures), drain);
    }
    for (const change of changes) heard.link.tell(change);
    if (JSON.stringify(routes) !== before) heard.routes.tell();
  }

  /** A signal is heard after what else has come: who asks before it is answered from what the kernel has said already. */
  function upToDate<T>(look: () => T): T {
    drain();
    return look();
  }

  return {
    links: () => upToDate(() => state.links()),
    byIndex: (ifindex) => upToDate(() => state.byIndex(ifindex)),
    defaultRoutes: () => upToDate(() => routes),
    onLink: (listener) => heard.link.add(listener),
    onRoutes: (listener) => heard.routes.add(listener),
    onRouterOption: (listener) => heard.routerOption.add(listener),
    solicit(ifindex) {
      if (!calls.solicitRouters(ifindex)) log.debug({ ifindex }, 'the routers of a link could not be asked');
    },
    get problem() {
      return problem;
    },
    close,
  };
}

/** RTNLGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE and _ND_USEROPT. */
const GROUPS = [1, 5, 7, 9, 11, 20].reduce((groups, group) => groups | (1 << (group - 1)), 0);

const MOST_ROUTES = 256;

const readLinks = (calls: NetlinkCalls): readonly NetlinkMessage[] => [
  ...dump(calls, 'links', MOST_BYTES),
  ...dump(calls, 'addresses', MOST_BYTES),
];

const readRoutes = (calls: NetlinkCalls): readonly DefaultRoute[] =>
  defaultRoutes(dump(calls, 'routes', MOST_ROUTE_BYTES)).slice(0, MOST_ROUTES);

/** Ask for all there is. The kernel answers as fast as its answer is taken, so that nobody waits. */
function dump(
  calls: NetlinkCalls,
  what: 'links' | 'addresses' | 'routes',
  mostBytes: number,
): readonly NetlinkMessage[] {
  for (let attempt = 1; ; attempt++) {
    // A socket of its own, because answers that nobody wants any more would stand before what comes later.
    const fd = calls.open(0);
    try {
      if (!calls.ask(fd, dumpRequest(what, attempt))) throw refusal(what, 'the request was not taken');
      const { messages, interrupted } = answer(calls, fd, what, mostBytes);
      if (!interrupted || attempt === MOST_TRIES) return messages;
    } finally {
      closeSync(fd);
    }
  }
}

function answer(calls: NetlinkCalls, fd: number, what: string, mostBytes: number) {
  const room = Buffer.allocUnsafeSlow(ROOM_BYTES);
  const messages: NetlinkMessage[] = [];
  for (let bytes = 0; bytes < mostBytes; ) {
    const length = calls.receive(fd, room);
    if (length < 0 || length > room.length) throw refusal(what, `receiving ended with ${length}`);
    bytes += length;
    for (const message of readNetlink(room.subarray(0, length))) {
      if (message.kind === 'error') throw refusal(what, `error ${message.errno}`);
      if (message.kind === 'done') return { messages, interrupted: message.interrupted };
      messages.push(message);
    }
  }
  return { messages, interrupted: false };
}

const refusal = (what: string, why: string): DnskeeperError =>
  new DnskeeperError('IO', `the kernel did not tell its ${what}: ${why}`);
