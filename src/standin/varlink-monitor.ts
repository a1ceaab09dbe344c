import type { FinishedQuery, LookupFailure, RememberedLookup } from '../core/lookup.ts';
import { VarlinkError, type VarlinkParameters } from '../system/varlink-frames.ts';
import type { Peer, VarlinkInterface, VarlinkMethod } from '../system/varlink-interface.ts';
import { configurationRows } from './configuration-rows.ts';
import type { StandinGround } from './ground.ts';
import { rcodeName } from './lookup-errors.ts';
import { MONITOR, MONITOR_DESCRIPTION } from './varlink-descriptions.ts';
import { keyRow, linkField, type Row, recordRow } from './varlink-rows.ts';
import { describeServer, NOT_SPOKEN, viewGlobal, viewLink } from './view.ts';

/** What the monitor is made of, beside what everything is. */
export interface MonitorGround extends StandinGround {
  /** Hear of every query that ends, until the returned function is called. */
  readonly onQuery: (listener: (query: FinishedQuery) => void) => () => void;
  /** Hear that the configuration may have changed, until the returned function is called. */
  readonly onConfiguration: (listener: () => void) => () => void;
  readonly remembered: () => readonly (RememberedLookup & {
    /** 0 where it came by several links. */
    readonly ifindex: number;
  })[];
  /** Milliseconds since the machine started, its sleep included. */
  readonly sinceBootMs: () => number;
  /** Who may watch and change beside root. */
  readonly ownUid: number;
}

/** io.systemd.Resolve.Monitor: queries as they happen, cache, servers, counters. For root. */
export function monitorInterface(ground: MonitorGround): VarlinkInterface {
  const permit = (peer: Peer | undefined): void => {
    if (peer?.uid !== 0 && peer?.uid !== ground.ownUid)
      throw new VarlinkError('org.varlink.service.PermissionDenied');
  };
  const method = (answer: () => VarlinkParameters): VarlinkMethod => ({
    takes: INTERACTIVE,
    answer: ({ peer }) => {
      permit(peer);
      return answer();
    },
  });
  const stream = (begin: (send: (parameters: VarlinkParameters) => void) => () => void): VarlinkMethod => ({
    takes: INTERACTIVE,
    stream: ({ peer, signal }, send) => {
      permit(peer);
      const stop = begin(send);
      signal.addEventListener('abort', stop, { once: true });
    },
  });
  return {
    name: MONITOR,
    description: MONITOR_DESCRIPTION,
    methods: {
      SubscribeQueryResults: stream((send) => {
        const stop = ground.onQuery((query) => send(queryRow(query)));
        send({ ready: true });
        return stop;
      }),
      SubscribeDNSConfiguration: stream((send) => {
        let told = '';
        const tell = (): void => {
          const configuration = configurationRows(ground);
          const text = JSON.stringify(configuration);
          if (text === told) return;
          told = text;
          send({ configuration });
        };
        tell();
        return ground.onConfiguration(tell);
      }),
      DumpCache: method(() => ({ dump: cacheRows(ground) })),
      DumpServerState: method(() => ({ dump: serverStateRows(ground) })),
      DumpStatistics: method(() => statisticsRow(ground)),
      ResetStatistics: method(() => {
        ground.actions.resetStatistics();
        return {};
      }),
      FlushCaches: method(() => {
        ground.actions.flush();
        return {};
      }),
      ResetServerFeatures: method(() => {
        ground.actions.forgetServers();
        return {};
      }),
    },
  };
}

/** Whether a password may be asked for; nobody is asked for one here. */
const INTERACTIVE = { allowInteractiveAuthentication: 'bool?' } as const;

/** systemd-resolved's words for how a query ended. */
const STATES: Readonly<Record<LookupFailure, string>> = {
  'no-servers': 'no-servers',
  timeout: 'timeout',
  'attempts-exhausted': 'attempts-max-reached',
  'network-down': 'network-down',
  'invalid-reply': 'invalid-reply',
  'stub-loop': 'stub-loop',
  aborted: 'aborted',
};

