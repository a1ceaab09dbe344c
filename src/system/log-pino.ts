import { fstatSync } from 'node:fs';
import { type DestinationStream, destination, type Logger, pino } from 'pino';
import type { Config } from '../core/config.ts';
import type { Log } from './log.ts';

/** Names of the levels, as the configuration has them. */
export type LogLevel = Config['logLevel'];

/** A log whose level can change while it runs; children follow. */
export type LeveledLog = Log & { readonly level: LogLevel; setLevel(level: LogLevel): void };

/** Where lines go and how they look. */
export interface LogOptions {
  readonly level: LogLevel;
  /** Standard error unless given (tests). */
  readonly stream?: { write(line: string): void };
  /** Whether each line starts with a syslog priority; found out from JOURNAL_STREAM unless given. */
  readonly priorities?: boolean;
}

/**
 * A log of one JSON object a line, written synchronously so that the last words before a crash are not lost.
 * Under journald each line starts with `<N>`, which journald takes as its priority (sd-daemon(3)).
 */
export function openLog(options: LogOptions): LeveledLog {
  const stream = options.stream ?? destination({ fd: 2, sync: true });
  const priorities = options.priorities ?? stderrIsJournal(process.env['JOURNAL_STREAM']);
  const root = pino(
    { level: options.level, base: null, timestamp: pino.stdTimeFunctions.epochTime },
    priorities ? withPriority(stream) : stream,
  );
  return {
    ...asLog(root),
    get level() {
      return root.level as LogLevel;
    },
    setLevel(level) {
      root.level = level;
    },
  };
}

function asLog(logger: Logger): Log {
  return {
    debug: (fields, text) => logger.debug(fields, text),
    info: (fields, text) => logger.info(fields, text),
    warn: (fields, text) => logger.warn(fields, text),
    error: (fields, text) => logger.error(fields, text),
    child: (module) => asLog(logger.child({ module })),
  };
}

/** JOURNAL_STREAM also stands in the environment of programs whose stderr goes elsewhere, hence the comparison. */
export function stderrIsJournal(journalStream: string | undefined): boolean {
  if (journalStream === undefined) return false;
  const { dev, ino } = fstatSync(2);
  return journalStream === `${dev}:${ino}`;
}

const metadata = Symbol.for('pino.metadata');

function withPriority(stream: { write(line: string): void }): DestinationStream {
  return {
    // Asks pino to set lastLevel on this object before each write.
    [metadata]: true,
    lastLevel: 30,
    write(line: string) {
      stream.write(`<${priorityOf(this.lastLevel)}>${line}`);
    },
  } as DestinationStream & { lastLevel: number };
}

const priorityOf = (level: number): number => (level >= 50 ? 3 : level >= 40 ? 4 : level >= 30 ? 6 : 7);
