import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { probeServer } from '../../src/system/dns-probe.ts';
import { lookAtMachine } from '../../src/system/machine-facts.ts';
import { systemPaths } from '../../src/system/paths.ts';
import { listenersOnPort53, parseTable } from '../../src/system/port-53.ts';
import { ODD_FILES } from '../support/odd-files.ts';
import { sampleStatus } from '../support/sample-status.ts';

let root: string;
const signal = new AbortController().signal;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'machine-'));
  await mkdir(join(root, 'etc'));
});
afterEach(() => rm(root, { recursive: true }));

async function put(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
}

const look = () => lookAtMachine({ paths: systemPaths(root), daemon: 'holding', probe: false, signal });

describe('what doctor sees below a root', () => {
  test('an empty machine', async () => {
    expect(await look()).toEqual({
      resolvConf: { kind: 'missing', bindMount: false, readOnlyFolder: false },
      ourFile: join(root, 'run/dnskeeper/resolv.conf'),
      originalSaved: false,
      writers: [],
      listeners: [],
      networkManager: {},
      appArmor: { enabled: false, dropIn: false },
      docker: false,
      daemon: 'holding',
      unseen: [],
    });
  });

  test('our link, nsswitch, NetworkManager, AppArmor, WSL and a mount', async () => {
    await put('run/dnskeeper/resolv.conf', 'nameserver 192.0.2.1\n');
    await symlink('../run/dnskeeper/resolv.conf', join(root, 'etc/resolv.conf'));
    await put('etc/nsswitch.conf', 'passwd: files\nhosts:  files dns # comment\n');
    await put('usr/lib/NetworkManager/conf.d/a.conf', '[main]\ndns=dnsmasq\nrc-manager=file\n');
    await put('etc/NetworkManager/NetworkManager.conf', '[main]\nplugins=keyfile\n\n[other]\ndns=wrong\n');
    await put('etc/NetworkManager/conf.d/z.conf', '[main]\n# dns=commented\ndns = none\n');
    await put('sys/module/apparmor/parameters/enabled', 'Y\n');
    await put('etc/apparmor.d/abstractions/nameservice.d/x', '@{run}/dnskeeper/resolv.conf r,\n');
    await put('proc/sys/kernel/osrelease', '5.15.0-microsoft-standard-WSL2\n');
    await put('etc/wsl.conf', '[network]\ngenerateResolvConf = false\n');
    await put(
      'proc/self/mountinfo',
      `1 2 0:3 / ${join(root, 'run/dnskeeper/resolv.conf')} rw - tmpfs x rw\n`,
    );
    expect(await look()).toMatchObject({
      resolvConf: {
        kind: 'link',
        linkText: '../run/dnskeeper/resolv.conf',
        target: join(root, 'run/dnskeeper/resolv.conf'),
        content: 'nameserver 192.0.2.1\n',
        bindMount: true,
      },
      nsswitchHosts: '  files dns ',
      networkManager: { dns: 'none', rcManager: 'file' },
      appArmor: { enabled: true, dropIn: true },
      wsl: { generates: false },
    });
  });

  test('a dangling link, a folder, and a link to a folder hold nobody up', async () => {
    const path = join(root, 'etc/resolv.conf');
    await symlink('nowhere', path);
    expect((await look()).resolvConf).toMatchObject({ kind: 'link', linkText: 'nowhere' });
    expect((await look()).resolvConf).not.toHaveProperty('target');
    await rm(path);
    await symlink('.', path);
    expect((await look()).resolvConf).not.toHaveProperty('content');
    await rm(path);
    await mkdir(path);
    expect((await look()).resolvConf.kind).toBe('other');
  });

  test('a file that cannot be read is told', async () => {
    // A link to itself is unreadable for root too.
    await symlink('nsswitch.conf', join(root, 'etc/nsswitch.conf'));
    expect((await look()).unseen).toHaveLength(1);
  });
});

// Regression: a pipe held doctor for ever.
test.each(ODD_FILES)(
  '$what where configuration of others is wanted is told and holds nobody up',
  async ({ make }) => {
    const odd = ['etc/nsswitch.conf', 'etc/wsl.conf', 'etc/NetworkManager/conf.d/a.conf'];
    await put('proc/sys/kernel/osrelease', '6.6.0-microsoft-standard-WSL2\n');
    await put('etc/NetworkManager/conf.d/b.conf', '[main]\ndns=none\n');
    for (const path of odd) make(join(root, path));
    const { unseen, networkManager } = await look();
    expect(unseen.toSorted()).toEqual(
      odd
        .toSorted()
        .map((path) => expect.stringMatching(`${path}: wanted (a file|at most 1048576 bytes), got`)),
    );
    expect(networkManager).toEqual({ dns: 'none' });
  },
);

