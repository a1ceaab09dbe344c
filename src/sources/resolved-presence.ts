import type { Bus } from '../system/bus.ts';

/** Whether systemd-resolved runs; `unknown` until the bus has answered once. */
export type ResolvedPresence = 'unknown' | 'running' | 'absent';

/**
 * Follow whether systemd-resolved runs, by the owner of its bus name; tells at once and at every change, until the
 * returned function is called. While the bus is away the last known value stands: resolved does not stop with it.
 */
export function watchResolved(bus: Bus, listener: (presence: ResolvedPresence) => void): () => void {
  let told: ResolvedPresence | undefined;
  const tell = (presence: ResolvedPresence): void => {
    if (presence === told) return;
    told = presence;
    listener(presence);
  };
  tell('unknown');
  return bus.onOwner('org.freedesktop.resolve1', (owner) => {
    if (owner !== undefined) tell('running');
    else if (bus.connected) tell('absent');
  });
}
