import { type Address, contains, type Prefix } from './address.ts';
import { type Domain, isWithin, parentOf, ROOT } from './domain.ts';
import type { Entry } from './entries.ts';
import { NO_ROUTE } from './kernel-routes.ts';
import { describeOrigin } from './order.ts';
import type { NameRoute } from './plan.ts';

/** The name of an entry's link within a plan. Two resolvconf(8) records without an interface are two links. */
export const linkKey = ({ origin }: Entry): string =>
  origin.interface ?? (origin.source === 'records' ? origin.connection?.id : undefined) ?? origin.source;

/**
 * Which names go to which link: NetworkManager's claims (`ipv4.dns-search` and `dns-priority` in nm-settings(5)) over entries that have servers,
 * which must come sorted. `exclusive` says whether an entry wants no name of its own asked elsewhere.
 */
export function claimRoutes(
  entries: readonly Entry[],
  exclusive: (entry: Entry) => boolean,
): readonly NameRoute[] {
  const claims = new Claims();
  const routes: NameRoute[] = [];
  const around: Around = {
    someoneHasDefault: entries.some((entry) => entry.defaultRoute),
    explicit: new Set(entries.filter(isExplicit).map((entry) => entry.origin.priority)),
  };
  for (const entry of entries) {
    for (const candidate of candidatesOf(entry, around)) {
      if (!claims.take(candidate.domain, entry.origin.priority, exclusive(entry))) continue;
      routes.push({ ...candidate, link: linkKey(entry), exclusive: exclusive(entry) });
    }
  }
  return unique([...routes, ...entries.flatMap((entry) => reverseRoutes(entry, exclusive(entry)))]);
}

/** Reverse zones that cover a range: octets for IPv4, nibbles for IPv6, rounded up as NetworkManager does. */
function reverseZones(range: Prefix): readonly Domain[] {
  const { address, length } = range;
  if (length === 0 || address.kind === 'multicast' || (address.family === 6 && address.kind === 'link-local'))
    return [];
  const step = address.family === 4 ? 8 : 4;
  const digits = Math.ceil(length / step);
  const spread = 2 ** (digits * step - length);
  const units = unitsOf(address, step).slice(0, digits);
  const last = (units.at(-1) ?? 0) & ~(spread - 1);
  return Array.from({ length: spread }, (_, i) =>
    zoneName([...units.slice(0, -1), last + i], address.family),
  );
}

type Candidate = Pick<NameRoute, 'domain' | 'kind' | 'reason'>;

/** What the catch-all of one entry depends on in the others. */
interface Around {
  readonly someoneHasDefault: boolean;
  /** Priorities at which somebody asks for every name in so many words. */
  readonly explicit: ReadonlySet<number>;
}

/** Whether an entry says `~.`: that is somebody's wish, where a default route is only a guess at one. */
const isExplicit = (entry: Entry): boolean => entry.routing.includes(ROOT);

function candidatesOf(entry: Entry, around: Around): readonly Candidate[] {
  const from = describeOrigin(entry.origin);
  const candidates: Candidate[] = [];
  for (const domain of entry.searches)
    candidates.push({ domain, kind: 'search', reason: `A search domain of ${from}.` });
  for (const domain of entry.routing) {
    const kind = domain === ROOT ? 'catch-all' : 'routing';
    candidates.push({ domain, kind, reason: `A routing domain (~) of ${from}.` });
  }
  const why = automaticCatchAll(entry, around);
  if (why !== undefined) candidates.push({ domain: ROOT, kind: 'catch-all', reason: `${from} ${why}.` });
  return candidates;
}

function automaticCatchAll(entry: Entry, { someoneHasDefault, explicit }: Around): string | undefined {
  // Those of equal priority would share the root, and names would go past the one that was told to have them all.
  if (isExplicit(entry) || explicit.has(entry.origin.priority)) return undefined;
  if (entry.defaultRoute)
    return entry.metric === NO_ROUTE
      ? 'may take every name, because nobody says otherwise'
      : 'has a default route';
  const hasDomains = entry.searches.length + entry.routing.length > 0;
  if (entry.origin.vpn && !entry.neverDefault && !hasDomains)
    return 'is a VPN that names no domains and may carry all traffic';
  if (!someoneHasDefault && !entry.origin.vpn) return 'is used because no link has a default route';
  return undefined;
}

/** Who claimed what so far; entries come in order of priority, so an earlier claim never has a worse one. */
class Claims {
  readonly #priorities = new Map<Domain, { priority: number; exclusive: boolean }>();
  #anyExclusive = false;

  take(domain: Domain, priority: number, exclusive: boolean): boolean {
    const held = this.#priorities.get(domain);
    if (held !== undefined && (held.priority < priority || (held.exclusive && !exclusive))) return false;
    if (this.#isShadowed(domain, priority)) return false;
    if (held === undefined) this.#priorities.set(domain, { priority, exclusive });
    this.#anyExclusive ||= exclusive;
    return true;
  }

  #isShadowed(domain: Domain, priority: number): boolean {
    if (!this.#anyExclusive) return false;
    for (let name = parentOf(domain); name !== undefined; name = parentOf(name)) {
      const held = this.#priorities.get(name);
      if (held?.exclusive && held.priority < priority) return true;
    }
    return false;
  }
}

function reverseRoutes(entry: Entry, exclusive: boolean): readonly NameRoute[] {
  const link = linkKey(entry);
  const reason = `An address range of ${describeOrigin(entry.origin)}.`;
  return outermost(entry.ranges)
    .flatMap(reverseZones)
    .slice(0, 512)
    .map((domain) => ({ domain, kind: 'reverse', link, exclusive, reason }));
}

/** Drop ranges that lie within others and single addresses of a range that is there anyway. */
function outermost(ranges: readonly Prefix[]): readonly Prefix[] {
  return ranges.filter(
    (range, index) =>
      !ranges.some(
        (other, otherIndex) =>
          contains(other, range.address) &&
          (other.length < range.length || (other.length === range.length && otherIndex < index)),
      ),
  );
}

function unitsOf(address: Address, step: number): number[] {
  return step === 8 ? [...address.bytes] : address.bytes.flatMap((byte) => [byte >> 4, byte & 15]);
}

function zoneName(units: readonly number[], family: 4 | 6): Domain {
  const base = family === 4 ? 10 : 16;
  const labels = units.toReversed().map((unit) => unit.toString(base));
  return `${labels.join('.')}.${family === 4 ? 'in-addr' : 'ip6'}.arpa` as Domain;
}

/** Two families of one link may claim the same; the text of a domain is hashed once, where a key made of all three would be each time. */
function unique(routes: readonly NameRoute[]): readonly NameRoute[] {
  const seen: Record<NameRoute['kind'], Map<string, Set<Domain>>> = {
    search: new Map(),
    routing: new Map(),
    'catch-all': new Map(),
    reverse: new Map(),
  };
  return routes.filter(({ domain, kind, link }) => {
    const claimed = seen[kind].get(link);
    if (claimed?.has(domain)) return false;
    if (claimed === undefined) seen[kind].set(link, new Set([domain]));
    else claimed.add(domain);
    return true;
  });
}

/** The routes that decide about a name: those of the longest matching domain; several links may share it. */
export function routesFor(name: Domain, routes: readonly NameRoute[]): readonly NameRoute[] {
  const matching = routes.filter((route) => isWithin(name, route.domain));
  const longest = Math.max(-1, ...matching.map((route) => (route.domain === ROOT ? 0 : route.domain.length)));
  return matching.filter((route) => (route.domain === ROOT ? 0 : route.domain.length) === longest);
}
