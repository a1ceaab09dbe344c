import { spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Address, parseAddress } from '../../src/core/address.ts';
import { type Libc, loadLibc } from '../../src/system/libc.ts';
import { givenDescriptors, type SocketStore, socketStore } from '../../src/system/listen-fds.ts';
import { silentLog } from '../../src/system/log.ts';
import { noIpv6 } from '../support/ipv6.ts';
import { unless } from '../support/root-only.ts';

const libc = loadLibc((reason) => {
  throw new Error(reason);
}) as Libc;

describe('the descriptors that a service manager gives', () => {
  it.each([
    ['two with names', { LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:b' }, ['3 a', '4 b']],
    ['without names', { LISTEN_PID: '7', LISTEN_FDS: '1' }, ['3 ']],
    ['for another process', { LISTEN_PID: '8', LISTEN_FDS: '1' }, []],
    ['none', {}, []],
    ['a count that is no number', { LISTEN_PID: '7', LISTEN_FDS: '1e3' }, []],
    ['a count below zero', { LISTEN_PID: '7', LISTEN_FDS: '-1' }, []],
    ['more than any process has', { LISTEN_PID: '7', LISTEN_FDS: '99999' }, []],
  ])('%s', (_, env, wanted) => {
    expect(givenDescriptors(env, 7).map(({ fd, name }) => `${fd} ${name}`)).toEqual(wanted);
  });
});

describe('what the kernel says of a descriptor', () => {
  it.each([
    ['a UDP socket', () => udp('127.0.0.1'), { kind: 'udp', listening: false, host: '127.0.0.1' }],
    ['a listening TCP socket', () => tcp('127.0.0.1'), { kind: 'tcp', listening: true, host: '127.0.0.1' }],
    ['a TCP socket that does not listen', plainTcp, { kind: 'tcp', listening: false }],
  ])('%s', (_, open, wanted) => {
    expect(libc.sockets.describe(open())).toMatchObject(wanted);
  });

  it.skipIf(noIpv6 !== undefined)(unless(noIpv6, 'a UDP socket over IPv6'), () => {
    expect(libc.sockets.describe(udp('::1'))).toMatchObject({ kind: 'udp', listening: false, host: '::1' });
  });

  it('a file, a Unix socket and a closed descriptor are none', () => {
    expect(libc.sockets.describe(held(openSync('/dev/null', 'r')))).toBeUndefined();
    const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
    onTestFinished(() => void child.kill());
    const fd = (child.stdin as unknown as { _handle: { fd: number } })._handle.fd;
    expect(libc.sockets.describe(fd)).toBeUndefined();
    expect(libc.sockets.describe(9999)).toBeUndefined();
  });
});

describe('the sockets that outlive the process', () => {
  it('are kept under names that tell the place, and taken once by who wants that place', () => {
    const first = manager();
    first.store.keep({ kind: 'udp', host: '127.0.0.53', port: 53 }, 20);
    first.store.keep({ kind: 'tcp', host: '::1', port: 53 }, 21);
    first.store.keep({ kind: 'udp', host: '127.0.0.53', port: 53 }, 22);
    expect(first.said).toEqual([
      'keep udp-53-127.0.0.53-0 20',
      'keep tcp-53-__1-0 21',
      'keep udp-53-127.0.0.53-1 22',
    ]);
    const fd = udp('127.0.0.1');
    const place = placeOf(fd);
    const { store, said } = manager({ [`udp-${place.port}-127.0.0.1-0`]: fd });
    expect(store.take({ ...place, port: 1 })).toBeUndefined();
    expect(store.take({ ...place, kind: 'tcp' })).toBeUndefined();
    expect(store.take({ ...place, reusePort: true }), 'it would not share its port').toBeUndefined();
    expect(store.take(place)).toBe(fd);
    expect(store.take(place)).toBeUndefined();
    store.keep(place, fd);
    store.forget(place.host, place.port);
    expect(said, 'the name of the taken one stays in use').toEqual([
      `keep udp-${place.port}-127.0.0.1-1 ${fd}`,
      `forget udp-${place.port}-127.0.0.1-0`,
      `forget udp-${place.port}-127.0.0.1-1`,
    ]);
  });

  it('stay kept while they wait to be taken, whatever becomes of others at their address', () => {
    const fd = udp('127.0.0.1');
    const place = placeOf(fd);
    const { store, said } = manager({ [`udp-${place.port}-127.0.0.1-0`]: fd });
    store.forget(place.host, place.port);
    expect(said).toEqual([]);
    expect(store.take(place)).toBe(fd);
    store.forget(place.host, place.port);
    expect(said).toEqual([`forget udp-${place.port}-127.0.0.1-0`]);
  });

  it('that wait again for their place are taken from there, or closed and kept no more', () => {
    const fd = udp('127.0.0.1');
    const place = placeOf(fd);
    const { store, said } = manager();
    store.keep(place, fd);
    store.hold(place, fd);
    store.forget(place.host, place.port);
    expect(store.take(place)).toBe(fd);
    expect(store.take(place)).toBeUndefined();
    store.hold(place, fd);
    store.closeRest();
    expectClosed(fd);
    const name = `udp-${place.port}-127.0.0.1-0`;
    expect(said).toEqual([`keep ${name} ${fd}`, `forget ${name}`]);
  });

  it('are closed and kept no more when nobody wants them', () => {
    const fd = udp('127.0.0.1');
    const { store, said } = manager({ 'udp-53-127.0.0.53-0': fd });
    store.closeRest();
    expect(said).toEqual(['forget udp-53-127.0.0.53-0']);
    expectClosed(fd);
    store.closeRest();
    expect(said.length).toBe(1);
  });

  it('are checked: what is no socket, or one that does not listen, is closed at once', () => {
    const file = held(openSync('/dev/null', 'r'));
    const silent = plainTcp();
    const { store, said } = manager({ 'udp-53-127.0.0.53-0': file, 'tcp-53-127.0.0.53-0': silent });
    expect(said).toEqual(['forget udp-53-127.0.0.53-0', 'forget tcp-53-127.0.0.53-0']);
    expectClosed(file);
    expectClosed(silent);
    expect(store.take({ kind: 'tcp', host: '0.0.0.0', port: 0 })).toBeUndefined();
  });

  it('of a socket unit stay the unit’s: they are used, and never told to be forgotten', () => {
    const used = tcp('127.0.0.1');
    const left = udp('127.0.0.1');
    const { store, said } = manager({ 'dnskeeper.socket': used, 'dnskeeper.socket ': left });
    const place = placeOf(used);
    expect(store.take(place)).toBe(used);
    store.closeRest();
    store.forget(place.host, place.port);
    expect(said).toEqual([]);
    expectClosed(left);
  });
});

/** A store over descriptors that came under these names. */
function manager(given: Readonly<Record<string, number>> = {}): { store: SocketStore; said: string[] } {
  const said: string[] = [];
  const real = Object.values(given);
  // Descriptors come from 3 on; where they really are is told by their place in the list.
  const at = (fd: number): number => real[fd - 3] ?? fd;
  const store = socketStore({
    env: {
      LISTEN_PID: '7',
      LISTEN_FDS: String(real.length),
      LISTEN_FDNAMES: Object.keys(given)
        .map((name) => name.trim())
        .join(':'),
    },
    pid: 7,
    libc,
    notifier: {
      store: (name, fd) => void said.push(`keep ${name} ${fd}`),
      unstore: (name) => void said.push(`forget ${name}`),
    },
    log: silentLog,
    descriptorAt: at,
  });
  return { store, said };
}

const addressOf = (host: string): Address => {
  const address = parseAddress(host);
  if (!address.ok) throw new Error(host);
  return address.value;
};

const udp = (host: string): number => held(libc.datagrams.bindUdp(addressOf(host), 0));
const tcp = (host: string): number => held(libc.sockets.listenTcp(addressOf(host), 0));
function plainTcp(): number {
  return held(libc.tcpSocketOnLink(4, 'lo'));
}

function placeOf(fd: number): { kind: 'udp' | 'tcp'; host: string; port: number } {
  const facts = libc.sockets.describe(fd);
  if (facts === undefined) throw new Error(`descriptor ${fd} is no socket`);
  return { kind: facts.kind, host: facts.host, port: facts.port };
}

/** Numbers that may be somebody else's by the end of the test. */
const gone = new Set<number>();

function expectClosed(fd: number): void {
  expect(() => fstatSync(fd)).toThrow('EBADF');
  gone.add(fd);
}

/** Closed at the end of the test, unless it was seen closed. */
function held(fd: number): number {
  gone.delete(fd);
  onTestFinished(() => {
    if (!gone.delete(fd)) closeSync(fd);
  });
  return fd;
}
