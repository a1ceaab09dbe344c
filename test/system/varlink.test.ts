import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLog } from '../../src/system/log.ts';
import { serveVarlink, type VarlinkServer, type VarlinkServerOptions } from '../../src/system/varlink.ts';
import { callVarlink, streamVarlink } from '../../src/system/varlink-client.ts';
import { VarlinkError } from '../../src/system/varlink-frames.ts';
import type { Peer, VarlinkInterface } from '../../src/system/varlink-interface.ts';
import { rawSocket } from '../support/raw-socket.ts';
import { until } from '../support/until.ts';

const info = { vendor: 'v', product: 'p', version: '1', url: 'https://example.org' };
let folder: string;
let path: string;
let open: VarlinkServer[];
let hungUp: number;
let sends: ((parameters: Record<string, unknown>) => void)[];
let release: (() => void)[];
let peers: (Peer | undefined)[];

const sample: VarlinkInterface = {
  name: 'org.example.test',
  description:
    'interface org.example.test\n\nmethod Later() -> ()\n\nmethod Echo(text: string) -> (text: string)\n',
  methods: {
    Echo: {
      takes: ['text'],
      answer: ({ parameters, peer }) => {
        peers.push(peer);
        return { text: parameters['text'] };
      },
    },
    Refuse: {
      answer: () => {
        throw new VarlinkError('org.example.test.Refused', { because: 'of a test' });
      },
    },
    Break: {
      answer: () => {
        throw new Error('unforeseen');
      },
    },
    Wait: { answer: () => new Promise((resolve) => release.push(() => resolve({ waited: true }))) },
    Watch: {
      stream: ({ signal }, send) => {
        sends.push(send);
        signal.addEventListener('abort', () => hungUp++);
        send({ count: 0 });
      },
    },
  },
};

async function serve(options: Partial<VarlinkServerOptions> = {}): Promise<VarlinkServer> {
  const server = await serveVarlink({
    path,
    interfaces: [sample],
    info,
    log: silentLog,
    peerOf: () => ({ uid: 1000, pid: 1 }),
    ...options,
  });
  open.push(server);
  return server;
}

const call = (method: string, parameters = {}): string => `${JSON.stringify({ method, parameters })}\0`;
const echo = (text: string): string => call('org.example.test.Echo', { text });
const bounds = { deadlineMs: 15_000 };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'varlink-'));
  path = join(folder, 'socket');
  open = [];
  hungUp = 0;
  sends = [];
  release = [];
  peers = [];
});

afterEach(async () => {
  for (const server of open) await server.close();
  await rm(folder, { recursive: true });
});

describe('framing', () => {
  test('a call split at every byte is answered once', async () => {
    await serve();
    const client = await rawSocket(path);
    for (const byte of Buffer.from(echo('zwölf €'))) client.send(Uint8Array.of(byte));
    expect(await client.reply(1)).toEqual({ parameters: { text: 'zwölf €' } });
    client.socket.destroy();
  });

  test('calls that arrive in one piece are answered in order', async () => {
    await serve();
    const client = await rawSocket(path);
    client.send(echo('one') + echo('two') + echo('three'));
    await client.reply(3);
    expect(client.replies.map((r) => r['parameters'])).toEqual([
      { text: 'one' },
      { text: 'two' },
      { text: 'three' },
    ]);
    client.socket.destroy();
  });

  test('a client that closes its writing side after the call still gets the reply', async () => {
    await serve();
    const client = await rawSocket(path);
    client.socket.end(call('org.example.test.Wait'));
    await until(() => release.length === 1, 'the call');
    release[0]?.();
    expect(await client.reply(1)).toEqual({ parameters: { waited: true } });
    await client.untilClosed();
  });

  test.each([
    ['no JSON', 'hello\0'],
    ['a list', '[]\0'],
    ['a number', '7\0'],
    ['null', 'null\0'],
    ['an empty frame', '\0'],
    ['bytes that are no UTF-8', Uint8Array.of(0xff, 0xfe, 0)],
  ])('%s ends the connection and nothing else', async (_what, bytes) => {
    const server = await serve();
    const client = await rawSocket(path);
    client.send(bytes);
    await client.untilClosed();
    await until(() => server.connections === 0, 'the connection to be forgotten');
    expect(await callVarlink(path, 'org.example.test.Echo', { text: 'still there' }, bounds)).toEqual({
      text: 'still there',
    });
  });

  test('a frame over the bound ends the connection before it is held in memory', async () => {
    await serve();
    const client = await rawSocket(path);
    client.send('x'.repeat((1 << 20) + 1));
    await client.untilClosed();
  });

  test('a frame just under the bound is answered', async () => {
    await serve();
    const text = 'x'.repeat((1 << 20) - 200);
    expect(await callVarlink(path, 'org.example.test.Echo', { text }, bounds)).toEqual({ text });
  });

  test('calls piled up behind a slow one are bounded', async () => {
    await serve();
    const client = await rawSocket(path);
    client.send(call('org.example.test.Wait'));
    await until(() => release.length === 1, 'the slow call');
    client.send(echo('x').repeat(1100));
    await client.untilClosed();
    release[0]?.();
    await callVarlink(path, 'org.example.test.Echo', { text: 'another client' }, bounds);
    expect(peers).toHaveLength(1);
  });
});

