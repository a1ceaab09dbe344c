import { describeOrigin } from './order.ts';
import type { Choice, LeftOut, Plan } from './plan.ts';
import { formatOption } from './resolv-option.ts';
import { formatHost, formatServer, isPlain, type Server } from './server.ts';
import { ascii } from './text.ts';

/** How the line with the time of the last change begins; files are compared without it. */
const TIME_LINE = '# Changed: ';

/** First line of every file of ours. */
const OWN_FIRST_LINE = '# Written by dnskeeper; changes made here are replaced.';

/**
 * Tailscale and NetBird look for systemd-resolved's name in the first comments, and then use its interface, which we
 * serve. Our files have it in every mode, because they are also found under systemd-resolved's names.
 */
const RESOLVED_LINE = '# Clients of systemd-resolved are served as well while it does not run.';

const MAX_COMMENTS = 16;

/**
 * The plain resolv.conf(5) of a plan. `time` is when the plan last changed, in milliseconds since the epoch.
 * One search line, one options line, keywords in column 0, comments never behind a directive: every libc reads it alike.
 */
export function renderResolvConf(plan: Plan, time: number): string {
  return text(header(plan, time), plan, plan.nameservers, comments(plan));
}

/** The same with every real server, however many: for programs that must never meet a stub. */
export function renderUpstreamConf(plan: Plan, time: number): string {
  const plain = plan.upstream.filter((choice) => isPlain(choice.value));
  const first = '# All real servers, also beyond the three that libc reads.';
  return renderServersConf(plan, time, plain, [first, OWN_FIRST_LINE]);
}

/** A resolv.conf(5) with these servers of a plan, and first lines that say what it is. */
export function renderServersConf(
  plan: Plan,
  time: number,
  servers: readonly Choice<Server>[],
  firstLines: readonly string[],
): string {
  const [, ...rest] = header(plan, time);
  return text([...firstLines, ...rest], plan, servers, []);
}

/**
 * The real servers for programs that cannot ask our resolver, as containers: by systemd-resolved's rule only those of links
 * that answer for every name, or what they ask would go to a VPN that is there for one domain. Where no link does, all:
 * Docker makes up servers where it finds none.
 */
export function renderUplinkConf(plan: Plan, time: number): string {
  const answering = plan.links.filter((link) => link.defaultRoute && link.unused === undefined);
  const theirs = new Set(answering.flatMap(({ servers }) => servers.map(({ value }) => formatServer(value))));
  const real = plan.upstream.filter((choice) => isPlain(choice.value));
  const chosen = real.filter(({ value }) => theirs.has(formatServer(value)));
  const first =
    '# Real servers that may be asked for every name: for programs that cannot ask the local resolver.';
  return renderServersConf(plan, time, chosen.length > 0 ? chosen : real, [first, OWN_FIRST_LINE]);
}

/**
 * The resolv.conf(5) that lists our resolver alone. EDNS lets long answers through without TCP; AD is believed because
 * the resolver passes on only what is to be believed. What else the options say stays: they are about libc, not servers.
 * Without a search line glibc would search the domain of the host name, though the plan has decided about that.
 */
export function renderStubConf(plan: Plan, time: number, nameserver: string): string {
  const others = plan.options
    .map((choice) => formatOption(choice.value))
    .filter((option) => !/^(edns0|trust-ad|rotate|use-vc)$/.test(option));
  const lines = [
    ...header(plan, time),
    plan.search.length > 0 ? searchLine(plan) : NO_SEARCH,
    `nameserver ${nameserver}`,
    ...sortlistLines(plan),
    `options ${['edns0', 'trust-ad', ...others].join(' ')}`,
    '# The real servers: upstream.conf in this folder; which one is asked for a name: dnsctl explain NAME',
  ];
  return `${lines.join('\n')}\n`;
}

/** A file's text without the line that tells the time, for comparing. */
export const withoutTime = (file: string): string =>
  file
    .split('\n')
    .filter((line) => !line.startsWith(TIME_LINE))
    .join('\n');

