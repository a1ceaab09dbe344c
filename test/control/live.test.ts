import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CONTROL_DESCRIPTION, CONTROL_INTERFACE } from '../../src/control/description.ts';
import type { CacheReport } from '../../src/core/cache-report.ts';
import type { StatisticsReport } from '../../src/core/statistics.ts';
import { callVarlink } from '../../src/system/varlink-client.ts';
import { askOverUdp, queryWire } from '../support/ask.ts';
import { bareEnvironment } from '../support/bare-environment.ts';
import { temporaryFolder } from '../support/folder.ts';
import { freePort } from '../support/free-port.ts';
import { addressAnswer, answerTo, scriptedServer } from '../support/scripted-server.ts';
import { until } from '../support/until.ts';
import { readDescription } from '../support/varlink-idl.ts';

const description = readDescription(CONTROL_DESCRIPTION);
const source = (name: string): string => join(import.meta.dirname, '../../src', name);

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

describe('dnsctl and a real dnskeeperd', () => {
  it('tell the same of one resolver from every side', { timeout: 120_000 }, async () => {
    const server = await scriptedServer((question) =>
      question.name.startsWith('no')
        ? answerTo(question, { rcode: 3 })
        : addressAnswer(question, '192.0.2.7'),
    );
    const address = `dns+udp://${server.host}:${server.port}`;
    const { port, dnsctl } = await startDaemon(address);

    const first = await dnsctl('query', 'www.example.com');
    expect(first).toMatchObject({ code: 0, err: '' });
    expect(first.out).toContain('  www.example.com 300 A 192.0.2.7\n');
    expect(first.out).toContain(`  asked ${address} (configuration), route configuration, not cached before`);
    expect((await dnsctl('query', 'www.example.com')).out).toContain('  from the cache, route configuration');
    expect(await dnsctl('query', 'no.example.com')).toMatchObject({ code: 1 });

    for (let i = 0; i < 5; i++) await askOverUdp('127.0.0.1', port, queryWire('www.example.com'));
    const told = async (): Promise<StatisticsReport> =>
      JSON.parse((await dnsctl('statistics', '--json')).out);
    await until(async () => (await told()).clients.udp === 5, 'the queries are counted', 20_000);
    const statistics = await told();
    expect(statistics.origins.cache + statistics.origins.fastPath).toBe(5);
    expect(statistics.servers).toMatchObject([{ server: address, failures: 0 }]);
    // Where the machine is busy an answer may take longer than usual, and then a copy of the question goes out.
    expect(statistics.servers[0]?.answers).toBeGreaterThanOrEqual(2);

    const cache: CacheReport = JSON.parse((await dnsctl('cache', '--json', '--name', 'example.com')).out);
    expect(cache.entries.map(({ name, rcode }) => `${name} ${rcode}`)).toContain('www.example.com NOERROR');

    const explained = await dnsctl('explain', 'www.example.com');
    expect(explained.out).toMatch(/would do now\n {2}dns\+udp:.*\n? .*Asked: it is the only one/);
    expect(explained.out).toContain('remembered: A NOERROR');

    const metrics = await dnsctl('metrics');
    expect(metrics.out).toContain('\ndnskeeper_resolver_queries_total{transport="udp"} 5\n');
    expect(metrics.out).not.toContain('example.com');

    const top = await dnsctl('top', '--once');
    expect(top.out).toMatch(/^queries +\d/m);
    expect(top.out).toContain('most asked names');

    expect((await dnsctl('status')).out).toMatch(/answers in [0-9.]+ ms; \d+ answers\n {2}5 queries\n/);

    // Fakes fit the description by construction; this is what it looks like on the wire.
    for (const [type, ...argv] of [
      ['Status', 'status'],
      ['Statistics', 'statistics'],
      ['Cache', 'cache'],
      ['Explanation', 'explain', 'www.example.com'],
      ['QueryReport', 'query', 'www.example.com'],
    ])
      expect(description.check(type ?? '', JSON.parse((await dnsctl(...argv, '--json')).out))).toEqual([]);

    const flushed = await dnsctl('flush', 'www.example.com');
    expect(flushed).toMatchObject({
      code: 0,
      out: 'Forgot 1 remembered answer for www.example.com and names below it.\n',
    });
    expect((await dnsctl('explain', 'www.example.com')).out).toContain('nothing is remembered for it');
  });

  it.skipIf(process.getuid?.() !== 0)(
    'tells another user no name that anybody asked for (needs root, to become somebody else)',
    { timeout: 120_000 },
    async () => {
      const server = await scriptedServer((question) => addressAnswer(question, '192.0.2.7'));
      const { root, dnsctl } = await startDaemon(`dns+udp://${server.host}:${server.port}`);
      await dnsctl('query', 'www.example.com');
      chmodSync(root, 0o755);
      const call = (method: string, parameters = {}) =>
        callVarlink(join(root, 'run/dnskeeper/io.dnskeeper'), `${CONTROL_INTERFACE}.${method}`, parameters, {
          deadlineMs: 10_000,
        });
      await expect(asNobody(() => call('GetCache', { name: '.' }))).rejects.toMatchObject({
        error: `${CONTROL_INTERFACE}.PermissionDenied`,
        parameters: { got: 'uid 65534' },
      });
      expect(JSON.stringify(await asNobody(() => call('GetStatistics')))).not.toContain('example.com');
      expect(JSON.stringify(await call('GetCache', { name: '.' }))).toContain('example.com');
    },
  );

  it('doctor says who cannot be reached', { timeout: 120_000 }, async () => {
    const { dnsctl } = await startDaemon(`dns+udp://127.0.0.1:${await freePort()}`);
    const asked = await dnsctl('query', 'www.example.com');
    expect(asked).toMatchObject({ code: 1 });
    expect(asked.out).toContain('SERVFAIL');
    expect(asked.out).toContain('(no reachable authority)');
    const { code, out } = await dnsctl('doctor', '--no-probe');
    expect(code).toBe(1);
    expect(out.replaceAll(/\s+/g, ' ')).toContain(
      'of configuration does not answer: 127.0.0.1 cannot be reached',
    );
    expect(await dnsctl('status')).toMatchObject({ code: 1 });
  });
});

