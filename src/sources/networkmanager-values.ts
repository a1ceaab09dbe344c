import { formatAddress, parseAddress } from '../core/address.ts';
import type { Connectivity, RawRoute } from '../core/snapshot.ts';

/** No list of one link is longer than this; what comes after it is cut off. */
export const MOST_VALUES = 5_000;

/** A text of at most 4 KiB, or undefined. */
export const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value.length <= 4_096 ? value : undefined;

/** A text that is not empty. */
export const nonEmptyOf = (value: unknown): string | undefined => textOf(value) || undefined;

/** A whole number, or undefined. */
export const numberOf = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isInteger(value) ? value : undefined;

/** The members of a list, cut to the bound; empty when it is none. */
export const listOf = (value: unknown): readonly unknown[] =>
  Array.isArray(value) ? value.slice(0, MOST_VALUES) : [];

/** The texts of a list; everything else in it is dropped. */
export const textsOf = (value: unknown): readonly string[] =>
  listOf(value).flatMap((item) => textOf(item) ?? []);

/** The dicts of a list; everything else in it is dropped. */
export const dictsOf = (value: unknown): readonly Readonly<Record<string, unknown>>[] =>
  listOf(value).filter(isDict);

/** Whether a value is a dict. */
export const isDict = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);

/** NetworkManager's NMConnectivityState. */
export function connectivityOf(value: unknown): Connectivity {
  const states = ['unknown', 'none', 'portal', 'limited', 'full'] as const;
  return states[numberOf(value) ?? 0] ?? 'unknown';
}

/** An SSID is bytes; what is not UTF-8 in it is shown as replacement characters. */
export function ssidOf(value: unknown): string | undefined {
  if (!(value instanceof Uint8Array) || value.length === 0 || value.length > 32) return undefined;
  return new TextDecoder().decode(value);
}

/** `AddressData`: each as `address/prefix`. */
export const addressesOf = (value: unknown): readonly string[] =>
  dictsOf(value).flatMap((item) => prefixOf(item['address'], item['prefix']) ?? []);

/** A gateway that is an address; NetworkManager says 0.0.0.0 for a tunnel that has none. */
export function gatewayOf(value: unknown): string | undefined {
  const text = textOf(value);
  const address = text === undefined ? undefined : parseAddress(text);
  return address?.ok && address.value.kind !== 'unspecified' ? text : undefined;
}

/**
 * `RouteData`: the routes that traffic takes, without special kinds (`type`) and the kernel's own table. Default
 * routes of other tables are left out: whether they apply is up to policy rules, and NetworkManager ignores them too.
 */
export function routesOf(value: unknown): readonly RawRoute[] {
  return dictsOf(value).flatMap((item) => {
    const destination = prefixOf(item['dest'], item['prefix']);
    const table = numberOf(item['table']) ?? MAIN_TABLE;
    if (destination === undefined || table === LOCAL_TABLE) return [];
    if ((textOf(item['type']) ?? 'unicast') !== 'unicast') return [];
    if (item['prefix'] === 0 && table !== MAIN_TABLE) return [];
    const gateway = gatewayOf(item['next-hop']);
    const metric = numberOf(item['metric']);
    return {
      destination,
      ...(gateway === undefined ? {} : { gateway }),
      ...(metric === undefined ? {} : { metric }),
    };
  });
}

/** `Nameservers` of an IP6Config (lists of 16 bytes each) as texts. */
export const sixesOf = (value: unknown): readonly string[] =>
  listOf(value).flatMap((bytes) =>
    bytes instanceof Uint8Array && bytes.length === 16
      ? formatAddress({ family: 6, bytes: [...bytes], kind: 'unicast' })
      : [],
  );

/** `NameserverData` of an IP4Config: the URI where there is one, else the address. */
export const foursOf = (value: unknown): readonly string[] =>
  dictsOf(value).flatMap((item) => nonEmptyOf(item['uri']) ?? nonEmptyOf(item['address']) ?? []);

/** The address family a server text is of, told by its host part alone. */
export function familyOf(server: string): 4 | 6 {
  const host = server.replace(/^dns\+[a-z]+:\/\//, '').split('#', 1)[0] ?? '';
  return host.startsWith('[') || host.indexOf(':') !== host.lastIndexOf(':') ? 6 : 4;
}

/** A kernel name; anything else would be a path or worse where it is looked up. */
export function interfaceOf(value: unknown): string | undefined {
  return typeof value === 'string' && /^[^\s/]{1,15}$/.test(value) && value !== '.' && value !== '..'
    ? value
    : undefined;
}

const MAIN_TABLE = 254;
const LOCAL_TABLE = 255;

function prefixOf(address: unknown, length: unknown): string | undefined {
  const text = textOf(address);
  const bits = numberOf(length);
  if (text === undefined || bits === undefined || bits < 0 || bits > 128) return undefined;
  return parseAddress(text).ok ? `${text}/${bits}` : undefined;
}
