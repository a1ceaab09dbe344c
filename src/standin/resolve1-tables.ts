import type { BusArgument, InterfaceTable, PropertyTable } from '../system/bus-interface.ts';

/**
 * The D-Bus interfaces of systemd-resolved as data, as systemd 252 to 262 have them
 * (org.freedesktop.resolve1(5), org.freedesktop.LogControl1(5)).
 */

/** The bus name, and the prefix of all interfaces and errors. */
export const RESOLVE1 = 'org.freedesktop.resolve1';
/** Path of the manager object. */
export const MANAGER_PATH = '/org/freedesktop/resolve1';
/** Path of the log's object. */
export const LOG_CONTROL_PATH = '/org/freedesktop/LogControl1';

const IFINDEX: BusArgument = ['i', 'ifindex'];
const FAMILY: BusArgument = ['i', 'family'];
const FLAGS: BusArgument = ['t', 'flags'];
const NAME: BusArgument = ['s', 'name'];

/** What SetLink* methods and the methods of a link take beside the link itself. */
const SETTERS = {
  DNS: [['a(iay)', 'addresses']],
  DNSEx: [['a(iayqs)', 'addresses']],
  Domains: [['a(sb)', 'domains']],
  DefaultRoute: [['b', 'enable']],
  LLMNR: [['s', 'mode']],
  MulticastDNS: [['s', 'mode']],
  DNSOverTLS: [['s', 'mode']],
  DNSSEC: [['s', 'mode']],
  DNSSECNegativeTrustAnchors: [['as', 'names']],
} as const satisfies Record<string, readonly BusArgument[]>;

/** Names of the settings that a link takes over the bus. */
export type SetterName = keyof typeof SETTERS;

/** All of them, in the order of the interface. */
export const SETTER_NAMES = Object.keys(SETTERS) as readonly SetterName[];

const never = (signature: string): PropertyTable => ({ signature, emits: 'nothing' });
const told = (signature: string): PropertyTable => ({ signature, emits: 'value' });

/** org.freedesktop.resolve1.Manager. */
export const MANAGER: InterfaceTable = {
  name: `${RESOLVE1}.Manager`,
  methods: {
    ResolveHostname: {
      in: [IFINDEX, NAME, FAMILY, FLAGS],
      out: [['a(iiay)', 'addresses'], ['s', 'canonical'], FLAGS],
    },
    ResolveAddress: {
      in: [IFINDEX, FAMILY, ['ay', 'address'], FLAGS],
      out: [['a(is)', 'names'], FLAGS],
    },
    ResolveRecord: {
      in: [IFINDEX, NAME, ['q', 'class'], ['q', 'type'], FLAGS],
      out: [['a(iqqay)', 'records'], FLAGS],
    },
    ResolveService: {
      in: [IFINDEX, NAME, ['s', 'type'], ['s', 'domain'], FAMILY, FLAGS],
      out: [
        ['a(qqqsa(iiay)s)', 'srv_data'],
        ['aay', 'txt_data'],
        ['s', 'canonical_name'],
        ['s', 'canonical_type'],
        ['s', 'canonical_domain'],
        FLAGS,
      ],
    },
    GetLink: { in: [IFINDEX], out: [['o', 'path']] },
    ...Object.fromEntries(
      SETTER_NAMES.map((name) => [`SetLink${name}`, { in: [IFINDEX, ...SETTERS[name]] }]),
    ),
    RevertLink: { in: [IFINDEX] },
    RegisterService: {
      in: [
        ['s', 'id'],
        ['s', 'name_template'],
        ['s', 'type'],
        ['q', 'service_port'],
        ['q', 'service_priority'],
        ['q', 'service_weight'],
        ['aa{say}', 'txt_datas'],
      ],
      out: [['o', 'service_path']],
    },
    UnregisterService: { in: [['o', 'service_path']] },
    GetDelegate: { in: [['s', 'id']], out: [['o', 'path']] },
    ListDelegates: { out: [['a(so)', 'delegates']] },
    ResetStatistics: {},
    FlushCaches: {},
    ResetServerFeatures: {},
  },
  properties: {
    LLMNRHostname: told('s'),
    LLMNR: never('s'),
    MulticastDNS: never('s'),
    DNSOverTLS: never('s'),
    DNS: told('a(iiay)'),
    DNSEx: told('a(iiayqs)'),
    FallbackDNS: { signature: 'a(iiay)', emits: 'constant' },
    FallbackDNSEx: { signature: 'a(iiayqs)', emits: 'constant' },
    CurrentDNSServer: told('(iiay)'),
    CurrentDNSServerEx: told('(iiayqs)'),
    Domains: never('a(isb)'),
    TransactionStatistics: never('(tt)'),
    CacheStatistics: never('(ttt)'),
    DNSSEC: never('s'),
    DNSSECStatistics: never('(tttt)'),
    DNSSECSupported: never('b'),
    DNSSECNegativeTrustAnchors: never('as'),
    DNSStubListener: never('s'),
    ResolvConfMode: never('s'),
  },
  signals: {},
};

/** org.freedesktop.resolve1.Link. */
export const LINK: InterfaceTable = {
  name: `${RESOLVE1}.Link`,
  methods: {
    ...Object.fromEntries(SETTER_NAMES.map((name) => [`Set${name}`, { in: SETTERS[name] }])),
    Revert: {},
  },
  properties: {
    ScopesMask: never('t'),
    DNS: never('a(iay)'),
    DNSEx: never('a(iayqs)'),
    CurrentDNSServer: never('(iay)'),
    CurrentDNSServerEx: never('(iayqs)'),
    Domains: never('a(sb)'),
    DefaultRoute: never('b'),
    LLMNR: never('s'),
    MulticastDNS: never('s'),
    DNSOverTLS: never('s'),
    DNSSEC: never('s'),
    DNSSECNegativeTrustAnchors: never('as'),
    DNSSECSupported: never('b'),
  },
  signals: {},
};

/** org.freedesktop.LogControl1, by which `resolvectl log-level` works. */
export const LOG_CONTROL: InterfaceTable = {
  name: 'org.freedesktop.LogControl1',
  methods: {},
  properties: {
    LogLevel: { signature: 's', writable: true, emits: 'nothing' },
    LogTarget: { signature: 's', writable: true, emits: 'nothing' },
    SyslogIdentifier: { signature: 's', emits: 'nothing' },
  },
  signals: {},
};
