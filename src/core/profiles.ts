import type { SearchEntry } from './config-values.ts';
import type { Entry } from './entries.ts';
import { matchesPattern } from './glob.ts';
import type { LeftOut } from './plan.ts';
import type { Conditions, Profile } from './profile-keys.ts';
import { linkKey } from './routes.ts';
import { formatServer } from './server.ts';
import { printable } from './text.ts';

/** What became of one profile of the configuration, for `dnsctl profile`. */
export interface ProfileUse {
  readonly name: string;
  /** Keys of the links that it holds for; empty while it holds for none. */
  readonly links: readonly string[];
  /** One sentence: why it holds for them, or why for none. */
  readonly reason: string;
}

/** Entries after the profiles, and what became of each profile. */
export interface Profiled {
  readonly entries: readonly Entry[];
  readonly uses: readonly ProfileUse[];
}

/**
 * Apply the profiles: to each link the first whose conditions it fulfils. One that was chosen by hand comes before the
 * others, and holds for the links with the default route where its conditions fit no link. The configuration's own
 * servers are no link's and stay as they are.
 */
export function applyProfiles(
  entries: readonly Entry[],
  profiles: readonly Profile[],
  chosen: string | undefined,
  dropped: LeftOut[],
): Profiled {
  if (profiles.length === 0) return { entries, uses: [] };
  const links = Map.groupBy(entries, linkKey);
  const held = assign(links, profiles, chosen);
  const changed = [...links].flatMap(([key, of]) => {
    const profile = held.get(key)?.profile;
    return profile === undefined ? of : applyTo(of, profile, dropped);
  });
  return { entries: changed, uses: profiles.map((profile) => useOf(profile, links, held)) };
}

/** The links of a plan by key. */
type Links = ReadonlyMap<string, readonly Entry[]>;

interface Held {
  readonly profile: Profile;
  readonly byHand: boolean;
}

function assign(
  links: Links,
  profiles: readonly Profile[],
  chosen: string | undefined,
): ReadonlyMap<string, Held> {
  const held = new Map<string, Held>();
  const byHand = profiles.find(({ name }) => name === chosen);
  if (byHand !== undefined) {
    const fitting = [...links.keys()].filter((key) => fulfils(links.get(key) ?? [], byHand.when));
    const carrying = [...links.keys()].filter((key) =>
      links.get(key)?.some((entry) => entry.defaultRoute && !entry.origin.vpn),
    );
    for (const key of fitting.length > 0 ? fitting : carrying)
      held.set(key, { profile: byHand, byHand: true });
  }
  for (const profile of profiles) {
    for (const [key, of] of links)
      if (!held.has(key) && fulfils(of, profile.when)) held.set(key, { profile, byHand: false });
  }
  return held;
}

function useOf(profile: Profile, links: Links, held: ReadonlyMap<string, Held>): ProfileUse {
  const mine = [...held].filter(([, each]) => each.profile === profile);
  const byHand = mine.some(([, each]) => each.byHand);
  const reason =
    mine.length === 0
      ? whyNone(profile, links, held)
      : byHand
        ? 'It was chosen by hand.'
        : Object.keys(profile.when).length === 0
          ? 'It has no condition.'
          : `${describeConditions(profile.when)} fits.`;
  return { name: profile.name, links: mine.map(([key]) => key), reason };
}

function whyNone({ when }: Profile, links: Links, held: ReadonlyMap<string, Held>): string {
  for (const [key, of] of links) {
    const other = held.get(key)?.profile;
    if (other !== undefined && fulfils(of, when))
      return `${key} has profile "${other.name}", which comes first.`;
  }
  const missed = conditionsOf(when).find(
    ([name, wanted]) => ![...links.values()].some((of) => fulfilsOne(of, name, wanted)),
  );
  if (missed === undefined) return 'No link fulfils all its conditions.';
  const [name, wanted] = missed;
  return `No link fulfils ${describeCondition(name, wanted)}${typeof wanted === 'boolean' ? '' : whatThereIs(links, name)}.`;
}

const MOST_SHOWN = 4;

/** What the links have instead, so that nobody has to guess how a condition is written. */
function whatThereIs(links: Links, name: Condition): string {
  const texts = [...links.values()].flatMap((of) => of.map((entry) => shownOf(textsOf(entry, name), name)));
  const there = [...new Set(texts)].filter((text) => text !== undefined);
  if (there.length === 0) return '; no link has one';
  const shown = there.slice(0, MOST_SHOWN).map((text) => `"${printable(text, 40)}"`);
  return `; there is ${shown.join(', ')}${there.length > MOST_SHOWN ? ' and others' : ''}`;
}

/** Of several texts for one thing the one that people use. */
const shownOf = (texts: readonly string[], name: Condition): string | undefined =>
  name === 'connection' ? texts[0] : texts.at(-1);

type Condition = keyof Conditions;
type Wanted = readonly string[] | boolean;

const conditionsOf = (when: Conditions): readonly [Condition, Wanted][] =>
  Object.entries(when) as [Condition, Wanted][];

