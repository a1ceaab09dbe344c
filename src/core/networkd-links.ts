import { type DefaultRoute, formatLinkAddress, isRelevant, type LinkState } from './link-state.ts';
import type { NetworkdLink } from './networkd-link-file.ts';
import { settingsAsDns } from './pushed-links.ts';
import type { LinkDns, SourceState } from './snapshot.ts';

/** A link that is there, and what systemd-networkd says of it. */
export interface NetworkdFacts {
  readonly link: LinkState;
  readonly file: NetworkdLink;
}

/**
 * What systemd-networkd's links come to, as a source tells them. Its files stay when it ends; while it does not run, a
 * link counts as long as the kernel says that it runs and has an address, because networks outlive who made them.
 */
export function networkdState(
  facts: readonly NetworkdFacts[],
  routes: readonly DefaultRoute[],
  running: boolean,
): SourceState {
  return {
    links: facts.filter(({ link, file }) => counts(link, file, running)).map((each) => dnsOf(each, routes)),
  };
}

function counts(link: LinkState, file: NetworkdLink, running: boolean): boolean {
  const { managed, operationalState, settings } = file;
  if (!managed || (settings.servers === undefined && settings.domains === undefined)) return false;
  const addresses = (settings.servers ?? []).map(({ address }) => address);
  const told = operationalState === undefined ? {} : { operationalState };
  return isRelevant({ ...link, managedByNetworkd: running, ...told }, addresses);
}

/** Which names go where is asked of the kernel's routes, unless somebody has said it. */
function dnsOf({ link, file }: NetworkdFacts, routes: readonly DefaultRoute[]): LinkDns {
  const { settings, configuredBy } = file;
  const own = routes.filter(({ ifindex }) => ifindex === link.ifindex);
  const hasFour = link.addresses.some(({ address }) => address.family === 4);
  const family = hasFour ? 4 : 6;
  const [best] = own.filter((route) => route.family === family);
  const said = settingsAsDns(settings);
  return {
    ...said,
    interface: link.name,
    ifindex: link.ifindex,
    family,
    connection: { id: configuredBy ?? 'systemd-networkd', uuid: '', type: 'networkd' },
    vpn: link.tunnel,
    priority: link.tunnel ? 50 : 100,
    addresses: link.addresses.map(formatLinkAddress),
    routes: [],
    defaultRoute: settings.defaultRoute ?? (said.defaultRoute && own.length > 0),
    ...(best?.gateway === undefined ? {} : { gateway: best.gateway }),
    ...(best === undefined ? {} : { metric: best.metric }),
    connectivity: 'unknown',
  };
}
