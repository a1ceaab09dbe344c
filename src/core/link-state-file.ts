import { formatAddress, parseAddress } from './address.ts';
import { type Domain, parseDomain, ROOT } from './domain.ts';
import type { PushedDomain, PushedLink, PushedServer, PushedSettings, Pusher } from './pushed-links.ts';
import type { Knob } from './snapshot.ts';
import { printable } from './text.ts';

/**
 * What was set on a link, as systemd-resolved keeps it in /run/systemd/resolve/netif/IFINDEX: `KEY=value` lines. It
 * reads the files when it starts and leaves them when it stops, so that settings outlive a change from one to the other.
 */

/** The file of a link. Who set it stands in a comment, which systemd-resolved passes over. */
export function formatLinkState({ settings, by }: PushedLink): string {
  const { servers = [], domains = [], negativeTrustAnchors = [] } = settings;
  const rows: (readonly [string, string | undefined])[] = [
    ['LLMNR', settings.llmnr],
    ['MDNS', settings.mdns],
    ['DNSSEC', settings.dnssec],
    ['DNSOVERTLS', settings.dnsOverTls],
    ['DEFAULT_ROUTE', settings.defaultRoute === undefined ? undefined : settings.defaultRoute ? 'yes' : 'no'],
    ['SERVERS', servers.map(serverText).join(' ')],
    ['DOMAINS', domains.map(({ domain, routingOnly }) => `${routingOnly ? '~' : ''}${domain}`).join(' ')],
    ['NTAS', negativeTrustAnchors.join(' ')],
  ];
  const lines = rows.flatMap(([key, value]) =>
    value === undefined || value === '' ? [] : [`${key}=${value}`],
  );
  return ['# This is private data. Do not parse.', `${byLine(by)}`, ...lines, ''].join('\n');
}

/** Settings from the file of a link; what is no good value is passed over, as systemd-resolved does. */
export function parseLinkState(text: string): { readonly settings: PushedSettings; readonly by: Pusher } {
  const values = new Map<string, string>();
  for (const line of text.split('\n').slice(0, MOST_LINES)) {
    const match = /^([A-Z_]+)=(.*)$/.exec(line);
    if (match) values.set(match[1] ?? '', unquote(match[2] ?? ''));
  }
  const words = (key: string): readonly string[] =>
    (values.get(key) ?? '').split(/\s+/).filter((word) => word !== '');
  const knob = (key: string, known: readonly Knob[]): Knob | undefined =>
    known.find((word) => word === values.get(key));
  const settings = {
    servers: words('SERVERS').slice(0, MOST_SERVERS).flatMap(readServer),
    domains: words('DOMAINS').slice(0, MOST_DOMAINS).flatMap(readDomain),
    negativeTrustAnchors: words('NTAS').slice(0, MOST_ANCHORS).flatMap(readAnchor),
    llmnr: knob('LLMNR', ['yes', 'no', 'resolve']),
    mdns: knob('MDNS', ['yes', 'no', 'resolve']),
    dnsOverTls: knob('DNSOVERTLS', ['yes', 'no', 'opportunistic']),
    dnssec: knob('DNSSEC', ['yes', 'no', 'allow-downgrade']),
    defaultRoute: { yes: true, no: false }[values.get('DEFAULT_ROUTE') ?? ''],
  };
  const given = Object.entries(settings).filter(
    ([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
  );
  return { settings: Object.fromEntries(given), by: readBy(text) };
}

const MOST_LINES = 64;
const MOST_SERVERS = 256;
const MOST_DOMAINS = 1024;
const MOST_ANCHORS = 2048;

const BY = '# Set by ';
const MIRRORED = ' (told by NetworkManager itself)';

const byLine = ({ name, mirrored }: Pusher): string =>
  `${BY}${printable(name, 60)}${mirrored ? MIRRORED : ''}`;

function readBy(text: string): Pusher {
  const line = text.split('\n').find((each) => each.startsWith(BY));
  if (line === undefined) return { name: 'a program, through systemd-resolved', mirrored: false };
  const mirrored = line.endsWith(MIRRORED);
  const name = line.slice(BY.length, mirrored ? -MIRRORED.length : undefined);
  return { name: printable(name, 60), mirrored };
}

/** `address[:port][#name]`, IPv6 in brackets before a port. */
function serverText({ address, port, name }: PushedServer): string {
  const text = formatAddress(address);
  const host = port !== 0 && address.family === 6 ? `[${text}]` : text;
  return `${host}${port === 0 ? '' : `:${port}`}${name === undefined ? '' : `#${name}`}`;
}

function readServer(text: string): readonly PushedServer[] {
  const match = /^(?:\[([^\]]+)\]|([^[\]#%]*?))(?::(\d{1,5}))?(?:%[^#]+)?(?:#(.+))?$/.exec(splitSix(text));
  const address = parseAddress(match?.[1] ?? match?.[2] ?? '');
  const name = match?.[4] === undefined ? undefined : parseDomain(match[4]);
  const port = Number(match?.[3] ?? 0);
  if (!address.ok || (name !== undefined && !name.ok) || port > 65535) return [];
  return [{ address: address.value, port, ...(name === undefined ? {} : { name: name.value }) }];
}

/** An IPv6 address without brackets has colons that part no port. */
function splitSix(text: string): string {
  const host = /^[^#%[\]]*/.exec(text)?.[0] ?? '';
  return host.split(':').length > 2 ? `[${host}]${text.slice(host.length)}` : text;
}

function readDomain(text: string): readonly PushedDomain[] {
  const routingOnly = text.startsWith('~');
  const domain = parseDomain(routingOnly ? text.slice(1) : text);
  return domain.ok && (routingOnly || domain.value !== ROOT) ? [{ domain: domain.value, routingOnly }] : [];
}

function readAnchor(text: string): readonly Domain[] {
  const domain = parseDomain(text);
  return domain.ok ? [domain.value] : [];
}

/** systemd quotes a value that holds more than one word. */
const unquote = (text: string): string => /^"(.*)"$/.exec(text)?.[1] ?? text;
