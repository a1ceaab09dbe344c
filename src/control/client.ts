import type { CacheReport } from '../core/cache-report.ts';
import { DnskeeperError, type ErrorCode } from '../core/errors.ts';
import type { Explanation } from '../core/explain.ts';
import type { NamesReport } from '../core/names-report.ts';
import type { QueryReport } from '../core/query-report.ts';
import type { StatisticsReport } from '../core/statistics.ts';
import type { Change } from '../core/status.ts';
import { callVarlink, streamVarlink } from '../system/varlink-client.ts';
import { VarlinkError, type VarlinkParameters } from '../system/varlink-frames.ts';
import type { Outcome } from './daemon-control.ts';
import { CONTROL_INTERFACE } from './description.ts';
import type { MonitorReply } from './format-monitor.ts';
import type { StatusReport } from './report.ts';

/** One reply of io.dnskeeper.Top. */
export interface TopReply {
  readonly statistics: StatisticsReport;
  /** Absent where the caller may not see names. */
  readonly names?: NamesReport;
}

/** A running daemon as dnsctl sees it. Every method rejects with a DnskeeperError, `NOT_RUNNING` when nobody answers. */
export interface ControlClient {
  status(): Promise<StatusReport>;
  history(): Promise<readonly Change[]>;
  explain(name: string): Promise<Explanation>;
  query(name: string, type: string): Promise<QueryReport>;
  statistics(): Promise<StatisticsReport>;
  /** Remembered answers for one name and below; `.` is everything. */
  cache(name: string): Promise<CacheReport>;
  /** The statistics every second, beginning now, until the signal aborts. */
  top(signal: AbortSignal): AsyncIterable<TopReply>;
  /** Forget what is remembered for one name and below; `.` is everything. */
  flush(name: string): Promise<Outcome>;
  /** Every status, beginning with the present one. */
  watch(): AsyncIterable<StatusReport>;
  monitor(): AsyncIterable<MonitorReply>;
  change(command: ChangeCommand): Promise<Outcome>;
  /** Have a profile hold before the others; without a name they are automatic again. */
  useProfile(name: string | undefined, forMs: number | undefined): Promise<Outcome>;
  tryConfiguration(name: string, text: string, forMs: number): Promise<Outcome>;
  endTrial(how: 'keep' | 'go back'): Promise<Outcome>;
}

const READ_MS = 5000;
/** Taking over waits for files and buses, each of which has a deadline of its own. */
const CHANGE_MS = 30_000;

const METHODS = {
  reload: 'Reload',
  takeover: 'Takeover',
  release: 'Release',
  'give-way': 'GiveWay',
  'stand-in': 'StandIn',
} as const;

/** A command that changes something and takes nothing. */
export type ChangeCommand = keyof typeof METHODS;

/** A client of the daemon behind a control socket. */
export function controlClient(path: string, signal: AbortSignal): ControlClient {
  const call = (method: string, parameters: VarlinkParameters = {}, deadlineMs = READ_MS) =>
    callVarlink(path, `${CONTROL_INTERFACE}.${method}`, parameters, { deadlineMs, signal }).catch(rethrow);
  const stream = (method: string, own?: AbortSignal) =>
    streamVarlink(
      path,
      `${CONTROL_INTERFACE}.${method}`,
      {},
      {
        deadlineMs: READ_MS,
        signal: own === undefined ? signal : AbortSignal.any([signal, own]),
      },
    );
  return {
    status: async () => field<StatusReport>(await call('GetStatus'), 'status'),
    history: async () => field<readonly Change[]>(await call('GetHistory'), 'changes'),
    explain: async (name) => field<Explanation>(await call('Explain', { name }), 'explanation'),
    query: async (name, type) => field<QueryReport>(await call('Query', { name, type }), 'query'),
    statistics: async () => field<StatisticsReport>(await call('GetStatistics'), 'statistics'),
    cache: async (name) => field<CacheReport>(await call('GetCache', { name }), 'cache'),
    async *top(own) {
      for await (const reply of stream('Top', own)) {
        const statistics = field<StatisticsReport>(reply, 'statistics');
        const names = reply['names'] as NamesReport | undefined;
        yield names === undefined ? { statistics } : { statistics, names };
      }
    },
    async flush(name) {
      return outcomeOf(await call('Flush', { name }));
    },
    async *watch() {
      for await (const reply of stream('GetStatus')) yield field<StatusReport>(reply, 'status');
    },
    monitor: () => stream('Monitor') as AsyncIterable<MonitorReply>,
    async change(command) {
      return outcomeOf(await call(METHODS[command], {}, CHANGE_MS));
    },
    async useProfile(name, forMs) {
      const parameters = {
        ...(name === undefined ? {} : { name }),
        ...(forMs === undefined ? {} : { milliseconds: forMs }),
      };
      return outcomeOf(await call('UseProfile', parameters, CHANGE_MS));
    },
    async tryConfiguration(name, text, forMs) {
      return outcomeOf(await call('Try', { name, text, milliseconds: forMs }, CHANGE_MS));
    },
    async endTrial(how) {
      return outcomeOf(await call('EndTrial', { keep: how === 'keep' }, CHANGE_MS));
    },
  };
}

const outcomeOf = (reply: VarlinkParameters): Outcome => ({
  ok: reply['ok'] === true,
  text: String(reply['text']),
});

/**
 * One field of a reply. The daemon is trusted to send what it describes: the socket lies in a folder that only root
 * (or the same user) can write, and what is shown is made printable anyway.
 */
function field<T>(reply: VarlinkParameters, name: string): T {
  if (typeof reply[name] === 'object' && reply[name] !== null) return reply[name] as T;
  throw new DnskeeperError(
    'PROTOCOL',
    `the daemon's reply has no ${name}; are dnsctl and dnskeeperd of one version?`,
  );
}

function rethrow(error: unknown): never {
  if (!(error instanceof VarlinkError)) throw error;
  const { wanted, got, code, message, parameter } = error.parameters;
  switch (error.error) {
    case `${CONTROL_INTERFACE}.PermissionDenied`:
      throw new DnskeeperError('PERMISSION', `this needs ${wanted}, got ${got}; try again with sudo`, error);
    case `${CONTROL_INTERFACE}.Failed`:
      throw new DnskeeperError(String(code) as ErrorCode, String(message), error);
    case 'org.varlink.service.InvalidParameter':
      throw new DnskeeperError('USAGE', `the daemon does not take this ${parameter}`, error);
    default:
      throw new DnskeeperError('PROTOCOL', `the daemon replied ${error.message}`, error);
  }
}
