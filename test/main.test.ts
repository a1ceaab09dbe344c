import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { controlClient } from '../src/control/client.ts';
import { formatRecordedEvent, parseRecordedEvent } from '../src/core/recording.ts';
import type { LinkDns, SourceEvent } from '../src/core/snapshot.ts';
import { askOverUdp, queryWire, readAnswer } from './support/ask.ts';
import { bareEnvironment } from './support/bare-environment.ts';
import { temporaryFolder } from './support/folder.ts';
import { freePort } from './support/free-port.ts';
import { link, vpn } from './support/links.ts';
import { parseResolvConf } from './support/parse-resolv-conf.ts';
import { noMounts, run as runProgram, unless } from './support/root-only.ts';
import { addressAnswer, scriptedServer } from './support/scripted-server.ts';
import { until } from './support/until.ts';

const MAIN = join(import.meta.dirname, '../src/main.ts');
const START = Date.UTC(2026, 10, 21, 6);

const says = (links: readonly LinkDns[]): SourceEvent => ({
  source: 'networkmanager',
  kind: 'state',
  cause: 'Configuration changed',
  state: { links },
});
const home = link({ servers: ['192.168.1.1'] });

describe('dnskeeperd as a process', () => {
  it('replays a recording, writes both files and takes the link', async () => {
    const root = newRoot();
    const recording = record(root, [says([home, vpn({ servers: ['10.99.0.1'] })])]);
    expect(await run(['--root', root, '--replay', recording, '--once']).ended).toMatchObject({ code: 0 });
    expect(resolvConf(root).nameservers).toEqual(['10.99.0.1', '192.168.1.1']);
    expect(existsSync(join(root, 'run/dnskeeper/upstream.conf'))).toBe(true);
    expect(readlinkSync(join(root, 'etc/resolv.conf'))).toBe('../run/dnskeeper/resolv.conf');
  });

  it('replays the gaps of a recording in its own time, not in ours', async () => {
    const root = newRoot();
    const recording = record(root, [says([home]), says([])], 1000);
    await run(['--root', root, '--replay', recording, '--once']).ended;
    expect(resolvConf(root).nameservers).toEqual([]); // the grace of two seconds is over when the recording is
  });

  it('records what it replays, event for event', async () => {
    const root = newRoot();
    const events = [says([home]), says([]), says([home])];
    const recording = record(root, events, 100);
    const again = join(root, 'again.jsonl');
    await run(['--root', root, '--replay', recording, '--once', '--record', again]).ended;
    expect(readFileSync(again, 'utf8')).toBe(readFileSync(recording, 'utf8'));
  });

  it.each([
    ['not JSON', /:2: wanted an event .* got: no JSON/],
    [
      '{"time":1,"event":{"source":"nobody","kind":"state","cause":"","state":{"links":[]}}}',
      /source: wanted networkmanager/,
    ],
    [
      '{"time":1,"event":{"source":"host","kind":"state","cause":"","state":{"links":[{}]}}}',
      /family: wanted 4 or 6/,
    ],
    [
      '{"time":1,"event":{"source":"host","kind":"state","cause":"","state":{"links":[]},"psk":"x"}}',
      /psk: no such field/,
    ],
  ])('names the line of a recording that is none: %s', async (line, message) => {
    const root = newRoot();
    const recording = record(root, [says([home])]);
    writeFileSync(recording, `${readFileSync(recording, 'utf8')}${line}\n`);
    const { code, stderr } = await run(['--root', root, '--replay', recording, '--once']).ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
  });

  it('runs without any bus, and a second one on the same root says who holds it', async () => {
    const root = newRoot();
    const first = run(['--root', root]);
    await until(() => existsSync(join(root, 'run/dnskeeper/resolv.conf')), 'the first file is written');
    const second = await run(['--root', root]).ended;
    expect(second).toMatchObject({ code: 1, stderr: expect.stringContaining(String(first.child.pid)) });
    first.child.kill('SIGTERM');
    expect(await first.ended).toMatchObject({ code: 0 });
    expect(existsSync(join(root, 'run/dnskeeper/resolv.conf'))).toBe(true);
    expect(existsSync(join(root, 'run/dnskeeper/io.dnskeeper'))).toBe(false);
  });

  it('takes a new configuration on SIGHUP and when the file changes, and keeps the last good one', async () => {
    const root = newRoot('[dns]\nservers = ["192.0.2.1"]\n');
    const daemon = run(['--root', root]);
    const servers = (wanted: string) =>
      until(() => resolvConf(root).nameservers.join() === wanted, `the file says ${wanted}`);
    await servers('192.0.2.1');
    configure(root, '[dns]\nservers = ["192.0.2.2"]\n');
    await servers('192.0.2.2');
    configure(root, '[dns]\nservers = ["nonsense"]\n');
    await until(() => daemon.stderr().includes('"problems":1'), 'the bad file is reported');
    expect(resolvConf(root).nameservers).toEqual(['192.0.2.2']);
    configure(root, '[dns]\nservers = ["192.0.2.3"]\n');
    daemon.child.kill('SIGHUP');
    await servers('192.0.2.3');
    daemon.child.kill('SIGTERM');
    expect(await daemon.ended).toMatchObject({ code: 0 });
  });

  it('tells its state to the log on SIGUSR1, forgets answers on SIGUSR2 and servers on SIGRTMIN+1, and opens no debugger', async () => {
    const root = newRoot('[dns]\nservers = ["192.0.2.1"]\n');
    const daemon = run(['--root', root]);
    await until(() => daemon.stderr().includes('is our link'), 'it follows what happens outside');
    daemon.child.kill('SIGUSR1');
    await until(() => daemon.stderr().includes('state on SIGUSR1: counts'), 'the state is told');
    expect(daemon.stderr()).toMatch(/"servers":\["192\.0\.2\.1"\].*state on SIGUSR1: link/);
    daemon.child.kill('SIGUSR2');
    await until(() => daemon.stderr().includes('forgotten on SIGUSR2'), 'answers are forgotten');
    process.kill(daemon.child.pid ?? 0, 35);
    await until(() => daemon.stderr().includes('forgotten on SIGRTMIN+1'), 'servers are forgotten');
    process.kill(daemon.child.pid ?? 0, 52); // SIGRTMIN+18: gives memory back, and above all does not end it
    daemon.child.kill('SIGTERM');
    const { code, stderr } = await daemon.ended;
    expect(code).toBe(0);
    expect(stderr).not.toContain('Debugger');
  });

  it('after SIGKILL the next start repairs what was left', async () => {
    const root = newRoot('[dns]\nservers = ["192.0.2.1"]\n');
    const first = run(['--root', root]);
    await until(() => resolvConf(root).nameservers.length === 1, 'the first file is written');
    first.child.kill('SIGKILL');
    await first.ended;
    writeFileSync(join(root, 'run/dnskeeper/resolv.conf'), 'nameserver 6.6.6.6\n');
    const second = run(['--root', root]);
    await until(() => resolvConf(root).nameservers.join() === '192.0.2.1', 'the file is right again');
    second.child.kill('SIGTERM');
    await second.ended;
  });

  it('leaves a file with servers and starts again, at whatever moment SIGTERM, SIGKILL or SIGHUP comes', async () => {
    const root = newRoot();
    for (let round = 0; round < 12; round++) {
      configure(root, `[dns]\nservers = ["192.0.2.${round + 1}"]\n`);
      const daemon = run(['--root', root]);
      await until(() => daemon.stderr() !== '', 'it has begun to start');
      const churn = setInterval(() => {
        configure(root, `[dns]\nservers = ["192.0.2.${100 + (Date.now() % 100)}"]\n`);
        daemon.child.kill('SIGHUP');
      }, 3);
      await new Promise((resolve) => setTimeout(resolve, round * 12)); // the moment, not a wait for anything
      clearInterval(churn);
      daemon.child.kill(round % 3 === 0 ? 'SIGKILL' : 'SIGTERM');
      const { code, stderr } = await daemon.ended;
      expect([code, daemon.child.signalCode], stderr).toEqual(
        round % 3 === 0 ? [null, 'SIGKILL'] : [0, null],
      );
      const text = readFileSync(join(root, 'etc/resolv.conf'), 'utf8');
      expect(parseResolvConf(text).nameservers, `after round ${round}`).toHaveLength(1);
    }
  }, 240_000);

  it('takes the link with --once although no bus tells about systemd-resolved', async () => {
    const root = newRoot('[dns]\nservers = ["192.0.2.1"]\n');
    expect(await run(['--root', root, '--once']).ended).toMatchObject({ code: 0 });
    expect(readlinkSync(join(root, 'etc/resolv.conf'))).toBe('../run/dnskeeper/resolv.conf');
  });

  it.each([
    [
      'a folder that others can write into',
      (at: string) => chmodSync(mkdirSync(at, { recursive: true }) ?? at, 0o777),
    ],
    ['a link to a folder', (at: string) => symlinkSync(temporaryFolder(), at)],
    ['a file', (at: string) => writeFileSync(at, '')],
  ])('does not run in %s', async (_, plant) => {
    const root = newRoot();
    mkdirSync(join(root, 'run'));
    plant(join(root, 'run/dnskeeper'));
    const ended = await run(['--root', root, '--once']).ended;
    expect(ended).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^dnskeeperd: wanted .*run\/dnskeeper/i),
    });
    expect(readFileSync(join(root, 'etc/resolv.conf'), 'utf8')).toBe('nameserver 203.0.113.1\n');
  });

  it('never follows links that were planted in its folder', async () => {
    const root = newRoot('[dns]\nservers = ["192.0.2.1"]\n');
    const precious = join(root, 'precious');
    writeFileSync(precious, 'precious');
    mkdirSync(join(root, 'run/dnskeeper'), { recursive: true });
    const names = ['resolv.conf', 'upstream.conf', '.resolv.conf.dnskeeper', 'io.dnskeeper.new'];
    for (const name of names) symlinkSync(precious, join(root, 'run/dnskeeper', name));
    expect(await run(['--root', root, '--once']).ended).toMatchObject({ code: 0 });
    for (const name of ['lock', 'io.dnskeeper']) {
      rmSync(join(root, 'run/dnskeeper', name), { force: true });
      symlinkSync(precious, join(root, 'run/dnskeeper', name));
      expect(await run(['--root', root, '--once']).ended, name).toMatchObject({ code: 1 });
      rmSync(join(root, 'run/dnskeeper', name));
    }
    expect(readFileSync(precious, 'utf8')).toBe('precious');
  });

  // Regression: where no network names a server, as on many a server, names resolved no more from the installation on.
  it('goes on with the servers that /etc/resolv.conf had where nobody names any, over restarts too', async () => {
    const root = newRoot('[log]\nlevel = "warn"\n');
    for (const run_ of ['first', 'second']) {
      expect(await run(['--root', root, '--once']).ended).toMatchObject({ code: 0 });
      expect(resolvConf(root).nameservers, run_).toEqual(['203.0.113.1']);
      expect(readlinkSync(join(root, 'etc/resolv.conf'))).toBe('../run/dnskeeper/resolv.conf');
    }
    writeFileSync(join(root, 'etc/dnskeeper/config.toml'), '[dns]\nfallback = []\n');
    expect(await run(['--root', root, '--once']).ended).toMatchObject({ code: 1 });
    expect(resolvConf(root).nameservers).toEqual([]);
  });

  it('follows what /etc/resolv.conf led to, which WSL writes anew when its host changes networks', async () => {
    const root = newRoot('[log]\nlevel = "warn"\n');
    const wsl = join(root, 'mnt/wsl/resolv.conf');
    mkdirSync(join(root, 'mnt/wsl'), { recursive: true });
    writeFileSync(wsl, '# This file was automatically generated by WSL.\nnameserver 10.255.255.254\n');
    rmSync(join(root, 'etc/resolv.conf'));
    symlinkSync('/mnt/wsl/resolv.conf', join(root, 'etc/resolv.conf'));
    const daemon = run(['--root', root]);
    await until(() => resolvConf(root).nameservers.join() === '10.255.255.254', 'its server is used');
    writeFileSync(wsl, '# This file was automatically generated by WSL.\nnameserver 10.255.255.253\n');
    await until(() => resolvConf(root).nameservers.join() === '10.255.255.253', 'the change is heard');
    daemon.child.kill('SIGTERM');
    expect(await daemon.ended).toMatchObject({ code: 0 });
  });

  it.skipIf(noMounts !== undefined)(
    unless(noMounts, 'keeps the server of a container, whose file it writes in place'),
    async () => {
      const root = newRoot('[log]\nlevel = "warn"\n');
      const outside = join(root, 'outside');
      writeFileSync(outside, '# Generated by Docker Engine.\nnameserver 127.0.0.11\nsearch corp.example\n');
      runProgram('mount', '--bind', outside, join(root, 'etc/resolv.conf'));
      onTestFinished(() => runProgram('umount', '-l', join(root, 'etc/resolv.conf')));
      for (const run_ of ['first', 'second']) {
        expect(await run(['--root', root, '--once']).ended).toMatchObject({ code: 0 });
        expect(parseResolvConf(readFileSync(outside, 'utf8')), run_).toMatchObject({
          nameservers: ['127.0.0.11'],
          search: ['corp.example'],
        });
        expect(readFileSync(outside, 'utf8')).toMatch(/^# Written by dnskeeper/);
      }
    },
  );

  it('is held up by no pipe that was planted in its folder', async () => {
    const root = newRoot('[dns]\nservers = ["192.0.2.1"]\n');
    mkdirSync(join(root, 'run/dnskeeper'), { recursive: true });
    for (const name of ['resolv.conf', 'upstream.conf', '.resolv.conf.dnskeeper', 'profile.json', 'names'])
      runProgram('mkfifo', join(root, 'run/dnskeeper', name));
    expect(await run(['--root', root, '--once']).ended).toMatchObject({ code: 0 });
    expect(resolvConf(root).nameservers).toEqual(['192.0.2.1']);
    rmSync(join(root, 'run/dnskeeper/lock'), { force: true });
    runProgram('mkfifo', join(root, 'run/dnskeeper/lock'));
    expect(await run(['--root', root, '--once']).ended).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/wanted to lock \S+, got EINVAL; check the folder and its owner/),
    });
  });

  it.skipIf(noMounts !== undefined)(
    unless(noMounts, 'starts on a full disk, says so, leaves the link, and goes on when there is room'),
    async () => {
      const root = newRoot('[dns]\nservers = ["192.0.2.1"]\n');
      const runtime = join(root, 'run/dnskeeper');
      mkdirSync(runtime, { recursive: true });
      runProgram('mount', '-t', 'tmpfs', '-o', 'size=64k,mode=0755', 'dnskeeper-test', runtime);
      onTestFinished(() => runProgram('umount', '-l', runtime));
      writeFileSync(join(runtime, 'filling'), Buffer.alloc(64 * 1024));
      const daemon = run(['--root', root]);
      await until(() => daemon.stderr().includes('ENOSPC'), 'the full disk is told');
      expect(readFileSync(join(root, 'etc/resolv.conf'), 'utf8')).toBe('nameserver 203.0.113.1\n');
      rmSync(join(runtime, 'filling'));
      await until(() => resolvConf(root).nameservers.join() === '192.0.2.1', 'the file is written after all');
      daemon.child.kill('SIGTERM');
      expect(await daemon.ended).toMatchObject({ code: 0 });
    },
  );

  it('lets one of two that are started at the same instant run', async () => {
    const root = newRoot('[dns]\nservers = ["192.0.2.1"]\n');
    const both = [run(['--root', root]), run(['--root', root])];
    const lost = await Promise.race(both.map(async (one) => ({ ...(await one.ended), one })));
    expect(lost).toMatchObject({ code: 1, stderr: expect.stringContaining('already runs dnskeeper here') });
    const winner = both.find((one) => one !== lost.one);
    await until(() => resolvConf(root).nameservers.length === 1, 'the other one has written the file');
    winner?.child.kill('SIGTERM');
    expect(await winner?.ended).toMatchObject({ code: 0 });
  });

  it('answers where the configuration says, follows it, and tells dnsctl how its servers did', async () => {
    const server = await scriptedServer((question) => addressAnswer(question, '192.0.2.7'));
    const port = await freePort();
    const root = newRoot(
      `[resolver]\nlisten = ["dns+udp://127.0.0.1:${port}"]\n[dns]\nservers = ["dns+udp://127.0.0.1:${server.port}"]\n`,
    );
    writeFileSync(join(root, 'etc/hosts'), '192.0.2.99 box.home.example box\n');
    const daemon = run(['--root', root]);
    const client = controlClient(join(root, 'run/dnskeeper/io.dnskeeper'), AbortSignal.timeout(60_000));
    await until(
      async () => (await client.status().catch(() => undefined))?.resolver.state === 'bound',
      'the resolver listens',
    );
    const ask = async (name: string) =>
      readAnswer(await askOverUdp('127.0.0.1', port, queryWire(name))).answers;
    expect(await ask('www.example.com')).toEqual(['www.example.com A 192.0.2.7']);
    await until(
      async () => (await ask('box.home.example'))[0] === 'box.home.example A 192.0.2.99',
      'the hosts file counts',
    );
    expect(await client.query('www.example.com', 'A')).toMatchObject({ from: 'cache', rcode: 'NOERROR' });
    expect(await client.flush('example.com')).toMatchObject({ ok: true });
    expect(await client.query('www.example.com', 'A')).toMatchObject({ from: 'upstream' });
    expect((await client.status()).resolver).toMatchObject({
      addresses: [`127.0.0.1:${port}`],
      servers: [{ server: `dns+udp://127.0.0.1:${server.port}`, state: 'good' }],
    });
    // A port cannot be said in a resolv.conf, so the file does not name the resolver.
    expect(resolvConf(root).nameservers).toEqual([]);
    daemon.child.kill('SIGTERM');
    expect(await daemon.ended).toMatchObject({ code: 0 });
  });

  it('says where another resolver is not started though the configuration wants one', async () => {
    const root = newRoot('[resolver]\nbackend = "dnsmasq"\n');
    const daemon = run(['--root', root]);
    const client = controlClient(join(root, 'run/dnskeeper/io.dnskeeper'), AbortSignal.timeout(60_000));
    const findings = async () => (await client.status().catch(() => undefined))?.findings ?? [];
    const off = { id: 'back-end-off', severity: 'note' };
    await until(async () => (await findings()).some(({ id }) => id === off.id), 'the note');
    expect(await findings()).toContainEqual({
      ...off,
      text: 'resolver.backend = "dnsmasq" does nothing below a root folder: the built-in resolver asks.',
    });
    daemon.child.kill('SIGTERM');
    expect(await daemon.ended).toMatchObject({ code: 0 });
  });

  it.each(['--help', '--version', '--check'])('%s ends quietly when its reader has gone', async (option) => {
    const { child, ended } = run(['--root', newRoot(), option]);
    child.stdout?.destroy();
    expect(await ended).toEqual({ code: 0, stderr: '' });
  });

  it('names in its log what is wrong with the configuration, at start and when it changes', async () => {
    const root = newRoot('[log]\nlevel = "loud"\n');
    const daemon = run(['--root', root]);
    const told = (text: string) => until(() => daemon.stderr().includes(text), text);
    await told('config.toml:2: log.level: wanted');
    await told('so only what is right in the files is in force.');
    await until(() => existsSync(join(root, 'run/dnskeeper/io.dnskeeper')), 'the control socket');
    configure(root, '[log]\n\nlevle = "info"\n');
    await told('config.toml:3: log.levle: wanted a known key; did you mean log.level?');
    daemon.child.kill('SIGTERM');
    expect(await daemon.ended).toMatchObject({ code: 0 });
  });

  it('checks a configuration without running', async () => {
    const root = newRoot('[link]\ntakover = "auto"\n');
    const bad = await run(['--root', root, '--check']).ended;
    expect(bad).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/config\.toml:2: link\.takover: .*did you mean link\.takeover/),
    });
    configure(root, '[link]\ntakeover = "never"\n');
    expect(await run(['--root', root, '--check']).ended).toMatchObject({ code: 0 });
  });

  it.each([
    [['--nonsense'], 2],
    [['--paced'], 2],
    [['--user', '--root', '/nowhere'], 2],
    [['--replay', '/nowhere', '--root', '/'], 2],
    [['--check', '--root', '/nowhere', '--config', '/nowhere/config.toml'], 2],
    [['--version'], 0],
    [['--help'], 0],
  ])('ends %j with %i', async (args, code) => {
    expect((await run(args).ended).code).toBe(code);
  });
});

