import { durationText } from '../core/duration.ts';
import type { Change } from '../core/status.ts';
import type { Terminal } from '../system/terminal.ts';
import { unifiedDiff } from '../system/text-diff.ts';
import { newPage, type Page } from './page.ts';
import { timeText } from './time-text.ts';

/** The changes for people, oldest first: when and why, what changed in the file, and how long it took. */
export function formatHistory(changes: readonly Change[], now: number, terminal: Terminal): string {
  const page = newPage(terminal);
  if (changes.length === 0) page.text('The file has not changed since the daemon started.');
  for (const [index, change] of changes.entries()) {
    if (index > 0) page.line('');
    page.text(changeLine(change, now), { style: 'strong' });
    putDiff(page, change);
  }
  return page.end();
}

/** One change in one line: `11:57:55 DnsManager.Configuration changed (networkmanager), 3.1 ms`. */
export const changeLine = (change: Change, now: number): string =>
  `${timeText(change.time, now)} ${change.cause} (${change.source}), ${durationText(change.tookMs)}`;

/** Below each line that came, the reason why it is there. */
function putDiff(page: Page, change: Change): void {
  const reasons = new Map(change.reasons.map(({ line, reason }) => [line, reason]));
  for (const line of unifiedDiff(change.before, change.after)) {
    const style = line.startsWith('+')
      ? 'good'
      : line.startsWith('-')
        ? 'bad'
        : line.startsWith('@')
          ? 'faint'
          : 'plain';
    page.line(line, { indent: 2, style });
    const reason = line.startsWith('+') ? reasons.get(line.slice(1)) : undefined;
    if (reason !== undefined) page.text(`why: ${reason}`, { indent: 6, style: 'faint' });
  }
}
