import type { Log } from '../../src/system/log.ts';

/** One line that was logged. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly text: string;
}

/** A log that keeps its lines for the test to look at. */
export function recordingLog(): Log & { readonly lines: readonly LogLine[] } {
  const lines: LogLine[] = [];
  const at = (level: LogLine['level']) => (fields: LogLine['fields'], text: string) =>
    void lines.push({ level, fields, text });
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), lines };
  return { ...log, child: () => ({ ...log, child: () => silent(log) }) };
}

const silent = (log: Omit<Log, 'child'>): Log => ({ ...log, child: () => silent(log) });
