/** Name of our varlink interface. */
export const CONTROL_INTERFACE = 'io.dnskeeper';

/**
 * The description of io.dnskeeper that `varlinkctl introspect` shows. Types follow StatusReport, Change and Explanation;
 * a test checks real replies against this text, so that it cannot drift. Values that hold a dash are strings here,
 * because varlink enumerations cannot spell them; comments stand outside the
 * parentheses, because the parser of systemd 255 takes none inside.
 */
export const CONTROL_DESCRIPTION = `# dnskeeper: what decides which DNS servers this machine uses, and why.
# Times are milliseconds since the epoch. Servers are texts such as "192.0.2.1" or "dns+tls://192.0.2.1:853#name".
interface io.dnskeeper

# The connection (profile) that a value came from.
type Connection (
  id: string,
  uuid: string,
  type: string,
  activation: ?string
)

# Where a value came from.
# source: networkmanager, kernel, configuration, host, networkd, records or pushed-links
# priority: Lower comes first; negative keeps everything else out.
# profile: The profile of the configuration that changed it.
type Origin (
  source: string,
  interface: ?string,
  ifindex: ?int,
  connection: ?Connection,
  vpn: bool,
  priority: int,
  file: ?string,
  profile: ?string
)

# A value that was chosen, and why.
type Choice (
  value: string,
  origin: Origin,
  reason: string
)

# A value that a source gave but that is not in the file, and why.
# what: server, search, option or route
type LeftOut (
  what: string,
  text: string,
  origin: Origin,
  reason: string
)

# Names under "domain" go to the servers of the link with this key; "." is every name.
# kind: search, routing, catch-all or reverse
type NameRoute (
  domain: string,
  kind: string,
  link: string,
  exclusive: bool,
  reason: string
)

# One link. The last four knobs are: default, no, resolve, opportunistic, allow-downgrade or yes.
# unused: Why nothing of this link is in the file; absent when it is in force.
# connectivity: unknown, none, portal, limited or full
type Link (
  key: string,
  origin: Origin,
  servers: []Choice,
  searches: []string,
  routing: []string,
  reverse: []string,
  defaultRoute: bool,
  exclusive: bool,
  unused: ?string,
  connectivity: string,
  ssid: ?string,
  gateways: []string,
  mdns: string,
  llmnr: string,
  dnsOverTls: string,
  dnssec: string
)

# The decision. "nameservers" are those in the file, "upstream" all that may be asked for any name.
type Plan (
  nameservers: []Choice,
  upstream: []Choice,
  search: []Choice,
  options: []Choice,
  sortlist: ?[]Choice,
  leftOut: []LeftOut,
  leftOutMore: int,
  links: []Link,
  routes: []NameRoute,
  inexpressible: []string,
  profiles: [](name: string, links: []string, reason: string)
)

# Who is in charge of /etc/resolv.conf.
# state: unknown, held, bind-mount, resolved, released, publish-only, fighting, yielded or failed
type LinkStatus (
  state: string,
  inCharge: string,
  reason: string,
  degraded: bool,
  foreign: ?(time: int, writer: string, count: int),
  originalSaved: bool
)

# state: written, unchanged, failed or pending
type FileStatus (
  path: string,
  state: string,
  bytes: int,
  error: ?string
)

# state: starting, running, gone, absent or failed
type SourceStatus (
  name: string,
  state: string,
  detail: string
)

# Something wrong or notable, with the command that mends it.
# severity: error, warning or note
type Finding (
  severity: string,
  id: string,
  text: string,
  mend: ?string
)

type ConfigProblem (
  file: string,
  line: ?int,
  key: ?string,
  wanted: string,
  got: string
)

# How one server did. "roundTripMs" is smoothed and absent before the first answer; "patienceMs" is how long it is waited
# for before the next one is asked too; "failures" are timeouts, unreachable and malformed together.
# state: new, good or late (others are asked first until it answers again)
type ServerReport (
  link: string,
  server: string,
  state: string,
  roundTripMs: ?float,
  patienceMs: float,
  asked: int,
  answers: int,
  refusals: int,
  hedgesWon: int,
  failures: int,
  timeouts: int,
  unreachable: int,
  malformed: int,
  lastFailure: ?(time: int, text: string),
  trouble: ?(kind: string, text: string)
)

# The local resolver. "nameserver" is the address that a resolv.conf may name, "portal" tells links whose encrypted servers a
# captive portal is in the way of and whether encryption gives way, "unbound" why it does not listen on some of the further
# addresses that it is to, "overBound" counts refusals for want of room. "backEnd" is the dnsmasq or unbound that asks the
# servers; its state: starting, carrying, unfit or failed.
# state: off, bound or failed
type ResolverStatus (
  state: string,
  reason: string,
  addresses: []string,
  nameserver: ?string,
  servers: []ServerReport,
  memory: ?(answers: int, bytes: int, hitRate: ?float),
  portal: ?(links: []string, relaxed: bool),
  unbound: ?[]string,
  backEnd: ?(kind: string, state: string, reason: string, version: ?string, starts: int),
  queries: int,
  malformed: int,
  overBound: int,
  inFlight: int
)

# mode: system or user
type Status (
  schema: int,
  version: string,
  pid: int,
  mode: string,
  root: string,
  started: int,
  healthy: bool,
  link: LinkStatus,
  resolvConf: (mode: string, reason: string),
  resolver: ResolverStatus,
  plan: Plan,
  files: []FileStatus,
  sources: []SourceStatus,
  graceUntil: ?int,
  profileByHand: ?(name: string, until: ?int),
  trial: ?(name: string, until: int),
  lastChange: ?(time: int, cause: string, tookMs: float),
  counters: (events: int, plans: int, writes: int, failures: int),
  runtime: (bytes: int, residentBytes: int),
  findings: []Finding,
  configuration: (files: []string, problems: []ConfigProblem)
)

# One change of the file. "tookMs" counts from the source's event to the renamed file.
type Change (
  time: int,
  cause: string,
  source: string,
  before: string,
  after: string,
  tookMs: float,
  reasons: [](line: string, reason: string)
)

# Where a name goes, and every rule that was looked at. "live" is absent while the local resolver answers nobody.
type Explanation (
  name: string,
  servers: [](server: string, link: ?string, reason: string),
  rules: [](rule: string, matched: bool, reason: string),
  file: string,
  live: ?Outlook
)

# What a question for a name would meet now. "own" says what answers before any server; "servers" stand in the order in
# which those of one link are asked; "used" answers are remembered for the route that the name goes now.
type Outlook (
  own: ?string,
  route: ?string,
  exclusive: bool,
  servers: [](link: string, server: string, reason: string),
  cached: [](type: string, rcode: string, secondsLeft: int, route: string, used: bool)
)

# What the local resolver answered, and how it came about. "route" names the links asked, "server" who answered just now.
# flags: those of AA, TC, RA, AD and CD that are set
# from: local, hosts, refused, cache, "cache (stale)", upstream or failure
type QueryReport (
  name: string,
  type: string,
  rcode: string,
  answers: []string,
  errors: []string,
  flags: []string,
  authentic: bool,
  from: string,
  route: ?string,
  server: ?string,
  tookMs: float
)

# The cache of answers. "hits" are those that the fast path did not answer by itself.
type CacheStatistics (
  entries: int,
  bytes: int,
  hits: int,
  misses: int,
  staleServed: int,
  prefetched: int,
  evictions: int,
  shrunkByPressure: int
)

# Remembered answers, those asked for most often first; "matching" counts those that are left out too.
# "secondsLeft" is below zero for one that is only kept in case no server answers.
type Cache (
  entries: [](
    name: string,
    type: string,
    rcode: string,
    records: []string,
    recordCount: int,
    secondsLeft: int,
    route: string,
    hits: int,
    bytes: int
  ),
  matching: int,
  statistics: CacheStatistics
)

# What the local resolver did since it started. Types, outcomes and the latency do not tell what the fast path answered.
# The last count of the latency is of those that took longer than every bound.
type Statistics (
  since: int,
  time: int,
  clients: (udp: int, tcp: int, malformed: int, inFlight: int),
  types: [](type: string, queries: int),
  outcomes: [](rcode: string, answers: int),
  origins: (
    fastPath: int,
    cache: int,
    stale: int,
    local: int,
    hosts: int,
    refused: int,
    upstream: int,
    failure: int
  ),
  cache: CacheStatistics,
  fastPath: ?(
    hits: int,
    misses: int,
    oversized: int,
    refused: int,
    unsent: int,
    entries: int,
    restarts: int
  ),
  servers: []ServerReport,
  connections: (tcpOpened: int, tlsOpened: int, tlsResumed: int, reused: int, failed: int),
  bounds: [](bound: string, reached: int),
  latency: (boundsMs: []float, counts: []int, sumMs: float)
)

# Names that clients asked for since somebody watches; meanwhile the fast path hands on what the main thread keeps up with.
type Names (
  since: int,
  asked: [](name: string, count: int, countedTooHigh: int),
  slowest: [](name: string, type: string, tookMs: float, by: string, time: int)
)

# The status now; with "more" also every later one.
method GetStatus() -> (status: Status)

# The last changes, newest last.
method GetHistory() -> (changes: []Change)

# With "more" only: the status first, then every new status and every change of the file.
method Monitor() -> (status: ?Status, change: ?Change)

# Which servers a name goes to.
method Explain(name: string) -> (explanation: Explanation)

# Ask the local resolver; the type is a name such as AAAA, or TYPE65.
method Query(name: string, type: string) -> (query: QueryReport)

# What the local resolver did so far.
method GetStatistics() -> (statistics: Statistics)

# Remembered answers for a name and what is below it; "." is everything. Names are private: root only.
method GetCache(name: string) -> (cache: Cache)

# With "more" only: the statistics every second. Names come along for root only, and are kept only while somebody watches.
method Top() -> (statistics: Statistics, names: ?Names)

# Forget remembered answers for a name and what is below it; "." is everything. Root only.
method Flush(name: string) -> (ok: bool, text: string)

# Have a profile hold before the others, for so many milliseconds or until the next choice; without a name profiles are
# automatic again. Root only.
method UseProfile(name: ?string, milliseconds: ?int) -> (ok: bool, text: string)

# Put a configuration in force as a local drop-in of this name; after so many milliseconds it goes again. Root only.
method Try(name: string, text: string, milliseconds: int) -> (ok: bool, text: string)

# Keep the configuration that is tried as a file, or with false go back to what was before. Root only.
method EndTrial(keep: bool) -> (ok: bool, text: string)

# Read the configuration again. A bad one leaves the last good one in force. Root only.
method Reload() -> (ok: bool, text: string)

# Make /etc/resolv.conf our link (again). Root only.
method Takeover() -> (ok: bool, text: string)

# Put back what /etc/resolv.conf was before us, and leave it alone until Takeover. Root only.
method Release() -> (ok: bool, text: string)

# systemd-resolved is about to start: free the addresses it wants, and name them nowhere until it runs. Root only.
method GiveWay() -> (ok: bool, text: string)

# systemd-resolved is about to stop: name no address of its in /etc/resolv.conf any more. Root only.
method StandIn() -> (ok: bool, text: string)

# The caller may read but not change.
error PermissionDenied (wanted: string, got: string)

# The daemon could not do it; the code is one of docs/errors.md.
error Failed (code: string, message: string)
`;
