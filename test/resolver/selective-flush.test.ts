import { describe, expect, it } from 'vitest';
import type { LinkDns } from '../../src/core/snapshot.ts';
import { type Cache, makeCache } from '../../src/resolver/cache.ts';
import { link, vpn } from '../support/links.ts';
import { resolverOver } from '../support/resolver.ts';
import { addressAnswer, type ScriptedServer, scriptedServer } from '../support/scripted-server.ts';
import { slowClock } from '../support/slow-clock.ts';

const at = ({ port }: ScriptedServer): string => `dns+udp://127.0.0.1:${port}`;

/** A home network and a VPN for corp.example, both asked for a name of theirs already. */
async function remembering() {
  const isp = await scriptedServer((question) => addressAnswer(question, '192.0.2.7'));
  const office = await scriptedServer((question) => addressAnswer(question, '10.0.0.7'));
  const home = link({ interface: 'eth0', servers: [at(isp)] });
  const work = vpn({ interface: 'tun0', servers: [at(office)], searches: ['corp.example'] });
  const cache: Cache = makeCache({
    clock: slowClock,
    routeKeyOf: (query) => resolver.routeKeyOf(query),
  });
  const resolver = resolverOver([], {
    cache: cache.stage,
    dropRoute: (route) => void cache.dropRoute(route),
  });
  resolver.plan([home, work]);
  await resolver.ask('www.example.com');
  await resolver.ask('git.corp.example');
  const remembered = (): readonly string[] =>
    cache
      .cacheReport()
      .entries.map(({ name, route }) => `${name} by ${route}`)
      .toSorted();
  return { home, work, resolver, remembered, isp, office };
}

const WEB = 'www.example.com by eth0';
const GIT = 'git.corp.example by tun0';

describe('a change of one link', () => {
  type Links = (all: {
    readonly home: LinkDns;
    readonly work: LinkDns;
    readonly isp: ScriptedServer;
  }) => LinkDns[];
  it.each<[string, Links, readonly string[]]>([
    ['that is none', ({ home, work }) => [home, work], [GIT, WEB]],
    ['of its metric', ({ home, work }) => [{ ...home, metric: 7 }, work], [GIT, WEB]],
    ['of the VPN’s servers', ({ home, work, isp }) => [home, { ...work, servers: [at(isp)] }], [WEB]],
    ['of the home’s network', ({ home, work }) => [{ ...home, ssid: 'Cafe' }, work], [GIT]],
    ['the end of the VPN', ({ home }) => [home], [WEB]],
    ['the end of the home network', ({ work }) => [work], [GIT]],
  ])('%s drops what came over it, no more', async (_, change, kept) => {
    const all = await remembering();
    expect(all.remembered()).toEqual([GIT, WEB]);
    all.resolver.plan(change(all));
    expect(all.remembered()).toEqual(kept);
  });

  it('lets what is still true be given without asking again', async () => {
    const { home, resolver, isp } = await remembering();
    resolver.plan([home]);
    expect(await resolver.ask('www.example.com')).toMatchObject({ by: 'cache' });
    expect(await resolver.ask('git.corp.example')).toMatchObject({
      by: 'upstream',
      answers: ['git.corp.example A 192.0.2.7'],
    });
    expect(isp.asked.map(({ name }) => name)).toEqual(['www.example.com', 'git.corp.example']);
  });
});
