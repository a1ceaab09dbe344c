import type { Config } from './config.ts';
import type { Plan } from './plan.ts';
import type { SourceHealth, SourceName } from './snapshot.ts';
import { type ConfigProblem, type Finding, isInForce, type LinkStatus } from './status.ts';

/** What the daemon knows about its own state. */
export interface Condition {
  readonly plan: Plan;
  readonly config: Config;
  readonly link: LinkStatus;
  readonly sources: readonly ({ readonly name: SourceName } & SourceHealth)[];
  /** Outputs that are not in force, with the message of their error. */
  readonly failures: ReadonlyMap<string, string>;
  readonly problems: readonly ConfigProblem[];
  readonly holdingGap: boolean;
}

/** What is wrong or notable, worst first. Any error or warning makes `dnsctl status` exit with 1. */
export function findingsOf(condition: Condition): readonly Finding[] {
  return [
    ...outputFindings(condition),
    ...linkFindings(condition.link),
    ...configFindings(condition),
    ...sourceFindings(condition),
    ...planFindings(condition),
  ].sort((a, b) => SEVERITY.indexOf(a.severity) - SEVERITY.indexOf(b.severity));
}

const SEVERITY: readonly Finding['severity'][] = ['error', 'warning', 'note'];

function outputFindings({ failures }: Condition): Finding[] {
  return [...failures].map(([name, message]) => ({
    severity: 'error',
    id: `output-${name}`,
    text: `${name} is not in force: ${message} It is tried again with growing pauses.`,
    mend: 'dnsctl doctor',
  }));
}

function linkFindings(link: LinkStatus): Finding[] {
  if (!link.degraded) return [];
  return [{ severity: 'warning', id: `link-${link.state}`, text: link.reason, mend: 'dnsctl doctor' }];
}

function configFindings({ problems, config }: Condition): Finding[] {
  const findings: Finding[] = problems.slice(0, 8).map((problem) => ({
    severity: 'warning',
    id: 'configuration',
    text: `${describeProblem(problem)} The last good configuration stays in force.`,
    mend: 'dnskeeperd --check',
  }));
  if (config.mode === 'stub') {
    const text =
      'resolver.mode is "stub", but this version has no local stub; the plain file is written instead.';
    findings.push({ severity: 'warning', id: 'stub-unavailable', text, mend: 'set resolver.mode = "auto"' });
  }
  return findings;
}

/** A problem of the configuration in one sentence. */
export function describeProblem(problem: ConfigProblem): string {
  const where = problem.line === undefined ? problem.file : `${problem.file}:${problem.line}`;
  const key = problem.key === undefined ? '' : ` ${problem.key}:`;
  return `${where}:${key} wanted ${problem.wanted}, got ${problem.got}.`;
}

function sourceFindings({ sources }: Condition): Finding[] {
  return sources
    .filter((source) => source.state === 'failed' || source.state === 'gone')
    .map((source) => ({ severity: 'warning', id: `source-${source.name}`, text: source.detail }));
}

/** Where somebody else is in charge, what our own file lacks harms nobody. */
function planFindings({ plan, link, holdingGap }: Condition): Finding[] {
  if (!isInForce(link.state)) return [];
  const findings: Finding[] = [];
  if (plan.nameservers.length === 0) {
    const text = 'No connection names a DNS server, so names do not resolve.';
    findings.push({ severity: 'warning', id: 'no-servers', text, mend: 'nmcli device status' });
  }
  if (holdingGap) {
    const text = 'No connection names a server right now; the last good ones stay for the grace time.';
    findings.push({ severity: 'note', id: 'grace', text });
  }
  for (const text of plan.inexpressible) {
    findings.push({
      severity: 'note',
      id: 'inexpressible',
      text: `A plain resolv.conf cannot say it all: ${text}`,
    });
  }
  return findings;
}

/** Why the plain file is written and not the stub, one sentence. */
export function fileModeReason(plan: Plan, config: Config): string {
  if (config.mode === 'file') return 'resolver.mode is "file".';
  if (plan.inexpressible.length === 0) return 'A plain resolv.conf says all there is to say.';
  return `This version has no local stub; not said: ${plan.inexpressible.join(' ')}`;
}
