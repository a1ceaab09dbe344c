import { type Domain, parseDomain } from '../../src/core/domain.ts';
import type { Parsed } from '../../src/core/parsed.ts';
import type { Choice, Origin, PlanLink } from '../../src/core/plan.ts';
import type { QueryReport } from '../../src/core/query-report.ts';
import { parseOption, type ResolvOption } from '../../src/core/resolv-option.ts';
import { parseServer, type Server } from '../../src/core/server.ts';
import { DEFAULT_PROTOCOLS } from '../../src/core/snapshot.ts';
import type { Change, LinkStatus, ResolverStatus, ServerReport, Status } from '../../src/core/status.ts';

/** 2026-11-21 12:00:00 UTC: the "now" of every sample. */
export const SAMPLE_NOW = Date.UTC(2026, 10, 21, 12, 0, 0);

/** The value of something that must parse. */
export function must<T>(outcome: Parsed<T>): T {
  if (!outcome.ok) throw new Error(outcome.reason);
  return outcome.value;
}

const domain = (text: string): Domain => must(parseDomain(text));
const server = (text: string): Server => must(parseServer(text));
const option = (text: string): ResolvOption => must(parseOption(text));

const wifi: Origin = {
  source: 'networkmanager',
  interface: 'wlan0',
  ifindex: 3,
  connection: { id: 'Home Wi-Fi', uuid: '6f1f3c1e-0000-4000-8000-000000000001', type: '802-11-wireless' },
  vpn: false,
  priority: 100,
};

const tunnel: Origin = {
  source: 'networkmanager',
  interface: 'tun0',
  ifindex: 7,
  connection: { id: 'Office VPN', uuid: '6f1f3c1e-0000-4000-8000-000000000002', type: 'vpn' },
  vpn: true,
  priority: 50,
};

const cable: Origin = {
  source: 'networkmanager',
  interface: 'eth0',
  ifindex: 2,
  connection: { id: 'Lab cable', uuid: '6f1f3c1e-0000-4000-8000-000000000003', type: '802-3-ethernet' },
  vpn: false,
  priority: 100,
};

const choice = <T>(value: T, origin: Origin, reason: string): Choice<T> => ({ value, origin, reason });

const link = (key: string, origin: Origin, own: Partial<PlanLink>): PlanLink => ({
  key,
  origin,
  servers: [],
  searches: [],
  routing: [],
  reverse: [],
  defaultRoute: false,
  exclusive: false,
  ...DEFAULT_PROTOCOLS,
  connectivity: 'full',
  gateways: [],
  ...own,
});

const vpnServer = choice(server('10.8.0.1'), tunnel, 'A VPN comes before other connections (priority 50).');
const homeServer = choice(
  server('192.0.2.53'),
  wifi,
  'This connection has the best default route (metric 600).',
);
const homeSix = choice(
  server('2001:db8::53'),
  wifi,
  'This connection has the best default route (metric 600).',
);

/** A resolver that is not wanted. */
export const resolverOff: ResolverStatus = {
  state: 'off',
  reason: 'systemd-resolved runs and answers on these addresses.',
  addresses: [],
  servers: [],
  queries: 0,
  malformed: 0,
  overBound: 0,
  inFlight: 0,
};

/** /etc/resolv.conf is ours, as it should be. */
export const linkHeld: LinkStatus = {
  state: 'held',
  inCharge: 'dnskeeper',
  reason: '/etc/resolv.conf is our link.',
  degraded: false,
  originalSaved: true,
};

/** How a server did, nothing where nothing is told. */
export const serverReport = (link: string, address: string, told: Partial<ServerReport>): ServerReport => ({
  link,
  server: address,
  state: 'new',
  patienceMs: 150,
  asked: 0,
  answers: 0,
  refusals: 0,
  hedgesWon: 0,
  failures: 0,
  timeouts: 0,
  unreachable: 0,
  malformed: 0,
  ...told,
});

