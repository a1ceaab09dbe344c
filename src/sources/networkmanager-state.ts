import type { Connection, GlobalDns, LinkDns, SourceState } from '../core/snapshot.ts';
import {
  configOf,
  DEVICE,
  type Family,
  type Owner,
  ownersOf,
  serversOf,
  shareConfig,
} from './networkmanager-owners.ts';
import { DEFAULT_SETTINGS, type ProfileSettings } from './networkmanager-settings.ts';
import type { NetworkManagerTree, Properties } from './networkmanager-tree.ts';
import {
  addressesOf,
  connectivityOf,
  dictsOf,
  familyOf,
  gatewayOf,
  interfaceOf,
  isDict,
  MOST_VALUES,
  nonEmptyOf,
  numberOf,
  routesOf,
  ssidOf,
  textsOf,
} from './networkmanager-values.ts';

/** What the state depends on besides the mirror. */
export interface Surroundings {
  /** Settings of the profiles read so far, by the path of their Settings.Connection. */
  readonly settings: ReadonlyMap<string, ProfileSettings>;
  ifindexOf(name: string): number | undefined;
  /** The links of the state told last. */
  readonly before: readonly LinkDns[];
}

/** The paths of NetworkManager's two fixed objects. */
export const MANAGER_PATH = '/org/freedesktop/NetworkManager';
const DNS_MANAGER_PATH = '/org/freedesktop/NetworkManager/DnsManager';

/**
 * What NetworkManager's objects say about DNS. A link's DNS is in force when DnsManager.Configuration lists it;
 * servers and priority come from there, everything else from the IP configuration of the device or, for a plugin
 * VPN, of its active connection. Links with search domains but no servers are missing there and are added.
 */
export function deriveState(tree: NetworkManagerTree, surroundings: Surroundings): SourceState {
  const owners = ownersOf(tree);
  const listed = configurationOf(tree).flatMap((entry): Contribution[] => {
    const contribution = contributionOf(entry, owners, tree);
    return contribution === undefined ? [] : [contribution];
  });
  const links = [...listed, ...serverless(owners, listed, tree)];
  const manager = tree.get(MANAGER_PATH, 'org.freedesktop.NetworkManager');
  const global = globalOf(manager['GlobalDnsConfiguration']);
  return {
    links: links.map((link) => stillUp(link, tree, surroundings) ?? linkDnsOf(link, tree, surroundings)),
    ...(global === undefined ? {} : { global }),
    connectivity: connectivityOf(manager['Connectivity']),
  };
}

/** Whether DnsManager lists no link at all, as it does while a fresh NetworkManager has not taken up its devices. */
export const isUnconfigured = (tree: NetworkManagerTree): boolean => configurationOf(tree).length === 0;

/** NetworkManager's priorities where neither the profile nor its configuration has one. */
const PRIORITY = 100;
const VPN_PRIORITY = 50;

/** One dict of DnsManager.Configuration. */
interface Entry {
  readonly interface: string;
  readonly family: Family;
  readonly servers: readonly string[];
  readonly domains: readonly string[];
  readonly priority: number | undefined;
  readonly vpn: boolean;
}

interface Contribution {
  readonly interface: string | undefined;
  readonly family: Family;
  readonly servers: readonly string[];
  readonly domains: readonly string[];
  readonly priority: number;
  readonly vpn: boolean;
  readonly owner: Owner | undefined;
}

function configurationOf(tree: NetworkManagerTree): readonly Entry[] {
  const { Configuration } = tree.get(DNS_MANAGER_PATH, 'org.freedesktop.NetworkManager.DnsManager');
  return dictsOf(Configuration).flatMap((dict): Entry[] => {
    // Without an interface it is the global configuration, read from its own property, or a link that is gone.
    const name = interfaceOf(dict['interface']);
    const servers = textsOf(dict['nameservers']);
    const [first] = servers;
    if (name === undefined || first === undefined) return [];
    return [
      {
        interface: name,
        family: familyOf(first),
        servers,
        domains: textsOf(dict['domains']),
        priority: numberOf(dict['priority']) || undefined,
        vpn: dict['vpn'] === true,
      },
    ];
  });
}

function contributionOf(
  entry: Entry,
  owners: readonly Owner[],
  tree: NetworkManagerTree,
): Contribution | undefined {
  const device = owners.find((owner) => !owner.pluginVpn && owner.interface === entry.interface);
  const tunnel = entry.vpn ? tunnelOf(entry, owners, tree) : undefined;
  if (device?.external && !entry.vpn) return undefined;
  const owner = tunnel ?? (device?.external ? undefined : device);
  return { ...entry, priority: entry.priority ?? (entry.vpn ? VPN_PRIORITY : PRIORITY), owner };
}

/** The plugin VPN behind an entry: by its tunnel's name, else by what its IP configuration says. */
function tunnelOf(entry: Entry, owners: readonly Owner[], tree: NetworkManagerTree): Owner | undefined {
  const named = owners.filter((owner) => owner.interface === entry.interface);
  if (named.some((owner) => owner.active['Type'] === 'wireguard')) return undefined;
  const wanted = JSON.stringify(entry.servers);
  return (
    named.find((owner) => owner.pluginVpn) ??
    owners.find((owner) => {
      const config = configOf(owner, entry.family, tree);
      return owner.pluginVpn && JSON.stringify(serversOf(config, entry.family)) === wanted;
    })
  );
}

