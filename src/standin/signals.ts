import { formatServer } from '../core/server.ts';
import type { StatisticsReport } from '../core/statistics.ts';
import type { Status } from '../core/status.ts';
import type { Log } from '../system/log.ts';

/** What signals ask for. */
export interface SignalGround {
  readonly status: () => Status;
  readonly statistics: () => StatisticsReport;
  /** Forget every remembered answer. */
  readonly flush: () => void;
  readonly log: Log;
}

/** More links or servers than this fill a log without telling anything. */
const MOST_LINES = 64;

/**
 * Signals that scripts send to systemd-resolved: SIGUSR1 tells the state to the log, SIGUSR2 forgets what is remembered
 * (systemd-resolved.service(8)). Until the returned function is called. SIGRTMIN+1 is none that Node can hear.
 */
export function followSignals(ground: SignalGround): () => void {
  const tell = (): void => tellState(ground);
  const forget = (): void => {
    ground.flush();
    ground.log.info({}, 'all remembered answers were forgotten on SIGUSR2');
  };
  process.on('SIGUSR1', tell);
  process.on('SIGUSR2', forget);
  return () => {
    process.off('SIGUSR1', tell);
    process.off('SIGUSR2', forget);
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
