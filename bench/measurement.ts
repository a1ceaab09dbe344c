/** One line of the table. */
export interface Row {
  readonly what: string;
  readonly must: string;
  readonly measured: string;
  /** What the peer needed, measured in the same run. */
  readonly peer: string;
  /** Ours over the peer's; below 1 is better than the peer. */
  readonly ratio: string;
  /** Undefined where nothing was measured, or no goal was set. */
  readonly reached?: boolean;
}

/** What a measurement is told on the command line. */
export interface Options {
  /** Seconds over which an idle daemon's processor time is counted. */
  readonly idleSeconds: number;
  /** How many profile switches. */
  readonly switches: number;
}

/** One measurement, in a file of its own. */
export interface Measurement {
  readonly name: string;
  /** What it measures, for the line of a measurement that was skipped. */
  readonly what: string;
  /** Whether it boots a machine in the lab. */
  readonly lab: boolean;
  run(options: Options): Promise<readonly Row[]>;
}

/** The value in the middle; the lower of two. */
export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** The value that this part of all values does not exceed. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? Number.NaN;
}

/** Milliseconds for people: three figures that mean something. */
export const ms = (value: number): string => `${figures(value)} ms`;

/** Bytes as people say them. */
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** Ours over theirs; a peer that needed nothing measurable gives none. */
export const ratio = (ours: number, theirs: number): string => (theirs > 0 ? figures(ours / theirs) : '-');

/** Three figures, never in exponent form. */
export function figures(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}
