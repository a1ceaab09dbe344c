import { resolvConfLines } from '../core/resolv-conf-lines.ts';
import { writerOfTarget, writerOfText } from '../core/writer.ts';
import type { Terminal } from '../system/terminal.ts';
import { newPage } from './page.ts';

/** What can be said about /etc/resolv.conf when no daemon runs. */
export interface AbsentFacts {
  readonly path: string;
  readonly linkText?: string;
  /** Absent when there is nothing to read. */
  readonly content?: string;
}

/** The status while no daemon answers: what the file says, and who seems to keep it. */
export function formatAbsent(message: string, facts: AbsentFacts, terminal: Terminal): string {
  const page = newPage(terminal);
  page.text(`Not running: ${message}`, { style: 'bad' });
  page.text(ownerText(facts), { indent: 2 });
  const { nameservers, search, options } = resolvConfLines(facts.content ?? '');
  page.heading('What the file says');
  if (nameservers.length === 0)
    page.text('no nameserver, so libc asks 127.0.0.1', { indent: 2, style: 'bad' });
  for (const server of nameservers) page.line(`nameserver ${server}`, { indent: 2 });
  for (const line of [...search, ...options]) page.line(line, { indent: 2 });
  page.heading('What is wrong with it: dnsctl doctor');
  return page.end();
}

function ownerText({ path, linkText, content }: AbsentFacts): string {
  if (content === undefined) {
    return linkText === undefined
      ? `${path} does not exist.`
      : `${path} links to ${linkText}, where nothing can be read.`;
  }
  const byLink = linkText === undefined ? undefined : writerOfTarget(linkText);
  const { program, header } = writerOfText(content);
  const what = linkText === undefined ? 'is a plain file' : `links to ${linkText}`;
  const who = byLink ?? program;
  if (who !== undefined) return `${path} ${what}; ${who} seems to keep it.`;
  return `${path} ${what}; nothing says who keeps it${header === '' ? '' : ` (its header: ${header})`}.`;
}
