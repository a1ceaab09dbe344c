import { MAX_NAMESERVERS } from './file-lines.ts';
import type { Choice, Plan } from './plan.ts';
import { renderServersConf } from './resolv-conf.ts';
import { isPlain, type Server } from './server.ts';

const FIRST_WORDS = '# For the network namespace ';

/**
 * The resolv.conf(5) of a network namespace: at most three real servers that mean the same there. A loopback address is
 * another machine's in it, and a link-local one belongs to a link that is not there.
 */
export function renderNetnsConf(plan: Plan, time: number, name: string): string {
  const servers = plan.upstream.filter(reachesAnywhere).slice(0, MAX_NAMESERVERS);
  return renderServersConf(plan, time, servers, [
    `${FIRST_WORDS}${name}, written by dnskeeper; changes made here are replaced.`,
  ]);
}

/** Whether a text is such a file. */
export const isOfNamespace = (text: string): boolean => text.startsWith(FIRST_WORDS);

const reachesAnywhere = ({ value }: Choice<Server>): boolean =>
  isPlain(value) && value.address.kind !== 'loopback' && value.address.kind !== 'link-local';
