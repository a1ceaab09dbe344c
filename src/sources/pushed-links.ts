import { Listeners } from '../core/listeners.ts';
import {
  changeSettings,
  type PushedLink,
  type PushedSettings,
  type Pusher,
  pushedState,
} from '../core/pushed-links.ts';
import type { SourceEvent } from '../core/snapshot.ts';
import type { Log } from '../system/log.ts';
import type { Source } from './source.ts';

/** The link that settings are for. */
export type LinkOf = Pick<PushedLink, 'ifindex' | 'interface' | 'tunnel'>;

/** What programs push for links over systemd-resolved's interface, as a source like any other. */
export interface PushedLinks extends Source {
  get(ifindex: number): PushedLink | undefined;
  all(): readonly PushedLink[];
  /** Set something on a link. Throws a RangeError when there are more links than any machine has. */
  set(link: LinkOf, settings: PushedSettings, by: Pusher): void;
  /** Forget all that was set on a link. */
  revert(ifindex: number, by: Pusher): void;
  /** A link went away: what was set for it goes with it. */
  drop(ifindex: number): void;
  /** A link has another name now, and keeps what was set for it. */
  rename(ifindex: number, name: string): void;
  /** These links exist now: settings of all others are forgotten, also where a number has come to another name. */
  keepOnly(links: readonly Pick<PushedLink, 'ifindex' | 'interface'>[]): void;
  /** What was set earlier, by whatever daemon, takes the place of all that is known. */
  restore(links: readonly PushedLink[]): void;
  /** Hear which link's settings are others now, until the returned function is called. */
  onChange(listener: (ifindex: number) => void): () => void;
}

/** More links than this are nobody's machine, but somebody's attack. */
const MOST_LINKS = 4096;

/** A source that nobody has pushed anything to yet. */
export function pushedLinks(log: Log): PushedLinks {
  const links = new Map<number, PushedLink>();
  const listeners = new Listeners<number>();
  let tell: (event: SourceEvent) => void = () => {};
  let told = '';

  /** The same again is no news: NetworkManager repeats all it knows at every change. */
  function publish(cause: string): void {
    const state = pushedState([...links.values()].sort((a, b) => a.ifindex - b.ifindex));
    const text = JSON.stringify(state);
    if (text === told) return;
    told = text;
    tell({ source: 'pushed-links', kind: 'state', cause, state });
  }

  return {
    name: 'pushed-links',
    start(listener, signal) {
      tell = (event) => {
        if (!signal.aborted) listener(event);
      };
      const detail = 'Programs may set DNS for links over the bus.';
      tell({ source: 'pushed-links', kind: 'health', health: { state: 'running', detail } });
      publish('dnskeeperd started');
    },
    async close() {
      tell = () => {};
    },
    get: (ifindex) => links.get(ifindex),
    all: () => [...links.values()],
    set(link, settings, by) {
      const before = links.get(link.ifindex);
      if (before === undefined && links.size >= MOST_LINKS)
        throw new RangeError(`settings for more than ${MOST_LINKS} links`);
      const same = before?.interface === link.interface ? before.settings : {};
      const after = changeSettings(same, settings);
      if (Object.keys(after).length === 0) links.delete(link.ifindex);
      else links.set(link.ifindex, { ...link, settings: after, by });
      log.debug(
        { link: link.interface, by: by.name, set: Object.keys(settings) },
        'settings of a link were pushed',
      );
      listeners.tell(link.ifindex);
      publish(`${by.name} set DNS of ${link.interface}`);
    },
    revert(ifindex, by) {
      const link = links.get(ifindex);
      if (link === undefined) return;
      links.delete(ifindex);
      listeners.tell(ifindex);
      publish(`${by.name} took back DNS of ${link.interface}`);
    },
    drop(ifindex) {
      const link = links.get(ifindex);
      if (link === undefined) return;
      links.delete(ifindex);
      log.info({ link: link.interface }, 'The link went away, and what was set for it with it.');
      listeners.tell(ifindex);
      publish(`the link ${link.interface} went away`);
    },
    rename(ifindex, name) {
      const link = links.get(ifindex);
      if (link === undefined || link.interface === name) return;
      links.set(ifindex, { ...link, interface: name });
      listeners.tell(ifindex);
      publish(`the link ${link.interface} is called ${name} now`);
    },
    keepOnly(present) {
      const names = new Map(present.map((link) => [link.ifindex, link.interface]));
      for (const [ifindex, link] of links) {
        if (names.get(ifindex) === link.interface) continue;
        links.delete(ifindex);
        listeners.tell(ifindex);
      }
      publish('a link went away');
    },
    restore(earlier) {
      links.clear();
      for (const link of earlier.slice(0, MOST_LINKS)) links.set(link.ifindex, link);
      publish('settings of links from before');
    },
    onChange: (listener) => listeners.add(listener),
  };
}
