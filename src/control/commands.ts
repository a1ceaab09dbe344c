import type { Domain } from '../core/domain.ts';
import { DnskeeperError, messageOf } from '../core/errors.ts';
import type { DaemonPresence } from '../core/machine-facts.ts';
import type { ChangeCommand } from './client.ts';
import {
  type CommandContext,
  domainOf,
  gone,
  isJson,
  isNotRunning,
  json,
  type RunCommand,
} from './command-context.ts';
import { EXIT } from './command-table.ts';
import { showCache, showMetrics, showQuery, showStatistics } from './commands-resolver.ts';
import type { Outcome } from './daemon-control.ts';
import type { StatusReport } from './report.ts';

// Formatters are loaded when they are needed: dnsctl status must not pay for the others.

/** The commands of dnsctl by name; the same names as in the command table. */
export const COMMANDS: Readonly<Record<string, RunCommand>> = {
  status: (context) => ('watch' in context.options ? watchStatus(context) : showStatus(context)),
  explain: showExplanation,
  query: showQuery,
  flush: async (context) => tell(context, await context.client.flush(nameOf(context, '.'))),
  cache: showCache,
  statistics: showStatistics,
  metrics: showMetrics,
  top: async (context) => (await import('./command-top.ts')).showTop(context),
  history: showHistory,
  monitor: showMonitor,
  profile: async (context) =>
    (await import('./commands-profile.ts')).profileCommand(context, (outcome) => tell(context, outcome)),
  try: async (context) =>
    (await import('./commands-profile.ts')).tryCommand(context, (outcome) => tell(context, outcome)),
  reload: (context) => change(context, 'reload'),
  takeover: (context) => change(context, 'takeover'),
  release: async (context) => {
    try {
      return await tell(context, await context.release(() => context.client.change('release')));
    } catch (error) {
      if (!isNotRunning(error)) throw error;
      return tell(context, await context.releaseWithoutDaemon());
    }
  },
  'give-way': (context) => change(context, 'give-way'),
  'stand-in': (context) => change(context, 'stand-in'),
  doctor: showFindings,
};

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
  const explanation = await context.client.explain(nameOf(context));
  if (isJson(context)) context.print(json(explanation, 2));
  else {
    const { formatExplanation } = await import('./format-explanation.ts');
    context.print(formatExplanation(explanation, context.terminal));
  }
  return EXIT.done;
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
  const facts = await context.lookAtMachine(presenceOf(report), !('no-probe' in context.options), report);
  const { judgeMachine } = await import('../core/findings.ts');
  const { anythingWrong, formatFindings } = await import('./format-doctor.ts');
  const findings = judgeMachine(facts, report?.findings);
  context.print(isJson(context) ? json(findings, 2) : formatFindings(findings, context.terminal));
  return anythingWrong(findings) ? EXIT.problem : EXIT.done;
}

const nameOf = (context: CommandContext, otherwise = ''): Domain =>
  domainOf(context.arguments['NAME'] ?? otherwise);

/** States of the link in which the daemon leaves /etc/resolv.conf alone on purpose. */
const LEFT_ALONE: readonly string[] = ['resolved', 'released', 'publish-only', 'unknown'];

function presenceOf(report: StatusReport | undefined): DaemonPresence {
  if (report === undefined) return 'absent';
  return report.mode === 'user' || LEFT_ALONE.includes(report.link.state) ? 'watching' : 'holding';
}
