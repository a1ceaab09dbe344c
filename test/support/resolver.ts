import { onTestFinished } from 'vitest';
import { type Config, DEFAULT_CONFIG } from '../../src/core/config.ts';
import { makePlan } from '../../src/core/policy.ts';
import type { LinkDns } from '../../src/core/snapshot.ts';
import { NO_HOSTS } from '../../src/resolver/hosts.ts';
import { makeResolver, type Resolver, type ResolverNeeds } from '../../src/resolver/resolver.ts';
import { type AskOptions, type ClientAnswer, queryOf, readAnswer } from './ask.ts';
import { snapshotOf } from './links.ts';
import { slowClock } from './slow-clock.ts';

/** A resolver under test, with a short way to ask it. */
export interface ResolverUnderTest extends Resolver {
  plan(links: readonly LinkDns[], config?: Config): void;
  ask(name: string, type?: string, options?: AskOptions): Promise<ClientAnswer & { readonly by: string }>;
  readonly dropped: readonly string[];
}

/** A resolver without cache and with a slow clock over these links; the machine is called laptop.home.example. */
export function resolverOver(
  links: readonly LinkDns[],
  needs: Partial<ResolverNeeds> = {},
): ResolverUnderTest {
  const dropped: string[] = [];
  const resolver = makeResolver({
    clock: slowClock,
    settings: () => ({ choice: 'strict', dnsOverTls: 'no', portal: 'strict', singleLabels: false }),
    local: () => ({
      hostName: 'laptop.home.example' as never,
      addresses: [],
      gateways: [],
      outbound: [],
      ipv6: true,
    }),
    hosts: () => NO_HOSTS,
    cache: (next) => next,
    coalesce: (next) => next,
    isOwn: () => false,
    dropRoute: (route) => void dropped.push(route),
    dropAliases: () => {},
    ...needs,
  });
  onTestFinished(() => resolver.close());
  const plan = (said: readonly LinkDns[], config: Config = DEFAULT_CONFIG): void =>
    resolver.apply(makePlan(snapshotOf(said), config));
  plan(links);
  return {
    ...resolver,
    plan,
    dropped,
    async ask(name, type = 'A', options = {}) {
      const { wire, origin } = await resolver.answer(queryOf(name, type, options), AbortSignal.timeout(8000));
      return { ...readAnswer(wire), by: origin.kind };
    },
  };
}
