import { type Address, formatAddress } from './address.ts';
import { type Domain, ROOT } from './domain.ts';
import type { Knob, LinkDns, Protocols, Snapshot, SourceName, SourceState } from './snapshot.ts';

/** Settings of links that programs push over systemd-resolved's interface, as values. */

/** A server as it was pushed. */
export interface PushedServer {
  readonly address: Address;
  /** 0 for the protocol's own: 53, or 853 with TLS. */
  readonly port: number;
  /** The name its certificate must carry. */
  readonly name?: Domain;
}

/** A domain as it was pushed. */
export interface PushedDomain {
  readonly domain: Domain;
  readonly routingOnly: boolean;
}

/** What can be set on a link; what is absent was not set. */
export interface PushedSettings {
  readonly servers?: readonly PushedServer[];
  readonly domains?: readonly PushedDomain[];
  readonly defaultRoute?: boolean;
  readonly llmnr?: Knob;
  readonly mdns?: Knob;
  readonly dnsOverTls?: Knob;
  readonly dnssec?: Knob;
  readonly negativeTrustAnchors?: readonly Domain[];
}

/** Who pushes. */
export interface Pusher {
  /** For people: `openvpn (pid 812, uid 0)`. */
  readonly name: string;
  /** NetworkManager tells the same as a source of its own: its pushes can be read back, and count for nothing else. */
  readonly mirrored: boolean;
}

/** A link with what was pushed for it. */
export interface PushedLink {
  readonly ifindex: number;
  readonly interface: string;
  /** A tunnel is taken for a VPN: it comes before other links, as NetworkManager has it. */
  readonly tunnel: boolean;
  readonly settings: PushedSettings;
  /** Who set something last. */
  readonly by: Pusher;
}

/** The settings after some of them were set anew. An empty list or `default` takes a setting back. */
export function changeSettings(before: PushedSettings, change: PushedSettings): PushedSettings {
  const merged = { ...before, ...change };
  return Object.fromEntries(
    Object.entries(merged).filter(
      ([, value]) => value !== 'default' && !(Array.isArray(value) && value.length === 0),
    ),
  );
}

/** All pushed links as a source tells them. */
export function pushedState(links: readonly PushedLink[]): SourceState {
  return { links: links.filter(tells).map(linkDns) };
}

/**
 * What is pushed for a link replaces what its own network says of the same: whoever sets the servers of a link does not
 * want the old ones asked as well.
 */
export function withPushed(snapshot: Snapshot): Snapshot {
  const pushed = snapshot['pushed-links']?.links ?? [];
  if (pushed.length === 0) return snapshot;
  const named = new Map(pushed.map((link) => [link.interface, link]));
  const states = Object.entries(snapshot) as [SourceName, SourceState][];
  return Object.fromEntries(
    states.map(([source, state]) =>
      source === 'pushed-links'
        ? [source, state]
        : [source, { ...state, links: state.links.map((link) => under(link, named)) }],
    ),
  );
}

function under(link: LinkDns, pushed: ReadonlyMap<string | undefined, LinkDns>): LinkDns {
  const over = link.interface === undefined ? undefined : pushed.get(link.interface);
  if (over === undefined) return link;
  return {
    ...link,
    ...(over.servers.length > 0 ? { servers: [] } : {}),
    ...(over.searches.length > 0 ? { searches: [], domains: [] } : {}),
    ...(over.neverDefault ? { defaultRoute: false, neverDefault: true } : {}),
  };
}

/** Servers and domains are what a source can tell; a knob alone changes nothing that the plan knows. */
const tells = ({ by, settings }: PushedLink): boolean =>
  !by.mirrored &&
  (settings.servers !== undefined || settings.domains !== undefined || settings.defaultRoute !== undefined);

function linkDns(link: PushedLink): LinkDns {
  const { settings, by } = link;
  return {
    ...settingsAsDns(settings),
    interface: link.interface,
    ifindex: link.ifindex,
    family: 4,
    connection: { id: by.name, uuid: '', type: 'pushed' },
    vpn: link.tunnel,
    priority: link.tunnel ? 50 : 100,
    addresses: [],
    routes: [],
    connectivity: 'unknown',
  };
}

/** What settings say, in the terms of a snapshot. */
export function settingsAsDns(settings: PushedSettings): SettingsAsDns {
  const domains = settings.domains ?? [];
  return {
    servers: (settings.servers ?? []).map((server) => serverText(server, settings.dnsOverTls)),
    searches: domains.map(({ domain, routingOnly }) => (routingOnly ? `~${domain}` : domain)),
    domains: [],
    options: [],
    defaultRoute: settings.defaultRoute ?? takesAllNames(domains),
    neverDefault: settings.defaultRoute === false,
    mdns: settings.mdns ?? 'default',
    llmnr: settings.llmnr ?? 'default',
    dnsOverTls: settings.dnsOverTls ?? 'default',
    dnssec: settings.dnssec ?? 'default',
  };
}

/** As in systemd-resolved: a link that names routing domains takes no others, unless the root is among them. */
export const takesAllNames = (domains: readonly PushedDomain[]): boolean =>
  domains.some(({ domain }) => domain === ROOT) || !domains.some(({ routingOnly }) => routingOnly);

type SettingsAsDns = Protocols &
  Pick<LinkDns, 'servers' | 'searches' | 'domains' | 'options' | 'defaultRoute' | 'neverDefault'>;

/** In NetworkManager's syntax. A port of its own means TLS only where TLS is a must. */
function serverText({ address, port, name }: PushedServer, dnsOverTls: Knob | undefined): string {
  const host = formatAddress(address);
  const sni = name === undefined ? '' : `#${name}`;
  if (port === 0) return `${host}${sni}`;
  const bracketed = address.family === 6 ? `[${host}]` : host;
  return dnsOverTls === 'yes' ? `dns+tls://${bracketed}:${port}${sni}` : `dns+udp://${bracketed}:${port}`;
}