/** Search domains and options of links in force that have no servers of the family, not even unlisted ones. */
function serverless(
  owners: readonly Owner[],
  listed: readonly Contribution[],
  tree: NetworkManagerTree,
): readonly Contribution[] {
  return owners.flatMap((owner) =>
    ([4, 6] as const).flatMap((family): Contribution[] => {
      const config = configOf(owner, family, tree);
      const known = listed.some((other) => other.owner === owner && other.family === family);
      if (isBare(config) || known || !owner.inForce || owner.external) return [];
      if (serversOf(config, family).length > 0) return [];
      if (
        !owner.pluginVpn &&
        owners.some((other) => other.pluginVpn && shareConfig(other.configPaths, owner.configPaths))
      )
        return [];
      const vpn = owner.pluginVpn || owner.active['Type'] === 'wireguard';
      const priority = numberOf(config['DnsPriority']) || (vpn ? VPN_PRIORITY : PRIORITY);
      return [{ interface: owner.interface, family, servers: [], domains: [], priority, vpn, owner }];
    }),
  );
}

function linkDnsOf(link: Contribution, tree: NetworkManagerTree, surroundings: Surroundings): LinkDns {
  const { owner, family } = link;
  const config = owner === undefined ? {} : configOf(owner, family, tree);
  const device = tree.get(owner?.devicePath, DEVICE);
  const ifindex = link.interface === undefined ? undefined : surroundings.ifindexOf(link.interface);
  const connection = connectionOf(owner);
  const profile = owner?.active['Connection'];
  const settings = (typeof profile === 'string' && surroundings.settings.get(profile)) || DEFAULT_SETTINGS;
  const ssid = ssidFor(owner, tree);
  return {
    ...(link.interface === undefined ? {} : { interface: link.interface }),
    ...(ifindex === undefined ? {} : { ifindex }),
    family,
    ...(connection === undefined ? {} : { connection }),
    vpn: link.vpn,
    priority: link.priority,
    servers: link.servers,
    // Without an IP configuration what the entry shows has to do, though the bare `~` is missing there.
    searches: owner === undefined ? link.domains : textsOf(config['Searches']),
    domains: textsOf(config['Domains']),
    options: textsOf(config['DnsOptions']),
    addresses: addressesOf(config['AddressData']),
    ...routingOf(config),
    neverDefault: settings.neverDefault[family],
    mdns: settings.mdns,
    llmnr: settings.llmnr,
    dnsOverTls: settings.dnsOverTls,
    dnssec: settings.dnssec,
    connectivity: connectivityOf(device[family === 4 ? 'Ip4Connectivity' : 'Ip6Connectivity']),
    ...(ssid === undefined ? {} : { ssid }),
  };
}

/**
 * A link that is still listed, though its IP configuration was cleared already, is being taken down: until the
 * Configuration goes too, what it had holds, so that no file is written with half of it.
 */
function stillUp(
  link: Contribution,
  tree: NetworkManagerTree,
  { before }: Surroundings,
): LinkDns | undefined {
  const { owner, family, servers } = link;
  // IPv6 configurations never show servers that are URIs, so their absence says nothing.
  if (owner === undefined || !servers.some((server) => !server.includes('://'))) return undefined;
  const config = configOf(owner, family, tree);
  if (serversOf(config, family).length > 0 || !isBare(config)) return undefined;
  return before.find(
    (old) =>
      old.interface === link.interface &&
      old.family === family &&
      JSON.stringify(old.servers) === JSON.stringify(servers),
  );
}

function routingOf(config: Properties): Pick<LinkDns, 'routes' | 'gateway' | 'defaultRoute' | 'metric'> {
  const routes = routesOf(config['RouteData']);
  const gateway = gatewayOf(config['Gateway']);
  const defaults = routes.filter((route) => route.destination.endsWith('/0'));
  const metrics = defaults.flatMap((route) => route.metric ?? []);
  return {
    routes,
    ...(gateway === undefined ? {} : { gateway }),
    defaultRoute: gateway !== undefined || defaults.length > 0,
    ...(metrics.length === 0 ? {} : { metric: Math.min(...metrics) }),
  };
}

function connectionOf(owner: Owner | undefined): Connection | undefined {
  const id = nonEmptyOf(owner?.active['Id']);
  const uuid = nonEmptyOf(owner?.active['Uuid']);
  const type = nonEmptyOf(owner?.active['Type']);
  if (id === undefined || uuid === undefined || type === undefined) return undefined;
  // NetworkManager counts them up and never gives a number twice.
  const activation = owner?.activePath?.split('/').at(-1);
  return { id, uuid, type, ...(activation === undefined ? {} : { activation }) };
}

function ssidFor(owner: Owner | undefined, tree: NetworkManagerTree): string | undefined {
  const radio = tree.get(owner?.devicePath, 'org.freedesktop.NetworkManager.Device.Wireless');
  return ssidOf(tree.get(radio['ActiveAccessPoint'], 'org.freedesktop.NetworkManager.AccessPoint')['Ssid']);
}

/** Whether an IP configuration says nothing about DNS beside servers. */
const isBare = (config: Properties): boolean =>
  ['Searches', 'Domains', 'DnsOptions'].every((key) => textsOf(config[key]).length === 0);

/** An empty dict means that there is none; a key that is present, even empty, puts its section in force. */
function globalOf(value: unknown): GlobalDns | undefined {
  if (!isDict(value) || Object.keys(value).length === 0) return undefined;
  const domains = isDict(value['domains']) ? Object.entries(value['domains']).slice(0, MOST_VALUES) : [];
  return {
    ...(value['searches'] === undefined ? {} : { searches: textsOf(value['searches']) }),
    ...(value['options'] === undefined ? {} : { options: textsOf(value['options']) }),
    domains: Object.fromEntries(
      domains.map(([name, domain]) => [name, isDict(domain) ? textsOf(domain['servers']) : []]),
    ),
  };
}
