import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { expect, it, onTestFinished } from 'vitest';

/** SIGRTMIN+1 of the C library, as kill(1) counts it. */
const SIGRTMIN_1 = 35;

const module = (name: string): string =>
  JSON.stringify(new URL(`../../src/system/${name}.ts`, import.meta.url).href);

/** A program that hears SIGRTMIN+1, and says so; `prepare` runs before. */
async function program(prepare = ''): Promise<{
  readonly child: ChildProcess;
  readonly says: () => Promise<string>;
}> {
  const script = `
    const { openSync } = await import('node:fs');
    const { loadLibc } = await import(${module('libc')});
    const { hearRealTimeSignal } = await import(${module('real-time-signal')});
    const libc = loadLibc();
    ${prepare}
    const log = { info: (_, text) => console.log(text), child: () => log };
    const signal = hearRealTimeSignal(libc, 1, log);
    signal.onSignal(() => console.log('heard'));
    process.on('SIGUSR2', () => { signal.close(); console.log('closed'); });
    setInterval(() => {}, 1000);
    console.log('ready');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  return { child, says: async () => String((await lines.next()).value) };
}

it('SIGRTMIN+1 is heard each time, and does nothing once nobody listens', async () => {
  const { child, says } = await program();
  expect(await says()).toBe('ready');
  for (let i = 0; i < 20; i++) {
    process.kill(child.pid ?? 0, SIGRTMIN_1);
    expect(await says()).toBe('heard');
  }
  child.kill('SIGUSR2');
  expect(await says()).toBe('closed');
  process.kill(child.pid ?? 0, SIGRTMIN_1);
  child.kill('SIGTERM');
  const [, by] = await once(child, 'exit');
  expect(by, 'the other signal did not end it before').toBe('SIGTERM');
});

// A handler that wrote to it all the same would write into whatever somebody else has open there.
it('where the descriptor of its number is in use, it is told and the signal does nothing', async () => {
  const { child, says } = await program("while (openSync('/dev/null', 'r') < 35);");
  expect(await says()).toMatch(/cannot be heard/);
  expect(await says()).toBe('ready');
  process.kill(child.pid ?? 0, SIGRTMIN_1);
  child.kill('SIGTERM');
  const [, by] = await once(child, 'exit');
  expect(by).toBe('SIGTERM');
});
