import { readFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Config, DEFAULT_CONFIG } from '../../src/core/config.ts';
import { DnskeeperError } from '../../src/core/errors.ts';
import { renderResolvConf, renderStubConf, renderUpstreamConf } from '../../src/core/resolv-conf.ts';
import type { LinkDns } from '../../src/core/snapshot.ts';
import { startDaemon } from '../../src/daemon/daemon.ts';
import type { Daemon } from '../../src/daemon/parts.ts';
import { resolvConfFile } from '../../src/outputs/resolv-conf-file.ts';
import { type ResolverOutput, resolverOutput } from '../../src/outputs/resolver-output.ts';
import type { ListenAt } from '../../src/resolver/listener.ts';
import { listenBoth } from '../../src/resolver/listener-both.ts';
import { openResolver } from '../../src/resolver/open.ts';
import { systemPaths } from '../../src/system/paths.ts';
import { askOverUdp, queryWire, readAnswer } from '../support/ask.ts';
import { realFiles } from '../support/etc.ts';
import { temporaryFolder } from '../support/folder.ts';
import { freePort } from '../support/free-port.ts';
import { link, vpn } from '../support/links.ts';
import { manualClock } from '../support/manual-clock.ts';
import { parseResolvConf } from '../support/parse-resolv-conf.ts';
import { recordingLog } from '../support/recording-log.ts';
import { linkHeld } from '../support/sample-status.ts';
import { addressAnswer, type ScriptedServer, scriptedServer } from '../support/scripted-server.ts';
import { slowClock } from '../support/slow-clock.ts';
import { until } from '../support/until.ts';

const at = (server: ScriptedServer): string => `dns+udp://${server.host}:${server.port}`;

describe('a split VPN while systemd-resolved does not run', () => {
  it('puts the resolver into the file, and each name goes to its own server', async () => {
    const { isp, office, machine } = await splitVpn();
    await machine.resolver.resolved('absent');
    await until(() => machine.file().nameservers.join() === '127.0.0.53', 'the file lists the resolver');
    expect(machine.file().options).toEqual(['edns0', 'trust-ad']);
    expect(machine.file().search).toEqual(['corp.example']);
    expect(await machine.ask('git.corp.example')).toEqual(['git.corp.example A 10.0.0.1']);
    expect(await machine.ask('www.example.com')).toEqual(['www.example.com A 192.0.2.1']);
    expect(isp.asked.map(({ name }) => name)).toEqual(['www.example.com']);
    expect(office.asked.map(({ name }) => name)).toEqual(['git.corp.example']);
    expect(machine.daemon.status()).toMatchObject({
      resolvConf: { mode: 'stub' },
      resolver: { state: 'bound' },
    });
  });

  it('the other file always names the real servers', async () => {
    const { machine } = await splitVpn(['192.0.2.53'], ['10.8.0.1']);
    await machine.resolver.resolved('absent');
    await until(() => machine.file().nameservers.join() === '127.0.0.53', 'the file lists the resolver');
    expect(machine.upstream().nameservers).toEqual(['10.8.0.1', '192.0.2.53']);
  });

  it('when the VPN goes, the plain file says it all again, and the resolver still answers', async () => {
    const { isp, machine } = await splitVpn();
    await machine.resolver.resolved('absent');
    await until(() => machine.file().nameservers.join() === '127.0.0.53', 'the file lists the resolver');
    machine.say([link({ servers: ['192.0.2.53', at(isp)] })]);
    await machine.daemon.idle();
    machine.say([link({ servers: ['192.0.2.53'] })]);
    await machine.daemon.idle();
    expect(machine.file().nameservers).toEqual(['192.0.2.53']);
    expect(machine.daemon.status().resolver.state).toBe('bound');
  });

  it('stopping writes the real servers while the resolver still answers', async () => {
    const { machine } = await splitVpn(['192.0.2.53'], ['10.8.0.1']);
    await machine.resolver.resolved('absent');
    await until(() => machine.file().nameservers.join() === '127.0.0.53', 'the file lists the resolver');
    const seen: string[] = [];
    machine.onClose(() => seen.push(machine.file().nameservers.join()));
    await machine.daemon.close();
    expect(seen[0]).toBe('10.8.0.1,192.0.2.53');
    expect(machine.file().nameservers).toEqual(['10.8.0.1', '192.0.2.53']);
  });

  it('a restart leaves the file as it is, so that no name goes past the routes until the next process answers', async () => {
    const { machine } = await splitVpn(['192.0.2.53'], ['10.8.0.1']);
    await machine.resolver.resolved('absent');
    await until(() => machine.file().nameservers.join() === '127.0.0.53', 'the file lists the resolver');
    await machine.daemon.close('another process');
    expect(machine.file().nameservers).toEqual(['127.0.0.53']);
  });
});

it('while systemd-resolved runs, or nobody knows, the sockets are closed and the file lists servers', async () => {
  const { machine } = await splitVpn(['192.0.2.53'], ['10.8.0.1']);
  expect(machine.daemon.status().resolver.state).toBe('off');
  await machine.resolver.resolved('absent');
  await until(() => machine.file().nameservers.join() === '127.0.0.53', 'the file lists the resolver');
  await machine.resolver.resolved('running');
  await until(() => machine.file().nameservers.length === 2, 'the file lists the real servers');
  expect(machine.daemon.status().resolver).toMatchObject({ state: 'off', addresses: [] });
});

