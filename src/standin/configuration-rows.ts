import { parseServer } from '../core/server.ts';
import type { Status } from '../core/status.ts';
import { addressKey, linkField, type Row, serverRow } from './varlink-rows.ts';
import {
  type GlobalView,
  type LinkView,
  NOT_SPOKEN,
  type ServerView,
  type ViewGround,
  viewGlobal,
  viewLink,
} from './view.ts';

/** The DNS configuration of the machine as DumpDNSConfiguration tells it: the machine first, then each link. */
export function configurationRows(ground: ViewGround): readonly Row[] {
  const reachable = reachability(ground.status());
  const links = ground.links
    .all()
    .filter(({ loopback }) => !loopback)
    .map((link) => viewLink(ground, link));
  return [globalRow(viewGlobal(ground), reachable), ...links.map((link) => linkRow(link, reachable))];
}

type Reachable = (server: ServerView) => boolean;

/** A server that did not answer when it was asked last is out of reach; one that was never asked is not. */
function reachability(status: Status): Reachable {
  const late = new Set(
    status.resolver.servers
      .filter(({ state }) => state === 'late')
      .flatMap(({ link, server }) => {
        const read = parseServer(server, link);
        return read.ok ? [addressKey(read.value.address)] : [];
      }),
  );
  return ({ address }) => !late.has(addressKey(address));
}

function globalRow(view: GlobalView, reachable: Reachable): Row {
  return {
    ...serverFields(view, reachable),
    ...listField(
      'fallbackServers',
      view.fallback.map((server) => serverRow(server, view.dnsOverTls, reachable(server))),
    ),
    ...domainFields(view.domains, 0),
    ...protocolFields(view.dnsOverTls),
    resolvConfMode: view.resolvConfMode,
    ...listField('scopes', view.servers.length > 0 ? [scopeRow(view.dnsOverTls, {})] : []),
  };
}

function linkRow(view: LinkView, reachable: Reachable): Row {
  const { ifindex, name, dnsOverTls } = view;
  return {
    ifname: name,
    ifindex,
    defaultRoute: view.defaultRoute,
    ...serverFields(view, reachable),
    ...domainFields(view.domains, ifindex),
    ...listField('negativeTrustAnchors', view.negativeTrustAnchors),
    ...protocolFields(dnsOverTls),
    ...listField('scopes', view.hasScope ? [scopeRow(dnsOverTls, { ifindex, ifname: name })] : []),
  };
}

function serverFields(
  { current, servers, dnsOverTls }: Pick<LinkView, 'current' | 'servers' | 'dnsOverTls'>,
  reachable: Reachable,
): Row {
  const row = (server: ServerView): Row => serverRow(server, dnsOverTls, reachable(server));
  return {
    ...(current === undefined ? {} : { currentServer: row(current) }),
    ...listField('servers', servers.map(row)),
  };
}

const domainFields = (domains: LinkView['domains'], ifindex: number): Row =>
  listField(
    'searchDomains',
    domains.map(({ domain, routingOnly }) => ({
      name: domain,
      routeOnly: routingOnly,
      ...linkField(ifindex),
    })),
  );

const protocolFields = (dnsOverTLS: string): Row => ({
  dnssec: NOT_SPOKEN,
  dnssecSupported: false,
  dnsOverTLS,
  llmnr: NOT_SPOKEN,
  mDNS: NOT_SPOKEN,
});

const scopeRow = (dnsOverTLS: string, link: Row): Row => ({
  protocol: 'dns',
  ...link,
  dnssec: NOT_SPOKEN,
  dnsOverTLS,
});

/** Empty lists are left out. */
const listField = (name: string, list: readonly unknown[]): Row =>
  list.length === 0 ? {} : { [name]: list };
