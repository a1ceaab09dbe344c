import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import { parseDomain } from '../../src/core/domain.ts';
import { DnskeeperError } from '../../src/core/errors.ts';
import { makePlan } from '../../src/core/policy.ts';
import type { LinkDns } from '../../src/core/snapshot.ts';
import { answered, answersIn } from '../../src/core/statistics.ts';
import { type LiveResolver, openResolver } from '../../src/resolver/open.ts';
import { ServerHealth } from '../../src/resolver/server-health.ts';
import { loadLibc } from '../../src/system/libc.ts';
import { silentLog } from '../../src/system/log.ts';
import { askOverTcp, askOverUdp, queryWire } from '../support/ask.ts';
import { temporaryFolder } from '../support/folder.ts';
import { freePort } from '../support/free-port.ts';
import { link, snapshotOf, vpn } from '../support/links.ts';
import { must } from '../support/sample-status.ts';
import { addressAnswer, answerTo, type ScriptedServer, scriptedServer } from '../support/scripted-server.ts';
import { slowClock } from '../support/slow-clock.ts';
import { until } from '../support/until.ts';

/** A resolver that answers on a port of the loopback. */
async function open(withLibc: boolean, links: readonly LinkDns[], hosts = '') {
  const hostsFile = join(temporaryFolder('etc'), 'hosts');
  writeFileSync(hostsFile, hosts);
  const live = openResolver({
    hostsFile,
    clock: slowClock,
    log: silentLog,
    libc: withLibc ? loadLibc() : undefined,
    settings: () => DEFAULT_CONFIG,
    isOwn: () => false,
  });
  live.resolver.apply(makePlan(snapshotOf(links), DEFAULT_CONFIG));
  const port = await freePort();
  const listeners = await live.listen({ host: '127.0.0.1', port, service: 'full' });
  onTestFinished(async () => {
    await Promise.all(listeners.map((listener) => listener.close()));
    await live.close();
  });
  return {
    live,
    udp: (name: string, type = 'A') => askOverUdp('127.0.0.1', port, queryWire(name, type)),
    tcp: (name: string, type = 'A') => askOverTcp('127.0.0.1', port, queryWire(name, type)),
    port,
  };
}

const at = ({ host, port }: Pick<ScriptedServer, 'host' | 'port'>): string => `dns+udp://${host}:${port}`;
const outlook = (live: LiveResolver, name: string) => live.view.outlook(must(parseDomain(name)));

describe.each([
  ['with the fast path', true],
  ['without', false],
])('what is counted %s', (_, withLibc) => {
  it('adds up: each query has one transport, one type, one origin, one code and one time', async () => {
    const server = await scriptedServer((question) =>
      question.name.startsWith('no')
        ? answerTo(question, { rcode: 3 })
        : addressAnswer(question, '192.0.2.7'),
    );
    const { live, udp, tcp, port } = await open(withLibc, [link({ interface: 'lo', servers: [at(server)] })]);
    for (let i = 0; i < 6; i++) await udp('www.example.com');
    await tcp('www.example.com');
    await udp('no.example.com', 'AAAA');
    await udp('localhost');
    await askOverUdp('127.0.0.1', port, Buffer.from('no query at all'), queryWire('x.example.com'));
    await until(() => answered(live.view.statistics().origins) === 10, 'all are counted');
    const { clients, types, outcomes, origins, latency, servers, cache } = live.view.statistics();
    expect(clients).toMatchObject({ udp: 9, tcp: 1, inFlight: 0 });
    const slow = 10 - origins.fastPath;
    expect(withLibc || origins.fastPath === 0).toBe(true);
    expect(types.reduce((sum, { queries }) => sum + queries, 0)).toBe(slow);
    expect(types).toContainEqual({ type: 'AAAA', queries: 1 });
    expect(outcomes.reduce((sum, { answers }) => sum + answers, 0)).toBe(slow);
    expect(outcomes).toContainEqual({ rcode: 'NXDOMAIN', answers: 1 });
    expect(origins).toMatchObject({ local: 1, upstream: 3, failure: 0, stale: 0 });
    expect(origins.cache + origins.fastPath).toBe(6);
    expect(cache.hits).toBe(origins.cache);
    expect(answersIn(latency.counts)).toBe(slow);
    expect(latency.sumMs).toBeGreaterThan(0);
    expect(servers).toMatchObject([{ link: 'lo', failures: 0, refusals: 0 }]);
    expect(servers).toMatchObject([{ asked: 3, answers: 3 }]);
  });

  it('tells what servers did wrong, and who answered in their place', async () => {
    const refusing = await scriptedServer((question) => answerTo(question, { rcode: 5 }));
    const closed = { host: '127.0.0.1', port: await freePort() };
    const good = await scriptedServer((question) => addressAnswer(question, '192.0.2.7'));
    const links = [link({ interface: 'lo', servers: [at(refusing), at(closed), at(good)] })];
    const { live, udp } = await open(withLibc, links);
    await udp('www.example.com');
    const [first, second, third] = live.view.statistics().servers;
    expect(first).toMatchObject({ asked: 1, answers: 1, refusals: 1, failures: 0, hedgesWon: 0 });
    expect(second).toMatchObject({ asked: 1, answers: 0, failures: 1, unreachable: 1, state: 'late' });
    expect(second?.lastFailure?.text).toContain('cannot be reached');
    expect(third).toMatchObject({ asked: 1, answers: 1, refusals: 0, hedgesWon: 0, state: 'good' });
  });

  it('counts an answer that overtook the one asked before', async () => {
    const deaf = await scriptedServer(() => undefined);
    const good = await scriptedServer((question) => addressAnswer(question, '192.0.2.7'));
    const { live, udp } = await open(withLibc, [link({ interface: 'lo', servers: [at(deaf), at(good)] })]);
    await udp('www.example.com');
    expect(live.view.statistics().servers.map(({ hedgesWon }) => hedgesWon)).toEqual([0, 1]);
  });

  it('counts connections that were made and used again', async () => {
    const server = await scriptedServer((question) =>
      question.transport === 'udp' ? truncated(question.wire) : addressAnswer(question, '192.0.2.7'),
    );
    const { live, udp } = await open(withLibc, [link({ interface: 'lo', servers: [at(server)] })]);
    for (const name of ['a.example', 'b.example', 'c.example']) await udp(name);
    expect(live.view.statistics().connections).toEqual({
      tcpOpened: 1,
      tlsOpened: 0,
      tlsResumed: 0,
      reused: 2,
      failed: 0,
    });
  });

  it('has no names unless somebody watches', async () => {
    const server = await scriptedServer((question) => addressAnswer(question, '192.0.2.7'));
    const { live, udp } = await open(withLibc, [link({ interface: 'lo', servers: [at(server)] })]);
    await udp('before.example');
    const watch = live.view.watchNames();
    await udp('while.example');
    expect(watch.report().asked).toEqual([{ name: 'while.example', count: 1, countedTooHigh: 0 }]);
    watch.close();
  });
});

