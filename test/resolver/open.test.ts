import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Config, DEFAULT_CONFIG } from '../../src/core/config.ts';
import type { Domain } from '../../src/core/domain.ts';
import { makePlan } from '../../src/core/policy.ts';
import type { LinkDns } from '../../src/core/snapshot.ts';
import { openResolver } from '../../src/resolver/open.ts';
import { loadLibc } from '../../src/system/libc.ts';
import { silentLog } from '../../src/system/log.ts';
import { askOverUdp, queryWire, readAnswer } from '../support/ask.ts';
import { temporaryFolder } from '../support/folder.ts';
import { freePort } from '../support/free-port.ts';
import { link, snapshotOf, vpn } from '../support/links.ts';
import { addressAnswer, type ScriptedServer, scriptedServer } from '../support/scripted-server.ts';
import { slowClock } from '../support/slow-clock.ts';
import { until } from '../support/until.ts';

/** A resolver on a port of the loopback, with the C library or without. */
async function open(withLibc: boolean, ...links: readonly LinkDns[]) {
  const settings: { current: Config } = { current: DEFAULT_CONFIG };
  const hostsFile = join(temporaryFolder('etc'), 'hosts');
  const live = openResolver({
    hostsFile,
    clock: slowClock,
    log: silentLog,
    libc: withLibc ? loadLibc() : undefined,
    settings: () => settings.current,
    isOwn: () => false,
  });
  const plan = (said: readonly LinkDns[]): void =>
    live.resolver.apply(makePlan(snapshotOf(said), DEFAULT_CONFIG));
  /** As a reload does, which has the plan applied again. */
  const set = (changed: Partial<Config>): void => {
    settings.current = { ...settings.current, ...changed };
    plan(links);
  };
  plan(links);
  const port = await freePort();
  const listeners = await live.listen({ host: '127.0.0.1', port, service: 'full' });
  onTestFinished(async () => {
    await Promise.all(listeners.map((listener) => listener.close()));
    await live.close();
  });
  const ask = async (name: string): Promise<readonly string[]> =>
    readAnswer(await askOverUdp('127.0.0.1', port, queryWire(name))).answers;
  return { live, plan, set, ask, hostsFile, port };
}

const saying = (address: string): Promise<ScriptedServer> =>
  scriptedServer((question) => addressAnswer(question, address));
const at = ({ host, port }: ScriptedServer): string => `dns+udp://${host}:${port}`;

