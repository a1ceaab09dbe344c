import { error, warning } from './finding.ts';
import type { ListenerFacts, MachineFacts } from './machine-facts.ts';
import { formatHost, parseServer } from './server.ts';
import type { Finding, ResolverStatus, ServerReport } from './status.ts';
import { printable } from './text.ts';

/** Judge the local resolver of a running daemon: whether it has its addresses, answers there, and has servers that answer. */
export function resolverFindings({ resolver, listeners }: MachineFacts): Finding[] {
  if (resolver === undefined) return [];
  const { status, probe } = resolver;
  if (status.state === 'failed') return holderFindings(listeners);
  if (status.state !== 'bound') return [];
  const late = status.servers.filter(isLate);
  const found: Finding[] = late.map((server) => lateFinding(server, status));
  const where = status.addresses[0] ?? '';
  if (probe?.outcome === 'timeout' || probe?.outcome === 'unreachable')
    found.push(
      error(
        'resolver-silent',
        `The local resolver has ${where}, but a question there got no answer (${printable(probe.detail, 60)}).`,
        'systemctl restart dnskeeper',
      ),
    );
  else if (probe !== undefined && late.length === 0 && FAILURES.includes(probe.detail))
    found.push(
      warning(
        'resolver-failing',
        `The local resolver answers on ${where}, but could not tell the name servers of the root (${probe.detail}).`,
        'dnsctl query . NS',
      ),
    );
  return found;
}

const FAILURES: readonly string[] = ['SERVFAIL', 'REFUSED'];

/** Asked since it last answered, and nothing came. */
const isLate = ({ state, failures }: ServerReport): boolean => state === 'late' && failures > 0;

function lateFinding(server: ServerReport, { servers }: ResolverStatus): Finding {
  const others = servers.some((other) => other.link === server.link && !isLate(other));
  const last = server.lastFailure === undefined ? '' : `: ${printable(server.lastFailure.text, 120)}`;
  const text = `${server.server} of ${server.link} does not answer${last}. ${others ? 'Others are asked first.' : `No other server of ${server.link} answers either, so its names do not resolve.`}`;
  return (others ? warning : error)('server-late', text, waysToLook(server));
}

/** The command that shows whether a server can be reached at all; for an encrypted one whether its certificate is good. */
export function waysToLook({ server, trouble }: Pick<ServerReport, 'server' | 'trouble'>): string {
  const parsed = parseServer(server);
  if (!parsed.ok) return 'dnsctl statistics';
  const { address, port, protocol } = parsed.value;
  const host = formatHost(parsed.value);
  if (protocol !== 'tls' && trouble === undefined) return `ping ${host}`;
  const at = `${address.family === 4 ? host : `[${host}]`}:${protocol === 'tls' ? port : 853}`;
  return `openssl s_client -connect ${at} </dev/null`;
}

/** Who has the address that the resolver wants, and how to make it let go. */
function holderFindings(listeners: readonly ListenerFacts[]): Finding[] {
  const found = new Map<string, Finding>();
  for (const { address, process, unit } of listeners) {
    if (!WANTED.includes(address) || process === 'dnskeeperd' || process === undefined) continue;
    const text = `${printable(process, 40)} listens on port 53 of ${address}, so the local resolver cannot.`;
    const mend = unit === undefined ? `ss -lnp 'sport = :53'` : `systemctl disable --now ${unit}`;
    found.set(process, warning('resolver-address-taken', text, mend));
  }
  return [...found.values()];
}

/** The resolver's own addresses, and those that stand for all. */
const WANTED: readonly string[] = ['127.0.0.53', '127.0.0.54', '0.0.0.0', '::'];