describe('the outlook of a name', () => {
  it('says which server is asked first, what is remembered on the way, and what is not used', async () => {
    const isp = await scriptedServer((question) => addressAnswer(question, '192.0.2.7'));
    const home = link({ interface: 'lo', servers: [at(isp)] });
    const { live, udp } = await open(false, [home]);
    await udp('www.corp.example');
    expect(await outlook(live, 'www.corp.example')).toMatchObject({
      route: 'lo',
      exclusive: false,
      servers: [{ link: 'lo', server: at(isp), reason: expect.stringMatching(/^Asked: it is the only one/) }],
      cached: [{ type: 'A', rcode: 'NOERROR', route: 'lo', used: true }],
    });
    const office = vpn({ interface: 'tun9', servers: [at(isp)], searches: ['corp.example'], priority: -5 });
    live.resolver.apply(makePlan(snapshotOf([home, office]), DEFAULT_CONFIG));
    expect(await outlook(live, 'www.corp.example')).toMatchObject({
      route: 'tun9',
      exclusive: true,
      servers: [{ link: 'tun9', reason: expect.stringContaining('not been asked yet') }],
    });
    expect(isp.asked).toHaveLength(1);
  });

  it.each([
    ['localhost', 'The resolver knows this name itself and answers with 127.0.0.1, ::1; no server is asked.'],
    ['printer.example', 'The hosts file answers with 192.0.2.99; no server is asked.'],
    ['x.invalid', 'The resolver knows this name itself and answers without an address; no server is asked.'],
    ['box.local', 'DNS servers are not asked for such a name unless a link has it as a domain.'],
  ])('of %s', async (name, own) => {
    const { live } = await open(
      false,
      [link({ interface: 'lo', servers: ['dns+udp://127.0.0.1:9'] })],
      '192.0.2.99 printer.example\n',
    );
    await until(
      async () => (await outlook(live, 'printer.example')).own !== undefined,
      'the hosts file is read',
    );
    expect(await outlook(live, name)).toEqual({ own, exclusive: false, servers: [], cached: [] });
  });

  it('without any server', async () => {
    const { live } = await open(false, []);
    expect((await outlook(live, 'www.example.com')).own).toBe('No link has servers for it.');
  });
});

describe('the failures of a server', () => {
  it.each([
    [new DnskeeperError('DEADLINE', 'no answer'), 'timeouts'],
    [new DnskeeperError('PROTOCOL', 'garbage'), 'malformed'],
    [new DnskeeperError('IO', 'no route'), 'unreachable'],
    [new Error('of another kind'), 'unreachable'],
  ])('%o is one of %s', (error, kind) => {
    const health = new ServerHealth();
    health.failed(5, error, 1000);
    const none = { timeouts: 0, malformed: 0, unreachable: 0 };
    expect(health.report('lo', '192.0.2.1')).toMatchObject({
      ...none,
      [kind]: 1,
      failures: 1,
      lastFailure: { time: 1000, text: error.message },
    });
  });
});

/** The question back with TC set. */
function truncated(question: Buffer): Buffer {
  const answer = Buffer.from(question);
  answer.writeUInt16BE(0x8380, 2);
  return answer;
}
