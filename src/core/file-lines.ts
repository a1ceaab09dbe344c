import { type Domain, parseDomain } from './domain.ts';
import { type Entry, originOf } from './entries.ts';
import { serverLeftOut } from './left-out.ts';
import { describeOrigin, orderReasons } from './order.ts';
import type { Choice, LeftOut } from './plan.ts';
import { formatOption, type ResolvOption } from './resolv-option.ts';
import { formatHost, formatServer, isPlain, linkToAsk, type Server } from './server.ts';
import type { Host } from './snapshot.ts';
import { MOST_SORTLIST } from './sortlist.ts';

/** libc reads no more nameserver lines than this (MAXNS, resolv.conf(5)). */
export const MAX_NAMESERVERS = 3;

/** musl drops a search line longer than this whole, its newline included; older glibc cuts it. */
export const MAX_SEARCH_LINE = 255;

/** Every server once, in order. */
export function chooseServers(entries: readonly Entry[], dropped: LeftOut[]): readonly Choice<Server>[] {
  const chosen = new Map<string, Choice<Server>>();
  for (const [entry, reason] of orderReasons(entries)) {
    for (const server of entry.servers) {
      const key = isPlain(server) ? formatHost(server) : formatServer(server);
      const held = chosen.get(key);
      if (held === undefined) chosen.set(key, { value: server, origin: originOf(entry, server), reason });
      else
        dropped.push(
          serverLeftOut(server, entry, `It is already listed, from ${describeOrigin(held.origin)}.`),
        );
    }
  }
  return [...chosen.values()];
}

/** Those that a resolv.conf can list. */
export function firstThree(
  upstream: readonly Choice<Server>[],
  dropped: LeftOut[],
): readonly Choice<Server>[] {
  const chosen: Choice<Server>[] = [];
  for (const choice of upstream) {
    const leave = (reason: string): void => {
      dropped.push({ what: 'server', text: formatServer(choice.value), origin: choice.origin, reason });
    };
    if (!isPlain(choice.value))
      leave(
        linkToAsk(choice.value) === undefined
          ? 'A resolv.conf can say neither a port nor encryption.'
          : 'A resolv.conf cannot say through which link a server is to be asked.',
      );
    else if (chosen.length < MAX_NAMESERVERS) chosen.push(choice);
    else
      leave(
        `libc reads only ${MAX_NAMESERVERS} nameservers, and ${MAX_NAMESERVERS} with better priority stand before it.`,
      );
  }
  return chosen;
}

/** The search list: what the entries say, in order, then the domain of the machine's own name. */
export function chooseSearch(
  entries: readonly Entry[],
  host: Host | undefined,
  dropped: LeftOut[],
): readonly Choice<Domain>[] {
  const chosen = new Map<Domain, Choice<Domain>>();
  let bytes = 'search'.length + 1;
  const offer = (choice: Choice<Domain>): void => {
    if (chosen.has(choice.value)) return;
    if (bytes + choice.value.length + 1 > MAX_SEARCH_LINE) {
      const reason = `The search line would pass ${MAX_SEARCH_LINE} bytes, and musl would then ignore all of it.`;
      dropped.push({ what: 'search', text: choice.value, origin: choice.origin, reason });
      return;
    }
    bytes += choice.value.length + 1;
    chosen.set(choice.value, choice);
  };
  for (const entry of entries) {
    const reason = `A search domain of ${describeOrigin(entry.origin)}.`;
    for (const value of entry.searches) offer({ value, origin: entry.origin, reason });
  }
  const own = hostDomain(host);
  if (own !== undefined) offer(own);
  return [...chosen.values()];
}

/** The first value of each option wins; trust-ad holds only when every entry that has servers sets it. */
export function chooseOptions(
  entries: readonly Entry[],
  dropped: LeftOut[],
): readonly Choice<ResolvOption>[] {
  const chosen = new Map<string, Choice<ResolvOption>>();
  const allTrust = entries.every(
    (entry) => entry.servers.length === 0 || entry.options.some((o) => o.name === 'trust-ad'),
  );
  for (const entry of entries) {
    for (const value of entry.options) {
      const leave = (reason: string): void => {
        dropped.push({ what: 'option', text: formatOption(value), origin: entry.origin, reason });
      };
      const held = chosen.get(value.name);
      if (value.name === 'trust-ad' && !allTrust)
        leave('trust-ad holds only when every connection with servers asks for it.');
      else if (held === undefined) {
        chosen.set(value.name, {
          value,
          origin: entry.origin,
          reason: `An option of ${describeOrigin(entry.origin)}.`,
        });
      } else if (held.value.value !== value.value)
        leave(`${describeOrigin(held.origin)} comes first and sets ${formatOption(held.value)}.`);
    }
  }
  return [...chosen.values()];
}

/** Each pair once, and no more than glibc reads. */
export function chooseSortlist(entries: readonly Entry[], dropped: LeftOut[]): readonly Choice<string>[] {
  const chosen = new Map<string, Choice<string>>();
  for (const { origin, sortlist = [] } of entries) {
    for (const value of sortlist) {
      if (chosen.has(value)) continue;
      if (chosen.size < MOST_SORTLIST)
        chosen.set(value, { value, origin, reason: `From the sortlist of ${describeOrigin(origin)}.` });
      else
        dropped.push({
          what: 'sortlist',
          text: value,
          origin,
          reason: `libc reads ${MOST_SORTLIST} of them.`,
        });
    }
  }
  return [...chosen.values()];
}

/** The domain of the machine's own name, NetworkManager's rule: not a public suffix, no addresses, no localhost. */
function hostDomain(host: Host | undefined): Choice<Domain> | undefined {
  const name = host === undefined ? undefined : parseDomain(host.name);
  if (host === undefined || name === undefined || !name.ok || !name.value.includes('.')) return undefined;
  if (/(^|\.)(in-addr\.arpa|ip6\.arpa|localhost|localdomain)$|^[0-9.]+$/.test(name.value)) return undefined;
  const parent = name.value.slice(name.value.indexOf('.') + 1);
  const value = (host.parentIsPublicSuffix ? name.value : parent) as Domain;
  const origin = { source: 'host', vpn: false, priority: 2 ** 31 - 1 } as const;
  return { value, origin, reason: `The domain of this machine's own name, ${name.value}.` };
}
