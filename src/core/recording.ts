import { type Parsed, parsed, refused } from './parsed.ts';
import type { RecordedEvent, SourceEvent } from './snapshot.ts';

const SOURCES = ['networkmanager', 'kernel', 'configuration', 'host', 'networkd', 'records', 'pushed-links'];
const STATES = ['starting', 'running', 'gone', 'absent', 'failed'];
const KNOBS = ['default', 'no', 'resolve', 'opportunistic', 'allow-downgrade', 'yes'];
const CONNECTIVITY = ['unknown', 'none', 'portal', 'limited', 'full'];

/** One line of a recording. Secrets cannot be in it: events hold only the fields of core/snapshot.ts. */
export const formatRecordedEvent = (event: SourceEvent, time: number): string =>
  JSON.stringify({ time, event });

/** Read one line of a recording, which may come from anybody: every field is checked before it is believed. */
export function parseRecordedEvent(line: string): Parsed<RecordedEvent> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return refused('no JSON object on this line');
  }
  const problem = check(value, RECORDED, '');
  return problem === undefined ? parsed(value as RecordedEvent) : refused(problem);
}

type Check = (value: unknown, at: string) => string | undefined;
interface Field {
  readonly check: Check;
  readonly optional?: boolean;
}
type Shape = Readonly<Record<string, Field>>;

const is =
  (test: (value: unknown) => boolean, wanted: string): Check =>
  (value, at) =>
    test(value) ? undefined : `${at}: wanted ${wanted}`;
const text = is((value) => typeof value === 'string' && value.length <= 65536, 'a text');
const number = is((value) => typeof value === 'number' && Number.isFinite(value), 'a number');
/** Later years have no date in four digits, and near the largest numbers adding a pause changes nothing. */
const moment = is(
  (value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) < 253_402_300_800_000,
  'milliseconds since 1970, before the year 10000',
);
const flag = is((value) => typeof value === 'boolean', 'true or false');
const oneOf = (words: readonly string[]): Check =>
  is((value) => words.includes(value as string), words.join(' or '));
const list =
  (inner: Check): Check =>
  (value, at) => {
    if (!Array.isArray(value) || value.length > 100_000) return `${at}: wanted a list`;
    return value
      .map((entry, index) => inner(entry, `${at}[${index}]`))
      .find((problem) => problem !== undefined);
  };
const object =
  (shape: Shape): Check =>
  (value, at) =>
    check(value, shape, at);
const record =
  (inner: Check): Check =>
  (value, at) =>
    typeof value !== 'object' || value === null
      ? `${at}: wanted an object`
      : Object.entries(value)
          .map(([key, entry]) => inner(entry, `${at}.${key}`))
          .find((problem) => problem !== undefined);
const must = (check: Check): Field => ({ check });
const may = (check: Check): Field => ({ check, optional: true });

function check(value: unknown, shape: Shape, at: string): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return `${at || 'the line'}: wanted an object`;
  const fields = value as Record<string, unknown>;
  const unknown = Object.keys(fields).find((key) => !Object.hasOwn(shape, key));
  if (unknown !== undefined) return `${at}.${unknown.slice(0, 40)}: no such field`;
  for (const [key, field] of Object.entries(shape)) {
    if (fields[key] === undefined && field.optional) continue;
    const problem = field.check(fields[key], `${at}.${key}`);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

const ROUTE: Shape = { destination: must(text), gateway: may(text), metric: may(number) };

const LINK: Shape = {
  interface: may(text),
  ifindex: may(number),
  family: must(is((value) => value === 4 || value === 6, '4 or 6')),
  connection: may(object({ id: must(text), uuid: must(text), type: must(text), activation: may(text) })),
  vpn: must(flag),
  priority: must(number),
  servers: must(list(text)),
  searches: must(list(text)),
  domains: must(list(text)),
  options: must(list(text)),
  sortlist: may(list(text)),
  addresses: must(list(text)),
  routes: must(list(object(ROUTE))),
  gateway: may(text),
  defaultRoute: must(flag),
  metric: may(number),
  neverDefault: must(flag),
  mdns: must(oneOf(KNOBS)),
  llmnr: must(oneOf(KNOBS)),
  dnsOverTls: must(oneOf(KNOBS)),
  dnssec: must(oneOf(KNOBS)),
  connectivity: must(oneOf(CONNECTIVITY)),
  ssid: may(text),
};

const GLOBAL: Shape = {
  searches: may(list(text)),
  options: may(list(text)),
  domains: must(record(list(text))),
};

const KERNEL_ROUTE: Shape = {
  interface: must(text),
  family: must(is((value) => value === 4 || value === 6, '4 or 6')),
  metric: must(number),
  gateway: may(text),
};

const STATE: Shape = {
  links: must(list(object(LINK))),
  global: may(object(GLOBAL)),
  host: may(object({ name: must(text), parentIsPublicSuffix: must(flag) })),
  connectivity: may(oneOf(CONNECTIVITY)),
  routes: may(list(object(KERNEL_ROUTE))),
};

const EVENT: Check = (value, at) => {
  const kind = (value as { kind?: unknown } | null)?.kind;
  const common = { source: must(oneOf(SOURCES)), kind: must(text) };
  return kind === 'health'
    ? check(
        value,
        { ...common, health: must(object({ state: must(oneOf(STATES)), detail: must(text) })) },
        at,
      )
    : check(
        value,
        { ...common, kind: must(oneOf(['state'])), cause: must(text), state: must(object(STATE)) },
        at,
      );
};

const RECORDED: Shape = { time: must(moment), event: must(EVENT) };
