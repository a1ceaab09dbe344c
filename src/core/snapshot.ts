/**
 * What the sources say, exactly as it is recorded and replayed: plain JSON, raw strings, nothing trusted.
 * core/policy parses every string into a Domain, Server or option, or drops it with a reason.
 */

/** Who can tell us about DNS. */
export type SourceName =
  | 'networkmanager'
  | 'kernel'
  | 'configuration'
  | 'host'
  | 'networkd'
  | 'records'
  | 'pushed-links';

/** NetworkManager's connectivity check of one link and family (NMConnectivityState). */
export type Connectivity = 'unknown' | 'none' | 'portal' | 'limited' | 'full';

/** A per-link protocol knob; `default` means that the source left it open. */
export type Knob = 'default' | 'no' | 'resolve' | 'opportunistic' | 'allow-downgrade' | 'yes';

/** One route of a link; `destination` is a prefix like `10.0.0.0/8` or `::/0`. */
export interface RawRoute {
  readonly destination: string;
  readonly gateway?: string;
  readonly metric?: number;
}

/** The connection (profile) that a link's DNS came from. */
export interface Connection {
  readonly id: string;
  readonly uuid: string;
  /** NetworkManager's type: `802-3-ethernet`, `802-11-wireless`, `wireguard`, `vpn`, … */
  readonly type: string;
  /** Which activation of it: the next one may be another network with the same addresses. */
  readonly activation?: string;
}

/** What a link's profile says of protocols beyond plain DNS. */
export interface Protocols {
  readonly mdns: Knob;
  readonly llmnr: Knob;
  readonly dnsOverTls: Knob;
  readonly dnssec: Knob;
}

/** What a profile says of them that says nothing. */
export const DEFAULT_PROTOCOLS: Protocols = {
  mdns: 'default',
  llmnr: 'default',
  dnsOverTls: 'default',
  dnssec: 'default',
};

/** DNS of one link and one address family from one source. */
export interface LinkDns extends Protocols {
  /** Kernel name of the link; absent when the source knows none (then the entry counts for the whole machine). */
  readonly interface?: string;
  readonly ifindex?: number;
  readonly family: 4 | 6;
  readonly connection?: Connection;
  readonly vpn: boolean;
  /** NetworkManager's dns-priority: lower is better, negative is exclusive, never 0. */
  readonly priority: number;
  /** `1.2.3.4`, `1.2.3.4#name`, `dns+tls://1.2.3.4:853#name`, … (nm-settings(5), `ipv4.dns`). */
  readonly servers: readonly string[];
  /** Search domains; a leading `~` marks a routing-only domain, `~` or `~.` alone the catch-all. */
  readonly searches: readonly string[];
  /** Domains from DHCP option 15 or the VPN; used where there are no searches. */
  readonly domains: readonly string[];
  /** resolv.conf(5) options. */
  readonly options: readonly string[];
  /** Pairs of resolv.conf(5)'s `sortlist`; only resolvconf(8) brings them. */
  readonly sortlist?: readonly string[];
  /** Addresses of the link with prefix length: `192.0.2.7/24`. */
  readonly addresses: readonly string[];
  readonly routes: readonly RawRoute[];
  readonly gateway?: string;
  /** Whether this link and family has a default route in the main table. */
  readonly defaultRoute: boolean;
  /** Metric of that default route; lower wins. */
  readonly metric?: number;
  /** The profile forbids a default route (`ipvX.never-default`). */
  readonly neverDefault: boolean;
  readonly connectivity: Connectivity;
  readonly ssid?: string;
}

/** NetworkManager's [global-dns] (NetworkManager.conf(5)). */
export interface GlobalDns {
  readonly searches?: readonly string[];
  readonly options?: readonly string[];
  /** Servers of each `[global-dns-domain-X]`; `*` stands for all names. */
  readonly domains: Readonly<Record<string, readonly string[]>>;
}

/** The machine's own name, for the search line. */
export interface Host {
  readonly name: string;
  /** Whether the part after the first dot is a public suffix such as `com` or `co.uk`. */
  readonly parentIsPublicSuffix: boolean;
}

/** A default route in the kernel's main table. */
export interface KernelRoute {
  readonly interface: string;
  readonly family: 4 | 6;
  /** The lowest is taken. */
  readonly metric: number;
  readonly gateway?: string;
}

/** All that one source says at one moment; it replaces what the source said before. */
export interface SourceState {
  readonly links: readonly LinkDns[];
  readonly global?: GlobalDns;
  readonly host?: Host;
  /** Connectivity of the whole machine, where the source knows it. */
  readonly connectivity?: Connectivity;
  /** The machine's default routes, whoever made them; only the kernel tells them. */
  readonly routes?: readonly KernelRoute[];
}

/** A source says something new (`state`), or tells how it is (`health`). */
export type SourceEvent =
  | {
      readonly source: SourceName;
      readonly kind: 'state';
      /** What made the source speak, one clause: `DnsManager.Configuration changed`. */
      readonly cause: string;
      readonly state: SourceState;
    }
  | {
      readonly source: SourceName;
      readonly kind: 'health';
      readonly health: SourceHealth;
    };

/**
 * How a source is. `gone` keeps its last state in force (interfaces usually outlive NetworkManager);
 * `absent` means that it was never there.
 */
export interface SourceHealth {
  readonly state: 'starting' | 'running' | 'gone' | 'absent' | 'failed';
  /** One sentence for status: which version, or what is missing and since when. */
  readonly detail: string;
}

/** One line of a recording: when (milliseconds since the epoch) and what. */
export interface RecordedEvent {
  readonly time: number;
  readonly event: SourceEvent;
}

/** The latest state of every source that has spoken. Order of insertion means nothing. */
export type Snapshot = Readonly<Partial<Record<SourceName, SourceState>>>;

/** Fold an event into the snapshot; a health event changes nothing in it. */
export function fold(snapshot: Snapshot, event: SourceEvent): Snapshot {
  return event.kind === 'state' ? { ...snapshot, [event.source]: event.state } : snapshot;
}
