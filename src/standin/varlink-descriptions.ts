/** The varlink interface of systemd-resolved that names are looked up with. */
export const RESOLVE = 'io.systemd.Resolve';

/** The one that tells what it does. */
export const MONITOR = 'io.systemd.Resolve.Monitor';

/** What both interfaces describe alike. Comments stand outside the parentheses, where systemd 255 reads them. */
const CONFIGURATION_TYPES = `type ResourceKey (
  class: int,
  type: int,
  name: string
)

# What a record says; which fields there are goes by its type.
type ResourceRecord (
  key: ResourceKey,
  priority: ?int,
  weight: ?int,
  port: ?int,
  name: ?string,
  items: ?[]string,
  address: ?[]int,
  cpu: ?string,
  os: ?string,
  mname: ?string,
  rname: ?string,
  serial: ?int,
  refresh: ?int,
  expire: ?int,
  minimum: ?int,
  exchange: ?string,
  version: ?int,
  size: ?int,
  horiz_pre: ?int,
  vert_pre: ?int,
  latitude: ?int,
  longitude: ?int,
  altitude: ?int,
  order: ?int,
  preference: ?int,
  naptrFlags: ?string,
  services: ?string,
  regexp: ?string,
  replacement: ?string,
  keyTag: ?int,
  algorithm: ?int,
  digestType: ?int,
  digest: ?string,
  fptype: ?int,
  fingerprint: ?string,
  flags: ?int,
  protocol: ?int,
  dnskey: ?string,
  certUsage: ?int,
  selector: ?int,
  matchingType: ?int,
  data: ?string,
  tag: ?string,
  value: ?string,
  target: ?string,
  svcparams: ?object
)

# A server; accessible is false while it does not answer.
type DNSServer (
  address: []int,
  addressString: string,
  family: int,
  port: int,
  ifindex: ?int,
  name: ?string,
  accessible: bool
)

# Names below are looked up here; routeOnly: but not searched.
type SearchDomain (
  name: string,
  routeOnly: bool,
  ifindex: ?int
)

type DNSScope (
  protocol: string,
  family: ?int,
  ifindex: ?int,
  ifname: ?string,
  dnssec: ?string,
  dnsOverTLS: ?string
)

# Of the machine (no ifname) or of one link.
type DNSConfiguration (
  ifname: ?string,
  ifindex: ?int,
  delegate: ?string,
  defaultRoute: ?bool,
  currentServer: ?DNSServer,
  servers: ?[]DNSServer,
  fallbackServers: ?[]DNSServer,
  searchDomains: ?[]SearchDomain,
  negativeTrustAnchors: ?[]string,
  dnssec: ?string,
  dnssecSupported: ?bool,
  dnsOverTLS: ?string,
  llmnr: ?string,
  mDNS: ?string,
  resolvConfMode: ?string,
  scopes: ?[]DNSScope
)
`;

/** io.systemd.Resolve as `varlinkctl introspect` shows it; a test holds real replies against it. */
export const RESOLVE_DESCRIPTION = `# Look names up. Flags are those of org.freedesktop.resolve1(5).
interface ${RESOLVE}

${CONFIGURATION_TYPES}
type ResolvedAddress (
  ifindex: ?int,
  family: int,
  address: []int
)

type ResolvedName (
  ifindex: ?int,
  name: string
)

type ResolvedService (
  priority: int,
  weight: int,
  port: int,
  hostname: string,
  canonicalName: ?string,
  addresses: ?[]ResolvedAddress
)

type ResolvedCanonical (
  name: ?string,
  type: string,
  domain: string
)

# raw: base64
type ResolvedRecord (
  ifindex: ?int,
  rr: ?ResourceRecord,
  raw: string
)

type BrowsedService (
  updateFlag: string,
  family: int,
  name: ?string,
  type: string,
  domain: string,
  ifindex: int
)

method ResolveHostname(ifindex: ?int, name: string, family: ?int, flags: ?int) -> (addresses: []ResolvedAddress, name: string, flags: int)

method ResolveAddress(ifindex: ?int, family: int, address: []int, flags: ?int) -> (names: []ResolvedName, flags: int)

method ResolveService(name: ?string, type: ?string, domain: string, ifindex: ?int, family: ?int, flags: ?int) -> (services: []ResolvedService, txt: ?[]string, canonical: ResolvedCanonical, flags: int)

method ResolveRecord(ifindex: ?int, name: string, class: ?int, type: int, flags: ?int) -> (rrs: []ResolvedRecord, flags: int)

# Not offered: it takes multicast DNS.
method BrowseServices(domain: ?string, type: ?string, ifindex: ?int, flags: ?int) -> (browserServiceData: []BrowsedService)

method DumpDNSConfiguration() -> (configuration: []DNSConfiguration)

error NoNameServers ()

error NoSuchResourceRecord ()

error QueryTimedOut ()

error MaxAttemptsReached ()

error InvalidReply ()

error QueryAborted ()

error QueryRefused ()

error DNSSECValidationFailed (result: string, extendedDNSErrorCode: ?int, extendedDNSErrorMessage: ?string)

error NoTrustAnchor ()

error ResourceRecordTypeUnsupported ()

error NetworkDown ()

error NoSource ()

error StubLoop ()

error DNSError (rcode: int, extendedDNSErrorCode: ?int, extendedDNSErrorMessage: ?string, queryString: ?string)

error CNAMELoop ()

error BadAddressSize ()

error ResourceRecordTypeInvalidForQuery ()

error ZoneTransfersNotPermitted ()

error ResourceRecordTypeObsolete ()

error InconsistentServiceRecords ()

error ServiceNotProvided ()
`;

