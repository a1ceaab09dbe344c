import type { Entry } from './entries.ts';
import type { Origin } from './plan.ts';
import { formatServer } from './server.ts';
import type { SourceName } from './snapshot.ts';
import { compareText } from './text.ts';

/**
 * Put entries in the order in which they are asked: priority, then VPN before the best default route before others
 * (NetworkManager's order), then metric, then names. The last steps make the order total, so that the same entries
 * give the same file whatever order they arrived in.
 */
export function sortEntries(entries: readonly Entry[]): readonly Entry[] {
  const best = bestMetrics(entries);
  const ranked = entries.map((entry) => ({ entry, rank: rankOf(entry, best), tie: tieBreaker(entry) }));
  ranked.sort(
    (a, b) =>
      a.entry.origin.priority - b.entry.origin.priority ||
      a.rank - b.rank ||
      metricOf(a.entry) - metricOf(b.entry) ||
      compareText(a.tie, b.tie),
  );
  return ranked.map(({ entry }) => entry);
}

const MACHINE_WIDE: Readonly<Record<SourceName, string>> = {
  networkmanager: "NetworkManager's global DNS",
  configuration: 'the configuration',
  host: 'the host name',
  networkd: 'systemd-networkd',
  records: 'a resolv-conf record',
  'pushed-links': 'a resolve1 client',
};

/** Where a value came from, for people: `Home on wlan0`. */
export function describeOrigin(origin: Origin): string {
  const link = origin.interface === undefined ? '' : ` on ${origin.interface}`;
  if (origin.connection !== undefined) return `${origin.connection.id}${link}`;
  return origin.interface ?? MACHINE_WIDE[origin.source];
}

/** Why an entry stands where it stands, one sentence. */
export function orderReason(entry: Entry, entries: readonly Entry[]): string {
  const from = `from ${describeOrigin(entry.origin)}`;
  const rank = rankOf(entry, bestMetrics(entries));
  const why = entry.origin.vpn
    ? ', a VPN'
    : rank === 1 && entry.origin.interface !== undefined
      ? ', the best default route'
      : '';
  return `Priority ${entry.origin.priority}${why}, ${from}.`;
}

type BestMetrics = Readonly<Record<4 | 6, number>>;

function bestMetrics(entries: readonly Entry[]): BestMetrics {
  const best: Record<4 | 6, number> = { 4: Number.POSITIVE_INFINITY, 6: Number.POSITIVE_INFINITY };
  for (const entry of entries) {
    if (entry.defaultRoute && !entry.origin.vpn && entry.origin.interface !== undefined) {
      best[entry.family] = Math.min(best[entry.family], entry.metric);
    }
  }
  return best;
}

function rankOf(entry: Entry, best: BestMetrics): number {
  if (entry.origin.vpn) return 0;
  return entry.defaultRoute && entry.metric <= best[entry.family] ? 1 : 2;
}

const metricOf = (entry: Entry): number => (entry.defaultRoute ? entry.metric : Number.MAX_SAFE_INTEGER);

function tieBreaker(entry: Entry): string {
  const { origin } = entry;
  const servers = entry.servers.map(formatServer).join(' ');
  return [
    origin.interface ?? '',
    entry.family,
    origin.connection?.uuid ?? '',
    origin.source,
    servers,
    entry.searches.join(' '),
  ].join('\n');
}
