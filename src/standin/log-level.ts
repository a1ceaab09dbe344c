import type { Config } from '../core/config.ts';

type LogLevel = Config['logLevel'];

/** The levels of syslog(3) in the order of their numbers. */
export const SYSLOG_LEVELS: readonly string[] = [
  'emerg',
  'alert',
  'crit',
  'err',
  'warning',
  'notice',
  'info',
  'debug',
];

/** Our levels in the words of syslog(3), as systemd's LogControl1 has them. */
const SYSLOG: Readonly<Record<LogLevel, string>> = {
  error: 'err',
  warn: 'warning',
  info: 'info',
  debug: 'debug',
};

/** A level of ours in syslog's words. */
export const syslogLevel = (level: LogLevel): string => SYSLOG[level];

/** The level of ours that tells what a level of syslog wants told, or the next that tells more. */
export function levelOfSyslog(level: string): LogLevel {
  if (level === 'notice') return 'info';
  return (Object.keys(SYSLOG) as LogLevel[]).find((own) => SYSLOG[own] === level) ?? 'error';
}
