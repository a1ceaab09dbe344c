/** What is asked of the programs of a folder: one JSON object and a line end, as is the answer. */
export interface HookCall {
  readonly folder: string;
  readonly stdin: string;
  readonly environment: Readonly<Record<string, string>>;
  /** How long each may take, in milliseconds; then it and what it started is killed. */
  readonly deadlineMs: number;
}

/** How one program of a hook folder ended. */
export interface HookResult {
  /** Empty for the folder as a whole. */
  readonly name: string;
  /** Absent when it ended well; otherwise one clause. */
  readonly problem?: string;
}

/** More programs than this in one folder are left out, and said to be. */
export const MOST_HOOKS = 32;

/** A plan is far shorter. */
export const MOST_CALL_BYTES = 8 << 20;

/** As text for the other process. */
export const formatHookCall = (call: HookCall): string => `${JSON.stringify(call)}\n`;

/** Read a call; undefined for anything else. */
export function parseHookCall(text: string): HookCall | undefined {
  const { folder, stdin, environment, deadlineMs } = objectOf(text);
  if (typeof folder !== 'string' || !folder.startsWith('/') || typeof stdin !== 'string') return undefined;
  if (typeof deadlineMs !== 'number' || !(deadlineMs > 0 && deadlineMs <= MOST_DEADLINE_MS)) return undefined;
  if (typeof environment !== 'object' || environment === null) return undefined;
  const entries = Object.entries(environment);
  const areText = entries.every(([name, value]) => /^DNSKEEPER_[A-Z]+$/.test(name) && isValue(value));
  return areText ? { folder, stdin, environment: Object.fromEntries(entries), deadlineMs } : undefined;
}

/** As text for the process that asked. */
export const formatHookResults = (results: readonly HookResult[]): string =>
  `${JSON.stringify({ results })}\n`;

/** Read an answer; undefined for anything else. */
export function parseHookResults(text: string): readonly HookResult[] | undefined {
  const { results } = objectOf(text);
  if (!Array.isArray(results) || !results.every(isResult)) return undefined;
  return results.map(({ name, problem }) => (problem === undefined ? { name } : { name, problem }));
}

const MOST_DEADLINE_MS = 60_000;

const isValue = (value: unknown): value is string => typeof value === 'string' && !value.includes('\0');

function isResult(value: unknown): value is HookResult {
  const { name, problem } = Object(value) as Record<string, unknown>;
  return typeof name === 'string' && (problem === undefined || typeof problem === 'string');
}

function objectOf(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    return {};
  }
}
