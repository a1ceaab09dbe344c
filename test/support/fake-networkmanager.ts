import type { BusPeer } from './bus-peer.ts';
import { at, type PlainObjects } from './networkmanager-objects.ts';

/** A NetworkManager on the bus that does what the test says, with the real property types and signals. */
export interface FakeNetworkManager {
  /** The profiles that GetSettings tells, by path; a missing one is refused. */
  readonly profiles: Map<string, Readonly<Record<string, Readonly<Record<string, unknown>>>>>;
  /** Calls it got, as `Member path`. */
  readonly calls: readonly string[];
  /** While true, calls get no answer. */
  silent: boolean;
  /** Run once when the objects were gathered for a reply that is not sent yet. */
  whileRead: (() => void) | undefined;
  /** The same for the settings of a profile. */
  whileProfileRead: (() => void) | undefined;
  /** Put objects there and take the name. */
  appear(...objects: readonly PlainObjects[]): Promise<void>;
  /** Give up the name, as when it stops. */
  vanish(): Promise<void>;
  /** New objects, one InterfacesAdded each. */
  add(...objects: readonly PlainObjects[]): void;
  remove(...paths: readonly string[]): void;
  /** Change properties of an object's interface, told by one PropertiesChanged. */
  set(path: string, interfaceName: string, properties: Readonly<Record<string, unknown>>): void;
  /** DnsManager.Configuration. */
  configure(...entries: readonly unknown[]): void;
  updated(profilePath: string): void;
}

/** Make `peer` a NetworkManager. */
export function fakeNetworkManager(peer: BusPeer): FakeNetworkManager {
  const objects = new Map<string, Map<string, Record<string, unknown>>>();
  const profiles: FakeNetworkManager['profiles'] = new Map();
  const calls: string[] = [];
  const put = (all: readonly PlainObjects[]): void => {
    for (const [path, interfaces] of all.flatMap((some) => Object.entries(some)))
      for (const [name, held] of Object.entries(interfaces))
        objects.set(path, (objects.get(path) ?? new Map()).set(name, { ...held }));
  };
  const wireObject = (path: string): Record<string, unknown> =>
    Object.fromEntries([...(objects.get(path) ?? [])].map(([name, held]) => [name, variants(held)]));
  const self: FakeNetworkManager = {
    profiles,
    calls,
    silent: false,
    whileRead: undefined,
    whileProfileRead: undefined,
    async appear(...all) {
      objects.clear();
      put(all);
      await peer.own(NAME);
    },
    vanish: () => peer.release(NAME),
    add(...all) {
      put(all);
      for (const path of all.flatMap((some) => Object.keys(some)))
        peer.emit({
          ...MANAGED,
          member: 'InterfacesAdded',
          signature: 'oa{sa{sv}}',
          body: [path, wireObject(path)],
        });
    },
    remove(...paths) {
      for (const path of paths) {
        const names = [...(objects.get(path)?.keys() ?? [])];
        objects.delete(path);
        peer.emit({ ...MANAGED, member: 'InterfacesRemoved', signature: 'oas', body: [path, names] });
      }
    },
    set(path, name, properties) {
      Object.assign(objects.get(path)?.get(name) ?? {}, properties);
      peer.emit({
        path,
        interface: 'org.freedesktop.DBus.Properties',
        member: 'PropertiesChanged',
        signature: 'sa{sv}as',
        body: [name, variants(properties), []],
      });
    },
    configure(...entries) {
      self.set(at('DnsManager'), `${NAME}.DnsManager`, { Configuration: entries });
    },
    updated(path) {
      peer.emit({ path, interface: `${NAME}.Settings.Connection`, member: 'Updated' });
    },
  };
  peer.answer(({ path, member }) => {
    calls.push(`${member} ${path}`);
    if (self.silent) return 'silent';
    if (member === 'GetManagedObjects' && path === MANAGED.path) {
      const all = Object.fromEntries([...objects.keys()].map((object) => [object, wireObject(object)]));
      const { whileRead } = self;
      self.whileRead = undefined;
      whileRead?.();
      return { signature: 'a{oa{sa{sv}}}', body: [all] };
    }
    const profile = profiles.get(path);
    if (member !== 'GetSettings' || profile === undefined)
      return { error: `${NAME}.Settings.Connection.PermissionDenied`, text: `no ${member} of ${path}` };
    const sections = Object.entries(profile).map(([name, section]) => [name, variants(section)]);
    const { whileProfileRead } = self;
    self.whileProfileRead = undefined;
    whileProfileRead?.();
    return { signature: 'a{sa{sv}}', body: [Object.fromEntries(sections)] };
  });
  return self;
}

const NAME = 'org.freedesktop.NetworkManager';
const MANAGED = { path: '/org/freedesktop', interface: 'org.freedesktop.DBus.ObjectManager' };

/** Types of NetworkManager's properties and dict members, as busctl shows them for 1.42. */
const SIGNATURES: Readonly<Record<string, string>> = {
  Version: 's',
  Startup: 'b',
  Connectivity: 'u',
  GlobalDnsConfiguration: 'a{sv}',
  Mode: 's',
  RcManager: 's',
  Configuration: 'aa{sv}',
  nameservers: 'as',
  interface: 's',
  priority: 'i',
  vpn: 'b',
  domains: 'as',
  servers: 'as',
  searches: 'as',
  options: 'as',
  Interface: 's',
  IpInterface: 's',
  State: 'u',
  ActiveConnection: 'o',
  Ip4Config: 'o',
  Ip6Config: 'o',
  Ip4Connectivity: 'u',
  Ip6Connectivity: 'u',
  ActiveAccessPoint: 'o',
  Ssid: 'ay',
  Connection: 'o',
  Id: 's',
  Uuid: 's',
  Type: 's',
  StateFlags: 'u',
  Vpn: 'b',
  VpnState: 'u',
  Flags: 'u',
  AddressData: 'aa{sv}',
  RouteData: 'aa{sv}',
  NameserverData: 'aa{sv}',
  Nameservers: 'aay',
  Gateway: 's',
  Domains: 'as',
  Searches: 'as',
  DnsOptions: 'as',
  DnsPriority: 'i',
  address: 's',
  prefix: 'u',
  dest: 's',
  'next-hop': 's',
  metric: 'u',
  mdns: 'i',
  'dns-over-tls': 'i',
  'never-default': 'b',
};

/** Global domains stand in a dict of dicts, where `domains` is no list. */
const signatureOf = (key: string, value: unknown): string => {
  if (value instanceof Uint8Array) return 'ay';
  const isDict = typeof value === 'object' && value !== null && !Array.isArray(value);
  const known = isDict ? 'a{sv}' : SIGNATURES[key];
  if (known === undefined) throw new Error(`the fake NetworkManager knows no property ${key}`);
  return known;
};

const variants = (properties: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(properties).map(([key, value]) => {
      const { signature, inner } = typed(value) ?? { signature: signatureOf(key, value), inner: value };
      if (signature === 'aa{sv}')
        return [key, { signature, value: (inner as Record<string, unknown>[]).map(variants) }];
      if (signature === 'a{sv}')
        return [key, { signature, value: variants(inner as Record<string, unknown>) }];
      return [key, { signature, value: inner }];
    }),
  );

/** A value of a type of its own, for what a sane NetworkManager never says. */
export const odd = (signature: string, inner: unknown): unknown => ({ [ODD]: true, signature, inner });

const ODD = Symbol('odd');

const typed = (value: unknown): { signature: string; inner: unknown } | undefined =>
  typeof value === 'object' && value !== null && ODD in value
    ? (value as unknown as { signature: string; inner: unknown })
    : undefined;
