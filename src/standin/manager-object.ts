import type { BusValue } from '../system/bus.ts';
import type { Method, ServedInterface } from '../system/bus-interface.ts';
import { BusError, type IncomingCall } from '../system/bus-service.ts';
import { currentServer, currentServerEx, serverRow, serverRowEx } from './bus-rows.ts';
import type { StandinGround } from './ground.ts';
import { linkOf, revertLink, setLink } from './link-object.ts';
import { linkPath } from './link-path.ts';
import { lookupMethods } from './manager-lookups.ts';
import { MANAGER, RESOLVE1, SETTER_NAMES } from './resolve1-tables.ts';
import { type GlobalView, type LinkView, NOT_SPOKEN, type ServerView, viewGlobal, viewLink } from './view.ts';

/** All methods of the manager; made once, because they are called far more often than anything is read. */
export const managerMethods = (ground: StandinGround): Readonly<Record<string, Method>> => ({
  ...lookupMethods(ground),
  ...settingMethods(ground),
  ...commandMethods(ground),
  ...SERVICES,
});

/** The manager object: lookups, settings of links, and the machine as a whole. */
export function managerObject(
  ground: StandinGround,
  methods: Readonly<Record<string, Method>>,
): ServedInterface {
  let seen: Views | undefined;
  // One look for all properties of one call; an object lives no longer than its call.
  const views = (): Views => {
    seen ??= { global: viewGlobal(ground), links: viewLinks(ground) };
    return seen;
  };
  const servers = (): readonly ServerView[] => [
    ...views().global.servers,
    ...views().links.flatMap((link) => link.servers),
  ];
  return {
    table: MANAGER,
    methods,
    get: {
      LLMNRHostname: () => views().global.hostname,
      LLMNR: () => NOT_SPOKEN,
      MulticastDNS: () => NOT_SPOKEN,
      DNSOverTLS: () => views().global.dnsOverTls,
      DNS: () => servers().map(serverRow),
      DNSEx: () => servers().map(serverRowEx),
      FallbackDNS: () => views().global.fallback.map(serverRow),
      FallbackDNSEx: () => views().global.fallback.map(serverRowEx),
      CurrentDNSServer: () => currentServer(views().global.current),
      CurrentDNSServerEx: () => currentServerEx(views().global.current),
      Domains: () => domainRows(views()),
      TransactionStatistics: () => {
        const { currentTransactions, totalTransactions } = ground.statistics();
        return [BigInt(currentTransactions), BigInt(totalTransactions)];
      },
      CacheStatistics: () => {
        const { cacheSize, cacheHits, cacheMisses } = ground.statistics();
        return [BigInt(cacheSize), BigInt(cacheHits), BigInt(cacheMisses)];
      },
      DNSSEC: () => NOT_SPOKEN,
      DNSSECStatistics: () => [0n, 0n, 0n, 0n],
      DNSSECSupported: () => false,
      DNSSECNegativeTrustAnchors: () => [],
      DNSStubListener: () => views().global.stub,
      ResolvConfMode: () => views().global.resolvConfMode,
    },
  };
}

interface Views {
  readonly global: GlobalView;
  readonly links: readonly LinkView[];
}

const viewLinks = (ground: StandinGround): readonly LinkView[] =>
  ground.links
    .all()
    .filter(({ loopback }) => !loopback)
    .map((link) => viewLink(ground, link));

const domainRows = ({ global, links }: Views): readonly BusValue[] =>
  [{ ifindex: 0, domains: global.domains }, ...links].flatMap(({ ifindex, domains }) =>
    domains.map(({ domain, routingOnly }) => [ifindex, domain, routingOnly]),
  );

function settingMethods(ground: StandinGround): Readonly<Record<string, Method>> {
  const setters = SETTER_NAMES.map((name): [string, Method] => [
    `SetLink${name}`,
    async ([ifindex, value], call) => {
      await setLink(ground, Number(ifindex), name, value, call);
      return [];
    },
  ]);
  return {
    ...Object.fromEntries(setters),
    GetLink: ([ifindex]) => [linkPath(linkOf(ground, Number(ifindex)).ifindex)],
    RevertLink: async ([ifindex], call) => {
      await revertLink(ground, Number(ifindex), call);
      return [];
    },
  };
}

function commandMethods({ actions, rights }: StandinGround): Readonly<Record<string, Method>> {
  const command =
    (action: string, act: () => void): Method =>
    async (_: readonly BusValue[], call: IncomingCall) => {
      await rights.permit(call, `${RESOLVE1}.${action}`);
      act();
      return [];
    };
  return {
    ResetStatistics: command('reset-statistics', () => actions.resetStatistics()),
    FlushCaches: command('flush-caches', () => actions.flush()),
    ResetServerFeatures: command('reset-server-features', () => actions.forgetServers()),
  };
}

/** What takes multicast DNS, which is not spoken here, and delegates, of which there are none. */
const SERVICES: Readonly<Record<string, Method>> = {
  RegisterService: () => {
    throw new BusError('org.freedesktop.DBus.Error.NotSupported', 'Support for MulticastDNS is disabled');
  },
  UnregisterService: ([path]) => {
    const id = /^\/org\/freedesktop\/resolve1\/dnssd\/([^/]+)$/.exec(String(path))?.[1];
    const text =
      id === undefined
        ? `DNS-SD service with object path '${path}' does not exist`
        : `DNS-SD service '${id}' not known`;
    throw new BusError(`${RESOLVE1}.NoSuchDnssdService`, text);
  },
  GetDelegate: ([id]) => {
    throw new BusError(`${RESOLVE1}.NoSuchDelegate`, `Delegate '${String(id).slice(0, 255)}' not known`);
  },
  ListDelegates: () => [[]],
};
