import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { loadLibc } from '../../src/system/libc.ts';
import { silentLog } from '../../src/system/log.ts';
import { watchMemoryPressure } from '../../src/system/memory-pressure.ts';
import { temporaryFolder } from '../support/folder.ts';
import { manualClock } from '../support/manual-clock.ts';
import { until } from '../support/until.ts';

const STALLS = '/proc/pressure/memory';

function watched(path: string | undefined, write?: string, { koffi = true } = {}) {
  const clock = manualClock();
  let heard = 0;
  const env = { MEMORY_PRESSURE_WATCH: path, MEMORY_PRESSURE_WRITE: write };
  const watch = watchMemoryPressure(
    { env, libc: koffi ? loadLibc() : undefined, clock, log: silentLog },
    () => heard++,
  );
  onTestFinished(() => watch.close());
  return { watch, clock, heard: () => heard };
}

function fifo(): string {
  const path = join(temporaryFolder(), 'pressure');
  execFileSync('mkfifo', [path]);
  return path;
}

describe('memory pressure', () => {
  it('is heard by a FIFO, again and again, though its writers come and go', async () => {
    const path = fifo();
    const { watch, clock, heard } = watched(path);
    for (const times of [1, 2, 3]) {
      writeFileSync(path, 'x');
      await until(() => heard() === times, `it is heard ${times} times`);
      clock.advance(1000);
    }
    expect(watch.problem).toBeUndefined();
  });

  it('is told on once a second at most', async () => {
    const path = fifo();
    const { clock, heard } = watched(path);
    for (let i = 0; i < 20; i++) writeFileSync(path, 'x'.repeat(100));
    await until(() => heard() > 0, 'it is heard');
    clock.advance(999);
    writeFileSync(path, 'x');
    await new Promise((resolve) => setImmediate(resolve));
    expect(heard()).toBe(1);
    clock.advance(1);
    await until(() => {
      writeFileSync(path, 'x');
      return heard() === 2;
    }, 'it is heard again');
  });

  it('is heard by a socket, into which is written first what the service manager wants', async () => {
    const path = join(temporaryFolder(), 'pressure');
    const { promise, resolve } = Promise.withResolvers<[Socket, string]>();
    const server = createServer((socket) => {
      onTestFinished(() => void socket.destroy());
      socket.once('data', (data) => resolve([socket, data.toString()]));
    }).listen(path);
    onTestFinished(() => void server.close());
    const { watch, heard } = watched(path, Buffer.from('some 200000 2000000').toString('base64'));
    const [socket, text] = await promise;
    expect(text).toBe('some 200000 2000000');
    socket.write('x');
    await until(() => heard() === 1, 'it is heard');
    socket.end();
    await until(() => watch.problem !== undefined, 'the end is noticed');
    expect(watch.problem).toMatch(/goes unnoticed/);
  });

  it.each<[string, string | undefined]>([
    ['nothing is said', undefined],
    ['it is switched off', '/dev/null'],
    ['the word is empty', ''],
  ])('is not watched where %s', (_, path) => {
    expect(watched(path).watch.problem).toBeUndefined();
  });

  it.each<[string, string, boolean, RegExp]>([
    ['a file that is not there', '/nonexistent/memory.pressure', true, /ENOENT/],
    ['a path that depends on the folder we are in', 'memory.pressure', true, /wanted a whole path/],
    ['a folder', '/', true, /wanted a file of the kernel/],
    ['a file of the kernel without koffi', import.meta.filename, false, /koffi is needed/],
  ])('says why it cannot be watched: %s', (_, path, koffi, problem) => {
    expect(watched(path, undefined, { koffi }).watch.problem).toMatch(problem);
  });

  it('is told by what is written into the file first when to be heard, and the wait ends when it is to', async () => {
    const path = join(temporaryFolder(), 'file');
    writeFileSync(path, '');
    const { watch, heard } = watched(path, Buffer.from('some 1 2').toString('base64'));
    expect(readFileSync(path, 'utf8')).toBe('some 1 2');
    await watch.close();
    await watch.close();
    expect(heard()).toBe(0);
  });

  it.skipIf(!existsSync(STALLS) || process.getuid?.() !== 0)(
    'is waited for at the kernel, and the wait ends at once when it is to (needs PSI and root)',
    async () => {
      const { watch, heard } = watched(STALLS, Buffer.from('some 200000 2000000\0').toString('base64'));
      expect(watch.problem).toBeUndefined();
      await watch.close();
      expect([watch.problem, heard()]).toEqual([undefined, 0]);
    },
  );
});