describe('calls', () => {
  test.each([
    ['an unknown interface', { method: 'a.b.C' }, 'InterfaceNotFound', { interface: 'a.b' }],
    ['a name without a dot', { method: 'Echo' }, 'InterfaceNotFound', { interface: '' }],
    [
      'an unknown method',
      { method: 'org.example.test.Nope' },
      'MethodNotFound',
      { method: 'org.example.test.Nope' },
    ],
    [
      'a method of every object',
      { method: 'org.example.test.toString' },
      'MethodNotFound',
      { method: 'org.example.test.toString' },
    ],
    [
      'a method that is only described',
      { method: 'org.example.test.Later' },
      'MethodNotImplemented',
      { method: 'org.example.test.Later' },
    ],
    ['no method', {}, 'InvalidParameter', { parameter: 'method' }],
    [
      'an unknown field',
      { method: 'org.example.test.Echo', colour: 1 },
      'InvalidParameter',
      { parameter: 'colour' },
    ],
    [
      'an upgrade',
      { method: 'org.example.test.Echo', upgrade: true },
      'InvalidParameter',
      { parameter: 'upgrade' },
    ],
    [
      'more as text',
      { method: 'org.example.test.Echo', more: 'yes' },
      'InvalidParameter',
      { parameter: 'more' },
    ],
    [
      'more and oneway',
      { method: 'org.example.test.Watch', more: true, oneway: true },
      'InvalidParameter',
      { parameter: 'more' },
    ],
    [
      'parameters as a list',
      { method: 'org.example.test.Echo', parameters: [] },
      'InvalidParameter',
      { parameter: 'parameters' },
    ],
    ['a missing parameter', { method: 'org.example.test.Echo' }, 'InvalidParameter', { parameter: 'text' }],
    [
      'a parameter of another type',
      { method: 'org.example.test.Echo', parameters: { text: 7 } },
      'InvalidParameter',
      { parameter: 'text' },
    ],
    [
      'an unknown parameter',
      { method: 'org.example.test.Echo', parameters: { text: 'a', b: 1 } },
      'InvalidParameter',
      { parameter: 'b' },
    ],
    ['a stream without more', { method: 'org.example.test.Watch' }, 'ExpectedMore', {}],
  ])('%s is refused with %s', async (_what, message, error, parameters) => {
    await serve();
    const client = await rawSocket(path);
    client.send(`${JSON.stringify(message)}\0${echo('still open')}`);
    expect(await client.reply(1)).toEqual({ error: `org.varlink.service.${error}`, parameters });
    expect(await client.reply(2)).toEqual({ parameters: { text: 'still open' } });
    client.socket.destroy();
  });

  test('an error of the method reaches the client with its parameters', async () => {
    await serve();
    await expect(callVarlink(path, 'org.example.test.Refuse', {}, bounds)).rejects.toMatchObject({
      error: 'org.example.test.Refused',
      parameters: { because: 'of a test' },
    });
  });

  test('a method that fails in an unforeseen way costs its caller the connection, not the server', async () => {
    await serve();
    await expect(callVarlink(path, 'org.example.test.Break', {}, bounds)).rejects.toMatchObject({
      code: 'PROTOCOL',
    });
    await callVarlink(path, 'org.example.test.Echo', { text: 'a' }, bounds);
  });

  test('oneway runs the method and replies nothing, not even an error', async () => {
    await serve();
    const client = await rawSocket(path);
    const oneway = (method: string, parameters = {}): string =>
      `${JSON.stringify({ method, parameters, oneway: true })}\0`;
    client.send(oneway('org.example.test.Echo', { text: 'quiet' }) + oneway('a.b.C') + echo('loud'));
    expect(await client.reply(1)).toEqual({ parameters: { text: 'loud' } });
    expect(peers).toHaveLength(2);
    client.socket.destroy();
  });

  test('the method sees who calls', async () => {
    await serve({ peerOf: (fd) => (fd > 2 ? { uid: 4, pid: 5 } : undefined) });
    await callVarlink(path, 'org.example.test.Echo', { text: 'a' }, bounds);
    expect(peers).toEqual([{ uid: 4, pid: 5 }]);
  });

  test('the service describes itself', async () => {
    await serve();
    expect(await callVarlink(path, 'org.varlink.service.GetInfo', {}, bounds)).toEqual({
      ...info,
      interfaces: ['org.example.test', 'org.varlink.service'],
    });
    for (const each of ['org.example.test', 'org.varlink.service']) {
      const { description } = await callVarlink(
        path,
        'org.varlink.service.GetInterfaceDescription',
        { interface: each },
        bounds,
      );
      expect(description).toMatch(new RegExp(`^interface ${each}$`, 'm'));
    }
    await expect(
      callVarlink(path, 'org.varlink.service.GetInterfaceDescription', { interface: 'a.b' }, bounds),
    ).rejects.toMatchObject({ error: 'org.varlink.service.InterfaceNotFound' });
  });
});

