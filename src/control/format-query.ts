import type { QueryReport } from '../core/query-report.ts';
import type { Terminal } from '../system/terminal.ts';
import { newPage } from './page.ts';
import { durationText } from './time-text.ts';

/** An answer of the local resolver for people: what it says, then how it came about. */
export function formatQuery(report: QueryReport, terminal: Terminal): string {
  const page = newPage(terminal);
  const good = report.rcode === 'NOERROR';
  page.text(`${report.name} ${report.type}: ${report.rcode}`, { style: good ? 'strong' : 'bad' });
  if (good && report.answers.length === 0)
    page.text('The name exists, but has no record of this type.', { indent: 2 });
  for (const answer of report.answers) page.text(answer, { indent: 2 });
  for (const error of report.errors) page.text(`extended error ${error}`, { indent: 2, style: 'notice' });
  page.text(
    `${wayOf(report)}, ${durationText(report.tookMs)}${report.authentic ? ', validated by the server' : ''}`,
    {
      indent: 2,
    },
  );
  return page.end();
}

function wayOf({ from, server, route }: QueryReport): string {
  if (server !== undefined) return `from ${server}`;
  const over = route === undefined ? '' : `, route ${route}`;
  return `from ${WAYS[from] ?? from}${over}`;
}

const WAYS: Readonly<Record<string, string>> = {
  local: "the resolver's own knowledge",
  hosts: 'the hosts file',
  refused: 'nobody: such questions are refused',
  cache: 'the cache',
  'cache (stale)': 'the cache, past its time because no server answered',
  failure: 'nobody',
};