/** A laptop on Wi-Fi with a split VPN and a cable that is not used: every optional field is there. */
export const sampleStatus: Status = {
  version: '0.1.0',
  pid: 4711,
  mode: 'system',
  root: '',
  started: SAMPLE_NOW - 7_200_000,
  healthy: true,
  link: {
    state: 'held',
    inCharge: 'dnskeeper',
    reason: 'systemd-resolved does not run, so /etc/resolv.conf is our link.',
    degraded: false,
    foreign: { time: SAMPLE_NOW - 3_600_000, writer: 'dhclient', count: 1 },
    originalSaved: true,
  },
  resolvConf: { mode: 'file', reason: 'This version writes the plain file in every mode.' },
  resolver: {
    state: 'bound',
    reason: 'It answers on 127.0.0.53:53, 127.0.0.54:53.',
    addresses: ['127.0.0.53:53', '127.0.0.54:53'],
    nameserver: '127.0.0.53',
    servers: [
      serverReport('tun0', '10.8.0.1', {
        state: 'good',
        roundTripMs: 21.4,
        patienceMs: 44,
        asked: 813,
        answers: 812,
        failures: 1,
        timeouts: 1,
        lastFailure: { time: SAMPLE_NOW - 600_000, text: '10.8.0.1 did not answer within 2000 ms' },
      }),
      serverReport('wlan0', '192.0.2.53', {
        state: 'late',
        roundTripMs: 8.25,
        patienceMs: 30,
        asked: 3134,
        answers: 3120,
        refusals: 3,
        failures: 14,
        timeouts: 12,
        unreachable: 2,
        lastFailure: { time: SAMPLE_NOW - 2000, text: '192.0.2.53 cannot be reached' },
      }),
      serverReport('wlan0', '2001:db8::53', { state: 'new' }),
    ],
    memory: { answers: 1830, bytes: 1_204_000, hitRate: 0.8849 },
    queries: 4711,
    malformed: 2,
    overBound: 0,
    inFlight: 3,
  },
  plan: {
    nameservers: [vpnServer, homeServer, homeSix],
    upstream: [vpnServer, homeServer, homeSix],
    search: [
      choice(domain('office.example'), tunnel, 'Search domain of the VPN.'),
      choice(domain('home.example'), wifi, 'Domain that DHCP handed out.'),
    ],
    options: [
      choice(option('edns0'), wifi, 'Option of the connection.'),
      choice(
        option('timeout:2'),
        { source: 'configuration', vpn: false, priority: 75 },
        'Option of the configuration.',
      ),
    ],
    leftOut: [
      {
        what: 'server',
        text: '198.51.100.9',
        origin: cable,
        reason: 'A fourth server: resolv.conf(5) takes three.',
      },
      {
        what: 'route',
        text: '~corp.example',
        origin: tunnel,
        reason: 'A plain file cannot send only some names to a server.',
      },
    ],
    leftOutMore: 2,
    links: [
      link('tun0', tunnel, {
        servers: [vpnServer],
        searches: [domain('office.example')],
        routing: [domain('corp.example')],
        reverse: [domain('8.10.in-addr.arpa')],
        exclusive: true,
        gateways: ['10.8.0.254'],
        connectivity: 'unknown',
      }),
      link('wlan0', wifi, {
        servers: [homeServer, homeSix],
        searches: [domain('home.example')],
        defaultRoute: true,
        gateways: ['192.0.2.1', 'fe80::1'],
        ssid: 'Café am Eck',
      }),
      link('eth0', cable, {
        servers: [choice(server('198.51.100.9'), cable, 'Default priority of a connection (100).')],
        unused: 'All three places in the file are taken by links with a better route.',
        connectivity: 'limited',
      }),
    ],
    routes: [
      {
        domain: domain('office.example'),
        kind: 'search',
        link: 'tun0',
        exclusive: true,
        reason: 'Search domain of tun0.',
      },
      {
        domain: domain('.'),
        kind: 'catch-all',
        link: 'wlan0',
        exclusive: false,
        reason: 'wlan0 has the default route.',
      },
    ],
    inexpressible: ['Names under corp.example should go to tun0 alone.'],
    profiles: [],
  },
  files: [
    { path: '/run/dnskeeper/resolv.conf', state: 'written', bytes: 412 },
    { path: '/run/dnskeeper/upstream.conf', state: 'unchanged', bytes: 380, error: 'none' },
  ],
  sources: [
    { name: 'networkmanager', state: 'running', detail: 'NetworkManager 1.42.4 on the system bus.' },
    { name: 'configuration', state: 'running', detail: 'No file; defaults are in force.' },
  ],
  graceUntil: SAMPLE_NOW + 1500,
  lastChange: { time: SAMPLE_NOW - 125_000, cause: 'DnsManager.Configuration changed', tookMs: 3.14 },
  counters: { events: 42, plans: 17, writes: 9, failures: 0 },
  runtime: { bytes: 1592, residentBytes: 61_000_000 },
  findings: [
    {
      severity: 'note',
      id: 'split-dns-lost',
      text: 'The plain file cannot express split DNS.',
      mend: 'dnsctl explain NAME',
    },
  ],
  configuration: {
    files: ['/etc/dnskeeper/config.toml'],
    problems: [],
  },
};