describe('streams', () => {
  test('every reply of a stream arrives, until the client stops', async () => {
    await serve();
    const seen: unknown[] = [];
    for await (const { count } of streamVarlink(path, 'org.example.test.Watch', {}, bounds)) {
      seen.push(count);
      if (seen.length === 3) break;
      sends[0]?.({ count: seen.length });
    }
    expect(seen).toEqual([0, 1, 2]);
    await until(() => hungUp === 1, 'the stream to be ended on the server');
  });

  test('a stream ends without an error when its signal aborts', async () => {
    await serve();
    const stop = new AbortController();
    const seen: unknown[] = [];
    for await (const reply of streamVarlink(
      path,
      'org.example.test.Watch',
      {},
      { ...bounds, signal: stop.signal },
    )) {
      seen.push(reply);
      stop.abort();
    }
    expect(seen).toHaveLength(1);
  });

  test('a hang-up in the middle of a stream ends the subscription', async () => {
    const server = await serve();
    const client = await rawSocket(path);
    client.send(`${JSON.stringify({ method: 'org.example.test.Watch', more: true })}\0`);
    expect(await client.reply(1)).toEqual({ parameters: { count: 0 }, continues: true });
    client.socket.destroy();
    await until(() => hungUp === 1 && server.connections === 0, 'the subscription to end');
    sends[0]?.({ count: 1 });
  });

  test.each([
    ['many replies', 64],
    ['large replies', 1 << 20],
  ])('a subscriber that reads nothing is dropped, whether by %s', async (_what, size) => {
    const server = await serve({ limits: { outstandingReplies: 16, outstandingBytes: 4 << 20 } });
    const client = await rawSocket(path, { deaf: true });
    client.send(`${JSON.stringify({ method: 'org.example.test.Watch', more: true })}\0`);
    await until(() => sends.length === 1, 'the subscription');
    await until(() => {
      for (let i = 0; i < 100; i++) sends[0]?.({ text: 'x'.repeat(size) });
      return hungUp === 1;
    }, 'the slow subscriber to be dropped');
    await until(() => server.connections === 0, 'the connection to be forgotten');
    client.socket.destroy();
  });
});

