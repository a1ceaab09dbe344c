import { type Address, formatAddress } from './address.ts';

/** A network link as the kernel tells it. */
export interface LinkState {
  readonly ifindex: number;
  readonly name: string;
  readonly loopback: boolean;
  /** It carries packets without a link layer, as tun and WireGuard do. */
  readonly tunnel: boolean;
  /** What made it: `veth`, `wireguard`, `tun`, …; absent for hardware. */
  readonly driver?: string;
  /** Somebody has switched it on. */
  readonly up: boolean;
  /** There is somebody on the other end, and it is ready for packets (`carrier`, not dormant). */
  readonly running: boolean;
  /** Bytes of its largest packet; 0 where nobody tells. */
  readonly mtu: number;
  readonly addresses: readonly LinkAddress[];
}

/** An address of a link that may be used. */
export interface LinkAddress {
  readonly address: Address;
  readonly prefixLength: number;
  /** It counts everywhere (RT_SCOPE_UNIVERSE, _SITE), and not on its own link or machine alone. */
  readonly global: boolean;
}

/** A way to everywhere in the main table. */
export interface DefaultRoute {
  readonly family: 4 | 6;
  readonly ifindex: number;
  /** The lowest is taken. */
  readonly metric: number;
  /** Canonical text; absent on links that need none. */
  readonly gateway?: string;
}

/** States of systemd-networkd in which a link may carry traffic (networkctl(1)). */
const CARRIES = ['degraded-carrier', 'degraded', 'routable'];

/**
 * Whether names may be asked over a link, by systemd-resolved's rules: it runs, systemd-networkd has done its part
 * where the link is its, and it has an address that reaches as far as its servers.
 */
export function isRelevant(
  link: LinkState & { readonly managedByNetworkd: boolean; readonly operationalState?: string },
  servers: readonly Address[],
): boolean {
  if (link.loopback || !link.up || !link.running) return false;
  if (link.managedByNetworkd && !CARRIES.includes(link.operationalState ?? '')) return false;
  if (link.addresses.some(({ global }) => global)) return true;
  return link.addresses.length > 0 && servers.some(({ kind }) => kind === 'link-local');
}

/** `192.0.2.7/24`. */
export const formatLinkAddress = ({ address, prefixLength }: LinkAddress): string =>
  `${formatAddress(address)}/${prefixLength}`;

/** Whether two states of a link differ in nothing. */
export const sameLink = (a: LinkState, b: LinkState): boolean => JSON.stringify(a) === JSON.stringify(b);
