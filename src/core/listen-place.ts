import { type Address, formatAddress, parseAddress } from './address.ts';
import { type Parsed, parsed, refused } from './parsed.ts';

/** An address where the resolver listens beside its own. */
export interface ListenPlace {
  readonly address: Address;
  readonly port: number;
  /** What alone is served there; both where left out. */
  readonly transport?: 'udp' | 'tcp';
}

/** Parse `[udp:|tcp:]IP[:port]`, IPv6 in brackets before a port: DNSStubListenerExtra= of resolved.conf(5). */
export function parseListenPlace(text: string): Parsed<ListenPlace> {
  const [, transport, rest = ''] = /^(?:(udp|tcp):)?(.{0,64})$/.exec(text) ?? [];
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::([0-9]{1,5}))?$/.exec(rest);
  const address = parseAddress(match === null ? rest : (match[1] ?? match[2] ?? ''));
  if (!address.ok) return address;
  const { kind } = address.value;
  // An answer has to come from the address that was asked, which the kernel does not choose by itself.
  if (kind === 'unspecified') return refused('an address that stands for all of them; name each');
  if (kind === 'multicast') return refused('a multicast or broadcast address');
  if (kind === 'link-local' && address.value.family === 6)
    return refused('a link-local address, which names no link');
  const port = Number(match?.[3] ?? DEFAULT_PORT);
  if (port < 1 || port > 65_535) return refused('a port outside 1 to 65535');
  if (isStub(address.value) && port === DEFAULT_PORT)
    return refused('an address where the resolver listens by itself');
  return parsed({
    address: address.value,
    port,
    ...(transport === 'udp' || transport === 'tcp' ? { transport } : {}),
  });
}

const DEFAULT_PORT = 53;

const isStub = (address: Address): boolean => /^127\.0\.0\.5[34]$/.test(formatAddress(address));
