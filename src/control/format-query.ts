import { durationText } from '../core/duration.ts';
import type { QueryReport } from '../core/query-report.ts';
import type { Terminal } from '../system/terminal.ts';
import { newPage } from './page.ts';
import { groupedText } from './time-text.ts';

/** An answer of the local resolver for people: what it says, then how it came about. */
export function formatQuery(report: QueryReport, terminal: Terminal): string {
  const page = newPage(terminal);
  const good = report.rcode === 'NOERROR';
  page.text(`${report.name} ${report.type}: ${report.rcode}`, { style: good ? 'strong' : 'bad' });
  if (good && report.answers.length === 0)
    page.text('The name exists, but has no record of this type.', { indent: 2 });
  for (const answer of report.answers.slice(0, MOST_RECORDS)) page.text(answer, { indent: 2 });
  const more = report.answers.length - MOST_RECORDS;
  if (more > 0) page.text(`and ${groupedText(more)} more records, which --json shows`, { indent: 2 });
  for (const error of report.errors) page.text(`extended error ${error}`, { indent: 2, style: 'notice' });
  const validated = report.authentic ? ', validated by the server' : '';
  page.text(`${wayOf(report)}, ${durationText(report.tookMs)}${validated}`, { indent: 2 });
  const flags = report.flags.filter((flag) => flag !== 'RA').map((flag) => `${flag} (${FLAGS[flag] ?? '?'})`);
  if (flags.length > 0) page.text(`flags ${flags.join(', ')}`, { indent: 2, style: 'faint' });
  return page.end();
}

const MOST_RECORDS = 100;

/** All but RA, which every answer of a resolver has. */
const FLAGS: Readonly<Record<string, string>> = {
  AA: 'from the owner of the name',
  TC: 'cut off',
  AD: 'authentic data',
  CD: 'not checked',
};

function wayOf({ from, server, route }: QueryReport): string {
  const over = route === undefined ? '' : `, route ${route}`;
  if (server !== undefined) return `asked ${server}${over}, not cached before`;
  return `from ${WAYS[from] ?? from}${over}`;
}

const WAYS: Readonly<Record<string, string>> = {
  local: "the resolver's own knowledge",
  hosts: 'the hosts file',
  refused: 'nobody: such questions are refused',
  cache: 'the cache',
  'cache (stale)': 'the cache, past its time because no server answered',
  failure: 'nobody: no server gave an answer',
};