it('a resolver that cannot listen is a warning and the plain file, and is tried again', async () => {
  const { machine, clock } = await splitVpn(['192.0.2.53'], ['10.8.0.1']);
  machine.trouble.message = 'EADDRINUSE';
  await machine.resolver.resolved('absent');
  await machine.daemon.idle();
  expect(machine.file().nameservers).toEqual(['10.8.0.1', '192.0.2.53']);
  expect(machine.daemon.status()).toMatchObject({ healthy: false, resolvConf: { mode: 'file' } });
  expect(machine.daemon.status().findings[0]).toMatchObject({ severity: 'warning', id: 'resolver-unbound' });
  machine.trouble.message = '';
  clock.advance(1000);
  await until(() => machine.file().nameservers.join() === '127.0.0.53', 'the file lists the resolver');
  expect(machine.daemon.status().healthy).toBe(true);
});

it.each([
  ['file', '10.8.0.1,192.0.2.53'],
  ['stub', '127.0.0.53'],
] as const)('resolver.mode = "%s" is obeyed', async (mode, wanted) => {
  const { machine } = await splitVpn(['192.0.2.53'], ['10.8.0.1'], { mode });
  await machine.resolver.resolved('absent');
  await until(() => machine.file().nameservers.join() === wanted, `the file lists ${wanted}`);
});

it('a changed link forgets what came over it and keeps the rest', async () => {
  const { isp, office, machine } = await splitVpn();
  await machine.resolver.resolved('absent');
  for (const name of ['git.corp.example', 'www.example.com', 'git.corp.example', 'www.example.com'])
    await machine.ask(name);
  expect([isp.asked.length, office.asked.length]).toEqual([1, 1]);
  const moved = await scriptedServer((question) => addressAnswer(question, '10.0.0.2'));
  machine.say([link({ servers: [at(isp)] }), vpn({ servers: [at(moved)], searches: ['corp.example'] })]);
  await machine.daemon.idle();
  expect(await machine.ask('git.corp.example')).toEqual(['git.corp.example A 10.0.0.2']);
  await machine.ask('www.example.com');
  expect(isp.asked.length).toBe(1);
});

async function splitVpn(
  ispServers?: readonly string[],
  officeServers?: readonly string[],
  config: Partial<Config> = {},
) {
  const isp = await scriptedServer((question) => addressAnswer(question, '192.0.2.1'));
  const office = await scriptedServer((question) => addressAnswer(question, '10.0.0.1'));
  const clock = manualClock();
  const machine = standIn({ ...DEFAULT_CONFIG, ...config }, clock);
  machine.say([
    link({ servers: ispServers ?? [at(isp)] }),
    vpn({ servers: officeServers ?? [at(office)], searches: ['corp.example'] }),
  ]);
  await machine.daemon.idle();
  return { isp, office, machine, clock };
}

/** A daemon with the real resolver and real files; its address is only called 127.0.0.53, the port is any. */
function standIn(config: Config, clock: ReturnType<typeof manualClock>) {
  const paths = systemPaths(temporaryFolder('etc'));
  const log = recordingLog();
  const trouble = { message: '' };
  let port = 0;
  let closing = (): void => {};
  const live = openResolver({
    hostsFile: paths.hosts,
    clock: slowClock,
    log,
    libc: undefined,
    settings: () => config,
    isOwn: () => false,
  });
  const place: ListenAt = { host: '127.0.0.53', port: 53, service: 'full' };
  const resolver: ResolverOutput = resolverOutput({
    resolver: live.resolver,
    reception: live.reception,
    places: () => ({ at: [place], whyNone: '' }),
    sharesAddresses: () => true,
    async listen(wanted, reception) {
      if (trouble.message !== '') throw new DnskeeperError('IO', trouble.message);
      port = await freePort();
      const bound = await listenBoth({ ...wanted, host: '127.0.0.1', port }, reception);
      return bound.map((one) => ({
        at: wanted,
        close: () => {
          closing();
          return one.close();
        },
      }));
    },
    clock,
    log,
    lingerMs: 0,
  });
  const daemon: Daemon = startDaemon(
    {
      sources: [],
      files: (written) =>
        resolvConfFile(
          paths,
          realFiles,
          ({ plan, time, nameserver }) => ({
            resolvConf:
              nameserver === undefined
                ? renderResolvConf(plan, time)
                : renderStubConf(plan, time, nameserver),
            upstreamConf: renderUpstreamConf(plan, time),
          }),
          written,
        ),
      link: {
        name: 'link',
        status: () => linkHeld,
        onStatus: () => () => {},
        takeover: async () => ({ ok: true, text: '' }),
        release: async () => ({ ok: true, text: '' }),
        writtenThrough: async () => {},
        resolved: async () => {},
        apply: async () => {},
        close: async () => {},
      },
      resolver: { ...resolver, query: live.query, flush: (name) => live.cache.flush(name), view: live.view },
      configuration: {
        current: { config, files: [], problems: [] },
        reload: async () => ({ config, files: [], problems: [] }),
        try: async () => ({ config, files: [], problems: [] }),
        keepTried: async () => undefined,
      },
      others: [],
      profileChoice: { first: undefined, save: () => {} },
      clock,
      log,
      about: { version: '0', pid: 1, mode: 'system', root: '' },
      findings: () => [],
      residentBytes: () => 0,
    },
    0,
  );
  onTestFinished(async () => {
    await daemon.close();
    await live.close();
  });
  const read = (path: string) => parseResolvConf(readFileSync(path, 'utf8'));
  return {
    daemon,
    resolver,
    trouble,
    file: () => read(paths.resolvConf),
    upstream: () => read(paths.upstreamConf),
    say: (links: readonly LinkDns[]) =>
      daemon.tell({ source: 'networkmanager', kind: 'state', cause: 'a test said so', state: { links } }),
    async ask(name: string) {
      return readAnswer(await askOverUdp('127.0.0.1', port, queryWire(name))).answers;
    },
    onClose(listener: () => void) {
      closing = listener;
    },
  };
}
