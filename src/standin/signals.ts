import { formatServer } from '../core/server.ts';
import type { StatisticsReport } from '../core/statistics.ts';
import type { Status } from '../core/status.ts';
import type { Log } from '../system/log.ts';
import type { RealTimeSignal } from '../system/real-time-signal.ts';

/** What signals ask for. */
export interface SignalGround {
  readonly status: () => Status;
  readonly statistics: () => StatisticsReport;
  /** Forget every remembered answer. */
  readonly flush: () => void;
  /** Servers are to be met as if for the first time. */
  readonly forgetServers: () => void;
  /** Give back memory that nothing needs. */
  readonly trim: () => void;
  /** SIGRTMIN+1 and SIGRTMIN+18. */
  readonly realTime: { readonly forget: RealTimeSignal; readonly trim: RealTimeSignal };
  readonly log: Log;
}

/** More links or servers than this fill a log without telling anything. */
const MOST_LINES = 64;

/**
 * Signals that scripts send to systemd-resolved: SIGUSR1 tells the state to the log, SIGUSR2 forgets what is remembered,
 * SIGRTMIN+1 what servers could not do (systemd-resolved.service(8)), SIGRTMIN+18 gives memory back. Until the returned
 * function is called.
 */
export function followSignals(ground: SignalGround): () => void {
  const tell = (): void => tellState(ground);
  const forget = (): void => {
    ground.flush();
    ground.log.info({}, 'all remembered answers were forgotten on SIGUSR2');
  };
  ground.realTime.forget.onSignal(() => {
    ground.forgetServers();
    ground.log.info({}, 'what is known of servers was forgotten on SIGRTMIN+1');
  });
  ground.realTime.trim.onSignal(() => ground.trim());
  process.on('SIGUSR1', tell);
  process.on('SIGUSR2', forget);
  return () => {
    process.off('SIGUSR1', tell);
    process.off('SIGUSR2', forget);
    for (const signal of Object.values(ground.realTime)) signal.onSignal(() => {});
  };
}

/** Links, servers and counts; not what is remembered, because a log is no place for names that were asked for. */
function tellState({ status, statistics, log }: SignalGround): void {
  const { plan } = status();
  const { servers, cache, clients, origins } = statistics();
  for (const { key, servers: own, routing, defaultRoute } of plan.links.slice(0, MOST_LINES))
    log.info(
      { link: key, servers: own.map(({ value }) => formatServer(value)), routing, defaultRoute },
      'state on SIGUSR1: link',
    );
  for (const { link, server, state, asked, answers, failures } of servers.slice(0, MOST_LINES))
    log.info({ link, server, state, asked, answers, failures }, 'state on SIGUSR1: server');
  log.info({ cache, clients, origins }, 'state on SIGUSR1: counts');
}
