import { formatAddress } from './address.ts';
import { readKeyValues, readSettings } from './link-settings-text.ts';
import type { PushedLink, PushedServer, PushedSettings, Pusher } from './pushed-links.ts';
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
  return { settings: readSettings(readKeyValues(text), KEYS), by: readBy(text) };
}

const KEYS = {
  servers: 'SERVERS',
  domains: 'DOMAINS',
  defaultRoute: 'DEFAULT_ROUTE',
  llmnr: 'LLMNR',
  mdns: 'MDNS',
  dnsOverTls: 'DNSOVERTLS',
  dnssec: 'DNSSEC',
  negativeTrustAnchors: 'NTAS',
};

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
