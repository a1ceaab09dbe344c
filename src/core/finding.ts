import type { DaemonPresence, ListenerFacts } from './machine-facts.ts';
import type { Finding } from './status.ts';

/** How messages call the file, whatever root it is under. */
export const NAME = '/etc/resolv.conf';

const finding =
  (severity: Finding['severity']) =>
  (id: string, text: string, mend?: string): Finding =>
    mend === undefined ? { severity, id, text } : { severity, id, text, mend };
/** A finding of severity error. */
export const error = finding('error');
/** A finding of severity warning. */
export const warning = finding('warning');
/** A finding of severity note. */
export const note = finding('note');

/** Starts the daemon, now and at boot. */
export const START = 'systemctl enable --now dnskeeper';
/** Gives the file to a running daemon. */
export const TAKEOVER = 'dnsctl takeover';

/** What makes the file ours. */
export const mendOf = (daemon: DaemonPresence): string => (daemon === 'absent' ? START : TAKEOVER);

/** Whether something listens on this address, itself or through a wildcard. */
export function isServed(address: string, listeners: readonly ListenerFacts[]): boolean {
  return listeners.some(
    (each) =>
      each.protocol === 'udp' &&
      (each.address === address ||
        each.address === '::' ||
        (each.address === '0.0.0.0' && !address.includes(':'))),
  );
}
