import { domainToASCII } from 'node:url';
import { parseAddress, reverseName } from '../core/address.ts';
import { type Domain, parseDomain } from '../core/domain.ts';
import { DnskeeperError, messageOf } from '../core/errors.ts';
import type { DaemonPresence, MachineFacts } from '../core/machine-facts.ts';
import type { Terminal } from '../system/terminal.ts';
import type { ChangeCommand, ControlClient } from './client.ts';
import { EXIT } from './command-table.ts';
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
  /** What /etc/resolv.conf says, for when no daemon answers. */
  lookAtFile(): Promise<AbsentFacts>;
  lookAtMachine(daemon: DaemonPresence, probe: boolean): Promise<MachineFacts>;
  /** Put the saved original back without a daemon. */
  releaseWithoutDaemon(): Promise<Outcome>;
}

/** A command; resolves to the exit code. Rejects with a DnskeeperError for what main reports. */
export type RunCommand = (context: CommandContext) => Promise<number>;

// Formatters are loaded when they are needed: dnsctl status must not pay for the others.

/** The commands of dnsctl by name; the same names as in the command table. */
export const COMMANDS: Readonly<Record<string, RunCommand>> = {
  status: (context) => ('watch' in context.options ? watchStatus(context) : showStatus(context)),
  explain: showExplanation,
  query: showQuery,
  flush: async (context) => tell(context, await context.client.flush(domainOf(context, '.'))),
  history: showHistory,
  monitor: showMonitor,
  reload: (context) => change(context, 'reload'),
  takeover: (context) => change(context, 'takeover'),
  release: async (context) => {
    try {
      return await change(context, 'release');
    } catch (error) {
      if (!isNotRunning(error)) throw error;
      return tell(context, await context.releaseWithoutDaemon());
    }
  },
  'give-way': (context) => change(context, 'give-way'),
  'stand-in': (context) => change(context, 'stand-in'),
  doctor: showFindings,
};

const isJson = ({ options }: CommandContext): boolean => 'json' in options;

/** JSON whose every control, format or bidi character is escaped: what a network said must not steer a terminal. */
function json(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, undefined, indent);
  const escaped = text.replace(/(?!\n)[\p{C}\p{Zl}\p{Zp}]/gu, (character) =>
    character.replace(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  );
  return `${escaped}\n`;
}

const isNotRunning = (error: unknown): error is DnskeeperError =>
  error instanceof DnskeeperError && error.code === 'NOT_RUNNING';

async function showStatus(context: CommandContext): Promise<number> {
  try {
    const report = await context.client.status();
    if (isJson(context)) context.print(json(report, 2));
    else {
      const { formatStatus } = await import('./format-status.ts');
      context.print(formatStatus(report, context.now(), context.terminal));
    }
    return report.healthy ? EXIT.done : EXIT.problem;
  } catch (error) {
    if (!isNotRunning(error)) throw error;
    return showAbsent(context, error);
  }
}

async function showAbsent(context: CommandContext, error: DnskeeperError): Promise<number> {
  if (isJson(context)) {
    context.print(
      json({ schema: 1, healthy: false, error: { code: error.code, message: error.message } }, 2),
    );
  } else {
    const { formatAbsent } = await import('./format-absent.ts');
    context.print(formatAbsent(error.message, await context.lookAtFile(), context.terminal));
  }
  return EXIT.notRunning;
}

async function watchStatus(context: CommandContext): Promise<number> {
  const { formatStatus } = await import('./format-status.ts');
  for await (const report of context.client.watch()) {
    if (isJson(context)) context.print(json(report));
    else {
      // On a terminal each status replaces the one before; elsewhere they follow each other.
      if (Number.isFinite(context.terminal.columns)) context.print('\u001b[H\u001b[2J');
      context.print(`${formatStatus(report, context.now(), context.terminal)}\n`);
    }
  }
  throw gone();
}

