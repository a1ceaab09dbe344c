import type { Entry } from './entries.ts';
import { isFallback } from './fallback.ts';
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
  return entries.toSorted(
    (a, b) =>
      a.origin.priority - b.origin.priority ||
      rankOf(a, best) - rankOf(b, best) ||
      metricOf(a) - metricOf(b) ||
      compareNames(a, b),
  );
}

const MACHINE_WIDE: Readonly<Record<SourceName, string>> = {
  networkmanager: "NetworkManager's global DNS",
  kernel: 'the kernel',
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

/** Why each entry stands where it stands among the others, one sentence. */
export function orderReasons(entries: readonly Entry[]): ReadonlyMap<Entry, string> {
  const best = bestMetrics(entries);
  return new Map(entries.map((entry) => [entry, orderReason(entry, best)]));
}

function orderReason(entry: Entry, best: BestMetrics): string {
  if (isFallback(entry.origin)) return 'A fallback server: nobody else names one now.';
  const from = `from ${describeOrigin(entry.origin)}`;
  const rank = rankOf(entry, best);
  const why = entry.origin.vpn
    ? ', a VPN'
    : rank === 1 && entry.origin.interface !== undefined
      ? ', the best default route'
      : '';
  const { profile } = entry.origin;
  const by = profile === undefined ? '' : `, with profile "${profile}"`;
  return `Priority ${entry.origin.priority}${why}, ${from}${by}.`;
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

/** Formatting is left for the last, because nearly every pair differs before. */
function compareNames(a: Entry, b: Entry): number {
  return (
    compareText(a.origin.interface ?? '', b.origin.interface ?? '') ||
    a.family - b.family ||
    compareText(a.origin.connection?.uuid ?? '', b.origin.connection?.uuid ?? '') ||
    compareText(a.origin.source, b.origin.source) ||
    compareText(a.servers.map(formatServer).join(' '), b.servers.map(formatServer).join(' ')) ||
    compareText(a.searches.join(' '), b.searches.join(' '))
  );
}
