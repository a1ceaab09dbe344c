import type { BusValue } from '../system/bus.ts';
import type { ServedInterface } from '../system/bus-interface.ts';
import { BusError, type IncomingCall } from '../system/bus-service.ts';
import type { KernelLink } from '../system/kernel-links.ts';
import { currentServer, currentServerEx, serverRow, serverRowEx } from './bus-rows.ts';
import type { StandinGround } from './ground.ts';
import { SETTERS } from './link-settings.ts';
import { LINK, RESOLVE1, SETTER_NAMES, type SetterName } from './resolve1-tables.ts';
import { type LinkView, NOT_SPOKEN, viewLink } from './view.ts';

/** The D-Bus object of one link. */
export function linkObject(ground: StandinGround, link: KernelLink): ServedInterface {
  const { ifindex } = link;
  let seen: LinkView | undefined;
  // One look for all properties of one call; an object lives no longer than its call.
  const view = (): LinkView => {
    seen ??= viewLink(ground, link);
    return seen;
  };
  return {
    table: LINK,
    methods: {
      ...Object.fromEntries(
        SETTER_NAMES.map((name) => [
          `Set${name}`,
          async ([value]: readonly BusValue[], call: IncomingCall) => {
            await setLink(ground, ifindex, name, value, call);
            return [];
          },
        ]),
      ),
      Revert: async (_, call) => {
        await revertLink(ground, ifindex, call);
        return [];
      },
    },
    get: {
      ScopesMask: () => (view().hasScope ? SCOPE_DNS : 0n),
      DNS: () => view().servers.map((server) => serverRow(server).slice(1)),
      DNSEx: () => view().servers.map((server) => serverRowEx(server).slice(1)),
      CurrentDNSServer: () => currentServer(view().current).slice(1),
      CurrentDNSServerEx: () => currentServerEx(view().current).slice(1),
      Domains: () => view().domains.map(({ domain, routingOnly }) => [domain, routingOnly]),
      DefaultRoute: () => view().defaultRoute,
      LLMNR: () => NOT_SPOKEN,
      MulticastDNS: () => NOT_SPOKEN,
      DNSOverTLS: () => view().dnsOverTls,
      DNSSEC: () => NOT_SPOKEN,
      DNSSECNegativeTrustAnchors: () => view().negativeTrustAnchors,
      DNSSECSupported: () => false,
    },
  };
}

const SCOPE_DNS = 1n;

/** A link by the number from a call; throws InvalidArgs or NoSuchLink. */
export function linkOf({ links }: Pick<StandinGround, 'links'>, ifindex: number): KernelLink {
  if (ifindex <= 0) throw new BusError(INVALID_ARGS, 'Invalid interface index');
  const link = links.byIndex(ifindex);
  if (link === undefined) throw new BusError(`${RESOLVE1}.NoSuchLink`, `Link ${ifindex} not known`);
  return link;
}

/** Set one setting of a link. The order of checks is systemd-resolved's: link, busy, value, rights. */
export async function setLink(
  ground: StandinGround,
  ifindex: number,
  name: SetterName,
  value: BusValue,
  call: IncomingCall,
): Promise<void> {
  const asked = writable(linkOf(ground, ifindex));
  const settings = SETTERS[name].read(value);
  await permitOn(ground, asked, SETTERS[name].action, call);
  const by = await ground.pusherOf(call);
  // Somebody may have typed a password meanwhile, and the link may have gone.
  const link = writable(linkOf(ground, ifindex));
  try {
    ground.pushed.set({ ifindex, interface: link.name, tunnel: link.tunnel }, settings, by);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new BusError('org.freedesktop.DBus.Error.LimitsExceeded', 'Too many links have settings.');
  }
  await ground.settled();
}

/** Take back all that was set on a link. */
export async function revertLink(ground: StandinGround, ifindex: number, call: IncomingCall): Promise<void> {
  const link = writable(linkOf(ground, ifindex));
  await permitOn(ground, link, 'revert', call);
  ground.pushed.revert(ifindex, await ground.pusherOf(call));
  await ground.settled();
}

const permitOn = ({ rights }: StandinGround, link: KernelLink, action: string, call: IncomingCall) =>
  rights.permit(call, `${RESOLVE1}.${action}`, { interface: link.name });

/** resolvectl repeats a busy link's call to systemd-networkd. */
function writable(link: KernelLink): KernelLink {
  const busy = link.loopback ? 'is loopback device' : link.managedByNetworkd ? 'is managed' : undefined;
  if (busy !== undefined) throw new BusError(`${RESOLVE1}.LinkBusy`, `Link ${link.name} ${busy}.`);
  return link;
}

const INVALID_ARGS = 'org.freedesktop.DBus.Error.InvalidArgs';