describe.each([
  ['with the C library', true],
  ['without', false],
])('a live resolver %s', (_, withLibc) => {
  it('asks once and remembers', async () => {
    const server = await saying('192.0.2.7');
    const { ask, live } = await open(withLibc, link({ interface: 'lo', servers: [at(server)] }));
    for (let i = 0; i < 5; i++) expect(await ask('www.example.com')).toEqual(['www.example.com A 192.0.2.7']);
    expect(server.asked).toHaveLength(1);
    await until(() => live.reception.traffic.queries === 5, 'all are counted');
  });

  it('forgets and remembers nothing from when resolver.cache is "no"', async () => {
    const server = await saying('192.0.2.7');
    const { ask, set } = await open(withLibc, link({ interface: 'lo', servers: [at(server)] }));
    for (let i = 0; i < 3; i++) await ask('www.example.com');
    set({ cache: 'no' });
    for (let i = 0; i < 3; i++) expect(await ask('www.example.com')).toEqual(['www.example.com A 192.0.2.7']);
    expect(server.asked).toHaveLength(4);
  });

  it('remembers no answer of a server on this machine when resolver.cache-from-localhost is false', async () => {
    const server = await saying('192.0.2.7');
    const { ask, set } = await open(withLibc, link({ interface: 'lo', servers: [at(server)] }));
    set({ cacheFromLocalhost: false });
    for (let i = 0; i < 3; i++) await ask('www.example.com');
    expect(server.asked).toHaveLength(3);
  });

  it('refuses the types of resolver.refuse-record-types, also those it knew before', async () => {
    const server = await saying('192.0.2.7');
    const { ask, set } = await open(withLibc, link({ interface: 'lo', servers: [at(server)] }));
    for (let i = 0; i < 3; i++) expect(await ask('www.example.com')).not.toEqual([]);
    set({ refuseRecordTypes: [1] });
    for (let i = 0; i < 3; i++) expect(await ask('www.example.com')).toEqual([]);
    expect(server.asked).toHaveLength(1);
  });

  it('asks servers for names of the hosts file when resolver.hosts is false', async () => {
    const server = await saying('192.0.2.7');
    const { ask, set, hostsFile } = await open(withLibc, link({ interface: 'lo', servers: [at(server)] }));
    await writeFile(hostsFile, '192.0.2.99 www.example.com\n');
    await until(async () => (await ask('www.example.com'))[0]?.endsWith('.99') === true, 'it is read');
    set({ hosts: false });
    expect(await ask('www.example.com')).toEqual(['www.example.com A 192.0.2.7']);
    set({ hosts: true });
    expect(await ask('www.example.com')).toEqual(['www.example.com A 192.0.2.99']);
  });

  it('tells its answers to who watches, and shows with their records what it remembers', async () => {
    const server = await saying('192.0.2.7');
    const { ask, live } = await open(withLibc, link({ interface: 'lo', servers: [at(server)] }));
    const told: string[] = [];
    const stop = live.watchAnswers((query, { origin }) => told.push(`${query.domain} ${origin.kind}`));
    await ask('www.example.com');
    await until(() => told.length === 1, 'it was told');
    stop();
    await ask('mail.example.com');
    expect(told).toEqual(['www.example.com upstream']);
    const [first] = live.cache.remembered(1);
    expect(first).toMatchObject({ rcode: 0, route: 'lo', question: { type: 1, class: 1 } });
    expect(first?.records).toMatchObject([{ value: { kind: 'address', family: 4 } }]);
    expect(first?.remainingMs).toBeGreaterThan(0);
    expect(live.cache.remembered(10)).toHaveLength(2);
  });

  it('tells who watches of every name, and answers fast again when nobody does', async () => {
    const server = await saying('192.0.2.7');
    const { ask, live } = await open(withLibc, link({ interface: 'lo', servers: [at(server)] }));
    const fast = (): number => live.view.statistics().origins.fastPath;
    const untilFast = async (): Promise<void> => {
      const before = fast();
      await until(async () => {
        await ask('www.example.com');
        return !withLibc || fast() > before;
      }, 'the fast path answers');
    };
    await untilFast();
    const told: string[] = [];
    const stop = live.watchAnswers((query, { origin }) => told.push(`${query.domain} ${origin.kind}`));
    const names = live.view.watchNames();
    const before = fast();
    for (let times = 0; times < 5; times++) await ask('www.example.com');
    await until(() => told.length === 5, 'all are told');
    expect([fast(), new Set(told)]).toEqual([before, new Set(['www.example.com cache'])]);
    stop();
    await ask('www.example.com');
    expect(names.report().asked).toEqual([{ name: 'www.example.com', count: 6, countedTooHigh: 0 }]);
    expect(fast()).toBe(before);
    names.close();
    await untilFast();
  });

  it('gives no answer of a network that another one now answers for', async () => {
    const [isp, office] = [await saying('192.0.2.7'), await saying('10.0.0.7')];
    const home = link({ interface: 'lo', servers: [at(isp)] });
    const { ask, plan } = await open(withLibc, home);
    for (let i = 0; i < 5; i++)
      expect(await ask('wiki.corp.example')).toEqual(['wiki.corp.example A 192.0.2.7']);
    plan([home, vpn({ interface: 'lo', servers: [at(office)], domains: ['corp.example'] as never })]);
    for (let i = 0; i < 5; i++)
      expect(await ask('wiki.corp.example')).toEqual(['wiki.corp.example A 10.0.0.7']);
    plan([home]);
    for (let i = 0; i < 5; i++)
      expect(await ask('wiki.corp.example')).toEqual(['wiki.corp.example A 192.0.2.7']);
    expect(office.asked).toHaveLength(1);
  });

  // Half the home networks of the world have their server at 192.168.1.1.
  it.each([
    ['another profile', { connection: { id: 'Cafe', uuid: 'b', type: '802-11-wireless', activation: '3' } }],
    [
      'another activation of the profile',
      { connection: { id: 'Home', uuid: 'a', type: '802-11-wireless', activation: '4' } },
    ],
    ['another Wi-Fi', { ssid: 'Cafe' }],
    ['another gateway', { gateway: '192.0.2.254' }],
  ])('takes nothing along into a network with the same server address: %s', async (_, differs) => {
    const server = await saying('192.0.2.7');
    const home = link({
      interface: 'lo',
      servers: [at(server)],
      ssid: 'Home',
      gateway: '192.0.2.1',
      connection: { id: 'Home', uuid: 'a', type: '802-11-wireless', activation: '3' },
    });
    const { ask, plan } = await open(withLibc, home);
    await ask('www.example.com');
    plan([{ ...home, metric: 7 }]);
    await ask('www.example.com');
    expect(server.asked).toHaveLength(1);
    plan([{ ...home, ...differs }]);
    await ask('www.example.com');
    expect(server.asked).toHaveLength(2);
  });

  it('follows the hosts file at once, though the name was remembered', async () => {
    const server = await saying('192.0.2.7');
    const { ask, hostsFile } = await open(withLibc, link({ interface: 'lo', servers: [at(server)] }));
    for (let i = 0; i < 5; i++) await ask('www.example.com');
    await writeFile(hostsFile, '192.0.2.99 www.example.com\n');
    await until(
      async () => (await ask('www.example.com')).join() === 'www.example.com A 192.0.2.99',
      'it follows',
    );
  });

  // Linux gives packets to the last that bound an address which both allow to be shared, whoever they belong to.
  it('shares no port with others that anybody may open', async () => {
    const { port } = await open(withLibc);
    const thief = createSocket({ type: 'udp4', reuseAddr: true });
    onTestFinished(() => void thief.close());
    thief.bind({ address: '127.0.0.1', port, exclusive: true });
    await expect(once(thief, 'listening')).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  it('forgets when it is told to flush', async () => {
    const server = await saying('192.0.2.7');
    const { ask, live } = await open(withLibc, link({ interface: 'lo', servers: [at(server)] }));
    for (let i = 0; i < 5; i++) await ask('www.example.com');
    live.cache.flush('example.com' as Domain);
    await ask('www.example.com');
    expect(server.asked).toHaveLength(2);
  });
});
