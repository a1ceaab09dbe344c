import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemPaths } from '../../src/system/paths.ts';
import { temporaryFolder } from '../support/folder.ts';

const source = join(import.meta.dirname, '../../systemd/dnskeeper.service');
const text = readFileSync(source, 'utf8');

describe('dnskeeper.service', () => {
  test('is at most as exposed as systemd-resolved (2.1)', () => {
    const { status, output } = systemdAnalyze('security', '--offline=true', '--threshold=21', source);
    expect(status, output.trim().split('\n').at(-1)).toBe(0);
  });

  test('explains each hardening setting that it does without', () => {
    const { output } = systemdAnalyze('security', '--offline=true', '--json=short', source);
    const missing = (JSON.parse(output) as { set: boolean | null; name: string }[])
      .filter(({ set }) => set === false)
      .map(({ name }) => name)
      // The only device left is the clock, to be read: ProtectClock= adds it itself.
      .filter((name) => name !== 'DeviceAllow=');
    expect(missing.length).toBeGreaterThan(0);
    expect(missing.filter((name) => !isExplained(name))).toEqual([]);
  });

  test('is understood by systemd without a complaint', () => {
    const unit = join(temporaryFolder(), 'dnskeeper.service');
    writeFileSync(unit, text.replace(/^(Exec\w+=)\S+/gm, '$1/bin/true'));
    expect(systemdAnalyze('verify', '--man=no', unit)).toEqual({ status: 0, output: '' });
  });

  test.each([
    ['comes before sysinit.target, where cloud images need the network', /^DefaultDependencies=no$/m],
    // Regression: as mounts of their own they could not hold names of one file (hard links).
    ['has one mount for its own folder and that of systemd-resolved', /^ReadWritePaths=\/etc \/run$/m],
    ['never gives up', /^Restart=always$[\s\S]*^RestartSec=/m],
    ['is ready when the first file is written', /^Type=notify$/m],
    ['comes before NetworkManager', /^Before=.*\bNetworkManager\.service\b/m],
  ])('%s', (_, line) => {
    expect(text).toMatch(line);
  });

  test('has no folder that systemd takes away when it stops, or mounts apart from /run', () => {
    expect(directives('RuntimeDirectory')).toEqual([]);
  });

  test('keeps its sockets with systemd over restarts', () => {
    const [addresses, further, threads] = [8, 8, 8];
    expect(Number(directives('FileDescriptorStoreMax')[0])).toBe((addresses + further) * (threads + 1));
    // Kept over a stop, they would go on taking queries that nobody answers.
    expect(directives('FileDescriptorStorePreserve')).toEqual([]);
  });

  test('waits for nothing that needs the system bus', () => {
    expect(directives('After')).toEqual(['local-fs.target', 'dnskeeper-hooks.socket']);
    expect([...directives('Requires'), ...directives('BindsTo'), ...directives('Requisite')]).toEqual([]);
  });
});

describe('programs that are run after a change', () => {
  const unit = (name: string): string =>
    readFileSync(join(import.meta.dirname, '../../systemd', name), 'utf8');
  const socket = unit('dnskeeper-hooks.socket');
  const service = unit('dnskeeper-hooks@.service');

  test('have units that systemd understands without a complaint', () => {
    const folder = temporaryFolder();
    writeFileSync(
      join(folder, 'dnskeeper-hooks@.service'),
      service.replace(/^(Exec\w+=)\S+/gm, '$1/bin/true'),
    );
    writeFileSync(join(folder, 'dnskeeper-hooks.socket'), socket);
    for (const name of ['dnskeeper-hooks.socket', 'dnskeeper-hooks@.service'])
      expect(systemdAnalyze('verify', '--man=no', join(folder, name))).toEqual({ status: 0, output: '' });
  });

  test('come with the service, before it, and need nothing that comes later', () => {
    expect(directives('Wants')).toContain('dnskeeper-hooks.socket');
    expect(socket).toMatch(/^DefaultDependencies=no$/m);
    expect(socket).not.toMatch(/^After=|^\[Install\]/m);
  });

  test('are reached by root alone, where the daemon looks for them', () => {
    expect(socket).toMatch(/^SocketMode=0600$/m);
    expect(socket).toMatch(new RegExp(`^ListenStream=${systemPaths('').hooksSocket}$`, 'm'));
    expect(text).toContain('\nReadWritePaths=/etc /run\n');
  });

  test('are bounded in time and number, and shut in by nothing', () => {
    expect(service).toMatch(/^RuntimeMaxSec=/m);
    expect(socket).toMatch(/^MaxConnections=/m);
    expect(service).not.toMatch(/^(Protect|Private|Restrict|NoNew|Capab|SystemCall|ReadOnly)/m);
  });
});