describe('a recorded event', () => {
  it('is read back as it was written', () => {
    const event = says([home]);
    expect(parseRecordedEvent(formatRecordedEvent(event, START))).toEqual({
      ok: true,
      value: { time: START, event },
    });
  });
});

interface Run {
  readonly child: ChildProcess;
  readonly stderr: () => string;
  readonly ended: Promise<{ code: number | null; stderr: string }>;
}

/** The daemon with a bus that is not there. */
function run(args: readonly string[]): Run {
  // As packaging/dnskeeperd starts it; with that flag Node keeps SIGUSR1 from everybody.
  const child = spawn(process.execPath, ['--disable-sigusr1', MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...bareEnvironment, DBUS_SYSTEM_BUS_ADDRESS: 'unix:path=/nonexistent/bus' },
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    stderr += part;
  });
  child.stdout.resume();
  const ended = once(child, 'close').then(() => ({ code: child.exitCode, stderr }));
  return { child, stderr: () => stderr, ended };
}

function newRoot(config?: string): string {
  const root = temporaryFolder('etc/dnskeeper');
  writeFileSync(join(root, 'etc/resolv.conf'), 'nameserver 203.0.113.1\n');
  if (config !== undefined) configure(root, config);
  return root;
}

/** All at once: a file that is emptied first and then written is a good configuration that says nothing in between. */
function configure(root: string, text: string): void {
  const path = join(root, 'config.new');
  writeFileSync(path, text);
  renameSync(path, join(root, 'etc/dnskeeper/config.toml'));
}

function record(root: string, events: readonly SourceEvent[], step = 10_000): string {
  const path = join(root, 'recording.jsonl');
  mkdirSync(root, { recursive: true });
  writeFileSync(path, events.map((event, i) => `${formatRecordedEvent(event, START + i * step)}\n`).join(''));
  return path;
}

function resolvConf(root: string): ReturnType<typeof parseResolvConf> {
  const path = join(root, 'run/dnskeeper/resolv.conf');
  return parseResolvConf(existsSync(path) ? readFileSync(path, 'utf8') : '');
}
