import { domainToASCII } from 'node:url';
import { parseAddress, reverseName } from '../core/address.ts';
import { type Domain, parseDomain } from '../core/domain.ts';
import { DnskeeperError } from '../core/errors.ts';
import type { DaemonPresence, MachineFacts } from '../core/machine-facts.ts';
import { printable } from '../core/text.ts';
import type { Screen, ScreenEvents } from '../system/screen.ts';
import type { Terminal } from '../system/terminal.ts';
import type { ControlClient } from './client.ts';
import type { Outcome } from './daemon-control.ts';
import type { AbsentFacts } from './format-absent.ts';
import type { StatusReport } from './report.ts';

/** What the commands of dnsctl need; nothing here touches the machine by itself. */
export interface CommandContext {
  readonly client: ControlClient;
  readonly terminal: Terminal;
  readonly arguments: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  /** Write to standard output. */
  print(text: string): void;
  now(): number;
  /** A file's text, bounded; rejects with a DnskeeperError. */
  readText(path: string): Promise<string>;
  /** Ask at the terminal; undefined where there is none to ask at. */
  confirm(question: string, forMs: number): Promise<'yes' | 'no' | 'too late' | undefined>;
  /** Write a file so that nobody ever reads half of it. */
  replaceFile(path: string, text: string): Promise<void>;
  /** The whole terminal, until the screen is closed; undefined where standard input or output is none. */
  openScreen(events: ScreenEvents): Screen | undefined;
  /** What /etc/resolv.conf says, for when no daemon answers. */
  lookAtFile(): Promise<AbsentFacts>;
  lookAtMachine(
    daemon: DaemonPresence,
    probe: boolean,
    report: StatusReport | undefined,
  ): Promise<MachineFacts>;
  /** Have the daemon put the original back, and do for it what the service has no power to do itself. */
  release(byDaemon: () => Promise<Outcome>): Promise<Outcome>;
  /** Put the saved original back without a daemon. */
  releaseWithoutDaemon(): Promise<Outcome>;
}

/** A command; resolves to the exit code. Rejects with a DnskeeperError for what main reports. */
export type RunCommand = (context: CommandContext) => Promise<number>;

/** Whether scripts read what is printed. */
export const isJson = ({ options }: CommandContext): boolean => 'json' in options;

/** JSON whose every control, format or bidi character is escaped: what a network said must not steer a terminal. */
export function json(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, undefined, indent);
  const escaped = text.replace(/(?!\n)[\p{C}\p{Zl}\p{Zp}]/gu, (character) =>
    character.replace(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  );
  return `${escaped}\n`;
}

/** A name as people write it, or the reverse name of an address, as host(1) takes one. Throws `USAGE` for what is neither. */
export function domainOf(text: string): Domain {
  const address = parseAddress(text);
  if (address.ok) return reverseName(address.value);
  // Names in other scripts are asked for as A-labels (RFC 5891), as browsers do.
  const parsed = parseDomain(/^[ -~]*$/.test(text) ? text.toLowerCase() : domainToASCII(text));
  if (parsed.ok) return parsed.value;
  const got = text === '' ? parsed.reason : `"${printable(text, 80)}": ${parsed.reason}`;
  throw new DnskeeperError('USAGE', `wanted a host or domain name, got ${got}`);
}

/** Whether nobody answered on the control socket. */
export const isNotRunning = (error: unknown): error is DnskeeperError =>
  error instanceof DnskeeperError && error.code === 'NOT_RUNNING';

/** What ends a stream that only the daemon's end can end. */
export const gone = (): DnskeeperError => new DnskeeperError('NOT_RUNNING', 'the daemon has stopped');
