import {
  listOf,
  oneOf,
  parseConfiguredServer,
  parseFlag,
  parsePriority,
  parseSearch,
  SERVER_LIST,
  type SearchEntry,
} from './config-values.ts';
import { type Parsed, parsed, refused } from './parsed.ts';
import { parseOption, type ResolvOption } from './resolv-option.ts';
import type { Server } from './server.ts';

/** What has to hold for a link, each condition that is named; a text fulfils one when any of its patterns fits. */
export interface Conditions {
  readonly connection?: readonly string[];
  readonly type?: readonly string[];
  readonly ssid?: readonly string[];
  readonly interface?: readonly string[];
  readonly gateway?: readonly string[];
  readonly connectivity?: readonly string[];
  readonly vpn?: boolean;
  readonly 'default-route'?: boolean;
}

/** A rule for networks: when it holds, and what it makes of the link's DNS. */
export interface Profile {
  readonly name: string;
  readonly when: Conditions;
  readonly servers?: readonly Server[];
  readonly 'add-servers'?: readonly Server[];
  readonly search?: readonly SearchEntry[];
  readonly 'add-search'?: readonly SearchEntry[];
  readonly options?: readonly ResolvOption[];
  readonly 'dns-over-tls'?: 'no' | 'opportunistic' | 'yes';
  readonly exclusive?: boolean;
  readonly priority?: number;
  readonly 'default-route'?: boolean;
  readonly 'never-use'?: boolean;
}

/** One key of a `[[profile]]`; conditions are written `when.KEY`. */
export interface ProfileKey {
  readonly key: string;
  /** What it takes, for people. */
  readonly type: string;
  readonly why: string;
  readonly parse: (value: unknown) => Parsed<unknown>;
}

const PATTERNS = 'a text, or a list of at most 32; with *, ? and [a-z] as in the shell';

/** Every key of a `[[profile]]`: parser, example and manual page are made from this table. */
export const PROFILE_KEYS: readonly ProfileKey[] = [
  {
    key: 'name',
    type: 'a text of at most 64 characters',
    why: 'What dnsctl calls it; one in a later file replaces that of the same name in an earlier one.',
    parse: parseName,
  },
  {
    key: 'when.connection',
    type: PATTERNS,
    why: 'The name or the UUID of the connection.',
    parse: parsePatterns,
  },
  {
    key: 'when.type',
    type: PATTERNS,
    why: 'The kind of connection: ethernet, wifi, wireguard, vpn, bridge and so on.',
    parse: parsePatterns,
  },
  { key: 'when.ssid', type: PATTERNS, why: 'The name of the Wi-Fi network.', parse: parsePatterns },
  { key: 'when.interface', type: PATTERNS, why: 'The name of the link.', parse: parsePatterns },
  { key: 'when.gateway', type: PATTERNS, why: 'The address of its gateway.', parse: parsePatterns },
  {
    key: 'when.connectivity',
    type: PATTERNS,
    why: "NetworkManager's connectivity check: none, portal, limited or full.",
    parse: parsePatterns,
  },
  { key: 'when.vpn', type: 'true | false', why: 'Whether it is a VPN.', parse: parseFlag },
  {
    key: 'when.default-route',
    type: 'true | false',
    why: 'Whether it has a default route.',
    parse: parseFlag,
  },
  {
    key: 'servers',
    type: SERVER_LIST,
    why: 'Servers instead of those that the network hands out.',
    parse: listOf(parseConfiguredServer, 256),
  },
  {
    key: 'add-servers',
    type: SERVER_LIST,
    why: 'Servers after those that the network hands out.',
    parse: listOf(parseConfiguredServer, 256),
  },
  {
    key: 'search',
    type: 'list of domains; "~domain" routes without being searched',
    why: 'Domains instead of those that the network hands out.',
    parse: listOf(parseSearch, 1024),
  },
  {
    key: 'add-search',
    type: 'list of domains; "~domain" routes without being searched',
    why: 'Domains after those that the network hands out.',
    parse: listOf(parseSearch, 1024),
  },
  {
    key: 'options',
    type: 'list of resolv.conf(5) options',
    why: 'Options before those of the network.',
    parse: listOf(parseOption, 32),
  },
  {
    key: 'dns-over-tls',
    type: '"no" | "opportunistic" | "yes"',
    why: 'Whether its servers are asked over TLS, over resolver.dns-over-tls.',
    parse: oneOf('no', 'opportunistic', 'yes'),
  },
  {
    key: 'exclusive',
    type: 'true | false',
    why: 'Whether this network alone is used: its priority becomes negative, or positive with false.',
    parse: parseFlag,
  },
  {
    key: 'priority',
    type: 'whole number from -2147483648 to 2147483647, not 0',
    why: 'Where it stands among the others, as dns.priority.',
    parse: parsePriority,
  },
  {
    key: 'default-route',
    type: 'true | false',
    why: 'Whether its servers are asked for names that no network claims.',
    parse: parseFlag,
  },
  {
    key: 'never-use',
    type: 'true | false',
    why: 'Whether nothing that this network says of DNS is used; other settings beside it do nothing.',
    parse: parseFlag,
  },
];

const MOST_PATTERNS = 32;
const MOST_CHARACTERS = 128;

function parsePatterns(value: unknown): Parsed<readonly string[]> {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.length === 0) return refused('an empty list, which nothing can fulfil');
  if (list.length > MOST_PATTERNS) return refused(`${list.length} entries; ${MOST_PATTERNS} is the most`);
  const patterns: string[] = [];
  for (const [index, entry] of list.entries()) {
    if (typeof entry !== 'string' || entry === '') return refused(`entry ${index + 1}: no text`);
    if (entry.length > MOST_CHARACTERS)
      return refused(`entry ${index + 1}: more than ${MOST_CHARACTERS} characters`);
    patterns.push(entry);
  }
  return parsed(patterns);
}

function parseName(value: unknown): Parsed<string> {
  if (typeof value !== 'string' || value === '') return refused('no text');
  return /^[^\p{C}\p{Zl}\p{Zp}]{1,64}$/u.test(value)
    ? parsed(value)
    : refused('too long, or with characters that cannot be shown');
}
