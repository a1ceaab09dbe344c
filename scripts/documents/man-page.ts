import type { ConfigKey } from '../../src/core/config-keys.ts';
import type { ProfileKey } from '../../src/core/profile-keys.ts';
import type { ArgumentEntry, ExitEntry, OptionEntry, ProgramEntry } from '../../src/core/program.ts';
import { VERSION } from '../../src/core/version.ts';

/** Date of the release, in every page; man pages built twice must be the same bytes. */
const DATE = '2026-11-21';

/** The man page of a program, from its entry in the command table. */
export function programPage(program: ProgramEntry): string {
  const { name, section, text, commands = [] } = program;
  return page(name, section, text, [
    ...heading('SYNOPSIS'),
    commands.length === 0
      ? `${bold(name)} [${italic('OPTIONS')}]`
      : `${bold(name)} [${italic('OPTIONS')}] [${italic('COMMAND')}]`,
    ...heading('DESCRIPTION'),
    ...paragraphs(program.detail),
    ...(commands.length === 0 ? [] : heading('COMMANDS')),
    ...commands.flatMap((command) => [
      ...tagged(
        [bold(command.name), ...(command.arguments ?? []).map(argument)].join(' ') +
          (command.name === program.standard ? ' (the standard command)' : ''),
        [`${command.text}.`, ...command.detail],
      ),
      ...nested([
        ...(command.options ?? []).flatMap(optionEntry),
        ...(command.exits === undefined ? [] : ['.PP', 'Exit codes:', ...command.exits.flatMap(exitEntry)]),
      ]),
    ]),
    ...heading('OPTIONS'),
    ...program.options.flatMap(optionEntry),
    ...optionEntry({ name: '--help', short: '-h', text: 'Print help' }),
    ...optionEntry({ name: '--version', text: 'Print the version' }),
    ...heading('EXIT STATUS'),
    ...program.exits.flatMap(exitEntry),
    ...heading('ENVIRONMENT'),
    ...program.environment.flatMap((each) => tagged(bold(each.name), [each.text])),
    ...heading('FILES'),
    ...program.files.flatMap((each) => tagged(italic(each.path), [each.text])),
    ...heading('EXAMPLES'),
    ...program.examples.flatMap((each) => tagged(bold(each.line), [each.text])),
    ...seeAlso(program.seeAlso),
  ]);
}

/** dnskeeper.toml(5), from the tables of configuration keys and of what a profile takes. */
export function configurationPage(
  keys: readonly Omit<ConfigKey, 'parse'>[],
  profileKeys: readonly Omit<ProfileKey, 'parse'>[],
): string {
  return page('dnskeeper.toml', 5, 'configuration of dnskeeperd', [
    ...heading('SYNOPSIS'),
    ...paragraphs([
      '/usr/lib/dnskeeper/conf.d/*.toml',
      '/etc/dnskeeper/config.toml',
      '/etc/dnskeeper/conf.d/*.toml',
    ]),
    ...heading('DESCRIPTION'),
    ...paragraphs([
      'The files are TOML. They are read in the order above, those of a folder by name, and a key in a later file takes the place of the same key in an earlier one. No file is needed: every key has a default.',
      'A wrong file is reported in the log and by dnsctl status with line, key, what was wanted and what was found, and the last good configuration stays in force; where none was read since dnskeeperd started, what is right in the files is. Unknown keys are errors. dnskeeperd --check only checks.',
      'Changes take effect when a file changes, on dnsctl reload, and on SIGHUP.',
    ]),
    ...heading('KEYS'),
    ...keys.flatMap((key) =>
      tagged(bold(key.key), [
        key.why,
        ...(key.detail === undefined ? [] : [key.detail]),
        `Takes: ${key.type}. Default: ${key.default}.`,
      ]),
    ),
    ...heading('RESOLVED.CONF'),
    ...paragraphs([
      'What systemd-resolved is told in resolved.conf(5) and its drop-ins holds beneath these files: a key of theirs takes the place of the setting there, but for nothing else. It counts whether systemd-resolved runs or not, so that names are asked for the same way before and after one of the two takes over from the other. A line that is wrong is left out and told by dnsctl status and dnskeeperd --check; so is what dnskeeper does not do (DNSSEC=, MulticastDNS=, LLMNR=, ReadStaticRecords= and sizes of caches). Servers of DNS= have the priority 100, so that they are asked together with those of networks, unless dns.priority says otherwise. There are no fallback servers but those that somebody names.',
    ]),
    ...RESOLVED_KEYS.flatMap(([theirs, ours]) => tagged(bold(`${theirs}=`), [`As ${ours}.`])),
    ...heading('PROFILES'),
    ...paragraphs([
      'A [[profile]] is a rule for networks: when all its conditions hold for a link, its settings change what that link brings. The first profile that fits a link holds for it; one without conditions fits every link. Servers of the table dns belong to no link and are not changed. dnsctl profile list tells what became of each, and why.',
      'A later file adds profiles after those of earlier files, or replaces one of the same name in its place. Of a list in when.KEY any entry may fit; upper and lower case differ.',
    ]),
    ...profileKeys.flatMap((key) => tagged(bold(key.key), [key.why, `Takes: ${key.type}.`])),
    ...seeAlso([
      'dnskeeperd(8)',
      'dnsctl(1)',
      'resolv.conf(5)',
      'resolved.conf(5)',
      'NetworkManager.conf(5)',
    ]),
  ]);
}

