import { durationText } from '../core/duration.ts';
import { isFallback } from '../core/fallback.ts';
import type { Choice, Origin } from '../core/plan.ts';
import { isInForce, type MemoryStatus, type ServerReport } from '../core/status.ts';
import type { Terminal } from '../system/terminal.ts';
import { newPage, type Page, type Row } from './page.ts';
import { type Problem, problemsOf } from './problems.ts';
import type { LinkReport, StatusReport } from './report.ts';
import { agoText, countText, groupedText, percentText, sizeText } from './time-text.ts';

/** The status for people: what is wrong first, then what is in force and why, then how the daemon is. */
export function formatStatus(report: StatusReport, now: number, terminal: Terminal): string {
  const page = newPage(terminal);
  headline(page, report, problemsOf(report));
  servers(page, report);
  resolver(page, report);
  profiles(page, report, now);
  listed(page, 'Search domains', report.plan.search);
  listed(page, 'Options', report.plan.options);
  listed(page, 'Sort list', report.plan.sortlist ?? []);
  lost(page, report);
  unusedLinks(page, report);
  sources(page, report);
  lastChange(page, report, now);
  daemon(page, report, now);
  return page.end();
}

/** Who a value came from, as people know it: `Home Wi-Fi (wlan0, VPN)`. */
function originText(origin: Origin): string {
  const name = origin.connection?.id ?? SOURCE_NAMES[origin.source];
  const details = [origin.file, origin.interface, origin.vpn ? 'VPN' : undefined].filter(
    (part) => part !== undefined,
  );
  return details.length === 0 ? name : `${name} (${details.join(', ')})`;
}

const SOURCE_NAMES: Readonly<Record<Origin['source'], string>> = {
  networkmanager: 'NetworkManager',
  kernel: 'the kernel',
  configuration: 'the configuration',
  host: 'the host name',
  networkd: 'systemd-networkd',
  records: 'resolvconf records',
  'pushed-links': 'resolve1 callers',
};

function headline(page: Page, report: StatusReport, problems: readonly Problem[]): void {
  const { link } = report;
  const who =
    report.mode === 'user'
      ? 'user mode, /etc/resolv.conf is only looked at'
      : `${link.inCharge} is in charge of /etc/resolv.conf`;
  const style = report.healthy ? 'good' : 'bad';
  page.text(`${report.healthy ? 'Healthy' : 'Degraded'}: ${who}`, { style });
  if (!link.degraded) page.text(link.reason, { indent: 2 });
  for (const { text, mend } of problems) {
    page.text(`! ${text}`, { indent: 2, style: report.healthy ? 'notice' : 'bad' });
    if (mend !== undefined) page.text(`mend: ${mend}`, { indent: 4 });
  }
  const written = `Written as ${MODE_NAMES[report.resolvConf.mode] ?? report.resolvConf.mode}: ${report.resolvConf.reason}`;
  const beside = 'What follows is what dnskeeper decided; it is written to its own file only.';
  page.text(isInForce(link.state) ? written : beside, { indent: 2 });
}

const MODE_NAMES: Readonly<Record<string, string>> = { file: 'the plain file', stub: 'the local stub' };

function servers(page: Page, { plan, graceUntil, link }: StatusReport): void {
  page.heading(isInForce(link.state) ? 'Servers in force' : 'Servers decided on, not in force');
  if (plan.nameservers.length === 0) page.text('none: no source names a server', { indent: 2, style: 'bad' });
  let before = '';
  let rows: Row[] = [];
  const flush = (): void => {
    page.rows(rows, 4);
    rows = [];
  };
  for (const choice of plan.nameservers) {
    const rank = isFallback(choice.origin) ? 'fallback' : `priority ${choice.origin.priority}`;
    const group = `${originText(choice.origin)}, ${rank}`;
    if (group !== before) {
      flush();
      page.text(group, { indent: 2 });
      before = group;
    }
    rows.push({ label: choice.value, text: choice.reason, style: 'strong' });
  }
  flush();
  if (graceUntil !== undefined) {
    page.text('No source names a server right now; the last good ones stay for the grace time.', {
      indent: 2,
      style: 'notice',
    });
  }
}

function resolver(page: Page, { resolver: status }: StatusReport): void {
  page.heading('Local resolver');
  page.text(`${status.state}: ${status.reason}`, {
    indent: 2,
    style: status.state === 'bound' ? 'good' : status.state === 'failed' ? 'bad' : 'plain',
  });
  if (status.backEnd !== undefined) {
    const { state, reason } = status.backEnd;
    page.text(`back end ${state}: ${reason}`, { indent: 2, style: BACK_END_STYLES[state] });
  }
  if (status.state !== 'bound') return;
  page.rows(
    status.servers.map((server) => ({
      label: `${server.server} (${server.link})`,
      text: serverText(server),
      style: server.state === 'late' ? 'bad' : 'strong',
    })),
  );
  page.text(trafficText(status), { indent: 2 });
  if (status.memory !== undefined) page.text(memoryText(status.memory), { indent: 2 });
}

const BACK_END_STYLES = { starting: 'plain', carrying: 'good', unfit: 'notice', failed: 'bad' } as const;

