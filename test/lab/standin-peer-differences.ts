import type { Suite } from './debian.ts';

/** Where a client can tell dnskeeper from systemd-resolved, and why that is right. */
export interface Difference {
  readonly because: string;
  /** Commands of the table that show it. */
  readonly commands: RegExp;
  /** Only there; both Debians otherwise. */
  readonly suite?: Suite;
  /** Takes the difference, and nothing else, out of what was printed. */
  readonly without: (text: string) => string;
}

const dropLines =
  (pattern: RegExp) =>
  (text: string): string =>
    text
      .split('\n')
      .filter((line) => !pattern.test(line))
      .join('\n');

const replace =
  (pattern: RegExp, by: string | ((found: string) => string)) =>
  (text: string): string =>
    typeof by === 'string' ? text.replace(pattern, by) : text.replace(pattern, by);

/** Everything that is not listed here has to be the same to the letter. */
export const DIFFERENCES: readonly Difference[] = [
  {
    because: 'LLMNR is not spoken; 252 shows what is set on the link, 257 what is in effect.',
    commands: /resolvectl.* status|^resolvectl llmnr eth-b$/,
    suite: 'bookworm',
    without: (text) => text.replace(/[+-]LLMNR/g, '(LLMNR)').replace(/(eth-b\)): (?:yes|no)/, '$1'),
  },
  {
    because: 'The same, among all properties.',
    commands: /resolve1\/link\/_3\$A .* GetAll/,
    suite: 'bookworm',
    without: replace(/"LLMNR":\{"type":"s","data":"\w+"\}/, '"LLMNR"'),
  },
  {
    because: 'DNSSEC is not validated here, so there are no built-in exceptions from it either.',
    commands: /^resolvectl nta$/,
    without: replace(/Global:.*?\nLink/s, 'Global:\nLink'),
  },
  {
    because: 'DNSSEC is not validated here, and what is in effect is shown.',
    commands: /^resolvectl dnssec eth-b allow-downgrade/,
    without: replace(/: (?:allow-downgrade|no)$/m, ''),
  },
  {
    because:
      'Counters differ, links come in no order of systemd-resolved’s, and DNSSEC has no built-in exceptions here.',
    commands: /resolve1 org\.freedesktop\.DBus\.Properties GetAll/,
    without: replace(/^\{.*\}$/m, comparableProperties),
  },
  {
    because:
      'systemd-resolved finds the end of an alias in its cache, and counts the family that has no address.',
    commands:
      /query alias\.example\.org$|^resolvectl query www\.example\.org >\/dev\/null; resolvectl query www/,
    without: replace(/^-- Data from: .*$/m, '-- Data from'),
  },
  {
    because: 'Before 256 there was no reason (RFC 8914) and no colon.',
    commands: /broken\.example$|unknown\.tld$|query 192\.0\.2\.1$|query 1\.2\.3$/,
    suite: 'bookworm',
    without: (text) => text.replace('returned error:', 'returned error').replace(/ \(Not Ready\)$/m, ''),
  },
  {
    because: 'The resolver tells addresses of this machine’s own in packets, where no link stands.',
    commands: /query _gateway$/,
    without: replace(/ +-- link: eth-a$/m, ''),
  },
  {
    because: '252 does not know these names of its own addresses yet.',
    commands: /query _localdnsstub$|query 127\.0\.0\.53$/,
    suite: 'bookworm',
    without: (text) =>
      /^exit 1\n_localdnsstub: Name '_localdnsstub' not found|^exit 0\n_localdnsstub: 127\.0\.0\.53 +-- link: lo/.test(
        text,
      )
        ? 'either'
        : text.replace(/127\.0\.0\.53: (?:localhost|_localdnsstub) +/, '127.0.0.53: '),
  },
  {
    because: 'Multicast DNS is not spoken, so nothing has a name in .local.',
    commands: /query 127\.0\.0\.2$/,
    without: dropLines(/laptop\.local/),
  },
  {
    because:
      'Values differ, delegates are those of systemd 258, and what no client can tell apart is the order of columns.',
    commands: /^busctl introspect/,
    without: (text) =>
      members(text)
        .filter((line) => !/^\.(?:Get|List)Delegates? /.test(line))
        .join('\n'),
  },
  {
    because: 'There is nothing to announce without multicast DNS.',
    commands: /^busctl tree/,
    without: dropLines(/\/dnssd$/),
  },
  {
    because:
      'Each server is spoken to in one way from the start: nothing is probed and nothing downgraded. Links come in any order.',
    commands: /show-server-state/,
    without: (text) =>
      text
        .replace(/^.*(?:feature level:|DNSSEC Supported:|Maximum UDP fragment).*\n/gm, '')
        .replace(/"(?:(?:Verified|Possible)FeatureLevel|DNSSECSupported|ReceivedUDPFragmentMax)":[^,]+,/g, '')
        .split(/(?=Server: |\{"Server")/)
        .map((part) => part.replace(/[\s,\]]+$/, ''))
        .sort()
        .join('\n'),
  },
  {
    because:
      'Who answers says who it is; io.systemd has no methods, and io.systemd.service is there already.',
    commands: /^varlinkctl info/,
    without: (text) =>
      dropLines(/^ *(?:Vendor|Product|Version|URL):/)(text)
        .replace(/io\.systemd(?:\.service)?\n/, '')
        .replaceAll(/ +/g, ' '),
  },
  {
    because: 'What came with 258, 259 and 262 is there already.',
    commands: /^varlinkctl introspect/,
    without: dropLines(
      /BrowseServices|DumpDNSConfiguration|QueryRefused|SubscribeDNSConfiguration|FlushCaches|ResetServerFeatures/,
    ),
  },
  {
    because: 'The name stands in the error since 258.',
    commands: /^VARLINK ResolveHostname/,
    without: replace(/,"queryString":"[^"]*"/, ''),
  },
];

/** The manager's properties, without what counts and with the links in one order. */
function comparableProperties(line: string): string {
  const [properties] = (JSON.parse(line) as { data: [Record<string, { data: unknown[] }>] }).data;
  for (const key of ['TransactionStatistics', 'CacheStatistics', 'DNSSECNegativeTrustAnchors'])
    if (properties[key] !== undefined) properties[key].data = [];
  for (const key of ['DNS', 'DNSEx', 'Domains']) properties[key]?.data.sort();
  return JSON.stringify(properties);
}

/** Name, kind, signature, result and flags of each member, without values. */
function members(text: string): readonly string[] {
  return text.split('\n').map((line) => {
    const words = line.trim().split(/\s+/);
    if (words[0] === 'NAME') return '';
    if (words[1] !== 'property') return words.join(' ');
    const flags = words.slice(3).filter((word) => FLAGS.has(word));
    return [...words.slice(0, 3), ...flags].join(' ');
  });
}

const FLAGS: ReadonlySet<string> = new Set([
  'const',
  'deprecated',
  'emits-change',
  'emits-invalidation',
  'hidden',
  'writable',
]);

/** What a command printed, without what may differ on this Debian. */
export const comparable = (command: string, suite: Suite, text: string): string =>
  DIFFERENCES.filter((one) => one.commands.test(command) && (one.suite ?? suite) === suite).reduce(
    (rest, { without }) => without(rest),
    text,
  );