describe('port 53', () => {
  const header =
    '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
  const row = (address: string, state: string, inode: number): string =>
    `   0: ${address} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000   101        0 ${inode} 2 0 0\n`;

  test.each([
    ['IPv4', row('3500007F:0035', '07', 7), [{ address: '127.0.0.53', inode: '7' }]],
    ['the IPv6 wildcard', row(`${'0'.repeat(32)}:0035`, '07', 8), [{ address: '::', inode: '8' }]],
    [
      'IPv6 loopback',
      row('00000000000000000000000001000000:0035', '07', 9),
      [{ address: '::1', inode: '9' }],
    ],
    ['another port', row('3500007F:0036', '07', 7), []],
    ['garbage', 'x y z\n\n', []],
  ])('%s', (_what, text, sockets) => {
    expect(parseTable(header + text, 'udp')).toEqual(sockets);
  });

  test('a TCP connection to port 53 is no listener', () => {
    expect(parseTable(header + row('0100007F:0035', '01', 1) + row('0100007F:0035', '0A', 2), 'tcp')).toEqual(
      [{ address: '127.0.0.1', inode: '2' }],
    );
  });

  test('the program that holds the socket is named by its inode', async () => {
    await put('proc/net/udp', header + row('3500007F:0035', '07', 4711) + row('0100007F:0035', '07', 4712));
    await put('proc/12/comm', 'dnsmasq\n');
    await mkdir(join(root, 'proc/12/fd'));
    await symlink('socket:[4711]', join(root, 'proc/12/fd/3'));
    expect(await listenersOnPort53(join(root, 'proc'))).toEqual([
      { protocol: 'udp', address: '127.0.0.53', process: 'dnsmasq' },
      { protocol: 'udp', address: '127.0.0.1' },
    ]);
  });

  test.each([
    ['0::/system.slice/dnsmasq.service\n', 'dnsmasq.service'],
    ['0::/system.slice/system-named.slice/named@lan.service\n', 'named@lan.service'],
    ['0::/user.slice/user-1000.slice/user@1000.service/app.slice/own.service\n', 'own.service'],
    ['0::/user.slice/session-2.scope\n', undefined],
    ['', undefined],
  ])('its service is named by its control group %j', async (cgroup, unit) => {
    await put('proc/net/udp', header + row('3500007F:0035', '07', 4711));
    await put('proc/12/comm', 'dnsmasq\n');
    await put('proc/12/cgroup', cgroup);
    await mkdir(join(root, 'proc/12/fd'));
    await symlink('socket:[4711]', join(root, 'proc/12/fd/3'));
    const [listener] = await listenersOnPort53(join(root, 'proc'));
    expect(listener?.unit).toBe(unit);
  });

  test('a socket that systemd keeps a copy of is its service’s', async () => {
    await put('proc/net/udp', header + row('3500007F:0035', '07', 4711) + row('3600007F:0035', '07', 4712));
    for (const [pid, name, sockets] of [
      ['1', 'systemd', [4711, 4712]],
      ['12', 'dnskeeperd', [4711]],
    ] as const) {
      await put(`proc/${pid}/comm`, `${name}\n`);
      await mkdir(join(root, `proc/${pid}/fd`));
      for (const inode of sockets) await symlink(`socket:[${inode}]`, join(root, `proc/${pid}/fd/${inode}`));
    }
    expect((await listenersOnPort53(join(root, 'proc'))).map(({ process }) => process)).toEqual([
      'dnskeeperd',
      'systemd',
    ]);
  });
});

describe('a probe', () => {
  /** A server on loopback that answers each question with what the test makes of it. */
  async function server(
    answer: (question: Buffer) => readonly Buffer[],
  ): Promise<{ port: number; close(): void }> {
    const socket = createSocket('udp4');
    socket.on('message', (question, from) => {
      for (const bytes of answer(question)) socket.send(bytes, from.port, from.address);
    });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return { port: socket.address().port, close: () => socket.close() };
  }
  const withCode = (question: Buffer, code: number): Buffer => {
    const answer = Buffer.from(question);
    answer.writeUInt16BE(0x8180 | code, 2);
    return answer;
  };
  const wrongId = (answer: Buffer): Buffer => {
    const other = Buffer.from(answer);
    other.writeUInt16BE(answer.readUInt16BE(0) ^ 1, 0);
    return other;
  };

  test.each([
    ['an answer', (q: Buffer) => [withCode(q, 0)], 'answered', 'NOERROR'],
    ['a failure, which is an answer too', (q: Buffer) => [withCode(q, 2)], 'answered', 'SERVFAIL'],
    ['a refusal', (q: Buffer) => [withCode(q, 5)], 'refused', 'REFUSED'],
    [
      'garbage, an echo and a wrong number before the answer',
      (q: Buffer) => [Buffer.from('x'), q, wrongId(withCode(q, 5)), withCode(q, 0)],
      'answered',
      'NOERROR',
    ],
  ])('tells %s', async (_what, answer, outcome, detail) => {
    const { port, close } = await server(answer);
    expect(await probeServer('127.0.0.1', port, 5000, signal)).toEqual({
      server: '127.0.0.1',
      outcome,
      detail,
    });
    close();
  });

  test('tells silence', async () => {
    const { port, close } = await server(() => []);
    expect(await probeServer('127.0.0.1', port, 20, signal)).toMatchObject({ outcome: 'timeout' });
    close();
  });

  test('tells a closed port at once', async () => {
    const { port, close } = await server(() => []);
    close();
    expect(await probeServer('127.0.0.1', port, 5000, signal)).toMatchObject({
      outcome: 'unreachable',
      detail: 'ECONNREFUSED',
    });
  });

  test('goes to where the resolver says that it answers', async () => {
    const { port, close } = await server((question) => [withCode(question, 0)]);
    const at = (address: string) =>
      lookAtMachine({
        paths: systemPaths(root),
        daemon: 'holding',
        probe: true,
        signal,
        resolver: { ...sampleStatus.resolver, addresses: [address] },
      });
    expect((await at(`127.0.0.1:${port}`)).resolver?.probe).toEqual({
      server: '127.0.0.1',
      outcome: 'answered',
      detail: 'NOERROR',
    });
    close();
    expect((await at(`127.0.0.1:${port}`)).resolver?.probe?.outcome).toBe('unreachable');
  });

  test('ends when it is told to', async () => {
    const { port, close } = await server(() => []);
    const stop = new AbortController();
    const probe = probeServer('127.0.0.1', port, 60_000, stop.signal);
    stop.abort();
    expect(await probe).toMatchObject({ outcome: 'timeout', detail: 'interrupted' });
    close();
  });
});