/** io.systemd.Resolve.Monitor as `varlinkctl introspect` shows it. */
export const MONITOR_DESCRIPTION = `# Watch queries, and look into the resolver. For root.
interface ${MONITOR}

${CONFIGURATION_TYPES}
type MonitoredAnswer (
  rr: ?ResourceRecord,
  raw: string,
  ifindex: ?int
)

type CachedRecord (
  rr: ?ResourceRecord,
  raw: string
)

# Records, or for a negative answer its type. until: microseconds of the clock that counts from the start of the machine
type CacheEntry (
  key: ResourceKey,
  rrs: ?[]CachedRecord,
  type: ?string,
  until: int
)

type ScopeCache (
  protocol: string,
  family: ?int,
  ifindex: ?int,
  ifname: ?string,
  cache: []CacheEntry,
  dnssec: ?string,
  dnsOverTLS: ?string
)

type ServerState (
  Server: string,
  Type: string,
  Interface: ?string,
  InterfaceIndex: ?int,
  VerifiedFeatureLevel: string,
  PossibleFeatureLevel: string,
  DNSSECMode: string,
  DNSSECSupported: bool,
  ReceivedUDPFragmentMax: int,
  FailedUDPAttempts: int,
  FailedTCPAttempts: int,
  PacketTruncated: bool,
  PacketBadOpt: bool,
  PacketRRSIGMissing: bool,
  PacketInvalid: bool,
  PacketDoOff: bool
)

type TransactionStatistics (
  currentTransactions: int,
  totalTransactions: int,
  totalTimeouts: int,
  totalTimeoutsServedStale: int,
  totalFailedResponses: int,
  totalFailedResponsesServedStale: int
)

type CacheStatistics (
  size: int,
  hits: int,
  misses: int
)

type DnssecStatistics (
  secure: int,
  insecure: int,
  bogus: int,
  indeterminate: int
)

# With "more" only: first that it is ready, then every query that ends.
method SubscribeQueryResults(allowInteractiveAuthentication: ?bool) -> (
  ready: ?bool,
  state: ?string,
  result: ?string,
  rcode: ?int,
  errno: ?int,
  extendedDNSErrorCode: ?int,
  extendedDNSErrorMessage: ?string,
  question: ?[]ResourceKey,
  collectedQuestions: ?[]ResourceKey,
  answer: ?[]MonitoredAnswer
)

# With "more" only: the whole configuration, at once and after each change.
method SubscribeDNSConfiguration(allowInteractiveAuthentication: ?bool) -> (configuration: []DNSConfiguration)

method DumpCache(allowInteractiveAuthentication: ?bool) -> (dump: []ScopeCache)

method DumpServerState(allowInteractiveAuthentication: ?bool) -> (dump: []ServerState)

method DumpStatistics(allowInteractiveAuthentication: ?bool) -> (
  transactions: TransactionStatistics,
  cache: CacheStatistics,
  dnssec: DnssecStatistics
)

method ResetStatistics(allowInteractiveAuthentication: ?bool) -> ()

method FlushCaches(allowInteractiveAuthentication: ?bool) -> ()

method ResetServerFeatures(allowInteractiveAuthentication: ?bool) -> ()
`;
