import { ROOT } from './domain.ts';
import type { Entry } from './entries.ts';
import { MAX_NAMESERVERS } from './file-lines.ts';
import { describeOrigin } from './order.ts';
import type { Choice, NameRoute } from './plan.ts';
import { formatHost, formatServer, isPlain, linkToAsk, type Server } from './server.ts';

/** What the plain file cannot say, one sentence each: then it lists our resolver. */
export function inexpressible(
  entries: readonly Entry[],
  upstream: readonly Choice<Server>[],
  routes: readonly NameRoute[],
): readonly string[] {
  const reasons: string[] = [];
  const routing = routes.find((route) => route.kind === 'routing');
  if (routing !== undefined)
    reasons.push(`Names under ${routing.domain} belong to ${routing.link} alone (split DNS).`);
  const split = entries.find(isSplitTunnel);
  if (split !== undefined)
    reasons.push(`${describeOrigin(split.origin)} is a VPN for its own domains only (split DNS).`);
  const odd = upstream.find((choice) => !isPlain(choice.value));
  if (odd !== undefined)
    reasons.push(
      `${formatServer(odd.value)} needs ${linkToAsk(odd.value) === undefined ? 'a port or encryption' : 'a link'}.`,
    );
  const encrypted = entries.find(
    (entry) => entry.servers.length > 0 && /^(yes|opportunistic)$/.test(entry.dnsOverTls),
  );
  if (encrypted !== undefined) reasons.push(`${describeOrigin(encrypted.origin)} asks for DNS over TLS.`);
  const shared = sharedServer(entries);
  if (shared !== undefined) reasons.push(`${shared} is the address of a server on two links.`);
  if (upstream.length > MAX_NAMESERVERS)
    reasons.push(`There are ${upstream.length} servers, and libc reads ${MAX_NAMESERVERS}.`);
  return reasons;
}

const isSplitTunnel = (entry: Entry): boolean =>
  entry.origin.vpn &&
  !entry.defaultRoute &&
  entry.servers.length > 0 &&
  entry.searches.length > 0 &&
  !entry.routing.includes(ROOT);

function sharedServer(entries: readonly Entry[]): string | undefined {
  const links = new Map<string, string>();
  for (const entry of entries) {
    const link = entry.origin.interface;
    if (link === undefined) continue;
    for (const server of entry.servers) {
      const host = formatHost(server);
      const other = links.get(host);
      if (other !== undefined && other !== link) return host;
      links.set(host, link);
    }
  }
  return undefined;
}
