import { type Address, formatAddress } from '../core/address.ts';
import type { Config } from '../core/config.ts';
import { isRelevant } from '../core/link-state.ts';
import type { PlanLink } from '../core/plan.ts';
import {
  type PushedDomain,
  type PushedLink,
  type PushedServer,
  type PushedSettings,
  takesAllNames,
} from '../core/pushed-links.ts';
import { formatServer, type Server } from '../core/server.ts';
import type { Knob } from '../core/snapshot.ts';
import { isInForce, type Status } from '../core/status.ts';
import type { KernelLink, KernelLinks } from '../system/kernel-links.ts';

/** What readers of the stand-in are shown, whatever they ask over. */

/** Where the views are taken from. */
export interface ViewGround {
  readonly status: () => Status;
  readonly config: () => Pick<Config, 'dnsOverTls' | 'fallback' | 'stub'>;
  readonly links: KernelLinks;
  readonly pushed: { get(ifindex: number): PushedLink | undefined };
  /** The machine's name as the kernel has it. */
  readonly hostname: () => string;
}

/** A server as systemd-resolved shows it. */
export interface ServerView {
  /** 0 where it counts for the whole machine. */
  readonly ifindex: number;
  readonly address: Address;
  /** 0 for the protocol's own port. */
  readonly port: number;
  /** Empty without one. */
  readonly name: string;
}

/** A link, its settings in effect. */
export interface LinkView {
  readonly ifindex: number;
  readonly name: string;
  readonly servers: readonly ServerView[];
  /** Whether names are asked over it: it has servers, and may carry traffic to them. */
  readonly hasScope: boolean;
  readonly current: ServerView | undefined;
  readonly domains: readonly PushedDomain[];
  readonly defaultRoute: boolean;
  readonly dnsOverTls: string;
  readonly negativeTrustAnchors: readonly string[];
}

/** What counts for the whole machine. */
export interface GlobalView {
  readonly hostname: string;
  readonly servers: readonly ServerView[];
  readonly current: ServerView | undefined;
  readonly fallback: readonly ServerView[];
  readonly domains: readonly PushedDomain[];
  readonly dnsOverTls: string;
  /** Over what somebody answers on 127.0.0.53 (DNSStubListener= of resolved.conf(5)). */
  readonly stub: Config['stub'];
  readonly resolvConfMode: 'stub' | 'uplink' | 'foreign';
}

/** Multicast DNS, LLMNR and DNSSEC are not spoken here, so nothing else is ever in effect. */
export const NOT_SPOKEN = 'no';

/** One link. */
export function viewLink(ground: ViewGround, link: KernelLink): LinkView {
  const status = ground.status();
  const inPlan = plannedFor(status, link);
  // What was pushed is shown from the call on that sets it or takes it back, not from the next plan on.
  const planned = inPlan.filter(({ origin }) => origin.source !== 'pushed-links');
  const settings = ground.pushed.get(link.ifindex)?.settings ?? {};
  const servers =
    settings.servers?.map((server) => pushedServer(server, link.ifindex)) ??
    planned.flatMap((each) => each.servers.map(({ value }) => plannedServer(value, link.ifindex)));
  const domains = settings.domains ?? planned.flatMap(domainsOf);
  const knob = settings.dnsOverTls ?? planned.find(({ dnsOverTls }) => dnsOverTls !== 'default')?.dnsOverTls;
  return {
    ifindex: link.ifindex,
    name: link.name,
    servers,
    hasScope:
      servers.length > 0 &&
      isRelevant(
        link,
        servers.map(({ address }) => address),
      ),
    current: currentOf(servers, inPlan, status),
    domains,
    defaultRoute: settings.defaultRoute ?? takesAll(settings, servers, domains, planned),
    dnsOverTls: effective(knob, ground),
    negativeTrustAnchors: settings.negativeTrustAnchors ?? [],
  };
}

/** The machine as a whole. */
export function viewGlobal(ground: ViewGround): GlobalView {
  const status = ground.status();
  const planned = status.plan.links.filter(({ origin }) => origin.interface === undefined);
  const servers = planned.flatMap((each) => each.servers.map(({ value }) => plannedServer(value, 0)));
  return {
    hostname: ground.hostname().split('.', 1)[0] ?? '',
    servers,
    current: currentOf(servers, planned, status),
    fallback: ground.config().fallback.map((server) => plannedServer(server, 0)),
    domains: planned.flatMap(domainsOf),
    dnsOverTls: effective(undefined, ground),
    stub: status.resolver.state === 'bound' ? ground.config().stub : 'no',
    resolvConfMode: modeOf(status),
  };
}

/** The address for people, with the link it lives on where it needs one. */
export const describeServer = ({ address, port, name }: ServerView): string => {
  const text = formatAddress(address);
  const host = port !== 0 && address.family === 6 ? `[${text}]` : text;
  return `${host}${port === 0 ? '' : `:${port}`}${name === '' ? '' : `#${name}`}`;
};

const plannedFor = (status: Status, link: KernelLink): readonly PlanLink[] =>
  status.plan.links.filter(({ origin }) =>
    origin.ifindex === undefined ? origin.interface === link.name : origin.ifindex === link.ifindex,
  );

const pushedServer = ({ address, port, name }: PushedServer, ifindex: number): ServerView => ({
  ifindex,
  address,
  port,
  name: name ?? '',
});

const plannedServer = ({ address, port, protocol, name }: Server, ifindex: number): ServerView => ({
  ifindex,
  address,
  port: port === (protocol === 'tls' ? 853 : 53) ? 0 : port,
  name: name ?? '',
});

/** Without a word on it, a link with servers is asked for all names unless its domains say otherwise. */
function takesAll(
  settings: PushedSettings,
  servers: readonly ServerView[],
  domains: readonly PushedDomain[],
  planned: readonly PlanLink[],
): boolean {
  if (settings.servers === undefined && settings.domains === undefined)
    return planned.some(({ defaultRoute }) => defaultRoute);
  return servers.length > 0 && takesAllNames(domains);
}

const domainsOf = ({ searches, routing }: PlanLink): readonly PushedDomain[] => [
  ...searches.map((domain) => ({ domain, routingOnly: false })),
  ...routing.map((domain) => ({ domain, routingOnly: true })),
];

/** The first server that answers, or else the first that was asked; none before that. */
function currentOf(
  servers: readonly ServerView[],
  planned: readonly PlanLink[],
  status: Status,
): ServerView | undefined {
  const states = new Map(
    status.resolver.servers.map(({ link, server, state }) => [`${link} ${server}`, state]),
  );
  const inState = (wanted: 'good' | 'late'): ReadonlySet<string> =>
    new Set(
      planned.flatMap(({ key, servers: entries }) =>
        entries
          .filter(({ value }) => states.get(`${key} ${formatServer(value)}`) === wanted)
          .map(({ value }) => formatAddress(value.address)),
      ),
    );
  const [good, late] = [inState('good'), inState('late')];
  return (
    servers.find(({ address }) => good.has(formatAddress(address))) ??
    servers.find(({ address }) => late.has(formatAddress(address)))
  );
}

const effective = (knob: Knob | undefined, ground: ViewGround): string =>
  knob === undefined || knob === 'default' ? ground.config().dnsOverTls : knob;

const modeOf = ({ link, resolvConf }: Status): GlobalView['resolvConfMode'] =>
  !isInForce(link.state) ? 'foreign' : resolvConf.mode === 'stub' ? 'stub' : 'uplink';