describe('bounds of the server', () => {
  test('of 200 connections 128 stand and the others are refused', async () => {
    let uid = 1000;
    let told = 0;
    const server = await serve({
      peerOf: () => ({ uid: uid++, pid: 1 }),
      onConnection: () => {
        told++;
      },
    });
    const clients = await Promise.all(Array.from({ length: 200 }, () => rawSocket(path)));
    await until(() => clients.filter((c) => c.closed).length === 72, '72 refusals');
    expect([server.connections, told]).toEqual([128, 200]);
    clients.find((c) => !c.closed)?.socket.destroy();
    await until(() => server.connections === 127, 'one to go');
    await callVarlink(path, 'org.example.test.Echo', { text: 'room again' }, bounds);
    for (const client of clients) client.socket.destroy();
  });

  test('root gets in when other users hold every connection', async () => {
    let uid = 1000;
    await serve({ peerOf: () => ({ uid, pid: 1 }), limits: { connections: 2, reservedConnections: 1 } });
    const clients = await Promise.all([rawSocket(path), rawSocket(path)]);
    await expect(callVarlink(path, 'org.example.test.Echo', { text: 'user' }, bounds)).rejects.toMatchObject({
      code: 'PROTOCOL',
    });
    uid = 0;
    expect(await callVarlink(path, 'org.example.test.Echo', { text: 'root' }, bounds)).toEqual({
      text: 'root',
    });
    for (const client of clients) client.socket.destroy();
  });

  test('one user who holds all that a user may hold keeps nobody else out', async () => {
    let uid = 1000;
    const server = await serve({ peerOf: () => ({ uid, pid: 1 }) });
    const clients = await Promise.all(Array.from({ length: 100 }, () => rawSocket(path)));
    await until(() => clients.filter((c) => c.closed).length === 52, '52 refusals');
    expect(server.connections).toBe(48);
    uid = 1001;
    expect(await callVarlink(path, 'org.example.test.Echo', { text: 'other' }, bounds)).toEqual({
      text: 'other',
    });
    for (const client of clients) client.socket.destroy();
  });

  test('who calls and hangs up is counted until the call has ended, so that nobody has more calls than connections', async () => {
    const server = await serve({ limits: { connectionsPerUser: 2 } });
    for (let times = 0; times < 2; times++) {
      const client = await rawSocket(path);
      client.send(call('org.example.test.Wait'));
      await until(() => release.length === times + 1, 'the call');
      client.socket.destroy();
    }
    const refused = await rawSocket(path);
    await refused.untilClosed();
    expect(server.connections).toBe(2);
    for (const end of release) end();
    await until(() => server.connections === 0, 'both to be forgotten');
    await callVarlink(path, 'org.example.test.Echo', { text: 'room again' }, bounds);
  });

  test('who calls again and again and reads nothing is answered no further, and gets all answers when reading', async () => {
    await serve({ limits: { frameBytes: 4 << 20 } });
    const client = await rawSocket(path, { deaf: true });
    const text = 'x'.repeat(100_000);
    client.send(echo(text).repeat(30));
    // Kernel buffers take a few; then nothing is answered any more, however often the server has its turn.
    await until(async () => {
      const before = peers.length;
      for (let call = 0; call < 20; call++)
        await callVarlink(path, 'org.varlink.service.GetInfo', {}, bounds);
      return before > 0 && peers.length === before;
    }, 'the answers to stop');
    expect(peers.length).toBeLessThan(30);
    let bytes = 0;
    client.socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    await until(() => bytes >= 30 * text.length, 'the rest');
    expect(peers).toHaveLength(30);
    client.socket.destroy();
  });

  test('closing ends open streams and takes the socket away', async () => {
    const server = await serve();
    const client = await rawSocket(path);
    client.send(`${JSON.stringify({ method: 'org.example.test.Watch', more: true })}\0`);
    await client.reply(1);
    await server.close();
    await client.untilClosed();
    expect(hungUp).toBe(1);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('the socket file', () => {
  test('is open to every user', async () => {
    await serve();
    expect((await stat(path)).mode & 0o777).toBe(0o666);
  });

  test('that a killed daemon left behind is replaced', async () => {
    const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.stdout.write('up'))`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    expect(await readdir(folder)).toEqual(['socket']);
    await serve();
    await callVarlink(path, 'org.example.test.Echo', { text: 'a' }, bounds);
    expect(await readdir(folder)).toEqual(['socket']);
  });

  test('of a daemon that answers is left alone', async () => {
    await serve();
    await expect(serve()).rejects.toMatchObject({ code: 'LOCKED' });
    await callVarlink(path, 'org.example.test.Echo', { text: 'a' }, bounds);
  });

  test('is not made over another kind of file', async () => {
    await writeFile(path, 'precious');
    await expect(serve()).rejects.toMatchObject({ code: 'IO' });
  });

  test('with a path longer than the kernel takes is refused, not cut', async () => {
    path = join(folder, 'x'.repeat(120));
    await expect(serve()).rejects.toMatchObject({ code: 'IO' });
  });
});

describe('the client', () => {
  test('says that nothing runs when there is no socket', async () => {
    await expect(callVarlink(path, 'a.b.C', {}, bounds)).rejects.toMatchObject({ code: 'NOT_RUNNING' });
  });

  test('gives up at its deadline', async () => {
    await serve();
    await expect(callVarlink(path, 'org.example.test.Wait', {}, { deadlineMs: 20 })).rejects.toMatchObject({
      code: 'DEADLINE',
    });
  });
});
