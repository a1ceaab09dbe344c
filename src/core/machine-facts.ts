import type { ResolverStatus } from './status.ts';

/** What /etc/resolv.conf is, as far as it can be seen without changing anything. */
export interface ResolvConfFacts {
  readonly kind: 'missing' | 'file' | 'link' | 'other';
  /** Text of the link. */
  readonly linkText?: string;
  /** Where it leads in the end; absent when it leads nowhere. */
  readonly target?: string;
  /** Absent when it cannot be read. */
  readonly content?: string;
  /** Absent when it cannot be found out. */
  readonly immutable?: boolean;
  readonly bindMount: boolean;
  /** Whether the folder it stands in is on a read-only file system. */
  readonly readOnlyFolder: boolean;
}

/** A program that listens on port 53. */
export interface ListenerFacts {
  readonly protocol: 'udp' | 'tcp';
  readonly address: string;
  /** Absent when only root may see it. */
  readonly process?: string;
  /** The systemd unit that it belongs to: `dnsmasq.service`. */
  readonly unit?: string;
}

/** How one server took one question. */
export interface ProbeFacts {
  readonly server: string;
  readonly outcome: 'answered' | 'refused' | 'timeout' | 'unreachable';
  /** The answer's code, or the system's error code. */
  readonly detail: string;
}

/** The local resolver of a running daemon. */
export interface ResolverFacts {
  readonly status: ResolverStatus;
  /** Absent when it was not asked. */
  readonly probe?: ProbeFacts;
}

/** `holding`: it means to keep /etc/resolv.conf its link; `watching`: it leaves the file alone, and status says why. */
export type DaemonPresence = 'absent' | 'holding' | 'watching';

/** All that `dnsctl doctor` looks at; core/findings judges it. */
export interface MachineFacts {
  readonly resolvConf: ResolvConfFacts;
  /** The file that our link leads to. */
  readonly ourFile: string;
  readonly originalSaved: boolean;
  /** The `hosts:` line of nsswitch.conf without its keyword; absent when there is none. */
  readonly nsswitchHosts?: string;
  /** Names of running programs that are known to write /etc/resolv.conf. */
  readonly writers: readonly string[];
  readonly listeners: readonly ListenerFacts[];
  /** Absent when no probes were wanted. */
  readonly probes?: readonly ProbeFacts[];
  /** `main.dns` and `main.rc-manager` as the last of NetworkManager's files sets them. */
  readonly networkManager: { readonly dns?: string; readonly rcManager?: string };
  readonly appArmor: { readonly enabled: boolean; readonly dropIn: boolean };
  readonly docker: boolean;
  /** Absent outside WSL. */
  readonly wsl?: { readonly generates: boolean };
  readonly daemon: DaemonPresence;
  /** Absent without a daemon. */
  readonly resolver?: ResolverFacts;
  /** What could not be looked at, and why. */
  readonly unseen: readonly string[];
}
