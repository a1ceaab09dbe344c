import type { Config } from './config.ts';
import { parseDomain, ROOT } from './domain.ts';
import { resolvConfLines } from './resolv-conf-lines.ts';
import { formatServer, isLocalStub, parseServer } from './server.ts';
import type { SourceEvent, SourceName } from './snapshot.ts';
import { isOfProgramWeHear, writerOfText } from './writer.ts';

/**
 * Whether a source tells of a network that hands servers out. From then on a machine without servers is off its networks,
 * and those of the file are of no use; a tunnel says nothing about the network that it runs over.
 */
export const tellsOfNetwork = (event: SourceEvent): boolean =>
  event.kind === 'state' &&
  NETWORKS.includes(event.source) &&
  event.state.links.some(({ vpn, servers }) => !vpn && servers.length > 0);

const NETWORKS: readonly SourceName[] = ['networkmanager', 'networkd', 'kernel'];

/** The configuration without what the file of before us said. */
export const withoutEarlier = (config: Config): Config =>
  config.fallbackIsEarlier ? { ...config, fallback: [], fallbackSearch: [] } : config;

/** As many as libc reads. */
const MOST_SERVERS = 3;
const MOST_DOMAINS = 32;

/**
 * What /etc/resolv.conf said before us, as fallback beneath all configuration: on a machine where somebody, cloud-init or
 * a container's runtime wrote it once, nothing else will ever name a server. `file` is where it stands now. Nothing of a
 * file by a program whose servers we hear ourselves, or whose tunnel may be gone.
 */
export function readEarlierConf(text: string, file: string): Partial<Config> {
  const { program } = writerOfText(text);
  if (program !== undefined && isOfProgramWeHear(program)) return {};
  const { nameservers, search } = resolvConfLines(text);
  const fallback = nameservers
    .slice(0, MOST_SERVERS)
    .map((each) => parseServer(each))
    .flatMap((server) => (server.ok && !isLocalStub(server.value) ? [server.value] : []));
  if (fallback.length === 0) return {};
  const fallbackSearch = (search.at(-1) ?? '')
    .trim()
    .split(/[ \t]+/)
    .slice(1, MOST_DOMAINS)
    .map((each) => parseDomain(each))
    .flatMap((domain) => (domain.ok && domain.value !== ROOT ? [domain.value] : []));
  return {
    fallback,
    fallbackSearch,
    fallbackIsEarlier: true,
    from: Object.fromEntries(fallback.map((server) => [formatServer(server), file])),
  };
}
