import { formatAddress } from './address.ts';
import { type Domain, ROOT } from './domain.ts';
import { linkToAsk, type Server } from './server.ts';

/** Who asks the networks' servers: we ourselves, or another resolver that we start and steer. */
export type BackEndKind = 'builtin' | 'dnsmasq' | 'unbound';

/** How another resolver that asks for us is doing. */
export interface BackEndStatus {
  readonly kind: Exclude<BackEndKind, 'builtin'>;
  /** `starting`: not yet; `carrying`: names go through it; `unfit`: it cannot do what the plan says; `failed`. */
  readonly state: 'starting' | 'carrying' | 'unfit' | 'failed';
  /** One sentence: why, and what holds meanwhile. */
  readonly reason: string;
  /** Its own words for what it is, once it has told. */
  readonly version?: string;
  /** How often it was started in this run of the daemon. */
  readonly starts: number;
}

/** One server as another resolver is to ask it. */
export interface ZoneServer {
  readonly server: Server;
  /** Kernel name of the link that its network is on. */
  readonly link?: string;
  readonly encryption: 'no' | 'opportunistic' | 'yes';
}

/** Names under a domain and who is asked for them; the longest domain decides. */
export interface Zone {
  readonly domain: Domain;
  readonly servers: readonly ZoneServer[];
  /** A network with a captive portal is among those asked. */
  readonly behindPortal: boolean;
}

/**
 * Where another resolver listens. A port that only root may take, so that nobody else answers there while it is gone, and
 * an address that no file names.
 */
export const BACK_END: Server = {
  address: { family: 4, bytes: [127, 0, 0, 55], kind: 'loopback' },
  port: 53,
  protocol: 'udp',
};

/** Why another resolver cannot do what these zones say, as a clause; undefined where it can. */
export function whyUnfit(kind: BackEndStatus['kind'], zones: readonly Zone[]): string | undefined {
  const servers = zones.flatMap((zone) => zone.servers);
  if (zones.some((zone) => zone.behindPortal))
    return 'a captive portal is in the way, which it knows nothing of';
  if (servers.some(({ server }) => formatAddress(server.address) === formatAddress(BACK_END.address)))
    return `a network names ${formatAddress(BACK_END.address)}, where it listens itself`;
  const encrypted = servers.filter(({ encryption }) => encryption === 'yes');
  if (kind === 'dnsmasq')
    return encrypted.length > 0 ? 'dnsmasq cannot ask over TLS, which a network asks for' : undefined;
  if (encrypted.some(({ server }) => server.name === undefined))
    return 'unbound checks certificates by name alone, and a server that is to be asked over TLS has none';
  if (mixesEncryption(zones))
    return 'unbound asks all servers of a domain over TLS or none, and here they differ';
  const twice = onTwoLinks(servers);
  return twice === undefined
    ? undefined
    : `unbound cannot ask ${twice} over two links, and two networks have a server of that address`;
}

/** What dnsmasq's SetServersEx takes: a server and its domains in each row; no domain stands for all names. */
export function dnsmasqServers(zones: readonly Zone[]): readonly (readonly string[])[] {
  const domains = new Map<string, Set<Domain>>();
  for (const { domain, servers } of zones)
    for (const server of servers) {
      const text = dnsmasqServer(server);
      domains.set(text, (domains.get(text) ?? new Set()).add(domain));
    }
  return [...domains].flatMap(([server, names]) => {
    const below = [...names].filter((name) => name !== ROOT);
    return [...(names.has(ROOT) ? [[server]] : []), ...(below.length > 0 ? [[server, ...below]] : [])];
  });
}

/**
 * What unbound-control(8) is to be told so that unbound does what `after` says, where it did what `before` says. Names of
 * a domain that changed are forgotten. The root goes nowhere when nobody has it: unbound would ask the Internet's roots.
 */
export function unboundCommands(before: readonly Zone[], after: readonly Zone[]): readonly string[] {
  const [old, wanted] = [forwards(before), forwards(after)];
  const gone = [...old.keys()].filter((zone) => !wanted.has(zone));
  const changed = [...wanted].filter(([zone, forward]) => old.get(zone) !== forward);
  if (gone.length + changed.length === 0) return [];
  return [
    ...gone.map((zone) => `forward_remove +i ${zone}`),
    ...changed.map(([, forward]) => forward),
    ...[...gone, ...changed.map(([zone]) => zone)].map((zone) => `flush_zone ${zone}`),
    'flush_requestlist',
  ];
}

/** Where nobody answers: unbound is told never to ask there (`do-not-query-address`). */
export const NOWHERE = '127.255.255.254';

/** Forward zones by their name, each as the command that makes it. */
function forwards(zones: readonly Zone[]): ReadonlyMap<string, string> {
  const made = new Map<string, string>([['.', `forward_add . ${NOWHERE}`]]);
  for (const { domain, servers } of zones) {
    const zone = domain === ROOT ? '.' : `${domain}.`;
    const tls = servers.some(({ encryption }) => encryption === 'yes');
    // Names of a network of its own are seldom signed, even where the names above them are: `i` takes them as they come.
    const flags = `${domain === ROOT ? '' : 'i'}${tls ? 't' : ''}`;
    const addresses = new Set(servers.map(({ server }) => unboundServer(server, tls)));
    made.set(zone, `forward_add ${flags === '' ? '' : `+${flags} `}${zone} ${[...addresses].join(' ')}`);
  }
  return made;
}

/** `IP#port@link`; the zone of a link-local address says its link already. */
function dnsmasqServer({ server, link }: ZoneServer): string {
  const { address, port, zone } = server;
  const linkLocal = address.family === 6 && address.kind === 'link-local';
  const through = linkToAsk(server) ?? link;
  const at = linkLocal || through === undefined || address.kind === 'loopback' ? '' : `@${through}`;
  return `${formatAddress(address)}${linkLocal ? `%${zone ?? link ?? ''}` : ''}#${port}${at}`;
}

/** `IP@port#name`, as in unbound.conf(5). */
function unboundServer({ address, port, zone, name, protocol }: Server, tls: boolean): string {
  const host = `${formatAddress(address)}${zone !== undefined && address.kind === 'link-local' ? `%${zone}` : ''}`;
  const at = tls && protocol === 'udp' && port === 53 ? 853 : port;
  return `${host}@${at}${tls && name !== undefined ? `#${name}` : ''}`;
}

const mixesEncryption = (zones: readonly Zone[]): boolean =>
  zones.some(({ servers }) => new Set(servers.map(({ encryption }) => encryption === 'yes')).size > 1);

/** An address that is to be asked over two links. */
function onTwoLinks(servers: readonly ZoneServer[]): string | undefined {
  const links = new Map<string, string | undefined>();
  for (const { server, link } of servers) {
    if (server.address.kind === 'link-local' || server.address.kind === 'loopback') continue;
    const address = formatAddress(server.address);
    const through = linkToAsk(server) ?? link;
    if (links.has(address) && links.get(address) !== through) return address;
    links.set(address, through);
  }
  return undefined;
}
