import { DEFAULT_PROTOCOLS, type LinkDns, type Snapshot, type SourceState } from '../../src/core/snapshot.ts';

/** A link with nothing on it; tests say only what matters to them. */
export function link(fields: Partial<LinkDns> = {}): LinkDns {
  return {
    interface: 'eth0',
    ifindex: 2,
    family: 4,
    connection: { id: 'Home', uuid: '00000000-0000-4000-8000-000000000001', type: '802-3-ethernet' },
    vpn: false,
    priority: 100,
    servers: [],
    searches: [],
    domains: [],
    options: [],
    addresses: [],
    routes: [],
    defaultRoute: true,
    metric: 100,
    neverDefault: false,
    ...DEFAULT_PROTOCOLS,
    connectivity: 'full',
    ...fields,
  };
}

/** A VPN link for its own domains or, with `defaultRoute`, for everything. */
export function vpn(fields: Partial<LinkDns> = {}): LinkDns {
  return link({
    interface: 'tun0',
    ifindex: 7,
    connection: { id: 'Work', uuid: '00000000-0000-4000-8000-000000000002', type: 'vpn' },
    vpn: true,
    priority: 50,
    defaultRoute: false,
    ...fields,
  });
}

/** A snapshot in which NetworkManager says these links. */
export const snapshotOf = (links: readonly LinkDns[], more: Partial<SourceState> = {}): Snapshot => ({
  networkmanager: { links, ...more },
});
