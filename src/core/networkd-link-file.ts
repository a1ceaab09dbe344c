import { readKeyValues, readSettings } from './link-settings-text.ts';
import type { PushedSettings } from './pushed-links.ts';

/** A link as systemd-networkd tells it in /run/systemd/netif/links/IFINDEX. */
export interface NetworkdLink {
  /** systemd-networkd configures it, and would overwrite what somebody else sets. */
  readonly managed: boolean;
  /** `degraded`, `routable`, …; undefined where the file does not say. */
  readonly operationalState: string | undefined;
  /** Name of the file that configures it, without folder and ending; undefined where there is none. */
  readonly configuredBy: string | undefined;
  /** What it says of DNS; what is absent was not said. */
  readonly settings: PushedSettings;
}

/** Read a link file as systemd-resolved does (sd_network_link_get_*). What is no good value is passed over. */
export function parseNetworkdLink(text: string): NetworkdLink {
  const values = readKeyValues(text);
  const state = values.get('ADMIN_STATE');
  return {
    managed: state !== undefined && !LEFT_TO_OTHERS.includes(state),
    operationalState: values.get('OPER_STATE'),
    configuredBy: /([^/]+)\.network$/.exec(values.get('NETWORK_FILE') ?? '')?.[1],
    settings: readSettings(values, KEYS),
  };
}

/** All other states mean that it has the link in hand (networkctl(1)). */
const LEFT_TO_OTHERS = ['', 'pending', 'initialized', 'unmanaged'];

const KEYS = {
  servers: 'DNS',
  domains: 'DOMAINS',
  routeDomains: 'ROUTE_DOMAINS',
  defaultRoute: 'DNS_DEFAULT_ROUTE',
  llmnr: 'LLMNR',
  mdns: 'MDNS',
  dnsOverTls: 'DNS_OVER_TLS',
  dnssec: 'DNSSEC',
  negativeTrustAnchors: 'DNSSEC_NTA',
};
