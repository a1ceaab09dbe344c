import { networkInterfaces } from 'node:os';
import { type Address, parseAddress } from '../core/address.ts';
import { type Domain, parseDomain } from '../core/domain.ts';
import type { Plan } from '../core/plan.ts';
import type { LocalFacts } from './local.ts';

/** What this machine knows about itself under a plan, looked up when it is asked for. */
export function machineFacts(plan: Plan | undefined, nameOf: () => string): LocalFacts {
  const links = plan?.links ?? [];
  const defaults = links.filter((link) => link.defaultRoute);
  let text = '';
  let hostName: Domain | undefined;
  return {
    get hostName(): Domain | undefined {
      // Every query is compared with it; it is read as a domain only when it is another one.
      const now = nameOf();
      if (now === text) return hostName;
      text = now;
      const name = parseDomain(now);
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
    get ipv6(): boolean {
      return allAddresses().includes('::1');
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
