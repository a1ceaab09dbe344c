import { describeOrigin } from './order.ts';
import type { Choice, LeftOut, Plan } from './plan.ts';
import { formatOption } from './resolv-option.ts';
import { formatHost, isPlain, type Server } from './server.ts';
import { ascii } from './text.ts';

/** How the line with the time of the last change begins; files are compared without it. */
export const TIME_LINE = '# Changed: ';

/** First line of every file of ours. */
export const OWN_FIRST_LINE = '# Written by dnskeeper; changes made here are replaced.';

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
  return text(
    ['# All real servers, also beyond the three that libc reads.', ...header(plan, time)],
    plan,
    plain,
    [],
  );
}

/**
 * The resolv.conf(5) that lists our resolver alone. EDNS lets long answers through without TCP; AD is believed because
 * the resolver passes on only what is to be believed. What else the options say stays: they are about libc, not servers.
 */
export function renderStubConf(plan: Plan, time: number, nameserver: string): string {
  const others = plan.options
    .map((choice) => formatOption(choice.value))
    .filter((option) => !/^(edns0|trust-ad|rotate|use-vc)$/.test(option));
  const lines = [
    ...header(plan, time),
    ...(plan.search.length > 0 ? [searchLine(plan)] : []),
    `nameserver ${nameserver}`,
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
  }
  if (stub !== undefined) return [...lines, { line: `nameserver ${stub.nameserver}`, reason: stub.reason }];
  for (const choice of plan.nameservers) lines.push({ line: nameserverLine(choice), reason: choice.reason });
  if (plan.options.length > 0) {
    lines.push({
      line: optionsLine(plan),
      reason: joinReasons(plan.options.map((c) => `${formatOption(c.value)}: ${c.reason}`)),
    });
  }
  return lines;
}

/** What a resolv.conf of anybody's says; unknown lines are ignored as libc does. */
export interface ResolvConf {
  /** Leading comment lines without the `#` or `;`. */
  readonly comments: readonly string[];
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** Read a resolv.conf(5) text the way glibc does: keyword in column 0, last search or domain line wins. */
export function parseResolvConf(file: string): ResolvConf {
  const comments: string[] = [];
  const nameservers: string[] = [];
  const options: string[] = [];
  let search: readonly string[] = [];
  let leading = true;
  for (const line of file.slice(0, 65536).split('\n')) {
    if (/^[#;]/.test(line)) {
      if (leading) comments.push(line.slice(1).trim());
      continue;
    }
    const [keyword = '', ...words] = line.trimEnd().split(/[ \t]+/);
    if (keyword !== '') leading = false;
    if (keyword === 'nameserver' && words[0] !== undefined) nameservers.push(words[0]);
    else if (keyword === 'search' || keyword === 'domain') search = words;
    else if (keyword === 'options') options.push(...words);
  }
  return { comments, nameservers, search, options };
}

function header(plan: Plan, time: number): string[] {
  const names = [...new Set(plan.upstream.map((choice) => describeOrigin(choice.origin)))];
  const shown = names.slice(0, 8).map((name) => quiet(ascii(name, 60)));
  const more = names.length > 8 ? ` and ${names.length - 8} more` : '';
  return [
    OWN_FIRST_LINE,
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
  `# Not used: ${entry.what} ${ascii(entry.text, 60)} (${quiet(ascii(describeOrigin(entry.origin), 60))}): ${quiet(ascii(entry.reason, 160))}`;

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
    ...(plan.options.length > 0 ? [optionsLine(plan)] : []),
    ...tail,
  ];
  return `${lines.join('\n')}\n`;
}

const searchLine = (plan: Plan): string => `search ${plan.search.map((choice) => choice.value).join(' ')}`;

const nameserverLine = (choice: Choice<Server>): string => `nameserver ${formatHost(choice.value)}`;

const optionsLine = (plan: Plan): string =>
  `options ${plan.options.map((choice) => formatOption(choice.value)).join(' ')}`;

const joinReasons = (reasons: readonly string[]): string => reasons.join(' ');