/** The strict parser of systemd 252 takes state, rcode of a failure, question and answer; the rest only where there is something. */
function queryRow({ question, outcome }: FinishedQuery): Row {
  if (typeof outcome === 'string') return { state: STATES[outcome], question: [keyRow(question)] };
  const { rcode, error, records, ifindex } = outcome;
  return {
    ...(rcode === 0 ? { state: 'success' } : { state: 'rcode-failure', rcode }),
    ...(error === undefined ? {} : { extendedDNSErrorCode: error.code }),
    ...(error === undefined || error.text === '' ? {} : { extendedDNSErrorMessage: error.text }),
    question: [keyRow(question)],
    ...(records.length === 0
      ? {}
      : { answer: records.map((record) => ({ ...recordRow(record), ...linkField(ifindex) })) }),
  };
}

/** Answers by link, as systemd-resolved keeps a cache for each; the link that came last comes first. */
function cacheRows(ground: MonitorGround): readonly Row[] {
  const byLink = Map.groupBy(ground.remembered(), ({ ifindex }) => ifindex);
  const row = (ifindex: number, ifname: string | undefined, dnsOverTLS: string): Row => ({
    protocol: 'dns',
    ...linkField(ifindex),
    ...(ifname === undefined ? {} : { ifname }),
    cache: (byLink.get(ifindex) ?? []).map((entry) => cacheEntryRow(entry, ground.sinceBootMs())),
    dnssec: NOT_SPOKEN,
    dnsOverTLS,
  });
  const links = ground.links.all().map((link) => viewLink(ground, link));
  const asked = links.filter(({ ifindex, servers }) => servers.length > 0 || byLink.has(ifindex));
  const global = viewGlobal(ground);
  return [
    ...asked.toReversed().map(({ ifindex, name, dnsOverTls }) => row(ifindex, name, dnsOverTls)),
    row(0, undefined, global.dnsOverTls),
  ];
}

function cacheEntryRow({ question, rcode, records, remainingMs }: RememberedLookup, bootMs: number): Row {
  const until = Math.round((bootMs + remainingMs) * 1000);
  const key = keyRow(question);
  if (rcode === 0) return { key, rrs: records.map(recordRow), until };
  return { key, type: rcodeName(rcode), until };
}

function serverStateRows(ground: MonitorGround): readonly Row[] {
  const global = viewGlobal(ground);
  const links = ground.links
    .all()
    .map((link) => viewLink(ground, link))
    .filter(({ servers }) => servers.length > 0);
  const failures = new Map(
    ground.status().resolver.servers.map(({ link, server, failures: count }) => [`${link} ${server}`, count]),
  );
  return [
    ...global.servers.map((server) => serverStateRow(server, 'system', {}, 0)),
    ...global.fallback.map((server) => serverStateRow(server, 'fallback', {}, 0)),
    ...links.flatMap(({ name, ifindex, servers }) =>
      servers.map((server) =>
        serverStateRow(
          server,
          'link',
          { Interface: name, InterfaceIndex: ifindex },
          failures.get(`${name} ${describeServer(server)}`) ?? 0,
        ),
      ),
    ),
  ];
}

/** We neither downgrade features nor count by packet: levels are what is spoken, counters of ours are at zero. */
const serverStateRow = (
  server: Parameters<typeof describeServer>[0],
  type: string,
  link: Row,
  failed: number,
): Row => ({
  Server: describeServer(server),
  Type: type,
  ...link,
  VerifiedFeatureLevel: 'UDP+EDNS0',
  PossibleFeatureLevel: 'UDP+EDNS0',
  DNSSECMode: NOT_SPOKEN,
  DNSSECSupported: false,
  ReceivedUDPFragmentMax: 1232,
  FailedUDPAttempts: failed,
  FailedTCPAttempts: 0,
  PacketTruncated: false,
  PacketBadOpt: false,
  PacketRRSIGMissing: false,
  PacketInvalid: false,
  PacketDoOff: false,
});

function statisticsRow({ statistics }: MonitorGround): VarlinkParameters {
  const { cacheSize, cacheHits, cacheMisses, ...transactions } = statistics();
  return {
    transactions,
    cache: { size: cacheSize, hits: cacheHits, misses: cacheMisses },
    dnssec: { secure: 0, insecure: 0, bogus: 0, indeterminate: 0 },
  };
}
