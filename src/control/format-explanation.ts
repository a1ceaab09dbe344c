import { durationText } from '../core/duration.ts';
import type { Explanation } from '../core/explain.ts';
import type { Outlook } from '../core/outlook.ts';
import type { Terminal } from '../system/terminal.ts';
import { newPage, type Page } from './page.ts';

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
  if (explanation.live !== undefined) putOutlook(page, explanation.live);
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

/** What a question would meet at this moment. */
function putOutlook(page: Page, { own, route, exclusive, servers, cached }: Outlook): void {
  page.heading('What the local resolver would do now');
  if (own !== undefined) page.text(own, { indent: 2, style: 'notice' });
  if (exclusive) page.text(`No other link than ${route} is ever asked for it.`, { indent: 2 });
  page.rows(
    servers.map(({ server, link, reason }) => ({
      label: `${server} (${link})`,
      text: reason,
      style: 'strong',
    })),
  );
  for (const { type, rcode, secondsLeft, route: by, used } of cached) {
    const left = durationText(1000 * Math.abs(secondsLeft));
    const life =
      secondsLeft < 0 ? `expired ${left} ago, given only if no server answers` : `for ${left} more`;
    const unused = used ? '' : `, not given: it came by the route ${by}`;
    page.text(`remembered: ${type} ${rcode} ${life}${unused}`, { indent: 2, style: used ? 'good' : 'faint' });
  }
  if (own === undefined && !cached.some(({ used }) => used))
    page.text('nothing is remembered for it', { indent: 2, style: 'faint' });
}
