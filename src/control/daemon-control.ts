import type { Domain } from '../core/domain.ts';
import type { QueryReport } from '../core/query-report.ts';
import type { ResolverView } from '../core/resolver-view.ts';
import type { Change, Status } from '../core/status.ts';

/** What dnsctl may ask of a running daemon, free of any transport. Reading is free; changing needs root. */
export interface DaemonControl {
  status(): Status;
  /** Newest last, at most the bound of the history. */
  history(): readonly Change[];
  /** Called on every published status until the returned function is called. */
  onStatus(listener: (status: Status) => void): () => void;
  /** Called on every change of the files until the returned function is called. */
  onChange(listener: (change: Change) => void): () => void;
  /** Have a profile hold before the others, for a while or until the next choice; undefined: choose automatically again. */
  useProfile(name: string | undefined, forMs: number | undefined): Promise<Outcome>;
  /** Put a configuration in force as a drop-in of this name; it goes again after that time unless it is kept. */
  tryConfiguration(name: string, text: string, forMs: number): Promise<Outcome>;
  /** Keep what is tried as a file, or go back to what was before. */
  endTrial(how: 'keep' | 'go back'): Promise<Outcome>;
  /** Read the configuration again; a bad one leaves the last good one in force and says so in the outcome. */
  reload(): Promise<Outcome>;
  /** Put our link in place (again), also after a fight or a release. */
  takeover(): Promise<Outcome>;
  /** Ask the local resolver as a client would; it need not listen for that. */
  query(name: Domain, type: string, signal: AbortSignal): Promise<QueryReport>;
  /** What the local resolver tells about itself. */
  readonly resolver: ResolverView;
  /** Forget remembered answers: all, or those for one name and what is below it. */
  flush(name?: Domain): Promise<Outcome>;
  /** Put the saved original back, byte for byte, and leave /etc/resolv.conf alone until `takeover`. */
  release(): Promise<Outcome>;
  /** systemd-resolved is about to start: free the addresses of the resolver, and name them nowhere, before it wants them. */
  giveWay(): Promise<Outcome>;
  /** systemd-resolved is about to stop: name no address of its before it goes. */
  standIn(): Promise<Outcome>;
}

/** Names that a configuration may be tried under: those of drop-ins. */
export const TRIED_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,80}\.toml$/;

/** How a command ended: one sentence, and whether it did what was asked. */
export interface Outcome {
  readonly ok: boolean;
  readonly text: string;
}
