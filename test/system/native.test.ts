import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseAddress } from '../../src/core/address.ts';
import { type Libc, loadLibc } from '../../src/system/libc.ts';
import { takeLock } from '../../src/system/lock.ts';
import { silentLog } from '../../src/system/log.ts';
import { serviceNotifier } from '../../src/system/notify.ts';
import { temporaryFolder } from '../support/folder.ts';
import { freePort } from '../support/free-port.ts';
import { noIpv6 } from '../support/ipv6.ts';
import { manualClock } from '../support/manual-clock.ts';
import { recordingLog } from '../support/recording-log.ts';
import { noImmutable, run, unless } from '../support/root-only.ts';
import { must } from '../support/sample-status.ts';
import { until } from '../support/until.ts';

/** koffi is a dependency of ours, so here it must load. */
const libc: Libc = loadLibc((reason) => {
  throw new Error(reason);
}) as Libc;

/** A program that holds the lock until it is ended. */
async function holder(path: string, libcToo: boolean): Promise<ChildProcess> {
  const script = `
    const { takeLock } = await import(${JSON.stringify(new URL('../../src/system/lock.ts', import.meta.url).href)});
    const { loadLibc } = await import(${JSON.stringify(new URL('../../src/system/libc.ts', import.meta.url).href)});
    await takeLock(process.env.LOCK, ${libcToo} ? loadLibc() : undefined);
    console.log('held');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, LOCK: path },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let said = '';
  child.stdout.on('data', (data) => {
    said += String(data);
  });
  await until(() => said.includes('held'), 'the other process holds the lock');
  return child;
}

describe.each([
  ['held by the kernel', libc],
  ['held by its content alone', undefined],
] as const)('a lock %s', (_, maybeLibc) => {
  it('lets one in, names the holder to the second, and lets the next in after a SIGKILL', async () => {
    const path = join(temporaryFolder(), 'lock');
    const child = await holder(path, maybeLibc !== undefined);
    await expect(takeLock(path, maybeLibc)).rejects.toMatchObject({
      code: 'LOCKED',
      message: expect.stringContaining(`process ${child.pid} (`),
    });
    const gone = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGKILL');
    await gone;
    const lock = await takeLock(path, maybeLibc);
    expect(readFileSync(path, 'utf8')).toMatch(new RegExp(`^${process.pid} [0-9]+ `));
    lock.release();
  });

  it('tells what is wrong when the folder is missing', async () => {
    const attempt = takeLock(join(temporaryFolder(), 'missing/lock'), maybeLibc);
    await expect(attempt).rejects.toMatchObject({
      code: 'IO',
      message: expect.stringMatching(/ENOENT; check/),
    });
  });

  it('is not shut out by rubbish in the file', async () => {
    const path = join(temporaryFolder(), 'lock');
    writeFileSync(path, '\u0000 not a holder');
    (await takeLock(path, maybeLibc)).release();
  });
});

it('a lock that was released can be taken again in the same process', async () => {
  const path = join(temporaryFolder(), 'lock');
  (await takeLock(path, libc)).release();
  const again = await takeLock(path, libc);
  await expect(takeLock(path, libc)).rejects.toMatchObject({ code: 'LOCKED' });
  again.release();
});

describe('the C library', () => {
  it('tells who is on the other end of a socket', async () => {
    const path = join(temporaryFolder(), 'socket');
    const accepted = new Promise<Socket>((resolve) => {
      const server = createServer(resolve);
      onTestFinished(() => void server.close());
      server.listen(path, () => {
        const client = connect(path);
        onTestFinished(() => void client.destroy());
      });
    });
    const socket = await accepted;
    onTestFinished(() => void socket.destroy());
    const fd = (socket as unknown as { _handle: { fd: number } })._handle.fd;
    expect(libc.peerCredentials(fd)).toEqual({
      pid: process.pid,
      uid: process.getuid?.(),
      gid: process.getgid?.(),
    });
  });

  it('refuses to tell about something that is no socket', () => {
    const fd = openSync('/dev/null', 'r');
    try {
      expect(() => libc.peerCredentials(fd)).toThrow(expect.objectContaining({ code: 'IO' }));
    } finally {
      closeSync(fd);
    }
  });

  it('does not know the immutable flag of what has none', () => {
    expect(libc.isImmutable('/proc/self/comm')).toBeUndefined();
    expect(libc.isImmutable('/nowhere/at/all')).toBeUndefined();
  });

  it.skipIf(noImmutable !== undefined)(unless(noImmutable, 'sees the immutable flag'), () => {
    const path = join(temporaryFolder(), 'file');
    writeFileSync(path, '');
    expect(libc.isImmutable(path)).toBe(false);
    run('chattr', '+i', path);
    try {
      expect(libc.isImmutable(path)).toBe(true);
    } finally {
      run('chattr', '-i', path);
    }
  });
});

/** A service manager's socket: binds, says so, then prints each datagram in one line. Node itself has no such socket. */
const LISTENER = `
import os, socket, sys
name = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind('\\0' + name[1:] if name.startswith('@') else name)
print('listening', flush=True)
while True:
    print(s.recv(4096).decode().replace('\\n', '|'), flush=True)
`;

const noPython: string | undefined = (() => {
  try {
    run('python3', '-c', '');
    return undefined;
  } catch {
    return 'needs python3, because Node cannot open a Unix datagram socket to listen on';
  }
})();

describe.skipIf(noPython !== undefined)(unless(noPython, 'messages to systemd'), () => {
  async function manager(name: string): Promise<() => readonly string[]> {
    const child = spawn('python3', ['-c', LISTENER, name], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    let said = '';
    child.stdout.on('data', (data) => {
      said += String(data);
    });
    const lines = (): readonly string[] => said.split('\n').filter((line) => line !== '');
    await until(() => lines()[0] === 'listening', 'the service manager listens');
    return lines;
  }

  it.each(['path', 'abstract'])('arrive at a socket with a name of the kind %s', async (kind) => {
    const path = join(temporaryFolder(), 'notify');
    const name = kind === 'path' ? path : `@dnskeeper-test-${process.pid}-${Date.now()}`;
    const lines = await manager(name);
    const notifier = serviceNotifier({ NOTIFY_SOCKET: name }, libc, silentLog);
    notifier.ready();
    notifier.status('two servers\nSTOPPING=1');
    notifier.stopping();
    await until(() => lines().length >= 4 && lines()[3] === 'STOPPING=1', 'all three messages came');
    expect(lines().slice(1)).toEqual(['READY=1', 'STATUS=two servers STOPPING=1', 'STOPPING=1']);
  });
});

/** The same for descriptors: prints the text, and for each descriptor that came along the port its socket is bound to. */
const TAKER = `
import array, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('listening', flush=True)
while True:
    text, control, _, _ = s.recvmsg(4096, socket.CMSG_LEN(4 * 8))
    fds = array.array('i')
    for level, kind, data in control:
        assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
    ports = [str(socket.socket(fileno=fd).getsockname()[1]) for fd in fds]
    print(text.decode().replace('\\n', '|'), *ports, flush=True)
`;

describe.skipIf(noPython !== undefined)(unless(noPython, 'descriptors for systemd'), () => {
  it('arrive as copies of what was sent, beside the text', async () => {
    const path = join(temporaryFolder(), 'notify');
    const child = spawn('python3', ['-c', TAKER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    let said = '';
    child.stdout.on('data', (data) => {
      said += String(data);
    });
    await until(() => said.includes('listening'), 'the service manager listens');
    const loopback = { family: 4, bytes: [127, 0, 0, 1], kind: 'loopback' } as const;
    const descriptors = [libc.datagrams.bindUdp(loopback, 0), libc.sockets.listenTcp(loopback, 0)];
    onTestFinished(() => descriptors.forEach((fd) => void closeSync(fd)));
    const [udp, tcp] = descriptors.map((fd) => libc.sockets.describe(fd)?.port);
    const notifier = serviceNotifier({ NOTIFY_SOCKET: path }, libc, silentLog);
    notifier.store('udp-a', descriptors[0] as number);
    libc.notify(path, 'both', descriptors);
    notifier.unstore('udp-a');
    await until(() => said.split('\n').length >= 5, 'all three messages came');
    expect(said.split('\n').slice(1, 4)).toEqual([
      `FDSTORE=1|FDNAME=udp-a|FDPOLL=0 ${udp}`,
      `both ${udp} ${tcp}`,
      'FDSTOREREMOVE=1|FDNAME=udp-a',
    ]);
  });
});

describe('the notifier', () => {
  const sent = (): { libc: Libc; texts: string[] } => {
    const texts: string[] = [];
    return { libc: { ...libc, notify: (_, text) => void texts.push(text) }, texts };
  };

  it('is silent where no service manager asks', () => {
    const { libc: fake, texts } = sent();
    const notifier = serviceNotifier({ WATCHDOG_USEC: 'rubbish' }, fake, silentLog);
    notifier.ready();
    notifier.watchdog(manualClock())();
    expect(texts).toEqual([]);
  });

  it('pings at half the time that the watchdog allows, until told to stop', () => {
    const { libc: fake, texts } = sent();
    const clock = manualClock();
    const env = { NOTIFY_SOCKET: '/x', WATCHDOG_USEC: '30000000', WATCHDOG_PID: String(process.pid) };
    const stop = serviceNotifier(env, fake, silentLog).watchdog(clock);
    clock.advance(15_000);
    clock.advance(14_999);
    expect(texts).toEqual(['WATCHDOG=1', 'WATCHDOG=1']);
    stop();
    clock.advance(100_000);
    expect(texts.length).toBe(2);
  });

  it('leaves the watchdog of another process alone', () => {
    const { libc: fake, texts } = sent();
    const env = { NOTIFY_SOCKET: '/x', WATCHDOG_USEC: '30000000', WATCHDOG_PID: '1' };
    serviceNotifier(env, fake, silentLog).watchdog(manualClock());
    expect(texts).toEqual([]);
  });

  it('says once that nothing can be sent, and goes on', () => {
    const log = recordingLog();
    const notifier = serviceNotifier({ NOTIFY_SOCKET: '/nowhere/notify' }, libc, log);
    notifier.ready();
    notifier.stopping();
    expect(log.lines).toEqual([
      expect.objectContaining({ level: 'warn', text: expect.stringMatching(/not sent/) }),
    ]);
  });

  it('says that the native library is missing', () => {
    const log = recordingLog();
    serviceNotifier({ NOTIFY_SOCKET: '/x' }, undefined, log).ready();
    expect(log.lines).toEqual([expect.objectContaining({ text: expect.stringMatching(/koffi is missing/) })]);
  });
});

it.each(noIpv6 === undefined ? ['192.0.2.1', '2001:db8::1'] : ['192.0.2.1'])(
  'a socket may have %s, which the machine does not have yet',
  async (text) => {
    const address = must(parseAddress(text));
    const port = await freePort();
    expect(() => libc.sockets.listenTcp(address, port)).toThrow(`listen on TCP port ${port}`);
    expect(() => libc.datagrams.bindUdp(address, port)).toThrow(`bind a UDP socket to port ${port}`);
    for (const fd of [
      libc.sockets.listenTcp(address, port, { freeBind: true }),
      libc.datagrams.bindUdp(address, port, { freeBind: true }),
    ]) {
      expect(libc.sockets.describe(fd)).toMatchObject({ host: text, port });
      closeSync(fd);
    }
  },
);
