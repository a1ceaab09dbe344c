/** One `key=value` of a unit-like file of systemd. */
export interface Assignment {
  readonly section: string;
  readonly key: string;
  readonly value: string;
  /** Where it begins; lines count from 1. */
  readonly line: number;
}

/** A line that says nothing: what was wanted there and what was got. */
export interface BadLine {
  readonly line: number;
  readonly wanted: string;
  readonly got: string;
}

/** More than this nobody writes by hand. */
const MOST_LINES = 4096;

/**
 * Read the dialect that systemd's own files are written in (systemd.syntax(7)): `[section]`, `key=value`, comments after
 * `#` or `;` at the beginning of a line, and a backslash at its end that goes on with the next. A bad line costs nothing
 * but itself.
 */
export function readSystemdIni(text: string): {
  readonly assignments: readonly Assignment[];
  readonly bad: readonly BadLine[];
} {
  const assignments: Assignment[] = [];
  const bad: BadLine[] = [];
  let section: string | undefined;
  for (const { text: whole, line } of logicalLines(text)) {
    const read = readLine(whole);
    if (read === undefined) continue;
    if ('wanted' in read) bad.push({ line, ...read });
    else if ('section' in read) section = read.section;
    else if (section === undefined)
      bad.push({ line, wanted: 'a [section] before it', got: 'an assignment outside of any' });
    else assignments.push({ section, ...read, line });
  }
  return { assignments, bad };
}

type LineRead =
  | { readonly section: string }
  | { readonly key: string; readonly value: string }
  | Omit<BadLine, 'line'>
  | undefined;

function readLine(whole: string): LineRead {
  const line = whole.trim();
  if (line === '') return undefined;
  if (line.includes('\ufffd')) return { wanted: 'UTF-8', got: 'other bytes' };
  if (line.startsWith('['))
    return line.endsWith(']')
      ? { section: line.slice(1, -1) }
      : { wanted: 'a section header that ends with ]', got: 'one that does not' };
  const equals = line.indexOf('=');
  if (equals < 0) return { wanted: 'a key, = and its value', got: 'no =' };
  if (equals === 0) return { wanted: 'a key before =', got: 'none' };
  return { key: line.slice(0, equals).trimEnd(), value: line.slice(equals + 1).trimStart() };
}

/** Lines as they count: without comments, those that go on joined by a space. */
function* logicalLines(text: string): Generator<{ readonly text: string; readonly line: number }> {
  const lines = text.replace(/^\ufeff/, '').split('\n', MOST_LINES);
  let begun: { readonly text: string; readonly line: number } | undefined;
  for (const [index, raw] of lines.entries()) {
    const own = raw.replace(/^\s+/, '').replace(/\r$/, '');
    // Also between the parts of a line that goes on.
    if (/^[#;]/.test(own)) continue;
    const goesOn = /(?<!\\)(?:\\\\)*\\$/.test(own);
    const joined = (begun?.text ?? '') + (goesOn ? `${own.slice(0, -1)} ` : own);
    const line = begun?.line ?? index + 1;
    begun = goesOn ? { text: joined, line } : undefined;
    if (!goesOn) yield { text: joined, line };
  }
  if (begun !== undefined) yield begun;
}

/** The words of a list; quotes hold spaces together, a backslash takes the next character as it is. */
export function systemdWords(text: string): readonly string[] {
  const words = text.matchAll(/(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\\.|[^\s\\])+/g);
  return [...words].map(([word]) =>
    word.replace(/\\(.)|["']/g, (_: string, escaped: string | undefined) => escaped ?? ''),
  );
}

/** A truth value in any of systemd's spellings; undefined for what is none. */
export function systemdBoolean(text: string): boolean | undefined {
  const word = text.toLowerCase();
  if (['1', 'yes', 'y', 'true', 't', 'on'].includes(word)) return true;
  if (['0', 'no', 'n', 'false', 'f', 'off'].includes(word)) return false;
  return undefined;
}

/** A time span (systemd.time(7)) in seconds: `90`, `1h 30min`, `1.5d`, `infinity`; undefined for what is none. */
export function systemdSeconds(text: string): number | undefined {
  const whole = text.trim();
  if (whole === 'infinity') return Number.POSITIVE_INFINITY;
  if (!/^(?:[0-9]+(?:\.[0-9]+)?\s*(?:[a-zµμ]+\s*|\s|$))+$/iu.test(whole)) return undefined;
  let seconds = 0;
  for (const [, number = '', unit = ''] of whole.matchAll(/([0-9.]+)\s*([a-zµμ]*)/giu)) {
    const factor = UNITS.find(([names]) => names.split(' ').includes(unit))?.[1];
    if (factor === undefined) return undefined;
    seconds += Number(number) * factor;
  }
  return seconds;
}

/** Names are told apart by case: `m` is a minute and `M` a month. The empty one stands for a number alone. */
const UNITS: readonly (readonly [names: string, seconds: number])[] = [
  ['usec us µs μs', 1e-6],
  ['msec ms', 1e-3],
  ['seconds second sec s ', 1],
  ['minutes minute min m', 60],
  ['hours hour hr h', 3600],
  ['days day d', 86_400],
  ['weeks week w', 604_800],
  ['months month M', 2_629_800],
  ['years year y', 31_557_600],
];
