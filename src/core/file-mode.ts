import type { Config } from './config.ts';
import type { Plan } from './plan.ts';
import type { FileMode, LinkState, ResolverStatus } from './status.ts';

/** What decides whether resolv.conf lists the real servers or our resolver. */
export interface FileModeFacts {
  readonly plan: Plan;
  readonly config: Pick<Config, 'mode' | 'dnsOverTls' | 'backEnd'>;
  readonly resolver: Pick<ResolverStatus, 'nameserver' | 'reason'>;
  readonly link: LinkState;
}

/** The mode, why in one sentence or more, and the address to be listed. */
export type FileModeDecision =
  | { readonly mode: FileMode & 'file'; readonly reason: string }
  | { readonly mode: FileMode & 'stub'; readonly reason: string; readonly nameserver: string };

/**
 * The plain file as long as resolv.conf(5) can say it all, our resolver when it cannot. A resolver
 * that is not there is never listed: then the plain file says as much as it can.
 */
export function chooseFileMode({ plan, config, resolver, link }: FileModeFacts): FileModeDecision {
  const setting = config.mode;
  const needs = beyondFile(plan, config);
  const lost = needs.length === 0 ? '' : ` Not said: ${needs.join(' ')}`;
  const file = (why: string): FileModeDecision => ({ mode: 'file', reason: `${why}${lost}` });
  if (setting === 'file') return file('resolver.mode is "file".');
  if (setting === 'auto' && lost === '') return file('A plain resolv.conf says all there is to say.');
  const elsewhere = NOT_OURS[link];
  if (elsewhere !== undefined) return file(elsewhere);
  if (resolver.nameserver === undefined) return file(resolver.reason);
  const reason = setting === 'stub' ? 'resolver.mode is "stub".' : needs.join(' ');
  return { mode: 'stub', reason, nameserver: resolver.nameserver };
}

/** What a plain resolv.conf cannot say, a sentence each. */
export function beyondFile(
  plan: Plan,
  { dnsOverTls, backEnd }: Pick<Config, 'dnsOverTls' | 'backEnd'>,
): readonly string[] {
  return [
    ...plan.inexpressible,
    ...(dnsOverTls === 'no' ? [] : [`resolver.dns-over-tls is "${dnsOverTls}".`]),
    ...(backEnd === 'builtin' ? [] : [`resolver.backend is "${backEnd}".`]),
  ];
}

/** States of the link in which nothing of ours is in charge, so that whoever reads our file expects real servers. */
const NOT_OURS: Readonly<Partial<Record<LinkState, string>>> = {
  resolved: 'systemd-resolved is in charge of /etc/resolv.conf.',
  released: '/etc/resolv.conf was released.',
  'publish-only': '/etc/resolv.conf is left alone.',
};
