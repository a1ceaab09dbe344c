import type { Config } from './config.ts';
import { parseDomain, ROOT } from './domain.ts';
import { resolvConfLines } from './resolv-conf-lines.ts';
import { formatServer, isLocalStub, parseServer } from './server.ts';
import { isOfProgramWeHear, writerOfText } from './writer.ts';

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
    from: Object.fromEntries(fallback.map((server) => [formatServer(server), file])),
  };
}
