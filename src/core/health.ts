import type { Config } from './config.ts';
import { waysToLook } from './findings-resolver.ts';
import type { Plan } from './plan.ts';
import type { SourceHealth, SourceName } from './snapshot.ts';
import {
  type ConfigProblem,
  type FileMode,
  type Finding,
  isInForce,
  type LinkStatus,
  type ResolverStatus,
  type ServerReport,
} from './status.ts';

/** What the daemon knows about its own state. */
export interface Condition {
  readonly plan: Plan;
  readonly link: LinkStatus;
  readonly sources: readonly ({ readonly name: SourceName } & SourceHealth)[];
  /** Outputs that are not in force, with the message of their error. */
  readonly failures: ReadonlyMap<string, string>;
  readonly configuration: ConfigCondition;
  readonly holdingGap: boolean;
  readonly resolver: ResolverStatus;
  readonly fileMode: FileMode;
  /** What holds for links that do not say. */
  readonly dnsOverTls: Config['dnsOverTls'];
}

/** What is wrong with the configuration's files, and what counts meanwhile. */
export interface ConfigCondition {
  readonly problems: readonly ConfigProblem[];
  /** No files were good since dnskeeperd started, so there is no last good configuration. */
  readonly neverGood?: boolean;
}

/** What is wrong or notable, worst first. Any error or warning makes `dnsctl status` exit with 1. */
export function findingsOf(condition: Condition): readonly Finding[] {
  return [
    ...outputFindings(condition),
    ...linkFindings(condition.link),
    ...resolverFindings(condition.resolver),
    ...configFindings(condition),
    ...sourceFindings(condition),
    ...planFindings(condition),
  ].sort((a, b) => SEVERITY.indexOf(a.severity) - SEVERITY.indexOf(b.severity));
}

const SEVERITY: readonly Finding['severity'][] = ['error', 'warning', 'note'];

function outputFindings({ failures }: Condition): Finding[] {
  return [...failures].map(([name, message]) => ({
    severity: 'error',
    id: `output-${name}`,
    text: `${name} is not in force: ${message} It is tried again with growing pauses.`,
    mend: 'dnsctl doctor',
  }));
}

function linkFindings(link: LinkStatus): Finding[] {
  if (!link.degraded) return [];
  return [{ severity: 'warning', id: `link-${link.state}`, text: link.reason, mend: 'dnsctl doctor' }];
}

function resolverFindings({
  state,
  reason,
  servers,
  portal,
  backEnd,
  unbound = [],
}: ResolverStatus): Finding[] {
  const findings: Finding[] = unbound.map((text) => ({
    severity: 'warning',
    id: 'resolver-extra-unbound',
    text: `${text}; it is tried again with growing pauses.`,
    mend: 'ss -lnp',
  }));
  if (state === 'failed')
    findings.push({
      severity: 'warning',
      id: 'resolver-unbound',
      text: reason,
      mend: "ss -lnp 'sport = :53'",
    });
  if (backEnd?.state === 'failed' || backEnd?.state === 'unfit')
    findings.push({ severity: 'warning', id: `back-end-${backEnd.state}`, text: backEnd.reason });
  for (const { server, trouble } of servers)
    if (trouble !== undefined)
      findings.push({
        severity: 'warning',
        id: `server-${trouble.kind}`,
        text: trouble.text,
        ...(trouble.kind === 'circle' ? {} : { mend: waysToLook({ server, trouble }) }),
      });
  if (state === 'bound') findings.push(...silentLinks(servers));
  for (const link of portal?.links ?? [])
    findings.push(
      portal?.relaxed === true
        ? {
            severity: 'warning',
            id: 'portal-relaxed',
            text: `${link} is behind a captive portal, so its servers may be asked without encryption until somebody has logged in (resolver.portal = "relax").`,
          }
        : {
            severity: 'warning',
            id: 'portal-strict',
            text: `${link} is behind a captive portal and its servers are asked encrypted alone, so its names do not resolve until somebody has logged in; resolver.portal = "relax" would give way for as long.`,
          },
    );
  return findings.slice(0, MOST_RESOLVER_FINDINGS);
}

