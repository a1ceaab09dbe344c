import type { SourceEvent, SourceName } from '../core/snapshot.ts';

/**
 * Something that tells which DNS servers there are. It speaks first on its own after `start`, each `state` event
 * replaces what it said before, and it never throws: what goes wrong is told as a `health` event.
 */
export interface Source {
  readonly name: SourceName;
  /** Begin to tell; returns at once. Called once. No event may come after `signal` aborts. */
  start(tell: (event: SourceEvent) => void, signal: AbortSignal): void;
  /** Let go of everything; resolves when nothing is left open. */
  close(): Promise<void>;
}
