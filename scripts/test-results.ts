/** What became of the tests of one run, or of two where what failed was run again. */
export interface Results {
  readonly tests: readonly Outcome[];
  /** What failed outside every test: a hook, a file as a whole, or something that nobody waited for (no file then). */
  readonly outside: readonly Failure[];
}

/** What became of one test; its name carries those of the blocks it stands in. */
export interface Outcome {
  readonly file: string;
  readonly name: string;
  readonly state: 'passed' | 'failed' | 'skipped';
  readonly ms: number;
  readonly failure?: Failure;
}

/** What failed, with the whole message and the place where it was noticed. */
export interface Failure {
  readonly file: string;
  readonly name: string;
  readonly message: string;
  readonly place?: { readonly file: string; readonly line: number };
}

/** What counts in the end, and what failed once and held once. */
export interface Verdict {
  readonly passed: number;
  readonly skipped: number;
  readonly failed: readonly Failure[];
  readonly unsteady: readonly Failure[];
}

const LONGEST_LINE = 200;
const MOST_LINES = 40;
const LONGEST_NAME = 90;
const SLOW_MS = 30_000;

/** Everything that failed, in one list. */
export const failuresOf = ({ tests, outside }: Results): readonly Failure[] => [
  ...outside,
  ...tests.flatMap(({ failure }) => failure ?? []),
];

/** One line for each failure: whoever is shown only the beginning of a long report still sees all of them. */
export function failureLines(failures: readonly Failure[], title = ' FAIL '): readonly string[] {
  const lines = failures.slice(0, MOST_LINES).map((failure) => failureLine(failure, title));
  const rest = failures.length - lines.length;
  return rest > 0 ? [...lines.slice(0, -1), `${title} and ${rest + 1} more`] : lines;
}

function failureLine({ file, name, message, place }: Failure, title: string): string {
  const where = place === undefined ? '' : place.file === file ? `line ${place.line}` : placeOf(place);
  const end = where === '' ? '' : ` (at ${where})`;
  const text = [file, shorten(name, LONGEST_NAME)].filter((part) => part !== '').join(' > ');
  const [said = ''] = message.split('\n');
  return shorten(`${title} ${text}: ${said}`, LONGEST_LINE - end.length) + end;
}

const placeOf = ({ file, line }: { readonly file: string; readonly line: number }): string =>
  `${file}:${line}`;

/** The end of a name tells more than its middle. */
function shorten(text: string, length: number): string {
  if (text.length <= length) return text;
  const end = Math.floor(length / 3);
  return `${text.slice(0, length - end - 1)}…${text.slice(-end)}`;
}

/** The tests that took long, the longest first. */
export function slowLines({ tests }: Results): readonly string[] {
  const slow = tests.filter(({ ms }) => ms > SLOW_MS).toSorted((a, b) => b.ms - a.ms);
  return slow
    .slice(0, MOST_LINES)
    .map(({ file, name, ms }) => ` ${Math.round(ms / 1000)} s  ${file} > ${shorten(name, LONGEST_NAME)}`);
}

/**
 * What counts after files with failures have run once more. A test has passed when it passed in one of the two; what
 * failed outside the tests of a file counts when it happened both times, or where the file is unknown.
 */
export function judge(first: Results, again: Results = { tests: [], outside: [] }): Verdict {
  const repeated = new Map(again.tests.map((test) => [keyOf(test), test]));
  const pairs = first.tests.map((test) => [test, repeated.get(keyOf(test))] as const);
  const states = pairs.map(([once, twice]) => best(once.state, twice?.state));
  const [failed, unsteady]: [Failure[], Failure[]] = [[], []];
  pairs.forEach(([once, twice], index) => {
    const failure = once.failure ?? twice?.failure;
    if (failure !== undefined) (states[index] === 'passed' ? unsteady : failed).push(failure);
  });
  const rerun = new Set(again.tests.map(({ file }) => file));
  for (const failure of first.outside) {
    const twice = !rerun.has(failure.file) || again.outside.some(({ file }) => file === failure.file);
    (twice ? failed : unsteady).push(failure);
  }
  // Something that only the second run has is unsteady too, unless nobody knows how far that run came.
  const known = new Set(first.outside.map(({ file }) => file));
  for (const failure of again.outside) {
    if (failure.file === '') failed.push(failure);
    else if (!known.has(failure.file)) unsteady.push(failure);
  }
  return {
    passed: states.filter((state) => state === 'passed').length,
    skipped: states.filter((state) => state === 'skipped').length,
    failed,
    unsteady,
  };
}

const keyOf = ({ file, name }: Outcome): string => `${file} > ${name}`;

function best(once: Outcome['state'], twice: Outcome['state'] | undefined): Outcome['state'] {
  const both = [once, twice];
  if (both.includes('passed')) return 'passed';
  return both.includes('failed') ? 'failed' : 'skipped';
}
