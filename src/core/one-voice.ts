import type { LeftOut } from './plan.ts';
import type { LinkDns, Snapshot } from './snapshot.ts';
import { ascii } from './text.ts';

/** Who describes links whole, the one that is believed first: two that speak of one link count one network. */
const VOICES = [
  { source: 'networkmanager', reason: 'NetworkManager describes this link itself.' },
  { source: 'networkd', reason: 'systemd-networkd describes this link itself.' },
  { source: 'kernel', reason: '' },
] as const;

/** Each link as the first tells it that describes it; what the others say of it is dropped. */
export function withoutDoubles(snapshot: Snapshot, dropped: LeftOut[]): Snapshot {
  const described = new Map<string | undefined, string>();
  let heard = snapshot;
  for (const { source, reason } of VOICES) {
    const state = snapshot[source];
    if (state === undefined) continue;
    const isDouble = (link: LinkDns): boolean => described.has(link.interface);
    for (const link of state.links.filter(isDouble))
      dropped.push(...leftOut(source, link, described.get(link.interface) ?? ''));
    heard = { ...heard, [source]: { ...state, links: state.links.filter((link) => !isDouble(link)) } };
    for (const link of state.links)
      if (link.interface !== undefined && !isDouble(link)) described.set(link.interface, reason);
  }
  return heard;
}

function leftOut(
  source: (typeof VOICES)[number]['source'],
  { interface: name = '', servers, priority }: LinkDns,
  reason: string,
): readonly LeftOut[] {
  const origin = { source, vpn: false, priority, interface: ascii(name, 15) };
  return servers.map((server) => ({ what: 'server', text: ascii(server, 60), origin, reason }));
}
