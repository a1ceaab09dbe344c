import { hostname } from 'node:os';
import { Listeners } from '../core/listeners.ts';
import type { Bus } from '../system/bus.ts';

/** The machine's own name, now and as it changes. */
export interface HostName {
  readonly current: string;
  /** Hear of every change until the returned function is called. */
  onChange(listener: () => void): () => void;
}

/** A name that nobody told of counts after this long at the latest; every query is compared with it. */
const LOOK_AGAIN_MS = 1000;

/**
 * The name as the kernel knows it (uname(2): /proc may show processes alone), looked at again when systemd-hostnamed, by
 * which hostnamectl, DHCP and NetworkManager change it, tells of a change, and when somebody asks.
 */
export function followHostName(bus: Bus | undefined, nameOf: () => string = hostname): HostName {
  const listeners = new Listeners<void>();
  let current = nameOf().trim();
  let lookedAt = performance.now();

  function look(): void {
    lookedAt = performance.now();
    const name = nameOf().trim();
    if (name === current) return;
    current = name;
    listeners.tell();
  }

  bus?.onSignal(CHANGED, look);
  return {
    get current() {
      if (performance.now() - lookedAt > LOOK_AGAIN_MS) look();
      return current;
    },
    onChange: (listener) => listeners.add(listener),
  };
}

const CHANGED = {
  sender: 'org.freedesktop.hostname1',
  path: '/org/freedesktop/hostname1',
  interface: 'org.freedesktop.DBus.Properties',
  member: 'PropertiesChanged',
};
