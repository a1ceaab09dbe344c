import { readFileSync } from 'node:fs';

/** NetworkManager's objects with plain values: path, interface, property. */
export type PlainObjects = Readonly<
  Record<string, Readonly<Record<string, Readonly<Record<string, unknown>>>>>
>;

const NM = 'org.freedesktop.NetworkManager';
const ROOT = '/org/freedesktop/NetworkManager';

/** Path of an object: `at('Devices/2')`; without an argument the manager's own. */
export const at = (path = ''): string => (path === '' ? ROOT : `${ROOT}/${path}`);

/** The manager and the DNS manager as they are with nothing connected. */
export const idle = (manager: Readonly<Record<string, unknown>> = {}): PlainObjects => ({
  [at()]: {
    [NM]: { Version: '1.42.4', Startup: false, Connectivity: 4, GlobalDnsConfiguration: {}, ...manager },
  },
  [at('DnsManager')]: { [`${NM}.DnsManager`]: { Mode: 'default', RcManager: 'symlink', Configuration: [] } },
});

/** What a connected device is made of. */
export interface DeviceParts {
  readonly number: number;
  readonly interface: string;
  readonly type?: string;
  readonly id?: string;
  readonly state?: number;
  readonly stateFlags?: number;
  readonly profileFlags?: number;
  readonly ip4?: Readonly<Record<string, unknown>>;
  readonly ip6?: Readonly<Record<string, unknown>>;
  readonly device?: Readonly<Record<string, unknown>>;
}

/** A device with its active connection, profile and IP configurations, all numbered alike. */
export function device(parts: DeviceParts): PlainObjects {
  const { number, type = '802-3-ethernet', id = `profile ${number}` } = parts;
  const configs = { Ip4Config: at(`IP4Config/${number}`), Ip6Config: at(`IP6Config/${number}`) };
  return {
    [at(`Devices/${number}`)]: {
      [`${NM}.Device`]: {
        Interface: parts.interface,
        IpInterface: parts.interface,
        State: parts.state ?? 100,
        ActiveConnection: at(`ActiveConnection/${number}`),
        ...configs,
        Ip4Connectivity: 4,
        Ip6Connectivity: 1,
        ...parts.device,
      },
    },
    [at(`ActiveConnection/${number}`)]: {
      [`${NM}.Connection.Active`]: {
        Connection: at(`Settings/${number}`),
        Id: id,
        Uuid: uuid(number),
        Type: type,
        State: 2,
        StateFlags: parts.stateFlags ?? 0x4c,
        Vpn: false,
        ...configs,
      },
    },
    [at(`Settings/${number}`)]: { [`${NM}.Settings.Connection`]: { Flags: parts.profileFlags ?? 0 } },
    ...ipConfigs(number, parts.ip4, parts.ip6),
  };
}

/** A plugin VPN with its profile and IP configurations; its tunnel is an external device of its own. */
export function pluginVpn(
  parts: Omit<DeviceParts, 'interface' | 'device' | 'type'> & { state?: number },
): PlainObjects {
  const { number } = parts;
  return {
    [at(`ActiveConnection/${number}`)]: {
      [`${NM}.Connection.Active`]: {
        Connection: at(`Settings/${number}`),
        Id: parts.id ?? `vpn ${number}`,
        Uuid: uuid(number),
        Type: 'vpn',
        State: parts.state ?? 2,
        StateFlags: 0,
        Vpn: true,
        Ip4Config: at(`IP4Config/${number}`),
        Ip6Config: at(`IP6Config/${number}`),
      },
      [`${NM}.VPN.Connection`]: { VpnState: 5 },
    },
    [at(`Settings/${number}`)]: { [`${NM}.Settings.Connection`]: { Flags: 0 } },
    ...ipConfigs(number, parts.ip4, parts.ip6),
  };
}

/** The identifier that object number `number` carries. */
export const uuid = (number: number): string => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;

/** One dict of DnsManager.Configuration. */
export const entry = (
  interfaceName: string,
  nameservers: readonly string[],
  more: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> => ({
  nameservers,
  interface: interfaceName,
  priority: 100,
  vpn: false,
  ...more,
});

/** The DNS manager with these entries. */
export const configuration = (...entries: readonly Readonly<Record<string, unknown>>[]): PlainObjects => ({
  [at('DnsManager')]: {
    [`${NM}.DnsManager`]: { Mode: 'default', RcManager: 'symlink', Configuration: entries },
  },
});

/** A value that `busctl --json` printed, with variants as `{ signature, value }`. */
export function fromBusctl(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromBusctl);
  if (typeof value !== 'object' || value === null) return value;
  const { type, data, ...rest } = value as { type?: unknown; data?: unknown };
  if (typeof type === 'string' && data !== undefined && Object.keys(rest).length === 0)
    return { signature: type, value: fromBusctl(data) };
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fromBusctl(item)]));
}

/** A recording of a real NetworkManager from test/fixtures. */
export const recorded = (file: string): string =>
  readFileSync(new URL(`../fixtures/networkmanager/${file}`, import.meta.url), 'utf8');

function ipConfigs(
  number: number,
  ip4: Readonly<Record<string, unknown>> = {},
  ip6: Readonly<Record<string, unknown>> = {},
): PlainObjects {
  const empty = {
    AddressData: [],
    Gateway: '',
    RouteData: [],
    Domains: [],
    Searches: [],
    DnsOptions: [],
    DnsPriority: 100,
  };
  return {
    [at(`IP4Config/${number}`)]: { [`${NM}.IP4Config`]: { ...empty, NameserverData: [], ...ip4 } },
    [at(`IP6Config/${number}`)]: { [`${NM}.IP6Config`]: { ...empty, Nameservers: [], ...ip6 } },
  };
}
