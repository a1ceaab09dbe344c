import { hostname, networkInterfaces } from 'node:os';
import { type Address, parseAddress } from '../core/address.ts';
import { type Domain, parseDomain } from '../core/domain.ts';
import type { Plan } from '../core/plan.ts';
import type { LocalFacts } from './local.ts';

/** A new host name counts after this long at the latest; every query is compared with it. */
const HOST_NAME_MS = 1000;

/** What this machine knows about itself under a plan, looked up when it is asked for. */
export function machineFacts(plan: Plan | undefined): LocalFacts {
  const links = plan?.links ?? [];
  const defaults = links.filter((link) => link.defaultRoute);
  let hostName: Domain | undefined;
  let lookAt = Number.NEGATIVE_INFINITY;
  return {
    get hostName(): Domain | undefined {
      const now = performance.now();
      if (now < lookAt) return hostName;
      lookAt = now + HOST_NAME_MS;
      const name = parseDomain(hostname());
      hostName = name.ok ? name.value : undefined;
      return hostName;
    },
    get addresses(): readonly Address[] {
      const order = links.flatMap(({ origin }) => origin.interface ?? []);
      const rank = (name: string): number => (order.includes(name) ? order.indexOf(name) : order.length);
      return ownAddresses()
        .toSorted((a, b) => rank(a.link) - rank(b.link))
        .map(({ address }) => address);
    },
    get gateways(): readonly Address[] {
      return defaults.flatMap((link) => link.gateways.flatMap(addressOf));
    },
    get outbound(): readonly Address[] {
      const names = new Set(defaults.map(({ origin }) => origin.interface));
      return ownAddresses()
        .filter(({ link }) => names.has(link))
        .map(({ address }) => address);
    },
  };
}

/** Every address of the machine as text, loopback too. */
export const allAddresses = (): readonly string[] =>
  Object.values(networkInterfaces()).flatMap((entries) => (entries ?? []).map(({ address }) => address));

/** As many as anybody can use; a host with thousands of containers has more. */
const MOST_ADDRESSES = 64;

/** Addresses that others can reach: not loopback, and no link-local IPv6, which a record cannot tell the link of. */
function ownAddresses(): { readonly link: string; readonly address: Address }[] {
  return Object.entries(networkInterfaces())
    .flatMap(([link, entries]) =>
      (entries ?? []).flatMap((entry) => addressOf(entry.address).map((address) => ({ link, address }))),
    )
    .filter(
      ({ address }) =>
        address.kind !== 'loopback' && !(address.family === 6 && address.kind === 'link-local'),
    )
    .slice(0, MOST_ADDRESSES);
}

function addressOf(text: string): Address[] {
  const address = parseAddress(text);
  return address.ok ? [address.value] : [];
}