/** The reason of each directive line of the file, in order; `stub` where our resolver is listed. */
export function lineReasons(
  plan: Plan,
  stub?: { readonly nameserver: string; readonly reason: string },
): readonly { readonly line: string; readonly reason: string }[] {
  const lines: { line: string; reason: string }[] = [];
  if (plan.search.length > 0) {
    lines.push({
      line: searchLine(plan),
      reason: joinReasons(plan.search.map((c) => `${c.value}: ${c.reason}`)),
    });
  } else if (stub !== undefined) {
    lines.push({ line: NO_SEARCH, reason: 'No search domain is in force, nor is that of the host name.' });
  }
  if (stub !== undefined) return [...lines, { line: `nameserver ${stub.nameserver}`, reason: stub.reason }];
  for (const choice of plan.nameservers) lines.push({ line: nameserverLine(choice), reason: choice.reason });
  for (const line of sortlistLines(plan))
    lines.push({ line, reason: joinReasons((plan.sortlist ?? []).map((c) => `${c.value}: ${c.reason}`)) });
  if (plan.options.length > 0) {
    lines.push({
      line: optionsLine(plan),
      reason: joinReasons(plan.options.map((c) => `${formatOption(c.value)}: ${c.reason}`)),
    });
  }
  return lines;
}

function header(plan: Plan, time: number): string[] {
  const names = [...new Set(plan.upstream.map((choice) => describeOrigin(choice.origin)))];
  const shown = names.slice(0, 8).map((name) => quiet(ascii(name, 60)));
  const more = names.length > 8 ? ` and ${names.length - 8} more` : '';
  return [
    OWN_FIRST_LINE,
    RESOLVED_LINE,
    names.length === 0 ? '# No connection names a server now.' : `# Servers from: ${shown.join(', ')}${more}`,
    `${TIME_LINE}${new Date(time).toISOString().replace(/\.\d+Z$/, 'Z')}`,
    '# Why each line is here: dnsctl status    To opt out: dnsctl release',
  ];
}

/**
 * Other programs guess the owner of the file from words in its header (Tailscale, netbird, Mullvad, openresolv), so
 * a connection that is called like one of them must not steer them.
 */
function quiet(name: string): string {
  return name
    .replace(/networkmanager/gi, 'NM')
    .replace(/systemd-resolved/gi, 'systemd resolved')
    .replace(/resolvconf/gi, 'resolv-conf')
    .replace(/generated by/gi, 'generated-by');
}

function comments(plan: Plan): string[] {
  const servers = plan.leftOut.filter((entry) => entry.what === 'server' || entry.what === 'search');
  const lines = servers.slice(0, MAX_COMMENTS).map(commentOf);
  const more = servers.length - lines.length + plan.leftOutMore;
  return more > 0 ? [...lines, `# ... and ${more} more, see dnsctl status`] : lines;
}

const commentOf = (entry: LeftOut): string =>
  `# Not used: ${entry.what} ${quiet(ascii(entry.text, 60))} (${quiet(ascii(describeOrigin(entry.origin), 60))}): ${quiet(ascii(entry.reason, 160))}`;

function text(
  head: readonly string[],
  plan: Plan,
  servers: readonly Choice<Server>[],
  tail: readonly string[],
): string {
  const lines = [
    ...head,
    ...(plan.search.length > 0 ? [searchLine(plan)] : []),
    ...servers.map(nameserverLine),
    ...sortlistLines(plan),
    ...(plan.options.length > 0 ? [optionsLine(plan)] : []),
    ...tail,
  ];
  return `${lines.join('\n')}\n`;
}

/** What systemd-resolved writes too: the root, which adds nothing to a name. */
const NO_SEARCH = 'search .';

const searchLine = (plan: Plan): string => `search ${plan.search.map((choice) => choice.value).join(' ')}`;

const nameserverLine = (choice: Choice<Server>): string => `nameserver ${formatHost(choice.value)}`;

const sortlistLines = ({ sortlist }: Plan): readonly string[] =>
  sortlist === undefined ? [] : [`sortlist ${sortlist.map(({ value }) => value).join(' ')}`];

const optionsLine = (plan: Plan): string =>
  `options ${plan.options.map((choice) => formatOption(choice.value)).join(' ')}`;

const joinReasons = (reasons: readonly string[]): string => reasons.join(' ');
