import {
  listOf,
  numberFrom,
  oneOf,
  parseConfiguredServer,
  parseDuration,
  parseFlag,
  parsePriority,
  parseRecordType,
  parseSearch,
  SERVER_LIST,
} from './config-values.ts';
import { parseForeignRules } from './foreign.ts';
import { parseListenPlace } from './listen-place.ts';
import { parseNetnsName } from './netns-name.ts';
import { type Parsed, parsed, refused } from './parsed.ts';
import { parseOption } from './resolv-option.ts';
import { KNOWN_WRITERS } from './writer.ts';

/** More than this only wait for each other at the socket. */
const MOST_THREADS = 8;

/** One key of the configuration: what it takes, what it is unless set, and why anybody would set it. */
export interface ConfigKey {
  /** `table.key` as in TOML. */
  readonly key: string;
  /** What it takes, for people. */
  readonly type: string;
  /** The default as TOML text. */
  readonly default: string;
  /** One line for the example file. */
  readonly why: string;
  /** More for the man page. */
  readonly detail?: string;
  readonly parse: (value: unknown) => Parsed<unknown>;
}

/**
 * Every key there is. The parser, examples/dnskeeper.toml and dnskeeper.toml(5) are all made from this table,
 * so that they cannot drift apart.
 */
export const CONFIG_KEYS = [
  {
    key: 'link.takeover',
    type: '"auto" | "always" | "never"',
    default: '"auto"',
    why: 'Whether /etc/resolv.conf becomes our link: auto leaves it to systemd-resolved while that runs.',
    detail:
      'With "always" the link is held even while systemd-resolved runs; with "never" only the files under /run/dnskeeper are written.',
    parse: oneOf('auto', 'always', 'never'),
  },
  {
    key: 'link.foreign',
    type: '"reassert" | "import" | "yield", or a table of writers such as { others = "reassert", dhclient = "import" }',
    default: '"reassert"',
    why: 'When somebody else writes /etc/resolv.conf: ours is put back (reassert), and its servers count too (import), or it is theirs (yield).',
    detail: `With "import" what was written is kept as a record (resolvconf -l shows it) until the writer puts our file or link back, writes one without servers, or "dnsctl takeover". With "yield" the file is theirs until they remove it, put back what ours said before (their backup), or "dnsctl takeover". Writers are known by the first comments of what they write: ${KNOWN_WRITERS.join(', ')}; everybody else, such as editors, is "others". NetworkManager and systemd-resolved are heard by other means, so what they write is always put back.`,
    parse: parseForeignRules,
  },
  {
    key: 'link.netns',
    type: 'list of names of network namespaces, at most 64',
    default: '[]',
    why: 'Namespaces whose /etc/netns/NAME/resolv.conf is kept, for ip-netns(8): the real servers, never our resolver.',
    detail:
      'The resolver does not answer in another network namespace, so the file lists at most three servers that are neither on this machine nor bound to a link of it. A file that somebody else wrote is left alone; ours goes when its name is taken off the list.',
    parse: listOf(parseNetnsName, 64),
  },
  {
    key: 'resolver.mode',
    type: '"auto" | "file" | "stub"',
    default: '"auto"',
    why: 'What resolv.conf lists: the real servers (file), our resolver (stub), or that only where servers cannot say it all (auto).',
    detail:
      'With "auto" the file lists our resolver as soon as there is split DNS, encryption, an odd port, one server address on two links, or more than three servers; "stub" lists it always, "file" never. A resolver that cannot listen is never listed.',
    parse: oneOf('auto', 'file', 'stub'),
  },
  {
    key: 'resolver.backend',
    type: '"builtin" | "dnsmasq" | "unbound"',
    default: '"builtin"',
    why: 'Who asks the servers of the networks: dnskeeper itself, or a dnsmasq or unbound that it starts and steers.',
    detail:
      'The other resolver listens on 127.0.0.55, is told the same routes, and is asked by ours, which goes on answering on 127.0.0.53 and remembering; with resolver.mode "auto" the file lists ours then. While it is missing, ends, hangs, or cannot do what a network asks for (dnsmasq: DNS over TLS; unbound: one server address on two links, a TLS server without a name), names go by the built-in resolver, and "dnsctl status" says so. Its own settings may stand in /etc/dnskeeper/dnsmasq.d/*.conf and /etc/dnskeeper/unbound.d/*.conf, which are read when it starts. In user mode and with --root none is started. Where AppArmor enforces, unbound needs "/run/dnskeeper/unbound/** rw," and "/etc/dnskeeper/unbound.d/{,**} r," in /etc/apparmor.d/local/usr.sbin.unbound.',
    parse: oneOf('builtin', 'dnsmasq', 'unbound'),
  },
  {
    key: 'resolver.choice',
    type: '"strict" | "fastest"',
    default: '"strict"',
    why: "Which of a link's servers is asked: the first that works, in order (strict), or the one that answers quickest.",
    detail:
      'With "strict" the next server is asked as well when one has not answered within its usual time, and the first is used again as soon as it answers.',
    parse: oneOf('strict', 'fastest'),
  },
  {
    key: 'resolver.dns-over-tls',
    type: '"no" | "opportunistic" | "yes"',
    default: '"no"',
    why: 'Whether servers are asked over TLS where a network does not say; yes checks certificates and never asks in the open.',
    detail:
      'With "opportunistic" a server that offers no TLS is asked in the open, and certificates are not checked. A link\'s own setting comes first. Where resolv.conf does not list our resolver (resolver.mode "file", or its addresses are taken) programs ask the servers themselves, in the open; with "yes" dnsctl status warns of that.',
    parse: oneOf('no', 'opportunistic', 'yes'),
  },
  {
    key: 'resolver.portal',
    type: '"strict" | "relax"',
    default: '"strict"',
    why: 'Whether strict encryption gives way while a network has a captive portal, so that its login page can be reached.',
    detail:
      'With "relax" the servers of that network alone are asked as with "opportunistic" for as long as NetworkManager tells of a portal there; `dnsctl status` and the log say so. With "strict" names of that network do not resolve until somebody has logged in another way.',
    parse: oneOf('strict', 'relax'),
  },
  {
    key: 'resolver.dnssec',
    type: '"no"',
    default: '"no"',
    why: 'Whether signatures are checked here; this version does not, and does not pretend to.',
    detail:
      'Signatures and the bits that go with them are passed on, so programs that validate by themselves can.',
    parse: (value: unknown): Parsed<'no'> =>
      value === 'no' ? parsed('no') : refused('something that this version cannot do: it does not validate'),
  },
  {
    key: 'resolver.single-labels',
    type: 'true | false',
    default: 'false',
    why: 'Whether names without a dot are asked for at servers too; off, because they leak what is meant for the local network.',
    parse: parseFlag,
  },
  {
    key: 'resolver.threads',
    type: 'whole number from 1 to 8',
    default: '1',
    why: 'How many threads answer what is cached; one is enough for a machine that asks for itself.',
    detail:
      'Each keeps a table of up to 16 MB of its own. Read at start: a change counts after a restart of the daemon.',
    parse: numberFrom(1, MOST_THREADS),
  },
  {
    key: 'resolver.listen',
    type: 'list of addresses: "IP" or "dns+udp://IP:port", at most 8',
    default: '[]',
    why: 'Where the resolver listens instead of 127.0.0.53 and 127.0.0.54; for containers and tests.',
    detail: 'resolv.conf can name an address on port 53 only.',
    parse: listOf(parseConfiguredServer, 8),
  },
  {
    key: 'resolver.stub',
    type: '"yes" | "no" | "udp" | "tcp"',
    default: '"yes"',
    why: 'Whether the resolver listens on 127.0.0.53 and 127.0.0.54 at all, or over one of UDP and TCP alone.',
    detail: 'Where no UDP is served there, resolv.conf never names it. No other address is meant by this.',
    parse: oneOf('yes', 'no', 'udp', 'tcp'),
  },
  {
    key: 'resolver.listen-also',
    type: 'list of addresses: "IP", "IP:port", "udp:IP:port" or "tcp:IP:port", at most 8',
    default: '[]',
    why: 'Further addresses where the resolver listens, for containers and virtual machines; resolv.conf never names them.',
    detail:
      'Everybody who reaches such an address may ask. One that the machine does not have yet is waited for; one that cannot be had is told by `dnsctl status` and tried again.',
    parse: listOf(parseListenPlace, 8),
  },
  {
    key: 'resolver.cache',
    type: '"yes" | "no" | "no-negative"',
    default: '"yes"',
    why: 'Whether answers are remembered; with no-negative all but those that a name or a record does not exist.',
    parse: oneOf('yes', 'no', 'no-negative'),
  },
  {
    key: 'resolver.cache-from-localhost',
    type: 'true | false',
    default: 'true',
    why: 'Whether answers of a server on this machine are remembered, though it could remember them itself.',
    parse: parseFlag,
  },
  {
    key: 'resolver.stale',
    type: 'a time such as "0s", "90min" or "1d", at most "7d"',
    default: '"1d"',
    why: 'How long answers that have expired are kept in case no server answers; "0s" for not at all.',
    parse: (value: unknown): Parsed<number> => parseDuration(value, 7 * 86_400_000, '7 days'),
  },
  {
    key: 'resolver.hosts',
    type: 'true | false',
    default: 'true',
    why: 'Whether names in /etc/hosts are answered from there.',
    parse: parseFlag,
  },
  {
    key: 'resolver.refuse-record-types',
    type: 'list of record types: "AAAA", "HTTPS", "TYPE65", at most 64',
    default: '[]',
    why: 'Types of records that nobody is asked for: every question for them is refused.',
    parse: listOf(parseRecordType, 64),
  },
  {
    key: 'policy.vpn',
    type: '"prefer" | "exclusive"',
    default: '"prefer"',
    why: 'Whether a VPN that carries all traffic only comes first, or is asked alone so that no query leaks beside it.',
    detail: 'A VPN with negative dns-priority is exclusive either way, as in NetworkManager.',
    parse: oneOf('prefer', 'exclusive'),
  },
  {
    key: 'policy.grace',
    type: 'a time such as "500ms" or "2s", at most "60s"',
    default: '"2s"',
    why: 'How long the last good servers stay in the file while a profile switch leaves none.',
    parse: (value: unknown): Parsed<number> => parseDuration(value, 60_000, '60 seconds'),
  },
  {
    key: 'dns.servers',
    type: SERVER_LIST,
    default: '[]',
    why: 'Servers for every network, beside what the networks hand out.',
    parse: listOf(parseConfiguredServer, 256),
  },
  {
    key: 'dns.priority',
    type: 'whole number from -2147483648 to 2147483647, not 0',
    default: '75',
    why: 'Where those servers stand: VPNs have 50, other connections 100, lower comes first, negative means these alone.',
    parse: parsePriority,
  },
  {
    key: 'dns.search',
    type: 'list of domains; "~domain" routes without being searched',
    default: '[]',
    why: 'Search domains for every network.',
    parse: listOf(parseSearch, 1024),
  },
  {
    key: 'dns.options',
    type: 'list of resolv.conf(5) options',
    default: '[]',
    why: 'Options for every network, such as "edns0" or "timeout:2".',
    parse: listOf(parseOption, 32),
  },
  {
    key: 'dns.fallback',
    type: SERVER_LIST,
    default: '[]',
    why: 'Servers asked only while nothing else has any; none are built in, so nobody is asked that you have not named.',
    detail:
      'Where neither this key nor FallbackDNS= of resolved.conf(5) is given, the servers and search domains that /etc/resolv.conf had before dnskeeper took it are used so until a network hands some out, unless a program wrote them that is heard itself (NetworkManager) or whose tunnel may be gone: on a machine where somebody, cloud-init or WSL wrote that file once, nobody else names any. An empty list turns that off.',
    parse: listOf(parseConfiguredServer, 256),
  },
  {
    key: 'networkmanager.enabled',
    type: 'true | false',
    default: 'true',
    why: 'Whether NetworkManager is listened to.',
    detail: 'Read at start: a change counts after a restart of the daemon.',
    parse: parseFlag,
  },
  {
    key: 'log.level',
    type: '"error" | "warn" | "info" | "debug"',
    default: '"info"',
    why: 'How much is logged; names that are looked up appear only at debug.',
    parse: oneOf('error', 'warn', 'info', 'debug'),
  },
] as const satisfies readonly ConfigKey[];

/** The typed value of one key. */
export type ConfigValue<K extends (typeof CONFIG_KEYS)[number]['key']> = Extract<
  ReturnType<Extract<(typeof CONFIG_KEYS)[number], { key: K }>['parse']>,
  { ok: true }
>['value'];
