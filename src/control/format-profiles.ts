import { durationText } from '../core/duration.ts';
import type { ProfileChoice } from '../core/profile-choice.ts';
import type { ProfileUse } from '../core/profiles.ts';
import type { Terminal } from '../system/terminal.ts';
import { newPage } from './page.ts';

/** What `dnsctl profile list` and `show` know. */
export interface ProfilesReport {
  readonly profiles: readonly ProfileUse[];
  readonly servers: readonly { readonly link: string; readonly server: string }[];
  readonly profileByHand?: ProfileChoice;
  /** All profiles, not one of them. */
  readonly whole: boolean;
  /** The files of the configuration are wrong, so what stands in them may not count. */
  readonly configurationWrong: boolean;
}

/** The profiles for people, in the order in which they are tried. */
export function formatProfiles(report: ProfilesReport, now: number, terminal: Terminal): string {
  const page = newPage(terminal);
  const { profiles, profileByHand: chosen } = report;
  if (profiles.length === 0 && !report.configurationWrong)
    page.text('The configuration has no [[profile]]; dnskeeper.toml(5) shows how to write one.');
  if (report.configurationWrong)
    page.text('The configuration is wrong, and what it says now does not count: dnsctl status', {
      style: 'notice',
    });
  page.rows(
    profiles.map(({ name, links, reason }) => ({
      label: name,
      text: links.length === 0 ? `not in force: ${reason}` : `in force on ${links.join(', ')}: ${reason}`,
      style: links.length === 0 ? 'plain' : 'good',
    })),
    0,
  );
  if (!report.whole) {
    const mine = report.servers.filter(({ link }) => profiles[0]?.links.includes(link));
    page.rows(
      mine.map(({ link, server }) => ({ label: link, text: server })),
      2,
    );
  }
  if (chosen !== undefined) {
    const left =
      chosen.until === undefined
        ? 'until "dnsctl profile auto"'
        : `for another ${durationText(Math.max(0, chosen.until - now))}`;
    page.text(`"${chosen.name}" was chosen by hand, ${left}.`);
  }
  return page.end();
}