/** The same machine with everything wrong at once, and names that try to steer a terminal. */
export const degradedStatus: Status = {
  ...sampleStatus,
  healthy: false,
  link: {
    state: 'yielded',
    inCharge: 'dhclient\u001b[31m',
    reason:
      'dhclient wrote /etc/resolv.conf 10 times in a minute, so we stopped; stop it, then run dnsctl takeover.',
    degraded: true,
    foreign: { time: SAMPLE_NOW - 5000, writer: 'dhclient', count: 10 },
    originalSaved: false,
  },
  plan: {
    ...sampleStatus.plan,
    nameservers: [
      choice(
        server('203.0.113.1'),
        { ...wifi, connection: { id: 'Evil\u001b]0;owned\u0007\nnet', uuid: '', type: '802-11-wireless' } },
        'The only server.',
      ),
    ],
    leftOut: [],
    leftOutMore: 0,
  },
  files: [
    {
      path: '/run/dnskeeper/resolv.conf',
      state: 'failed',
      bytes: 0,
      error: 'No space left on device (ENOSPC).',
    },
  ],
  sources: [{ name: 'networkmanager', state: 'gone', detail: 'NetworkManager left the bus 3 minutes ago.' }],
  findings: [
    {
      severity: 'error',
      id: 'output-files',
      text: 'The files are not in force: /run is full.',
      mend: 'df /run',
    },
    {
      severity: 'warning',
      id: 'link-yielded',
      text: 'dhclient wrote /etc/resolv.conf 10 times in a minute, so we stopped; stop it, then run dnsctl takeover.',
      mend: 'dnsctl doctor',
    },
    { severity: 'warning', id: 'source-networkmanager', text: 'NetworkManager left the bus 3 minutes ago.' },
  ],
  configuration: {
    files: ['/etc/dnskeeper/config.toml'],
    problems: [
      {
        file: '/etc/dnskeeper/config.toml',
        line: 3,
        key: 'link.takeover',
        wanted: '"auto", "always" or "never"',
        got: '"maybe"',
      },
    ],
  },
};

/** An answer that came from the VPN's server. */
export const sampleQuery: QueryReport = {
  name: 'git.office.example',
  type: 'A',
  rcode: 'NOERROR',
  answers: ['git.office.example 300 CNAME host7.office.example', 'host7.office.example 60 A 10.8.3.7'],
  errors: ['3 (stale answer): a sample of an extended error'],
  flags: ['RA'],
  authentic: false,
  from: 'upstream',
  route: 'tun0',
  server: '10.8.0.1 (tun0)',
  tookMs: 21.4,
};

/** Two changes: the first file, then the VPN. */
export const sampleHistory: readonly Change[] = [
  {
    time: SAMPLE_NOW - 7_100_000,
    cause: 'first state of NetworkManager',
    source: 'networkmanager',
    before: '',
    after: 'search home.example\nnameserver 192.0.2.53\nnameserver 2001:db8::53\noptions edns0\n',
    tookMs: 12.5,
    reasons: [{ line: 'nameserver 192.0.2.53', reason: 'This connection has the best default route.' }],
  },
  {
    time: SAMPLE_NOW - 125_000,
    cause: 'DnsManager.Configuration changed',
    source: 'networkmanager',
    before: 'search home.example\nnameserver 192.0.2.53\nnameserver 2001:db8::53\noptions edns0\n',
    after:
      'search office.example home.example\nnameserver 10.8.0.1\nnameserver 192.0.2.53\nnameserver 2001:db8::53\noptions edns0\n',
    tookMs: 3.14,
    reasons: [{ line: 'nameserver 10.8.0.1', reason: 'A VPN comes before other connections (priority 50).' }],
  },
];
