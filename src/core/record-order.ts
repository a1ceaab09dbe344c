import { extendedPattern } from './extended-pattern.ts';
import { matchesPattern } from './glob.ts';
import type { RecordSet, StoredRecord } from './record.ts';
import { matchesKey } from './record-pattern.ts';
import type { ResolvconfRules } from './record-rules.ts';
import { compareText } from './text.ts';

/**
 * Records in the order in which openresolv processes them: `key_order`, then `dynamic_order` without a metric, then others
 * without one, then by metric, and last the deprecated ones. The number says which of these groups a record is of. Where there
 * is an order in Debian's way it alone counts, and puts what it does not name behind what it does.
 */
export function orderRecords(set: RecordSet, rules: ResolvconfRules): readonly OrderedRecord[] {
  const own = rules.interfaceOrder.map(extendedPattern);
  return set.records
    .map((record) => {
      const group = groupOf(record, set.deprecated, rules);
      const place = own.length > 0 ? placeOf(own, record.key) : placeIn(patternsOf(group, rules), record.key);
      return { record, group, place };
    })
    .toSorted(
      (a, b) =>
        Number(a.group === GROUP.deprecated) - Number(b.group === GROUP.deprecated) ||
        (own.length > 0 ? a.place - b.place : a.group - b.group || a.place - b.place) ||
        (a.record.metric ?? -1) - (b.record.metric ?? -1) ||
        compareText(a.record.key, b.record.key),
    );
}

/** A record and its place: one of `GROUP`. */
export interface OrderedRecord {
  readonly record: StoredRecord;
  readonly group: number;
}

/** The groups of the order. */
export const GROUP = { first: 0, dynamic: 1, plain: 2, metric: 3, deprecated: 4 } as const;

/** The record that keeps all others out: the newest exclusive one, unless `inclusive_keys` takes that from it. */
export function exclusiveRecord(set: RecordSet, rules: ResolvconfRules): StoredRecord | undefined {
  const named = set.records.filter(
    ({ key, exclusive }) =>
      exclusive !== undefined || rules.exclusive.some((pattern) => matchesPattern(pattern, key)),
  );
  const newest = named.reduce<StoredRecord | undefined>(
    (best, record) => (best === undefined || (record.exclusive ?? 0) > (best.exclusive ?? 0) ? record : best),
    undefined,
  );
  if (newest === undefined || rules.inclusive.some((pattern) => matchesPattern(pattern, newest.key)))
    return undefined;
  return newest;
}

/** Why a record is not used at all, or undefined. */
export function whyDenied({ key }: StoredRecord, rules: ResolvconfRules): string | undefined {
  const among = (patterns: readonly string[]): boolean =>
    patterns.some((pattern) => matchesPattern(pattern, key));
  if (!rules.enabled) return 'resolvconf=NO is set in /etc/resolvconf.conf';
  if (rules.allow.length > 0 && !among(rules.allow))
    return 'allow_keys of /etc/resolvconf.conf does not name it';
  if (among(rules.deny)) return 'deny_keys of /etc/resolvconf.conf names it';
  return undefined;
}

/** Whether the servers of a record are for its own domains alone. */
export const isPrivate = (record: StoredRecord, rules: ResolvconfRules): boolean =>
  listed(record, record.private || record.nosearch, rules.private, rules);

/** Whether the domains of a record are not searched. */
export const isNosearch = (record: StoredRecord, rules: ResolvconfRules): boolean =>
  listed(record, record.nosearch, rules.nosearch, rules);

function listed(
  { key }: StoredRecord,
  own: boolean,
  patterns: readonly string[],
  rules: ResolvconfRules,
): boolean {
  if (rules.public.some((pattern) => matchesKey(pattern, key))) return false;
  return own || patterns.some((pattern) => matchesKey(pattern, key));
}

function groupOf(
  { key, metric }: StoredRecord,
  deprecated: readonly string[],
  rules: ResolvconfRules,
): number {
  if (deprecated.some((pattern) => matchesPattern(pattern, key))) return GROUP.deprecated;
  if (placeIn(rules.order, key) < rules.order.length) return GROUP.first;
  if (metric !== undefined) return GROUP.metric;
  return placeIn(rules.dynamicOrder, key) < rules.dynamicOrder.length ? GROUP.dynamic : GROUP.plain;
}

function patternsOf(group: number, rules: ResolvconfRules): readonly string[] {
  return group === GROUP.first ? rules.order : group === GROUP.dynamic ? rules.dynamicOrder : [];
}

function placeOf(patterns: readonly ((key: string) => boolean)[], key: string): number {
  const place = patterns.findIndex((isNamed) => isNamed(key));
  return place < 0 ? patterns.length : place;
}

function placeIn(patterns: readonly string[], key: string): number {
  const place = patterns.findIndex((pattern) => matchesKey(pattern, key));
  return place < 0 ? patterns.length : place;
}