/** Do something as another user; the kernel notes who connects at the moment of the call. */
function asNobody<T>(act: () => Promise<T>): Promise<T> {
  process.seteuid?.(65_534);
  try {
    return act();
  } finally {
    process.seteuid?.(0);
  }
}

/** A daemon below a root of its own, which asks this server and answers on a port of the loopback. */
async function startDaemon(server: string) {
  const root = temporaryFolder('etc/dnskeeper');
  const port = await freePort();
  writeFileSync(join(root, 'etc/resolv.conf'), '');
  writeFileSync(
    join(root, 'etc/dnskeeper/config.toml'),
    `[dns]\nservers = ["${server}"]\n[resolver]\nlisten = ["dns+udp://127.0.0.1:${port}"]\n`,
  );
  const env = { ...bareEnvironment, DBUS_SYSTEM_BUS_ADDRESS: 'unix:path=/nonexistent/bus', TZ: 'UTC' };
  const daemon = spawn(process.execPath, [source('main.ts'), '--root', root], { stdio: 'ignore', env });
  onTestFinished(async () => {
    daemon.kill('SIGTERM');
    if (daemon.exitCode === null) await once(daemon, 'close');
  }, 60_000);
  const dnsctl = async (...argv: string[]): Promise<Ended> => {
    const command = [source('dnsctl.ts'), '--root', root, ...argv];
    try {
      const { stdout, stderr } = await promisify(execFile)(process.execPath, command, { env });
      return { code: 0, out: stdout, err: stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { code, out: stdout, err: stderr };
    }
  };
  await until(() => existsSync(join(root, 'run/dnskeeper/io.dnskeeper')), 'the daemon takes calls', 20_000);
  const bound = async (): Promise<boolean> => (await dnsctl('status')).out.includes('bound: ');
  await until(bound, 'the resolver answers', 20_000);
  return { root, port, dnsctl };
}
