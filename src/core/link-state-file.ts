import { formatAddress } from './address.ts';
import { readKeyValues, readSettings } from './link-settings-text.ts';
import type { PushedLink, PushedServer, PushedSettings, Pusher } from './pushed-links.ts';
import { printable } from './text.ts';

/**
 * What was set on a link, as systemd-resolved keeps it in /run/systemd/resolve/netif/IFINDEX: `KEY=value` lines. It
 * reads the files when it starts and leaves them when it stops, so that settings outlive a change from one to the other.
 */

/**
 * The file of a link. Its name and who set it stand in comments, which systemd-resolved passes over: the kernel gives the
 * number of a link that is gone to another one.
 */
export function formatLinkState({ interface: name, settings, by }: PushedLink): string {
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
  const head = ['# This is private data. Do not parse.', `${LINK}${printable(name, 60)}`, byLine(by)];
  return [...head, ...lines, ''].join('\n');
}

/** What the file of a link says. */
export interface LinkStateFile {
  /** The link it was written for, where it says so: systemd-resolved's own files do not. */
  readonly interface?: string;
  readonly settings: PushedSettings;
  readonly by: Pusher;
}

/** Settings from the file of a link; what is no good value is passed over, as systemd-resolved does. */
export function parseLinkState(text: string): LinkStateFile {
  const name = commentOf(text, LINK);
  return {
    ...(name === undefined ? {} : { interface: name }),
    settings: readSettings(readKeyValues(text), KEYS),
    by: readBy(text),
  };
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

const LINK = '# Link ';
const BY = '# Set by ';
const MIRRORED = ' (told by NetworkManager itself)';

const byLine = ({ name, mirrored }: Pusher): string =>
  `${BY}${printable(name, 60)}${mirrored ? MIRRORED : ''}`;

function readBy(text: string): Pusher {
  const comment = commentOf(text, BY);
  if (comment === undefined) return { name: 'a program, through systemd-resolved', mirrored: false };
  const mirrored = comment.endsWith(MIRRORED);
  const name = mirrored ? comment.slice(0, -MIRRORED.length) : comment;
  return { name: printable(name, 60), mirrored };
}

/** What stands behind the words that a comment begins with; comments come first. */
function commentOf(text: string, words: string): string | undefined {
  return text
    .split('\n', 16)
    .find((line) => line.startsWith(words))
    ?.slice(words.length);
}

/** `address[:port][#name]`, IPv6 in brackets before a port. */
function serverText({ address, port, name }: PushedServer): string {
  const text = formatAddress(address);
  const host = port !== 0 && address.family === 6 ? `[${text}]` : text;
  return `${host}${port === 0 ? '' : `:${port}`}${name === undefined ? '' : `#${name}`}`;
}
