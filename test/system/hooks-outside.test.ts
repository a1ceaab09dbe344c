import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { bundle } from '../../scripts/bundle.ts';
import {
  formatHookCall,
  formatHookResults,
  type HookCall,
  parseHookCall,
  parseHookResults,
} from '../../src/core/hook-call.ts';
import { runHooksOutside } from '../../src/system/hooks-outside.ts';
import { temporaryFolder } from '../support/folder.ts';
import { until } from '../support/until.ts';

const scratch = mkdtempSync(join(tmpdir(), 'dnskeeper-test-'));
const live = new AbortController().signal;

beforeAll(async () => {
  await bundle(join(import.meta.dirname, '../..'), scratch, { hooks: 'src/system/hooks-program.ts' });
}, 60_000);
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A folder with programs in it, and where nobody listens yet. */
function machine(programs: Readonly<Record<string, string>>) {
  const root = temporaryFolder('hooks.d');
  for (const [name, script] of Object.entries(programs))
    writeFileSync(join(root, 'hooks.d', name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const folder = join(root, 'hooks.d');
  const socket = join(root, 'socket');
  const run = (own: Partial<HookCall> = {}, signal = live) =>
    runHooksOutside({ folder, stdin: 'told\n', environment: {}, deadlineMs: 10_000, signal, ...own }, socket);
  return { root, folder, socket, run };
}

/** Do something with each connection, in systemd's place. */
async function listen(path: string, accept: (socket: Socket) => void): Promise<void> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, accept);
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(path, resolve));
}

/** The program for each connection, which it has as standard input and output. */
const startProgram = (socket: Socket): void => {
  const child = spawn(process.execPath, [join(scratch, 'hooks.mjs')], { stdio: [socket, socket, 'ignore'] });
  socket.destroy();
  onTestFinished(() => void child.kill('SIGKILL'));
};

describe('programs of a folder, run by another process', () => {
  it('are told what changed, and how each ended comes back', async () => {
    const { root, socket, run } = machine({
      a: 'cat > "$(dirname "$0")/../heard"; echo "$DNSKEEPER_CAUSE $PPID" >> "$(dirname "$0")/../heard"',
      b: 'echo "no way" >&2; exit 4',
    });
    await listen(socket, startProgram);
    expect(await run({ environment: { DNSKEEPER_CAUSE: 'a test' } })).toEqual([
      { name: 'a' },
      { name: 'b', problem: 'it ended with 4: no way' },
    ]);
    const [told, cause] = readFileSync(join(root, 'heard'), 'utf8').split('\n');
    expect([told, cause?.replace(/[0-9]+$/, '')]).toEqual(['told', 'a test ']);
    expect(cause).not.toMatch(new RegExp(` ${process.pid}$`)); // it was not us
  });

  it('get a plan of a megabyte', async () => {
    const { root, socket, run } = machine({ a: 'wc -c > "$(dirname "$0")/../heard"' });
    await listen(socket, startProgram);
    expect(await run({ stdin: 'x'.repeat(1 << 20) })).toEqual([{ name: 'a' }]);
    expect(readFileSync(join(root, 'heard'), 'utf8').trim()).toBe(String(1 << 20));
  });

  it('end when we end', async () => {
    const { root, socket, run } = machine({ a: 'echo $$ > "$(dirname "$0")/../pid"; exec sleep 987' });
    await listen(socket, startProgram);
    const stop = new AbortController();
    const running = run({}, stop.signal);
    await until(
      () => existsSync(join(root, 'pid')) && readFileSync(join(root, 'pid'), 'utf8') !== '',
      'it runs',
    );
    stop.abort();
    expect(await running).toEqual([{ name: '', problem: 'dnskeeperd ended before it did' }]);
    const pid = readFileSync(join(root, 'pid'), 'utf8').trim();
    await until(
      () => !existsSync(`/proc/${pid}`) || /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')),
      'it ended',
    );
  });

  it('are run from here where nobody listens', async () => {
    const { root, run } = machine({ a: 'echo $PPID > "$(dirname "$0")/../heard"' });
    expect(await run()).toEqual([{ name: 'a' }]);
    expect(readFileSync(join(root, 'heard'), 'utf8').trim()).toBe(String(process.pid));
  });

  it('cost no process where there are none', async () => {
    const { socket, run } = machine({});
    let connections = 0;
    await listen(socket, () => connections++);
    expect(await run()).toEqual([]);
    expect(connections).toBe(0);
  });

  it.each<[string, (socket: Socket) => void, RegExp]>([
    ['nothing', (socket) => socket.end(), /ended without an answer; see journalctl/],
    ['half of it', (socket) => socket.end('{"results":[{"na'), /ended without an answer/],
    ['something else', (socket) => socket.end('{"results":[{"name":1}]}\n'), /ended without an answer/],
    ['without end', (socket) => void socket.write('x'.repeat(1 << 20)), /more than 65536 bytes/],
  ])('that are answered for with %s are told', async (_what, accept, problem) => {
    const { socket, run } = machine({ a: 'exit 0' });
    await listen(socket, (peer) => {
      peer.on('error', () => {});
      accept(peer);
    });
    expect(await run()).toEqual([{ name: '', problem: expect.stringMatching(problem) }]);
  });
});

describe('the program that runs them', () => {
  it.each([
    ['nothing', ''],
    ['no JSON', 'rm -rf /\n'],
    ['a folder that is no path', '{"folder":"etc","stdin":"","environment":{},"deadlineMs":1}\n'],
    ['an end in the middle', '{"folder":"/etc"'],
  ])('refuses %s', async (_what, input) => {
    const child = spawn(process.execPath, [join(scratch, 'hooks.mjs')]);
    let err = '';
    child.stderr.on('data', (piece) => {
      err += String(piece);
    });
    child.stdin.end(input);
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(1);
    expect(err).toMatch(/^dnskeeper hooks: wanted a call of dnskeeperd, got (an end|something else)\n$/);
  });
});

describe('a call', () => {
  const call: HookCall = {
    folder: '/etc/dnskeeper/hooks.d',
    stdin: 'a\n"b"',
    environment: { DNSKEEPER_CAUSE: 'x' },
    deadlineMs: 10_000,
  };

  it('is read as it was written, on one line', () => {
    const text = formatHookCall(call);
    expect(text.indexOf('\n')).toBe(text.length - 1);
    expect(parseHookCall(text)).toEqual(call);
    const results = [{ name: 'a' }, { name: 'b', problem: 'x\ny' }];
    expect(parseHookResults(formatHookResults(results))).toEqual(results);
  });

  it.each<[string, unknown]>([
    ['another variable of the environment', { ...call, environment: { LD_PRELOAD: '/x' } }],
    ['a NUL in one', { ...call, environment: { DNSKEEPER_CAUSE: 'a\0b' } }],
    ['no time', { ...call, deadlineMs: 0 }],
    ['too much time', { ...call, deadlineMs: 1e9 }],
    ['no number', { ...call, deadlineMs: '1' }],
    ['a list', [call]],
    ['nothing', null],
  ])('with %s is none', (_what, value) => {
    expect(parseHookCall(JSON.stringify(value))).toBeUndefined();
  });
});
