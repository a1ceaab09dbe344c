import type { DaemonControl, Outcome } from '../control/daemon-control.ts';
import type { Config } from '../core/config.ts';
import type { Domain } from '../core/domain.ts';
import type { ProfileChoice } from '../core/profile-choice.ts';
import type { QueryReport } from '../core/query-report.ts';
import type { ResolverView } from '../core/resolver-view.ts';
import type { SourceEvent } from '../core/snapshot.ts';
import type {
  ConfigProblem,
  FileStatus,
  Finding,
  LinkStatus,
  ResolverStatus,
  Status,
} from '../core/status.ts';
import type { ResolvedPresence } from '../core/takeover.ts';
import type { Output } from '../outputs/output.ts';
import type { Source } from '../sources/source.ts';
import type { Clock } from '../system/clock.ts';
import type { Log } from '../system/log.ts';

/** The configuration in force and what is wrong with the files on disk. */
export interface LoadedConfig {
  readonly config: Config;
  readonly files: readonly string[];
  readonly problems: readonly ConfigProblem[];
  /** `config` is what is right in the files, for none were good as a whole since the start. */
  readonly neverGood?: boolean;
}

/** The configuration as it comes and changes. */
export interface Configuration {
  readonly current: LoadedConfig;
  /** Read again; what is bad leaves `config` as it was. */
  reload(): Promise<LoadedConfig>;
  /** Put a file in force as if it were a local drop-in, or with undefined end that. What is bad changes nothing. */
  try(tried: { readonly name: string; readonly text: string } | undefined): Promise<LoadedConfig>;
  /** Make the file that is tried a local drop-in; its path, or undefined where none is tried. */
  keepTried(): Promise<string | undefined>;
}

/** The files under /run as the daemon looks at them. */
export interface PublishedFiles extends Output {
  status(): readonly FileStatus[];
  /** Whether resolv.conf still holds what was applied last. */
  isIntact(): Promise<boolean>;
}

/** The keeper of /etc/resolv.conf as the daemon steers it. */
export interface LinkKeeper extends Output {
  status(): LinkStatus;
  onStatus(listener: (status: LinkStatus) => void): () => void;
  takeover(): Promise<Outcome>;
  release(): Promise<Outcome>;
  /** Somebody wrote into the published file, which is put right next. */
  writtenThrough(): Promise<void>;
  /** Whether systemd-resolved runs, which has /etc/resolv.conf before us. */
  resolved(presence: ResolvedPresence): Promise<void>;
}

/** The local resolver as the daemon steers it. */
export interface NameService extends Output {
  status(): ResolverStatus;
  onStatus(listener: (status: ResolverStatus) => void): () => void;
  /** The files are written, and list this address of the resolver's or none. */
  filesName(nameserver: string | undefined): void;
  /** systemd-resolved is about to start: free its addresses, for a while; resolves when they are free. */
  giveWay(): Promise<void>;
  /** systemd-resolved is about to end while a file names its address. */
  standReady(): void;
  /** From now on no file may name it; it goes on answering until it is closed. */
  standDown(): void;
  query(name: Domain, type: string, signal: AbortSignal): Promise<QueryReport>;
  /** Forget remembered answers; how many. */
  flush(name?: Domain): number;
  readonly view: ResolverView;
}

/** Everything a daemon is made of; `wiring` builds the real ones, tests their own. */
export interface DaemonParts {
  readonly sources: readonly Source[];
  /** Makes the files' output; `written` hears of every change of resolv.conf. */
  readonly files: (written: (before: string, after: string) => void) => PublishedFiles;
  readonly link: LinkKeeper;
  /** What is applied last, and stands in nobody's way when it fails. */
  readonly others: readonly Output[];
  readonly resolver: NameService;
  readonly configuration: Configuration;
  readonly clock: Clock;
  readonly log: Log;
  readonly about: Pick<Status, 'version' | 'pid' | 'mode' | 'root'>;
  /** What the adapters found wrong with the machine, beside what the daemon sees itself. */
  readonly findings: () => readonly Finding[];
  /** Resident memory of this process in bytes. */
  readonly residentBytes: () => number;
  /** The profile that was chosen by hand, kept over a restart. */
  readonly profileChoice: {
    readonly first: ProfileChoice | undefined;
    save(choice: ProfileChoice | undefined): void;
  };
  /** Every event that a source tells, before it is folded in; --record writes them down. */
  readonly onEvent?: (event: SourceEvent) => void;
}

/** A running daemon: its control, and its life cycle. */
export interface Daemon extends DaemonControl {
  /** The same as `DaemonControl.reload`, for SIGHUP and file changes; `cause` is told in the history. */
  reloadFor(cause: string): Promise<Outcome>;
  /** Look at the files again and repair them, after a resume for example. */
  recheck(cause: string): void;
  /** The published file may have been touched: repair it unless it is as we left it. */
  checkFile(): Promise<void>;
  /** Fold in an event as if a source had told it. */
  tell(event: SourceEvent): void;
  /** Resolves when the files were in force for the first time. */
  readonly ready: Promise<void>;
  /** Resolves when every source has said something and what they said is no longer held back. */
  readonly spoken: Promise<void>;
  /** Resolves when nothing waits to be decided or applied. */
  idle(): Promise<void>;
  /** The same, and also for what a storm of changes holds back for a moment. */
  settled(): Promise<void>;
  /** Stop the sources, leave files and link in place; the resolver too where `another process` takes its sockets. */
  close(next?: 'nobody' | 'another process'): Promise<void>;
}
