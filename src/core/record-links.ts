import { parseAddress } from './address.ts';
import { matchesPattern } from './glob.ts';
import { interfaceOfKey, isVanished, type RecordSet, type StoredRecord } from './record.ts';
import {
  exclusiveRecord,
  GROUP,
  isNosearch,
  isPrivate,
  type OrderedRecord,
  orderRecords,
  whyDenied,
} from './record-order.ts';
import { matchesKey } from './record-pattern.ts';
import { DEFAULT_RULES, type ResolvconfRules } from './record-rules.ts';
import { domainOf, type RecordContent, readRecord } from './record-text.ts';
import { DEFAULT_PROTOCOLS, type LinkDns, type SourceState } from './snapshot.ts';
import { printable } from './text.ts';

/** What else decides about records. */
export interface RecordGround {
  readonly rules: ResolvconfRules;
  readonly links: readonly RecordLink[];
  /** NetworkManager's own record says what we hear from it anyway. */
  readonly networkManagerTells: boolean;
}

/** A link of the kernel as far as records ask. */
export interface RecordLink {
  readonly name: string;
  readonly ifindex: number;
  readonly loopback: boolean;
  readonly tunnel: boolean;
}

/** A record of which nothing is used, and why. */
export interface LeftRecord {
  readonly key: string;
  /** A clause. */
  readonly reason: string;
}

/** Records as a source tells them: several of one interface that are of one mind are one link. */
export function recordState(
  set: RecordSet,
  ground: RecordGround,
): { readonly state: SourceState; readonly left: readonly LeftRecord[] } {
  const { rules } = ground;
  const left = set.records.flatMap(({ key, ...rest }) => {
    const reason = whyLeft({ key, ...rest }, ground);
    return reason === undefined ? [] : [{ key, reason }];
  });
  const gone = new Set(left.map(({ key }) => key));
  const used = { ...set, records: set.records.filter(({ key }) => !gone.has(key)) };
  const alone = exclusiveRecord(used, rules);
  const described = orderRecords(used, rules).map((ordered, place) =>
    describe(ordered, place, alone, ground),
  );
  const placed = isOrderWritten(rules) ? inWrittenOrder(described) : described;
  const links = [...configured(rules, 'first'), ...merge(placed), ...configured(rules, 'last')];
  return { state: { links }, left };
}

/** What one record comes to. */
interface Described {
  readonly key: string;
  readonly content: RecordContent;
  readonly link: LinkDns;
}

function whyLeft(
  record: StoredRecord,
  { rules, links, networkManagerTells }: RecordGround,
): string | undefined {
  if (record.key === 'NetworkManager' && networkManagerTells)
    return 'NetworkManager tells the same itself, link by link';
  if (isVanished(record, links)) return `its interface ${record.interface?.name} is gone`;
  return whyDenied(record, rules);
}

/** NetworkManager's numbers: VPN before others, a negative one keeps the rest out. */
const PRIORITY = { exclusive: -50, local: 20, first: 30, vpn: 50, other: 100, deprecated: 200 } as const;

function describe(
  { record, group }: OrderedRecord,
  place: number,
  alone: StoredRecord | undefined,
  { rules, links }: RecordGround,
): Described {
  const content = readRecord(record.text, rules);
  const servers = content.nameservers.filter((word) => !isAmong(rules.serverBlacklist, word));
  const names = content.searches.filter((word) => !isAmong(rules.domainBlacklist, word));
  const found = interfaceOfKey(record.key, links);
  const link = found?.loopback === true ? undefined : found;
  const vpn = link?.tunnel === true || isTunnelKey(record.key);
  const own = isPrivate(record, rules);
  const exclusive = record.key === alone?.key && servers.length > 0;
  const local = found?.loopback === true && servers.some(isLoopback);
  return {
    key: record.key,
    content,
    link: {
      ...PLAIN,
      ...(link === undefined ? {} : { interface: link.name, ifindex: link.ifindex }),
      connection: connectionOf([record.key]),
      vpn,
      priority: exclusive
        ? PRIORITY.exclusive
        : priorityOf(kindOf(group, rules), vpn, local ? rules : undefined),
      servers,
      searches: searchesOf(names, { own, exclusive, nosearch: isNosearch(record, rules) }),
      // libc takes the last of two values and the plan the first, so what the rules say comes before.
      options: [...rules.options, ...content.options],
      // The rules' own comes last, as a link of its own, which an exclusive record keeps out.
      ...sortlistOf([...content.sortlist, ...(exclusive ? rules.sortlist : [])]),
      defaultRoute: !own,
      neverDefault: own,
      metric: (record.metric ?? -1) + place * PLACE,
    },
  };
}

/** Too little to matter between metrics; it keeps records of one metric in their order. */
const PLACE = 1e-6;

/** With openresolv a local server (`rules` are given) answers alone; here others stay behind it unless they say so. */
function priorityOf(group: number, vpn: boolean, rules: ResolvconfRules | undefined): number {
  if (group === GROUP.deprecated) return PRIORITY.deprecated;
  if (rules !== undefined) return rules.localOnly ? -1 : PRIORITY.local;
  if (group === GROUP.first) return PRIORITY.first;
  return vpn || group === GROUP.dynamic ? PRIORITY.vpn : PRIORITY.other;
}

const isOrderWritten = ({ interfaceOrder, dynamicOrder }: ResolvconfRules): boolean =>
  interfaceOrder.length > 0 || dynamicOrder.join(' ') !== DEFAULT_RULES.dynamicOrder.join(' ');

