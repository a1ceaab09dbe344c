import type { StatusReport } from './report.ts';

/** One thing that makes a status degraded, with the command that mends it where one is known. */
export interface Problem {
  readonly text: string;
  readonly mend?: string;
}

/** Everything that is wrong in a status, as the daemon found it, worst first. */
export function problemsOf(report: StatusReport): readonly Problem[] {
  const problems = report.findings.filter(({ severity }) => severity !== 'note');
  if (problems.length > 0 || report.healthy) return problems;
  return [
    { text: 'The daemon says that it is not healthy; its log says why.', mend: 'journalctl -u dnskeeper' },
  ];
}
