import type { Domain } from './domain.ts';
import type { ProfileUse } from './profiles.ts';
import type { ResolvOption } from './resolv-option.ts';
import type { Server } from './server.ts';
import type { Connection, Connectivity, Protocols, SourceName } from './snapshot.ts';

/** Where a value of the plan came from. */
export interface Origin {
  readonly source: SourceName;
  readonly interface?: string;
  readonly ifindex?: number;
  readonly connection?: Connection;
  readonly vpn: boolean;
  readonly priority: number;
  /** The file of the configuration that names it. */
  readonly file?: string;
  /** Name of the profile of the configuration that changed it. */
  readonly profile?: string;
}

/** A value that was chosen, where it came from and the reason in one sentence. */
export interface Choice<T> {
  readonly value: T;
  readonly origin: Origin;
  readonly reason: string;
}

/** Something a source said that is not in the plain file, and why. The text is clean: printable ASCII, bounded. */
export interface LeftOut {
  readonly what: 'server' | 'search' | 'option' | 'sortlist' | 'route';
  readonly text: string;
  readonly origin: Origin;
  readonly reason: string;
}

/** One route of names for the resolver: names under `domain` go to the servers of `link`. */
export interface NameRoute {
  /** `.` is the catch-all. */
  readonly domain: Domain;
  /** `search`: also a search domain; `routing`: `~` domain; `reverse`: zone of an address range. */
  readonly kind: 'search' | 'routing' | 'catch-all' | 'reverse';
  /** `key` of the PlanLink that answers. */
  readonly link: string;
  /** No name below it may be asked anywhere else. */
  readonly exclusive: boolean;
  readonly reason: string;
}

/** Everything the plan holds about one link (both families together), for status and for the resolver. */
export interface PlanLink extends Protocols {
  /** Stable within one plan: interface name, or the source's name where there is no interface. */
  readonly key: string;
  readonly origin: Origin;
  readonly servers: readonly Choice<Server>[];
  readonly searches: readonly Domain[];
  readonly routing: readonly Domain[];
  readonly reverse: readonly Domain[];
  /** It answers for names that no route claims (systemd-resolved's DefaultRoute). */
  readonly defaultRoute: boolean;
  readonly exclusive: boolean;
  /** Empty when in force; otherwise the reason why nothing of this link is used in the plain file. */
  readonly unused?: string;
  readonly connectivity: Connectivity;
  readonly ssid?: string;
  readonly gateways: readonly string[];
}

/** The decision: what goes into the files, what the resolver would do, and why. */
export interface Plan {
  /** At most three, for the plain file, in order. */
  readonly nameservers: readonly Choice<Server>[];
  /** Every real server that may be asked for any name, in order; more than three are possible. */
  readonly upstream: readonly Choice<Server>[];
  readonly search: readonly Choice<Domain>[];
  readonly options: readonly Choice<ResolvOption>[];
  /** Pairs of resolv.conf(5)'s `sortlist`; absent where nobody has one. */
  readonly sortlist?: readonly Choice<string>[];
  readonly leftOut: readonly LeftOut[];
  /** How many left-out entries were not listed, because the list is bounded. */
  readonly leftOutMore: number;
  readonly links: readonly PlanLink[];
  readonly routes: readonly NameRoute[];
  /** What the plain file cannot express, one sentence each; empty when resolv.conf(5) says it all. */
  readonly inexpressible: readonly string[];
  /** What became of each profile of the configuration, in its order. */
  readonly profiles: readonly ProfileUse[];
}
