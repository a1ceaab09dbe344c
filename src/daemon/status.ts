import { findingsOf } from '../core/health.ts';
import { hitRate } from '../core/statistics.ts';
import type { ResolverStatus, Status } from '../core/status.ts';
import type { Decisions } from './decisions.ts';
import type { Heard } from './heard.ts';
import type { History } from './history.ts';
import type { OutputsInOrder } from './in-order.ts';
import type { Overrides } from './overrides.ts';
import type { DaemonParts, NameService, PublishedFiles } from './parts.ts';

/** Who knows what the status tells. */
export interface StatusNeeds {
  readonly parts: DaemonParts;
  /** When the daemon started, in milliseconds since the epoch. */
  readonly started: number;
  readonly heard: Heard;
  readonly overrides: Overrides;
  readonly decisions: Decisions;
  readonly outputs: OutputsInOrder;
  readonly files: PublishedFiles;
  readonly history: History;
}

/** Everything the daemon publishes about itself, as it is now. */
export function statusOf(needs: StatusNeeds): Status {
  const { parts, started, heard, overrides, decisions, outputs, history } = needs;
  const { files, problems } = parts.configuration.current;
  const { mode, reason } = decisions.fileMode;
  const fileStatus = needs.files.status();
  const resolver = withMemory(parts.resolver);
  const { findings, ...grace } = condition(needs, resolver);
  return {
    ...parts.about,
    started,
    healthy: findings.every((finding) => finding.severity === 'note'),
    link: parts.link.status(),
    resolvConf: { mode, reason },
    resolver,
    plan: decisions.plan,
    files: fileStatus,
    sources: heard.sources,
    ...overrides.told,
    ...grace,
    ...lastChange(history),
    counters: {
      events: heard.events,
      plans: decisions.made,
      writes: history.writes,
      failures: outputs.failed,
    },
    runtime: {
      bytes: fileStatus.reduce((sum, file) => sum + file.bytes, 0),
      residentBytes: parts.residentBytes(),
    },
    findings,
    configuration: { files, problems },
  };
}

/** What the resolver remembers goes with its status; its output knows sockets and routes alone. */
function withMemory(service: NameService): ResolverStatus {
  const told = service.status();
  if (told.state !== 'bound') return told;
  const { cache, origins } = service.view.statistics();
  const rate = hitRate(origins);
  const memory = {
    answers: cache.entries,
    bytes: cache.bytes,
    ...(rate === undefined ? {} : { hitRate: rate }),
  };
  return { ...told, memory };
}

function condition(
  { parts, heard, decisions, outputs }: StatusNeeds,
  resolver: ResolverStatus,
): Pick<Status, 'findings' | 'graceUntil'> {
  const { graceUntil } = decisions;
  const holdingGap = graceUntil !== undefined && graceUntil > parts.clock.now();
  const own = findingsOf({
    plan: decisions.plan,
    resolver,
    fileMode: decisions.fileMode.mode,
    link: parts.link.status(),
    sources: heard.sources,
    failures: outputs.failures,
    configuration: parts.configuration.current,
    dnsOverTls: parts.configuration.current.config.dnsOverTls,
    holdingGap,
  });
  return { findings: [...parts.findings(), ...own], ...(holdingGap ? { graceUntil } : {}) };
}

function lastChange({ changes }: History): Pick<Status, 'lastChange'> {
  const last = changes.at(-1);
  if (last === undefined) return {};
  const { time, cause, tookMs } = last;
  return { lastChange: { time, cause, tookMs } };
}