function serverText({ state, roundTripMs, answers, failures, lastFailure }: ServerReport): string {
  if (state === 'new' && failures === 0) return 'not asked yet';
  const time = roundTripMs === undefined ? '' : ` in ${durationText(roundTripMs)}`;
  const how = state === 'late' ? 'does not answer in time, others are asked first' : `answers${time}`;
  const counts = [countText(answers, 'answer'), ...(failures === 0 ? [] : [countText(failures, 'failure')])];
  const last = state === 'late' && lastFailure !== undefined ? `; last: ${lastFailure.text}` : '';
  return `${how}; ${counts.join(', ')}${last}`;
}

/** What never happened is not worth a word. */
function trafficText({ queries, inFlight, malformed, overBound }: StatusReport['resolver']): string {
  const asked = queries === 1 ? '1 query' : `${groupedText(queries)} queries`;
  return [
    asked,
    ...(inFlight > 0 ? [`${groupedText(inFlight)} under way`] : []),
    ...(malformed > 0 ? [`${groupedText(malformed)} malformed`] : []),
    ...(overBound > 0 ? [`${groupedText(overBound)} refused because a bound was reached`] : []),
  ].join(', ');
}

const memoryText = ({ answers, bytes, hitRate }: MemoryStatus): string =>
  `${countText(answers, 'remembered answer')} in ${sizeText(bytes)}${hitRate === undefined ? '' : `; ${percentText(hitRate)} of queries needed no server`}`;

function profiles(page: Page, { plan, profileByHand, trial }: StatusReport, now: number): void {
  const inForce = plan.profiles.filter(({ links }) => links.length > 0);
  if (inForce.length + (profileByHand === undefined && trial === undefined ? 0 : 1) === 0) return;
  page.heading('Profiles');
  page.rows(
    inForce.map(({ name, links, reason }) => ({ label: name, text: `on ${links.join(', ')}: ${reason}` })),
  );
  const left = (until: number): string => `for another ${durationText(Math.max(0, until - now))}`;
  if (profileByHand !== undefined) {
    const { name, until } = profileByHand;
    const end = until === undefined ? 'until "dnsctl profile auto"' : left(until);
    page.text(`"${name}" was chosen by hand, ${end}.`, { indent: 2, style: 'notice' });
  }
  if (trial !== undefined)
    page.text(`${trial.name} is tried ${left(trial.until)}; "dnsctl try --keep" keeps it.`, {
      indent: 2,
      style: 'notice',
    });
}

function listed(page: Page, title: string, choices: readonly Choice<string>[]): void {
  if (choices.length === 0) return;
  page.heading(title);
  page.rows(
    choices.map(({ value, origin, reason }) => ({
      label: value,
      text: `${originText(origin)}: ${reason}`,
      style: 'strong',
    })),
  );
}

function lost(page: Page, { plan, link }: StatusReport): void {
  const inexpressible = isInForce(link.state) ? plan.inexpressible : [];
  if (plan.leftOut.length + inexpressible.length + plan.leftOutMore === 0) return;
  page.heading('Left out');
  page.rows(
    plan.leftOut.map(({ what, text, origin, reason }) => ({
      label: `${what} ${text}`,
      text: `${originText(origin)}: ${reason}`,
    })),
  );
  if (plan.leftOutMore > 0) page.text(`and ${plan.leftOutMore} more`, { indent: 2 });
  for (const sentence of inexpressible) page.text(sentence, { indent: 2, style: 'notice' });
}

function unusedLinks(page: Page, { plan }: StatusReport): void {
  const unused = plan.links.filter((link): link is LinkReport & { unused: string } => Boolean(link.unused));
  if (unused.length === 0) return;
  page.heading('Connections not used');
  page.rows(unused.map((link) => ({ label: originText(link.origin), text: link.unused })));
}

function sources(page: Page, report: StatusReport): void {
  page.heading('Sources');
  page.rows(
    report.sources.map(({ name, state, detail }) => ({
      label: `${name} ${state}`,
      text: detail,
      style: state === 'running' ? 'good' : state === 'absent' || state === 'starting' ? 'plain' : 'bad',
    })),
  );
}

function lastChange(page: Page, { lastChange: change }: StatusReport, now: number): void {
  page.heading('Last change');
  const text =
    change === undefined
      ? 'none yet'
      : `${agoText(change.time, now)}: ${change.cause}; written ${durationText(change.tookMs)} after the event`;
  page.text(text, { indent: 2 });
}

function daemon(page: Page, report: StatusReport, now: number): void {
  const { counters, runtime } = report;
  page.heading('Daemon');
  page.text(
    `dnskeeperd ${report.version}, process ${report.pid}, started ${agoText(report.started, now)}${report.root === '' ? '' : `, below ${report.root}`}`,
    { indent: 2 },
  );
  page.text(
    `${countText(counters.events, 'event')}, ${countText(counters.writes, 'write')}, ${countText(counters.failures, 'failure')}; ${sizeText(runtime.residentBytes)} of memory, ${sizeText(runtime.bytes)} in its runtime folder`,
    { indent: 2 },
  );
  for (const finding of report.findings.filter(({ severity }) => severity === 'note')) {
    page.text(`note: ${finding.text}`, { indent: 2 });
  }
}