/** Where Debian's order counts, openresolv's first group does not. */
const kindOf = (group: number, rules: ResolvconfRules): number =>
  group === GROUP.first && rules.interfaceOrder.length > 0 ? GROUP.plain : group;

/**
 * An order that somebody wrote down is kept among records: whatever stands before another comes before it, also a network
 * before a VPN, which is first among equals otherwise. Beside other sources it takes no more than that needs.
 */
function inWrittenOrder(described: readonly Described[]): readonly Described[] {
  let next = { vpn: false, priority: Number.POSITIVE_INFINITY, metric: Number.POSITIVE_INFINITY };
  const placed = described.toReversed().map((each, index) => {
    const { link } = each;
    if (link.priority < 0) return each;
    const { vpn } = link;
    const before = next.vpn && !vpn ? Math.max(1, next.priority - 1) : next.priority;
    const priority = Math.min(link.priority, before);
    const metric = Math.min(Math.floor(link.metric ?? 0), next.metric);
    next = { vpn, priority, metric };
    return { ...each, link: { ...link, priority, metric: metric + (described.length - index) * PLACE } };
  });
  return placed.toReversed();
}

/** As NetworkManager writes routing: `~domain`. A private record's domains go to its servers and nowhere else. */
function searchesOf(
  names: readonly string[],
  {
    own,
    exclusive,
    nosearch,
  }: { readonly own: boolean; readonly exclusive: boolean; readonly nosearch: boolean },
): readonly string[] {
  const routed = own ? names.filter((name) => domainOf(name) !== undefined).map((name) => `~${name}`) : [];
  return [...(nosearch ? [] : names), ...routed, ...(exclusive ? ['~.'] : [])];
}

/** Programs that make tunnels name them so, or put such a word before the interface (openresolv's dynamic_order). */
const isTunnelKey = (key: string): boolean =>
  ['tap[0-9]*', 'tun', 'tun[0-9]*', 'tun-*', 'vpn', 'vpn[0-9]*', 'wg[0-9]*', 'lo.ipsec'].some((pattern) =>
    matchesKey(pattern, key),
  );

/** One link for each interface and flags; names without servers (iwd's) go to the servers of their interface. */
function merge(described: readonly Described[]): readonly LinkDns[] {
  const merged: LinkDns[] = [];
  const speaking = described.filter(({ link }) => link.servers.length > 0);
  const silent = described.filter(({ link }) => link.servers.length === 0 && saysSomething(link));
  for (const { key, link } of [...speaking, ...silent]) {
    const at = merged.findIndex((each) => belongTogether(each, link));
    const before = merged[at];
    if (before === undefined) merged.push(link);
    else merged[at] = join(before, link, key);
  }
  return merged;
}

const saysSomething = (link: LinkDns): boolean =>
  link.searches.length + link.options.length > 0 || link.sortlist !== undefined;

function belongTogether(a: LinkDns, b: LinkDns): boolean {
  if (a.interface === undefined || a.interface !== b.interface) return false;
  if (b.servers.length === 0) return a.priority >= 0 || b.priority < 0;
  return a.priority === b.priority && sameMetric(a, b) && a.neverDefault === b.neverDefault;
}

const sameMetric = (a: LinkDns, b: LinkDns): boolean =>
  Math.floor(a.metric ?? 0) === Math.floor(b.metric ?? 0);

function join(a: LinkDns, b: LinkDns, key: string): LinkDns {
  const servers = [...new Set([...a.servers, ...b.servers])];
  return {
    ...a,
    connection: connectionOf([a.connection?.id.replace(/^resolvconf /, '') ?? '', key]),
    servers,
    searches: [...new Set([...a.searches, ...b.searches])],
    options: [...new Set([...a.options, ...b.options])],
    ...sortlistOf([...(a.sortlist ?? []), ...(b.sortlist ?? [])]),
  };
}

function configured(rules: ResolvconfRules, where: 'first' | 'last'): readonly LinkDns[] {
  const { servers, searches } = rules[where];
  // Options hold without any record too.
  const options = where === 'first' ? rules.options : [];
  const sortlist = where === 'last' ? rules.sortlist : [];
  if (servers.length + searches.length + options.length + sortlist.length === 0) return [];
  return [
    {
      ...PLAIN,
      connection: { id: '/etc/resolvconf.conf', uuid: '', type: 'record' },
      priority: where === 'first' ? PRIORITY.local : PRIORITY.deprecated,
      servers,
      searches,
      options,
      ...sortlistOf(sortlist),
    },
  ];
}

const sortlistOf = (pairs: readonly string[]): Pick<LinkDns, 'sortlist'> =>
  pairs.length === 0 ? {} : { sortlist: [...new Set(pairs)] };

/** Of no family: a record may have servers of both. */
const PLAIN: LinkDns = {
  family: 4,
  vpn: false,
  priority: PRIORITY.other,
  servers: [],
  searches: [],
  domains: [],
  options: [],
  addresses: [],
  routes: [],
  defaultRoute: true,
  neverDefault: false,
  ...DEFAULT_PROTOCOLS,
  connectivity: 'unknown',
};

const connectionOf = (keys: readonly string[]): NonNullable<LinkDns['connection']> => ({
  id: printable(`resolvconf ${keys.join(', ')}`, 60),
  uuid: '',
  type: 'record',
});

const isAmong = (patterns: readonly string[], word: string): boolean =>
  patterns.some((pattern) => matchesPattern(pattern, word));

function isLoopback(word: string): boolean {
  const address = parseAddress(word);
  return address.ok && address.value.kind === 'loopback';
}