/** Settings of resolved.conf(5) and what they are here. */
const RESOLVED_KEYS = [
  ['DNS', 'dns.servers, each address[:port][%link][#name]; with a link it is asked through that alone'],
  ['FallbackDNS', 'dns.fallback'],
  ['Domains', 'dns.search'],
  ['DNSOverTLS', 'resolver.dns-over-tls'],
  ['Cache', 'resolver.cache'],
  ['CacheFromLocalhost', 'resolver.cache-from-localhost'],
  ['DNSStubListener', 'resolver.stub'],
  ['DNSStubListenerExtra', 'resolver.listen-also'],
  ['ReadEtcHosts', 'resolver.hosts'],
  ['ResolveUnicastSingleLabel', 'resolver.single-labels'],
  ['StaleRetentionSec', 'resolver.stale'],
  ['RefuseRecordTypes', 'resolver.refuse-record-types'],
] as const;

function page(name: string, section: number, text: string, lines: readonly string[]): string {
  return [
    '.\\" Made by "npm run documents"; do not edit.',
    `.TH ${name.toUpperCase()} ${section} ${DATE} "dnskeeper ${VERSION}" "dnskeeper"`,
    '.nh',
    '.ad l',
    ...heading('NAME'),
    `${roff(name)} \\- ${roff(text)}`,
    ...lines,
    '',
  ].join('\n');
}

const heading = (text: string): string[] => [`.SH ${text}`];
const bold = (text: string): string => `\\fB${roff(text)}\\fR`;
const italic = (text: string): string => `\\fI${roff(text)}\\fR`;
const paragraphs = (texts: readonly string[]): string[] => texts.flatMap((text) => ['.PP', roff(text)]);
const nested = (lines: readonly string[]): string[] => (lines.length === 0 ? [] : ['.RS', ...lines, '.RE']);

function tagged(tag: string, texts: readonly string[]): string[] {
  const [first = '', ...rest] = texts;
  return ['.TP', tag, roff(first), ...rest.flatMap((text) => ['.IP', roff(text)])];
}

function optionEntry(option: OptionEntry): string[] {
  const names = [option.short, option.name].filter((name) => name !== undefined).map(bold);
  const value = option.value === undefined ? '' : ` ${italic(option.value)}`;
  const choices = option.choices === undefined ? '' : `: ${option.choices.join(', ')}`;
  return tagged(names.join(', ') + value, [`${option.text}${choices}.`]);
}

const exitEntry = ({ code, text }: ExitEntry): string[] => tagged(bold(String(code)), [text]);

function seeAlso(names: readonly string[]): string[] {
  const references = names.map((name) => {
    const match = /^(.*)\((\d)\)$/.exec(name);
    return `${bold(match?.[1] ?? name)}(${match?.[2] ?? ''})`;
  });
  return [...heading('SEE ALSO'), references.join(', ')];
}

/** Text as roff takes it: backslashes and dashes escaped, and no line that begins with a control character. */
function roff(text: string): string {
  const escaped = text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('~', '\\(ti');
  return /^[.]/.test(escaped) ? `\\&${escaped}` : escaped;
}

const argument = ({ name, optional }: ArgumentEntry): string =>
  optional === true ? `[${italic(name)}]` : italic(name);