describe('dnskeeper.socket', () => {
  const socket = readFileSync(join(import.meta.dirname, '../../systemd/dnskeeper.socket'), 'utf8');
  const dropIn = readFileSync(join(import.meta.dirname, '../../systemd/systemd-resolved.conf'), 'utf8');

  test('is understood by systemd without a complaint', () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'dnskeeper.service'), text.replace(/^(Exec\w+=)\S+/gm, '$1/bin/true'));
    writeFileSync(join(folder, 'dnskeeper.socket'), socket);
    expect(systemdAnalyze('verify', '--man=no', join(folder, 'dnskeeper.socket'))).toEqual({
      status: 0,
      output: '',
    });
  });

  test('listens where the resolver does, over UDP and TCP', () => {
    const listens = [...socket.matchAll(/^Listen(\w+)=(.*)$/gm)].map(([, kind, at]) => `${kind} ${at}`);
    expect(listens.sort()).toEqual([
      'Datagram 127.0.0.53:53',
      'Datagram 127.0.0.54:53',
      'Stream 127.0.0.53:53',
      'Stream 127.0.0.54:53',
    ]);
  });

  test('tells nobody but a dnskeeperd that runs when systemd-resolved comes and goes, whose own start never fails by it', () => {
    const lines = dropIn.match(/^\w+=.*$/gm) ?? [];
    const socket = '/run/dnskeeper/io.dnskeeper';
    expect(lines.filter((line) => line.startsWith('Exec'))).toEqual([
      `ExecStartPre=-+/bin/sh -c '[ ! -S ${socket} ] || exec /usr/bin/dnsctl give-way'`,
      `ExecStartPre=-+/bin/sh -c '[ ! -d /run/systemd/resolve/netif ] || exec chown -R systemd-resolve: /run/systemd/resolve/netif'`,
      `ExecStop=-+/bin/sh -c '[ ! -S ${socket} ] || exec /usr/bin/dnsctl stand-in'`,
    ]);
  });

  test('gives way to systemd-resolved', () => {
    expect(dropIn).toMatch(/^Conflicts=dnskeeper\.socket$/m);
    expect(dropIn).toMatch(/^Before=dnskeeper\.service dnskeeper\.socket$/m);
  });

  // It would be a word about itself where dnskeeper.service has that name too.
  test('says nothing of systemd-resolved.service in units of our own', () => {
    for (const unit of [text, socket]) expect(unit).not.toMatch(/^\w+=.*\bsystemd-resolved\.service/m);
  });
});

const directives = (name: string): readonly string[] =>
  [...text.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].flatMap(([, value = '']) => value.split(' '));

/** `User=/DynamicUser=` is explained by a comment on User=, `CapabilityBoundingSet=~CAP_(CHOWN|…)` by one on CAP_CHOWN. */
function isExplained(name: string): boolean {
  const [setting = '', value = ''] = name.split(/=\/?~?/);
  const comments = text.split('\n').filter((line) => line.startsWith('#'));
  const words = [...value.matchAll(/@\w+|AF_[A-Z]+|[A-Z_]{5,}/g)].map(([word]) => word.replace(/^CAP_/, ''));
  if (setting === 'RestrictAddressFamilies') return comments.some((line) => line.includes('sockets'));
  return comments.some((line) =>
    words.length > 0 ? words.some((word) => line.includes(word)) : line.includes(setting),
  );
}

function systemdAnalyze(...args: readonly string[]): {
  readonly status: number | null;
  readonly output: string;
} {
  const { status, stdout, stderr, error } = spawnSync('systemd-analyze', ['--no-pager', ...args], {
    encoding: 'utf8',
  });
  if (error !== undefined)
    throw new Error(`wanted to run systemd-analyze; on Debian: apt install systemd`, { cause: error });
  return { status, output: `${stdout}${stderr}` };
}
