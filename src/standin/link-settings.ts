import { type Address, addressOfBytes } from '../core/address.ts';
import { type Domain, ROOT } from '../core/domain.ts';
import type { PushedDomain, PushedServer, PushedSettings } from '../core/pushed-links.ts';
import type { Knob } from '../core/snapshot.ts';
import type { BusValue } from '../system/bus.ts';
import { BusError } from '../system/bus-service.ts';
import { AF } from '../system/socket-address.ts';
import { readName } from './names.ts';
import type { SetterName } from './resolve1-tables.ts';

/** How a setting is read and who may set it. */
export interface Setter {
  /** The last part of the polkit action. */
  readonly action: string;
  /** The value as settings; throws a BusError for a bad one. The value fits the signature of the method's table. */
  readonly read: (value: BusValue) => PushedSettings;
}

/** Every setting of a link by its name in the interface. */
export const SETTERS: Readonly<Record<SetterName, Setter>> = {
  DNS: { action: 'set-dns-servers', read: (value) => ({ servers: readServers(value) }) },
  DNSEx: { action: 'set-dns-servers', read: (value) => ({ servers: readServers(value) }) },
  Domains: { action: 'set-domains', read: (value) => ({ domains: readDomains(value) }) },
  DefaultRoute: { action: 'set-default-route', read: (value) => ({ defaultRoute: value === true }) },
  LLMNR: { action: 'set-llmnr', read: (value) => ({ llmnr: readKnob(value, RESOLVE, 'yes', 'LLMNR') }) },
  MulticastDNS: {
    action: 'set-mdns',
    read: (value) => ({ mdns: readKnob(value, RESOLVE, 'yes', 'MulticastDNS') }),
  },
  DNSOverTLS: {
    action: 'set-dns-over-tls',
    read: (value) => ({
      dnsOverTls: readKnob(value, ['yes', 'no', 'opportunistic'], 'default', 'DNSOverTLS'),
    }),
  },
  DNSSEC: {
    action: 'set-dnssec',
    read: (value) => ({ dnssec: readKnob(value, ['yes', 'no', 'allow-downgrade'], 'default', 'DNSSEC') }),
  },
  DNSSECNegativeTrustAnchors: {
    action: 'set-dnssec-negative-trust-anchors',
    read: (value) => ({ negativeTrustAnchors: readAnchors(value) }),
  },
};

const RESOLVE: readonly Knob[] = ['yes', 'no', 'resolve'];

const MOST_SERVERS = 256;
const MOST_DOMAINS = 1024;
const MOST_ANCHORS = 2048;

/** Rows of family, bytes and, for DNSEx, port and name. One that is bad voids all, as in systemd-resolved. */
function readServers(value: BusValue): readonly PushedServer[] {
  const rows = bounded(value, MOST_SERVERS);
  const servers = rows.map((row) => {
    const [family, bytes, port = 0, name = ''] = row as [number, Uint8Array, number?, string?];
    const address = readAddress(family, bytes);
    // 53 and 853 say no more than the protocol says by itself.
    const own = port === 53 || port === 853 ? 0 : port;
    return { address, port: own, ...(name === '' ? {} : { name: domainFrom(name, 'DNS server name') }) };
  });
  return unique(servers, (server) => `${server.address.bytes} ${server.port} ${server.name ?? ''}`);
}

/** An address from its bytes as the bus carries it. */
export function readAddress(family: number, bytes: Uint8Array): Address {
  const size = { [AF.inet]: 4, [AF.inet6]: 16 }[family];
  if (size === undefined) throw invalid(`Unknown address family ${family}`);
  if (bytes.length !== size) throw invalid('Invalid address size');
  const address = addressOfBytes([...bytes]);
  if (address === undefined || address.kind === 'unspecified' || isStub(address))
    throw invalid('Invalid DNS server address');
  return address;
}

/** Our own stub, which would only ask itself. */
const isStub = ({ bytes }: Address): boolean => /^127,0,0,5[34]$/.test(bytes.join(','));

function readDomains(value: BusValue): readonly PushedDomain[] {
  const rows = bounded(value, MOST_DOMAINS);
  const domains = rows.map((row) => {
    const [name, routingOnly] = row as [string, boolean];
    const domain = name === '.' ? ROOT : domainFrom(name, 'search domain');
    if (domain === ROOT && !routingOnly) throw invalid('Root domain is not suitable as search domain');
    return { domain, routingOnly };
  });
  // The same domain twice: what was said last holds, where it was said first.
  return [...new Map(domains.map((entry) => [entry.domain, entry])).values()];
}

function readAnchors(value: BusValue): readonly Domain[] {
  const names = bounded(value, MOST_ANCHORS) as readonly string[];
  return [...new Set(names.map((name) => domainFrom(name, 'negative trust anchor domain:')))];
}

function readKnob(value: BusValue, words: readonly Knob[], empty: Knob, what: string): Knob {
  if (value === '') return empty;
  const knob = words.find((word) => word === value);
  if (knob === undefined) throw invalid(`Invalid ${what} setting: ${String(value).slice(0, 64)}`);
  return knob;
}

function domainFrom(name: string, what: string): Domain {
  try {
    return readName(name, what);
  } catch {
    throw invalid(`Invalid ${what} ${name.slice(0, 255)}`);
  }
}

/** systemd-resolved answers E2BIG, and Tailscale looks for this text. */
function bounded(value: BusValue, most: number): readonly BusValue[] {
  const list = value as readonly BusValue[];
  if (list.length > most) throw new BusError('System.Error.E2BIG', 'Argument list too long');
  return list;
}

function unique<T>(values: readonly T[], key: (value: T) => string): readonly T[] {
  const seen = new Map<string, T>();
  for (const value of values) if (!seen.has(key(value))) seen.set(key(value), value);
  return [...seen.values()];
}

const invalid = (text: string): BusError => new BusError('org.freedesktop.DBus.Error.InvalidArgs', text);
