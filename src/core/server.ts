import { type Address, formatAddress, parseAddress } from './address.ts';
import { type Domain, parseDomain } from './domain.ts';
import { type Parsed, parsed, refused } from './parsed.ts';

/** One DNS server as it can be asked. */
export interface Server {
  readonly address: Address;
  /** Interface name: where a link-local IPv6 address lives, or the link that any other is to be asked through. */
  readonly zone?: string;
  /** 53 for udp, 853 for tls unless the source said otherwise. */
  readonly port: number;
  readonly protocol: 'udp' | 'tls';
  /** The name its certificate must carry (SNI), if the source gave one. */
  readonly name?: Domain;
}

/**
 * Parse one server in NetworkManager's syntax: `IP`, `IP#name`, `dns+udp://IP[:port]`, `dns+tls://IP[:port][#name]`,
 * IPv6 in brackets in URIs, `%interface` only on link-local addresses. `link` is where a link-local address lives.
 */
export function parseServer(text: string, link?: string): Parsed<Server> {
  if (text.length > 320) return refused(`a server text of ${text.length} bytes`);
  const uri = /^dns\+(udp|tls):\/\/(?:\[([^\]]*)\]|([^:#[\]]*))(?::([0-9]{1,5}))?(?:#(.*))?$/.exec(text);
  if (uri) return parseUri(uri, link);
  if (text.includes('://')) return refused('a scheme other than dns+udp and dns+tls');
  const hash = text.indexOf('#');
  const host = hash < 0 ? text : text.slice(0, hash);
  return build(host, undefined, 'udp', hash < 0 ? undefined : text.slice(hash + 1), link);
}

/**
 * Whether resolv.conf(5) can say this server: port 53, no encryption, no link but a link-local address's. A TLS name is
 * lost there, not wrong.
 */
export const isPlain = (server: Server): boolean =>
  server.protocol === 'udp' && server.port === 53 && linkToAsk(server) === undefined;

/** The link that alone is to be used for a server, where it is one that could be asked through any. */
export const linkToAsk = ({ zone, address: { family, kind } }: Server): string | undefined =>
  family === 6 && kind === 'link-local' ? undefined : zone;

/** systemd-resolved's and our own stub addresses: whoever asked them would ask us or itself again. */
export const isLocalStub = ({ address: { family, bytes } }: Pick<Server, 'address'>): boolean =>
  family === 4 && /^127,0,0,5[34]$/.test(bytes.join(','));

/** The address as resolv.conf(5) and people write it: with `%zone` for link-local IPv6. */
export function formatHost(server: Server): string {
  const address = formatAddress(server.address);
  return server.zone === undefined ? address : `${address}%${server.zone}`;
}

/** The whole server in NetworkManager's syntax; equal servers give equal text, so it serves as a key. */
export function formatServer(server: Server): string {
  const known = texts.get(server);
  if (known !== undefined) return known;
  const text = serverText(server);
  texts.set(server, text);
  return text;
}

/** The resolver looks servers up by their texts for every question. */
const texts = new WeakMap<Server, string>();

function serverText(server: Server): string {
  const name = server.name === undefined ? '' : `#${server.name}`;
  if (isPlain(server)) return `${formatHost(server)}${name}`;
  const host = server.address.family === 6 ? `[${formatHost(server)}]` : formatHost(server);
  return `dns+${server.protocol}://${host}:${server.port}${name}`;
}

function parseUri(match: RegExpExecArray, link: string | undefined): Parsed<Server> {
  const [, protocol, six, four, port, name] = match;
  if (six !== undefined && !six.includes(':'))
    return refused('brackets around something that is no IPv6 address');
  if (protocol === 'udp' && name !== undefined) return refused('a certificate name without TLS');
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65535))
    return refused('a port outside 1 to 65535');
  return build(
    six ?? four ?? '',
    port === undefined ? undefined : Number(port),
    protocol === 'tls' ? 'tls' : 'udp',
    name,
    link,
  );
}

function build(
  host: string,
  port: number | undefined,
  protocol: 'udp' | 'tls',
  nameText: string | undefined,
  link: string | undefined,
): Parsed<Server> {
  const [addressText = '', zoneText] = host.split('%', 2);
  const address = parseAddress(addressText);
  if (!address.ok) return address;
  if (address.value.kind === 'unspecified') return refused('the unspecified address, which no server has');
  if (address.value.kind === 'multicast')
    return refused('a multicast or broadcast address, which no server has');
  const zone = zoneOf(address.value, zoneText, link);
  if (!zone.ok) return zone;
  const name = nameText === undefined ? undefined : parseDomain(nameText);
  if (name !== undefined && !name.ok) return refused(`a certificate name with ${name.reason}`);
  return parsed({
    address: address.value,
    port: port ?? (protocol === 'tls' ? 853 : 53),
    protocol,
    ...(zone.value === undefined ? {} : { zone: zone.value }),
    ...(name === undefined ? {} : { name: name.value }),
  });
}

function zoneOf(
  address: Address,
  zoneText: string | undefined,
  link: string | undefined,
): Parsed<string | undefined> {
  if (address.family === 4 || address.kind !== 'link-local') {
    return zoneText === undefined
      ? parsed(undefined)
      : refused('a zone on an address that is not link-local');
  }
  const zone = zoneText ?? link;
  if (zone === undefined) return refused('a link-local address without the link it lives on');
  if (!/^[A-Za-z0-9_.:@-]{1,15}$/.test(zone)) return refused('a zone that is no interface name');
  return parsed(zone);
}