async function showExplanation(context: CommandContext): Promise<number> {
  const explanation = await context.client.explain(domainOf(context));
  if (isJson(context)) context.print(json(explanation, 2));
  else {
    const { formatExplanation } = await import('./format-explanation.ts');
    context.print(formatExplanation(explanation, context.terminal));
  }
  return EXIT.done;
}

async function showQuery(context: CommandContext): Promise<number> {
  const { name, type } = questionOf(context);
  const report = await context.client.query(name, context.arguments['TYPE'] ?? type);
  if (isJson(context)) context.print(json(report, 2));
  else {
    const { formatQuery } = await import('./format-query.ts');
    context.print(formatQuery(report, context.terminal));
  }
  return report.rcode === 'NOERROR' ? EXIT.done : EXIT.problem;
}

/** An address is asked for by its reverse name, as host(1) does. */
function questionOf(context: CommandContext): { readonly name: Domain; readonly type: string } {
  const address = parseAddress(context.arguments['NAME'] ?? '');
  if (address.ok) return { name: reverseName(address.value), type: 'PTR' };
  return { name: domainOf(context), type: 'A' };
}

function domainOf(context: CommandContext, otherwise = ''): Domain {
  const text = context.arguments['NAME'] ?? otherwise;
  // Names in other scripts are asked for as A-labels (RFC 5891), as browsers do.
  const parsed = parseDomain(/^[ -~]*$/.test(text) ? text.toLowerCase() : domainToASCII(text));
  if (parsed.ok) return parsed.value;
  throw new DnskeeperError('USAGE', `wanted a host or domain name, got ${parsed.reason}`);
}

async function showHistory(context: CommandContext): Promise<number> {
  const all = await context.client.history();
  const lines = Number(context.options['lines'] ?? all.length);
  const changes = lines === 0 ? [] : all.slice(-lines);
  if (isJson(context)) context.print(json(changes, 2));
  else {
    const { formatHistory } = await import('./format-history.ts');
    context.print(formatHistory(changes, context.now(), context.terminal));
  }
  return EXIT.done;
}

async function showMonitor(context: CommandContext): Promise<number> {
  const { monitorLines } = await import('./format-monitor.ts');
  const linesOf = monitorLines(context.terminal, () => context.now());
  for await (const reply of context.client.monitor()) {
    const text = isJson(context) ? json(reply) : linesOf(reply);
    if (text !== undefined) context.print(text);
  }
  throw gone();
}

const gone = (): DnskeeperError => new DnskeeperError('NOT_RUNNING', 'the daemon has stopped');

const change = async (context: CommandContext, command: ChangeCommand): Promise<number> =>
  tell(context, await context.client.change(command));

async function tell(context: CommandContext, outcome: Outcome): Promise<number> {
  const { newPage } = await import('./page.ts');
  const page = newPage(context.terminal);
  page.text(outcome.text, { style: outcome.ok ? 'plain' : 'bad' });
  context.print(page.end());
  return outcome.ok ? EXIT.done : EXIT.problem;
}

async function showFindings(context: CommandContext): Promise<number> {
  const report = await context.client.status().catch((error: unknown) => {
    if (!isNotRunning(error)) throw new DnskeeperError('PROTOCOL', messageOf(error), error);
    return undefined;
  });
  const facts = await context.lookAtMachine(presenceOf(report), !('no-probe' in context.options));
  const { judgeMachine } = await import('../core/findings.ts');
  const { anythingWrong, formatFindings } = await import('./format-doctor.ts');
  const findings = judgeMachine(facts, report?.findings);
  context.print(isJson(context) ? json(findings, 2) : formatFindings(findings, context.terminal));
  return anythingWrong(findings) ? EXIT.problem : EXIT.done;
}

/** States of the link in which the daemon leaves /etc/resolv.conf alone on purpose. */
const LEFT_ALONE: readonly string[] = ['resolved', 'released', 'publish-only', 'unknown'];

function presenceOf(report: StatusReport | undefined): DaemonPresence {
  if (report === undefined) return 'absent';
  return report.mode === 'user' || LEFT_ALONE.includes(report.link.state) ? 'watching' : 'holding';
}