const MOST_RESOLVER_FINDINGS = 16;

/** One server that does not answer is what others are there for; a link without any that does leaves names unanswered. */
function silentLinks(servers: readonly ServerReport[]): Finding[] {
  const silent = ({ state, failures }: ServerReport): boolean => state === 'late' && failures > 0;
  return [...Map.groupBy(servers, ({ link }) => link)].flatMap(([link, own]) => {
    const [first] = own;
    if (first === undefined || !own.every(silent)) return [];
    const last = first.lastFailure === undefined ? '' : ` (${first.lastFailure.text})`;
    const text = `No server of ${link} answers${last}, so its names do not resolve.`;
    return [{ severity: 'warning', id: 'link-silent', text, mend: 'dnsctl doctor' }];
  });
}

function configFindings({ configuration }: Condition): Finding[] {
  return configTroubles(configuration).map((text) => ({
    severity: 'warning',
    id: 'configuration',
    text,
    mend: 'dnskeeperd --check',
  }));
}

const MOST_CONFIG_TROUBLES = 8;

/** The first problems of the configuration, each with what is in force instead: for the status and the log. */
export function configTroubles({ problems, neverGood }: ConfigCondition): readonly string[] {
  const instead =
    neverGood === true
      ? 'dnskeeperd has not read a good configuration since it started, so only what is right in the files is in force.'
      : 'The last good configuration stays in force.';
  return problems.slice(0, MOST_CONFIG_TROUBLES).map((problem) => `${describeProblem(problem)} ${instead}`);
}

/** A problem of the configuration in one sentence. */
export function describeProblem(problem: ConfigProblem): string {
  const where = problem.line === undefined ? problem.file : `${problem.file}:${problem.line}`;
  const key = problem.key === undefined ? '' : ` ${problem.key}:`;
  return `${where}:${key} wanted ${problem.wanted}, got ${problem.got}.`;
}

function sourceFindings({ sources }: Condition): Finding[] {
  return sources
    .filter((source) => source.state === 'failed' || source.state === 'gone')
    .map((source) => ({ severity: 'warning', id: `source-${source.name}`, text: source.detail }));
}

/** Where somebody else is in charge, what our own file lacks harms nobody. */
function planFindings(condition: Condition): Finding[] {
  const { plan, link, holdingGap, fileMode } = condition;
  if (!isInForce(link.state)) return [];
  const findings: Finding[] = [];
  if (plan.nameservers.length === 0) {
    const text = 'No connection names a DNS server, so names do not resolve.';
    findings.push({ severity: 'warning', id: 'no-servers', text, mend: 'nmcli device status' });
  }
  if (holdingGap) {
    const text = 'No connection names a server right now; the last good ones stay for the grace time.';
    findings.push({ severity: 'note', id: 'grace', text });
  }
  if (fileMode === 'stub') return findings;
  for (const key of strictLinks(condition)) {
    const text = `dns-over-tls is "yes" for ${key}, but a plain resolv.conf has programs ask its servers in the open.`;
    findings.push({ severity: 'warning', id: 'in-the-open', text, mend: 'man dnskeeper.toml' });
  }
  for (const text of plan.inexpressible) {
    findings.push({
      severity: 'note',
      id: 'inexpressible',
      text: `A plain resolv.conf cannot say it all: ${text}`,
    });
  }
  return findings;
}

/** Links whose servers are in the plain file although they are to be asked over TLS alone. */
const strictLinks = ({ plan, dnsOverTls }: Condition): readonly string[] =>
  plan.links
    .filter(({ servers, unused }) => servers.length > 0 && unused === undefined)
    .filter((link) => (link.dnsOverTls === 'default' ? dnsOverTls : link.dnsOverTls) === 'yes')
    .map(({ key }) => key);
