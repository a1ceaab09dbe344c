import type { Explanation } from '../core/explain.ts';
import type { Terminal } from '../system/terminal.ts';
import { newPage } from './page.ts';

/** Where a name goes, for people: the servers first, then every rule that had a say. */
export function formatExplanation(explanation: Explanation, terminal: Terminal): string {
  const page = newPage(terminal);
  page.text(explanation.name, { style: 'strong' });
  page.text(explanation.file, { indent: 2 });
  page.heading('Servers');
  if (explanation.servers.length === 0) page.text('none', { indent: 2, style: 'bad' });
  page.rows(
    explanation.servers.map(({ server, link, reason }) => ({
      label: link === undefined ? server : `${server} (${link})`,
      text: reason,
      style: 'strong',
    })),
  );
  if (explanation.rules.length > 0) page.heading('Rules');
  page.rows(
    explanation.rules.map(({ rule, matched, reason }) => ({
      label: `${matched ? '+' : '-'} ${rule}`,
      text: reason,
      style: matched ? 'good' : 'faint',
    })),
  );
  return page.end();
}