const fulfils = (of: readonly Entry[], when: Conditions): boolean =>
  conditionsOf(when).every(([name, wanted]) => fulfilsOne(of, name, wanted));

function fulfilsOne(of: readonly Entry[], name: Condition, wanted: Wanted): boolean {
  if (typeof wanted === 'boolean') {
    const holds = of.some((entry) => (name === 'vpn' ? entry.origin.vpn : entry.defaultRoute));
    return holds === wanted;
  }
  return of.some((entry) =>
    textsOf(entry, name).some((text) => wanted.some((pattern) => matchesPattern(pattern, text))),
  );
}

/** Names by which people call NetworkManager's types (nmcli shows them too). */
const TYPE_NAMES: Readonly<Record<string, string>> = {
  '802-3-ethernet': 'ethernet',
  '802-11-wireless': 'wifi',
};

function textsOf({ origin, ssid, gateway, connectivity }: Entry, name: Condition): readonly string[] {
  const { connection } = origin;
  const texts: Partial<Record<Condition, readonly (string | undefined)[]>> = {
    connection: [connection?.id, connection?.uuid],
    type: [connection?.type, TYPE_NAMES[connection?.type ?? '']],
    ssid: [ssid],
    interface: [origin.interface],
    gateway: [gateway],
    connectivity: [connectivity],
  };
  return (texts[name] ?? []).filter((text) => text !== undefined);
}

function describeCondition(name: Condition, wanted: Wanted): string {
  const value =
    typeof wanted === 'boolean'
      ? String(wanted)
      : wanted.map((one) => `"${printable(one, 40)}"`).join(' or ');
  return `when.${name} = ${value}`;
}

const describeConditions = (when: Conditions): string =>
  conditionsOf(when)
    .map((one) => describeCondition(...one))
    .join(' and ');

/** What a profile makes of one link. Servers of its own go to the first family, those it adds to the last. */
function applyTo(of: readonly Entry[], profile: Profile, dropped: LeftOut[]): readonly Entry[] {
  const families = of.toSorted((a, b) => a.family - b.family);
  if (profile['never-use'] === true) {
    const reason = `Profile "${profile.name}" never uses this network.`;
    for (const entry of families) dropServers(entry, reason, dropped);
    return families.map((entry) => ({
      ...entry,
      origin: { ...entry.origin, profile: profile.name },
      servers: [],
      searches: [],
      routing: [],
      options: [],
    }));
  }
  return families.map((entry, index) => {
    const place = { first: index === 0, last: index === families.length - 1 };
    return {
      ...entry,
      origin: { ...entry.origin, priority: priorityFor(entry, profile), profile: profile.name },
      servers: serversFor(entry, profile, place, dropped),
      ...domainsFor(entry, profile, place, dropped),
      options: [...(place.first ? (profile.options ?? []) : []), ...entry.options],
      ...(profile['dns-over-tls'] === undefined ? {} : { dnsOverTls: profile['dns-over-tls'] }),
      ...(profile['default-route'] === undefined
        ? {}
        : { defaultRoute: profile['default-route'], neverDefault: !profile['default-route'] }),
    };
  });
}

interface Place {
  readonly first: boolean;
  readonly last: boolean;
}

function priorityFor({ origin }: Entry, { priority, exclusive }: Profile): number {
  const chosen = priority ?? origin.priority;
  if (exclusive === undefined) return chosen;
  return exclusive ? -Math.abs(chosen) : Math.abs(chosen);
}

function serversFor(entry: Entry, profile: Profile, place: Place, dropped: LeftOut[]): Entry['servers'] {
  const replaced = profile.servers !== undefined;
  if (replaced) dropServers(entry, `Profile "${profile.name}" names other servers.`, dropped);
  return [
    ...(replaced ? [] : entry.servers),
    ...(place.first ? (profile.servers ?? []) : []),
    ...(place.last ? (profile['add-servers'] ?? []) : []),
  ];
}

function domainsFor(
  entry: Entry,
  profile: Profile,
  place: Place,
  dropped: LeftOut[],
): Pick<Entry, 'searches' | 'routing'> {
  const replaced = profile.search !== undefined;
  if (replaced) {
    const reason = `Profile "${profile.name}" names other domains.`;
    for (const text of entry.searches) dropped.push({ what: 'search', text, origin: entry.origin, reason });
  }
  const own: readonly SearchEntry[] = [
    ...(place.first ? (profile.search ?? []) : []),
    ...(place.last ? (profile['add-search'] ?? []) : []),
  ];
  const named = (routingOnly: boolean) =>
    own.filter((one) => one.routingOnly === routingOnly).map(({ domain }) => domain);
  return {
    searches: [...(replaced ? [] : entry.searches), ...named(false)],
    routing: [...(replaced ? [] : entry.routing), ...named(true)],
  };
}

function dropServers(entry: Entry, reason: string, dropped: LeftOut[]): void {
  for (const server of entry.servers)
    dropped.push({ what: 'server', text: formatServer(server), origin: entry.origin, reason });
}
