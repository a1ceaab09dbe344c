import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import {
  type Lookup,
  type LookupAnswer,
  LookupFailed,
  type LookupOptions,
  type LookupQuestion,
  type LookupRecord,
  type RecordValue,
} from '../../src/core/lookup.ts';
import type { Status } from '../../src/core/status.ts';
import { type PushedLinks, pushedLinks } from '../../src/sources/pushed-links.ts';
import type { StandinGround } from '../../src/standin/ground.ts';
import { BusError } from '../../src/system/bus-service.ts';
import type { KernelLink, KernelLinks } from '../../src/system/kernel-links.ts';
import { silentLog } from '../../src/system/log.ts';
import { linkState } from './fake-network.ts';
import { sampleStatus } from './sample-status.ts';

/** A ground of the stand-in that a test can look into. */
export interface TestGround extends StandinGround {
  readonly pushed: PushedLinks;
  /** Actions asked of polkit, and commands carried out, in order. */
  readonly asked: string[];
  /** What was looked up, in order. */
  readonly questions: { readonly question: LookupQuestion; readonly options: LookupOptions }[];
}

/** Links as of a laptop with a VPN: `lo`, `eth0`, `wlan0`, `tun0`, and `eth1` that systemd-networkd manages. */
export const LINKS: readonly KernelLink[] = [
  kernelLink(1, 'lo', { loopback: true }),
  kernelLink(2, 'eth0', {}),
  kernelLink(3, 'wlan0', {}),
  kernelLink(7, 'tun0', { tunnel: true }),
  kernelLink(12, 'eth1', { managedByNetworkd: true }),
];

/** A ground over the sample status; `forbidden` makes polkit refuse. */
export function standinGround(
  own: {
    readonly status?: Status;
    readonly zone?: Readonly<Record<string, TestAnswer>>;
    readonly forbidden?: boolean;
    readonly links?: () => readonly KernelLink[];
  } = {},
): TestGround {
  const asked: string[] = [];
  const questions: TestGround['questions'] = [];
  const permit = async (action: string): Promise<void> => {
    asked.push(action);
    if (own.forbidden) throw new BusError('org.freedesktop.DBus.Error.AccessDenied', 'Permission denied');
  };
  let level = 'info';
  return {
    asked,
    questions,
    status: () => own.status ?? sampleStatus,
    search: () => (own.status ?? sampleStatus).plan.search.map(({ value }) => value),
    config: () => DEFAULT_CONFIG,
    links: linksOf(own.links ?? (() => LINKS)),
    pushed: pushedLinks(silentLog),
    hostname: () => 'laptop.example.org',
    lookup: zoneLookup(own.zone ?? {}, questions),
    statistics: () => ({
      currentTransactions: 1,
      totalTransactions: 20,
      totalTimeouts: 3,
      totalTimeoutsServedStale: 4,
      totalFailedResponses: 5,
      totalFailedResponsesServedStale: 6,
      cacheSize: 7,
      cacheHits: 8,
      cacheMisses: 9,
    }),
    actions: {
      flush: () => void asked.push('flush!'),
      resetStatistics: () => void asked.push('reset statistics!'),
      forgetServers: () => void asked.push('forget servers!'),
    },
    rights: { permit: (_, action) => permit(action), permitRoot: () => permit('root') },
    pusherOf: async () => ({ name: 'openvpn (pid 812, uid 0)', mirrored: false }),
    settled: async () => {},
    log: {
      level: () => level,
      setLevel: (next) => {
        level = next;
      },
    },
  };
}

function kernelLink(ifindex: number, name: string, own: Partial<KernelLink>): KernelLink {
  return { ...linkState({ ifindex, name }), managedByNetworkd: false, ...own };
}

const linksOf = (all: () => readonly KernelLink[]): KernelLinks => ({
  all,
  byIndex: (ifindex) => all().find((link) => link.ifindex === ifindex),
});

/** What a test says of a name and type: records, a response code, or no response. */
export type TestAnswer = Partial<LookupAnswer> | LookupFailed['failure'];

/** A lookup over `name/type` keys; what is not there does not exist. */
function zoneLookup(zone: Readonly<Record<string, TestAnswer>>, questions: TestGround['questions']): Lookup {
  const answers = new Map(Object.entries(zone).map(([key, answer]) => [key.toLowerCase(), answer]));
  return async (question, options) => {
    questions.push({ question, options });
    const found = answers.get(`${question.name.replace(/\.$/, '').toLowerCase()}/${question.type}`);
    if (typeof found === 'string') throw new LookupFailed(found);
    return {
      rcode: found === undefined ? 3 : 0,
      records: [],
      from: 'network',
      authenticated: false,
      confidential: false,
      ifindex: 2,
      ...found,
    };
  };
}

/** A record of a test answer; its wire form says only what it is. */
export function record(name: string, type: number, value: RecordValue): LookupRecord {
  return { name, type, class: 1, ttl: 60, value, wire: Buffer.from(`${name}/${type}`) };
}

/** An A or AAAA record. */
export const addressRecord = (name: string, ...bytes: number[]): LookupRecord =>
  record(name, bytes.length === 4 ? 1 : 28, {
    kind: 'address',
    family: bytes.length === 4 ? 4 : 6,
    bytes: Uint8Array.from(bytes),
  });

/** A record that leads to another name. */
export const nameRecord = (name: string, type: number, to: string): LookupRecord =>
  record(name, type, { kind: 'name', name: to });
