import type { BusSignal } from '../system/bus.ts';
import { MOST_VALUES } from './networkmanager-values.ts';

/** Properties of one interface of one object, as they arrived: nothing in them is checked yet. */
export type Properties = Readonly<Record<string, unknown>>;

/** A mirror of NetworkManager's objects: only the interfaces and properties that DNS depends on. */
export interface NetworkManagerTree {
  /** Properties of an interface of an object; empty when there is no such object or interface. */
  get(path: unknown, interfaceName: InterfaceName): Properties;
  /** Paths of all objects with this interface, sorted. */
  paths(interfaceName: InterfaceName): readonly string[];
  /** Replace everything by a reply of GetManagedObjects. */
  load(objects: unknown): void;
  /** Take a signal in; tells what changed, one clause, or undefined when nothing that matters did. */
  apply(signal: BusSignal): string | undefined;
  /** How many objects were not taken in and lists cut because a bound was reached. */
  readonly dropped: number;
}

/** An empty mirror that holds at most `most` objects. */
export function createTree(most = 20_000): NetworkManagerTree {
  const objects = new Map<string, Map<string, Record<string, unknown>>>();
  let dropped = 0;

  const take = (name: InterfaceName, properties: unknown): Record<string, unknown> => {
    const kept = pick(name, properties);
    for (const [key, value] of Object.entries(kept)) {
      if (!Array.isArray(value) || value.length <= MOST_VALUES) continue;
      kept[key] = value.slice(0, MOST_VALUES);
      dropped++;
    }
    return kept;
  };
  const add = (path: string, interfaces: unknown): string | undefined => {
    let clause: string | undefined;
    for (const [name, properties] of entriesOf(interfaces)) {
      if (!isInterface(name)) continue;
      if (!objects.has(path) && objects.size >= most) {
        dropped++;
        return clause;
      }
      const held = objects.get(path) ?? new Map<string, Record<string, unknown>>();
      objects.set(path, held.set(name, take(name, properties)));
      clause ??= `${shortName(name)} appeared`;
    }
    return clause;
  };
  const remove = (path: string, interfaces: unknown): string | undefined => {
    const held = objects.get(path);
    if (held === undefined || !Array.isArray(interfaces)) return undefined;
    const [gone] = interfaces.filter((name) => typeof name === 'string' && held.delete(name));
    if (held.size === 0) objects.delete(path);
    return gone === undefined ? undefined : `${shortName(String(gone))} was removed`;
  };
  const change = (path: string, name: unknown, properties: unknown): string | undefined => {
    if (typeof name !== 'string' || !isInterface(name)) return undefined;
    const held = objects.get(path)?.get(name);
    if (held === undefined) return undefined;
    const changed = take(name, properties);
    const [first] = Object.keys(changed);
    Object.assign(held, changed);
    return first === undefined ? undefined : `${shortName(name)}.${first} changed`;
  };

  return {
    get: (path, name) => (typeof path === 'string' ? (objects.get(path)?.get(name) ?? NOTHING) : NOTHING),
    paths: (name) =>
      [...objects]
        .filter(([, held]) => held.has(name))
        .map(([path]) => path)
        .sort(byNumber),
    load(all) {
      objects.clear();
      dropped = 0;
      for (const [path, interfaces] of entriesOf(all)) add(path, interfaces);
    },
    apply({ path, member, body: [first, second] }) {
      if (member === 'PropertiesChanged') return change(path, first, second);
      if (typeof first !== 'string') return undefined;
      if (member === 'InterfacesAdded') return add(first, second);
      return member === 'InterfacesRemoved' ? remove(first, second) : undefined;
    },
    get dropped() {
      return dropped;
    },
  };
}

/** What IP configurations of both versions say. */
const IP_CONFIG = [
  'Searches',
  'Domains',
  'DnsOptions',
  'DnsPriority',
  'Gateway',
  'RouteData',
  'AddressData',
] as const;

/** NetworkManager's interfaces that the mirror knows, and the properties of each that are kept. */
export const INTERFACES = {
  'org.freedesktop.NetworkManager': ['Version', 'Startup', 'Connectivity', 'GlobalDnsConfiguration'],
  'org.freedesktop.NetworkManager.DnsManager': ['Configuration'],
  'org.freedesktop.NetworkManager.Device': [
    'Interface',
    'IpInterface',
    'State',
    'ActiveConnection',
    'Ip4Config',
    'Ip6Config',
    'Ip4Connectivity',
    'Ip6Connectivity',
  ],
  'org.freedesktop.NetworkManager.Device.Wireless': ['ActiveAccessPoint'],
  'org.freedesktop.NetworkManager.AccessPoint': ['Ssid'],
  'org.freedesktop.NetworkManager.Connection.Active': [
    'Connection',
    'Id',
    'Uuid',
    'Type',
    'State',
    'StateFlags',
    'Vpn',
    'Ip4Config',
    'Ip6Config',
  ],
  'org.freedesktop.NetworkManager.IP4Config': ['NameserverData', ...IP_CONFIG],
  'org.freedesktop.NetworkManager.IP6Config': ['Nameservers', ...IP_CONFIG],
  'org.freedesktop.NetworkManager.Settings.Connection': ['Flags'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** Name of an interface that the mirror knows. */
export type InterfaceName = keyof typeof INTERFACES;

const NOTHING: Properties = Object.freeze(Object.create(null));

const isInterface = (name: string): name is InterfaceName => Object.hasOwn(INTERFACES, name);

function pick(name: InterfaceName, properties: unknown): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  const wanted: readonly string[] = INTERFACES[name];
  for (const [key, value] of entriesOf(properties)) if (wanted.includes(key)) kept[key] = value;
  return kept;
}

const entriesOf = (value: unknown): [string, unknown][] =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : [];

/** `org.freedesktop.NetworkManager.IP4Config` is `IP4Config` to a reader. */
const shortName = (name: string): string =>
  name === 'org.freedesktop.NetworkManager'
    ? 'Manager'
    : name.slice('org.freedesktop.NetworkManager.'.length);

/** Paths end in numbers that count up: `…/Devices/9` before `…/Devices/10`. */
function byNumber(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}
