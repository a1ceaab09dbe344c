import type { Change } from '../core/status.ts';
import type { Terminal } from '../system/terminal.ts';
import { unifiedDiff } from '../system/text-diff.ts';
import { changeLine } from './format-history.ts';
import { newPage } from './page.ts';
import type { StatusReport } from './report.ts';
import { timeText } from './time-text.ts';

/** One reply of io.dnskeeper.Monitor. */
export interface MonitorReply {
  readonly status?: StatusReport;
  readonly change?: Change;
}

/** Turns monitor replies into lines: changes as they are, statuses only where they differ from the one before. */
export function monitorLines(
  terminal: Terminal,
  now: () => number,
): (reply: MonitorReply) => string | undefined {
  let before: StatusReport | undefined;
  return ({ status, change }) => {
    const page = newPage(terminal);
    let lines = 0;
    const put = (text: string, bad: boolean): void => {
      lines++;
      page.text(text, { style: bad ? 'bad' : 'plain' });
    };
    if (change !== undefined) {
      put(changeLine(change, now()), false);
      for (const line of unifiedDiff(change.before, change.after)) {
        if (/^[+-][^#]/.test(line))
          page.line(line, { indent: 2, style: line.startsWith('+') ? 'good' : 'bad' });
      }
    }
    if (status !== undefined) {
      for (const [text, bad] of differences(before, status)) put(`${timeText(now(), now())} ${text}`, bad);
      before = status;
    }
    return lines === 0 ? undefined : page.end();
  };
}

function differences(before: StatusReport | undefined, after: StatusReport): [text: string, bad: boolean][] {
  const found: [string, boolean][] = [];
  const { link } = after;
  if (before?.link.state !== link.state || before.link.inCharge !== link.inCharge) {
    found.push([`/etc/resolv.conf: ${link.inCharge} is in charge; ${link.reason}`, link.degraded]);
  }
  for (const { name, state, detail } of after.sources) {
    const was = before?.sources.find((source) => source.name === name)?.state;
    if (was !== state)
      found.push([`source ${name} ${state}: ${detail}`, state === 'failed' || state === 'gone']);
  }
  for (const { path, state, error } of after.files) {
    const was = before?.files.find((file) => file.path === path)?.state;
    if (state === 'failed' && was !== 'failed')
      found.push([`${path} could not be written: ${error ?? ''}`, true]);
  }
  if (before !== undefined && before.healthy !== after.healthy) {
    found.push([after.healthy ? 'healthy again' : 'degraded; dnsctl status says why', !after.healthy]);
  }
  return found;
}
