import { describe, expect, it } from 'vitest';
import { type Cache, makeCache } from '../../src/resolver/cache.ts';
import { link, vpn } from '../support/links.ts';
import { resolverOver } from '../support/resolver.ts';
import { addressAnswer, answerTo, type ScriptedServer, scriptedServer } from '../support/scripted-server.ts';
import { slowClock } from '../support/slow-clock.ts';
import { until } from '../support/until.ts';
import { wireName } from '../support/wire-name.ts';

const CNAME = 5;

const at = ({ host, port }: ScriptedServer): string => `dns+udp://${host}:${port}`;
const names = (server: ScriptedServer): string[] => server.asked.map(({ name }) => name);
const saying = (address: string): Promise<ScriptedServer> =>
  scriptedServer((question) => addressAnswer(question, address));
const home = (...servers: readonly ScriptedServer[]) => link({ interface: 'eth0', servers: servers.map(at) });
const work = (server: ScriptedServer, ...searches: string[]) => vpn({ servers: [at(server)], searches });

/** A resolver with a cache, as it lives, but for the sockets of clients. */
function remembering() {
  const cache: Cache = makeCache({
    clock: slowClock,
    routeKeyOf: (query) => resolver.routeKeyOf(query),
  });
  const resolver = resolverOver([], {
    cache: cache.stage,
    dropRoute: (route) => void cache.dropRoute(route),
    dropAliases: () => void cache.dropAliases(),
  });
  return { resolver, cache };
}

// A VPN comes up, or its domains change, while the networks below it stay: no link but its own is another one then.
describe('when names go other ways over the same links', () => {
  it('a question under way for a name that a VPN now owns is asked there, and no more where it was', async () => {
    const isp = await scriptedServer(() => undefined);
    const second = await scriptedServer(() => undefined);
    const office = await saying('10.0.0.7');
    const resolver = resolverOver([home(isp, second)]);
    const answer = resolver.ask('git.corp.example');
    await until(() => isp.asked.length > 0, 'the question is under way');
    resolver.plan([home(isp, second), work(office, 'corp.example')]);
    const asked = isp.asked.length + second.asked.length;
    expect((await answer).answers).toEqual(['git.corp.example A 10.0.0.7']);
    expect(isp.asked.length + second.asked.length).toBe(asked);
  });

  it('a remembered alias into a domain that a VPN now owns is followed anew', async () => {
    const isp = await scriptedServer((question) =>
      answerTo(question, {
        answers: [
          { type: CNAME, data: wireName('git.corp.example') },
          { name: 'git.corp.example', type: 1, data: Buffer.of(192, 0, 2, 7) },
        ],
      }),
    );
    const office = await saying('10.0.0.7');
    const { resolver } = remembering();
    const followed = async (): Promise<string | undefined> =>
      (await resolver.ask('www.example.com')).answers.at(-1);
    resolver.plan([home(isp)]);
    expect(await followed()).toBe('git.corp.example A 192.0.2.7');
    resolver.plan([home(isp), work(office, 'corp.example')]);
    expect(await followed()).toBe('git.corp.example A 10.0.0.7');
    resolver.plan([home(isp), work(office, 'other.example')]);
    expect(await followed()).toBe('git.corp.example A 192.0.2.7');
  });

  it('what is not an alias stays remembered', async () => {
    const [isp, office] = [await saying('192.0.2.7'), await saying('10.0.0.7')];
    const { resolver } = remembering();
    resolver.plan([home(isp)]);
    await resolver.ask('www.example.com');
    resolver.plan([home(isp), work(office, 'corp.example')]);
    expect(await resolver.ask('www.example.com')).toMatchObject({ by: 'cache' });
  });

  it('a route of two links that comes back does not tell what one of them said as another network', async () => {
    const [isp, cafe] = [await saying('192.0.2.7'), await saying('192.0.2.9')];
    const office = await scriptedServer(() => undefined);
    const shared = (server: ScriptedServer, ssid: string, ...searches: string[]) =>
      link({ interface: 'wlan0', servers: [at(server)], ssid, searches });
    const tunnel = { ...work(office, 'corp.example'), priority: 100 };
    const { resolver } = remembering();
    resolver.plan([shared(isp, 'Home', 'corp.example'), tunnel]);
    expect((await resolver.ask('git.corp.example')).answers).toEqual(['git.corp.example A 192.0.2.7']);
    resolver.plan([shared(isp, 'Home'), tunnel]);
    resolver.plan([shared(cafe, 'Cafe'), tunnel]);
    resolver.plan([shared(cafe, 'Cafe', 'corp.example'), tunnel]);
    expect((await resolver.ask('git.corp.example')).answers).toEqual(['git.corp.example A 192.0.2.9']);
  });

  // The kernel takes nearly any name, and keys of routes join those of links by a plus.
  it('a link with a plus in its name is forgotten like any other', async () => {
    const [isp, cafe] = [await saying('192.0.2.7'), await saying('192.0.2.9')];
    const { resolver } = remembering();
    resolver.plan([link({ interface: 'wl+an', servers: [at(isp)] })]);
    await resolver.ask('www.example.com');
    resolver.plan([link({ interface: 'wl+an', servers: [at(cafe)] })]);
    expect((await resolver.ask('www.example.com')).answers).toEqual(['www.example.com A 192.0.2.9']);
  });

  it('the AD bit of a network that was trusted is not told once it is not', async () => {
    const isp = await scriptedServer((question) => {
      const answer = addressAnswer(question, '192.0.2.7');
      answer.writeUInt16BE(answer.readUInt16BE(2) | 0x20, 2);
      return answer;
    });
    const network = link({ interface: 'lo', servers: [at(isp)], options: ['trust-ad'] });
    const { resolver, cache } = remembering();
    resolver.plan([network]);
    await resolver.ask('www.example.com');
    resolver.plan([{ ...network, options: [] }]);
    expect(cache.statistics().entries).toBe(0);
    expect(names(isp)).toEqual(['www.example.com']);
  });
});
