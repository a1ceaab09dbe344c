import type { Finding } from '../core/status.ts';
import type { Terminal } from '../system/terminal.ts';
import { newPage } from './page.ts';

/** What doctor found, worst first, each with the command that mends it. */
export function formatFindings(findings: readonly Finding[], terminal: Terminal): string {
  const page = newPage(terminal);
  const wrong = findings.filter(({ severity }) => severity !== 'note').length;
  if (wrong === 0) page.text('Nothing is wrong.', { style: 'good' });
  else page.text(wrong === 1 ? 'One thing is wrong.' : `${wrong} things are wrong.`, { style: 'bad' });
  for (const { severity, text, mend } of findings) {
    page.line('');
    page.text(`${severity}: ${text}`, { style: STYLES[severity] });
    if (mend !== undefined) page.text(`mend: ${mend}`, { indent: 2 });
  }
  return page.end();
}

/** Whether there is anything that is not just a note; decides the exit code. */
export const anythingWrong = (findings: readonly Finding[]): boolean =>
  findings.some(({ severity }) => severity !== 'note');

const STYLES = { error: 'bad', warning: 'notice', note: 'plain' } as const;
