import { type Domain, parseDomain, ROOT } from './domain.ts';
import type { PushedDomain, PushedServer, PushedSettings } from './pushed-links.ts';
import type { Knob } from './snapshot.ts';
import { systemdBoolean } from './systemd-ini.ts';
import { parseSystemdServer } from './systemd-server.ts';

/** Under which keys a file of systemd keeps a link's settings; they differ from program to program. */
export interface SettingKeys {
  readonly servers: string;
  readonly domains: string;
  /** Routing domains, where they stand apart from the others and without their `~`. */
  readonly routeDomains?: string;
  readonly defaultRoute: string;
  readonly llmnr: string;
  readonly mdns: string;
  readonly dnsOverTls: string;
  readonly dnssec: string;
  readonly negativeTrustAnchors: string;
}

/** The `KEY=value` lines of a file that systemd keeps for itself; the last one of a key counts, as for systemd. */
export function readKeyValues(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split('\n', MOST_LINES)) {
    const match = /^([A-Z0-9_]+)=(.*)$/.exec(line);
    if (match) values.set(match[1] ?? '', unquote(match[2] ?? ''));
  }
  return values;
}

/** Settings of a link; what is no good value is passed over, as systemd-resolved does, and what is empty is not there. */
export function readSettings(values: ReadonlyMap<string, string>, keys: SettingKeys): PushedSettings {
  const words = (key: string | undefined): readonly string[] =>
    (key === undefined ? '' : (values.get(key) ?? '')).split(/\s+/).filter((word) => word !== '');
  const knob = (key: string, known: readonly Knob[]): Knob | undefined =>
    known.find((word) => word === values.get(key));
  const routed = words(keys.routeDomains).map((word) => `~${word.replace(/^~/, '')}`);
  const settings = {
    servers: words(keys.servers).slice(0, MOST_SERVERS).flatMap(readServer),
    domains: [...words(keys.domains), ...routed].slice(0, MOST_DOMAINS).flatMap(readDomain),
    negativeTrustAnchors: words(keys.negativeTrustAnchors).slice(0, MOST_ANCHORS).flatMap(readAnchor),
    llmnr: knob(keys.llmnr, ['yes', 'no', 'resolve']),
    mdns: knob(keys.mdns, ['yes', 'no', 'resolve']),
    dnsOverTls: knob(keys.dnsOverTls, ['yes', 'no', 'opportunistic']),
    dnssec: knob(keys.dnssec, ['yes', 'no', 'allow-downgrade']),
    defaultRoute: systemdBoolean(values.get(keys.defaultRoute) ?? ''),
  };
  const given = Object.entries(settings).filter(
    ([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
  );
  return Object.fromEntries(given);
}

const MOST_LINES = 256;
const MOST_SERVERS = 256;
const MOST_DOMAINS = 1024;
const MOST_ANCHORS = 2048;

function readServer(text: string): readonly PushedServer[] {
  const server = parseSystemdServer(text);
  if (!server.ok) return [];
  const { address, port, name } = server.value;
  return [{ address, port, ...(name === undefined ? {} : { name }) }];
}

function readDomain(text: string): readonly PushedDomain[] {
  const routingOnly = text.startsWith('~');
  const domain = parseDomain(routingOnly ? text.slice(1) : text);
  return domain.ok && (routingOnly || domain.value !== ROOT) ? [{ domain: domain.value, routingOnly }] : [];
}

function readAnchor(text: string): readonly Domain[] {
  const domain = parseDomain(text);
  return domain.ok ? [domain.value] : [];
}

/** systemd quotes a value that holds more than one word. */
const unquote = (text: string): string => /^"(.*)"$/.exec(text)?.[1] ?? text;
