import { type Address, parseAddress } from './address.ts';
import { type Domain, parseDomain } from './domain.ts';
import { type Parsed, parsed, refused } from './parsed.ts';

/** A server as systemd's files write it. */
export interface SystemdServer {
  readonly address: Address;
  /** 0 where none is said. */
  readonly port: number;
  /** The link that it is to be asked through. */
  readonly link?: string;
  /** The name that its certificate must carry. */
  readonly name?: Domain;
}

/** Parse `address[:port][%link][#name]`, IPv6 in brackets before a port (resolved.conf(5), DNS=). */
export function parseSystemdServer(text: string): Parsed<SystemdServer> {
  if (text.length > 320) return refused(`a server text of ${text.length} bytes`);
  const match = /^(?:\[([^\]]+)\]|([^[\]#%]*?))(?::([0-9]{1,5}))?(?:%([^#]+))?(?:#(.+))?$/.exec(
    splitSix(text),
  );
  if (match === null) return refused('no address with perhaps a port, a link and a name');
  const [, six, other = '', portText = '0', link, nameText] = match;
  const address = parseAddress(six ?? other);
  if (!address.ok) return address;
  const port = Number(portText);
  if (port > 65_535 || (port === 0 && match[3] !== undefined)) return refused('a port outside 1 to 65535');
  if (link !== undefined && !/^[A-Za-z0-9_.:@-]{1,15}$/.test(link))
    return refused('a link that is no interface name');
  const name = nameText === undefined ? undefined : parseDomain(nameText);
  if (name !== undefined && !name.ok) return refused(`a certificate name with ${name.reason}`);
  return parsed({
    address: address.value,
    port,
    ...(link === undefined ? {} : { link }),
    ...(name === undefined ? {} : { name: name.value }),
  });
}

/** An IPv6 address without brackets has colons that part no port. */
function splitSix(text: string): string {
  const host = /^[^#%[\]]*/.exec(text)?.[0] ?? '';
  return host.split(':').length > 2 ? `[${host}]${text.slice(host.length)}` : text;
}
