import type { CacheEntryReport, CacheReport } from '../core/cache-report.ts';
import { durationText } from '../core/duration.ts';
import type { Terminal } from '../system/terminal.ts';
import { newPage, type Page } from './page.ts';
import { countText, groupedText, sizeText } from './time-text.ts';

/** Remembered answers for people: at most so many, and what was left out. `name` is `.` for all names. */
export function formatCache(cache: CacheReport, name: string, most: number, terminal: Terminal): string {
  const page = newPage(terminal);
  const { entries, bytes } = cache.statistics;
  const below = name === '.' ? '' : ` for ${name} and names below it`;
  page.text(`${countText(cache.matching, 'remembered answer')}${below}`, { style: 'strong' });
  page.text(
    `${countText(entries, 'answer')} in ${sizeText(bytes)} in all; those given most often first, the fast path apart`,
    {
      indent: 2,
    },
  );
  const shown = cache.entries.slice(0, most);
  for (const entry of shown) putEntry(page, entry);
  const left = cache.matching - shown.length;
  if (left > 0) page.heading(`and ${groupedText(left)} more; --lines COUNT and --name NAME show others`);
  return page.end();
}

function putEntry(page: Page, entry: CacheEntryReport): void {
  const { name, type, rcode, route, hits, secondsLeft, records, recordCount } = entry;
  page.line('');
  page.text(`${name} ${type}`, { style: 'strong' });
  const what = recordCount > 0 ? [] : [rcode === 'NOERROR' ? 'no record of this type' : rcode];
  const facts = [...what, lifeText(secondsLeft), `route ${route}`, countText(hits, 'hit')];
  page.text(facts.join(', '), { indent: 2, style: secondsLeft < 0 ? 'faint' : 'plain' });
  for (const record of records) page.line(record, { indent: 4 });
  const more = recordCount - records.length;
  if (more > 0 && records.length > 0) page.text(`and ${countText(more, 'more record')}`, { indent: 4 });
}

const lifeText = (seconds: number): string =>
  seconds < 0
    ? `expired ${durationText(-1000 * seconds)} ago, kept in case no server answers`
    : `${durationText(1000 * seconds)} left`;
