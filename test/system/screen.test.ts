import { EventEmitter } from 'node:events';
import { describe, expect, test, vi } from 'vitest';
import { openScreen } from '../../src/system/screen.ts';

/** Two ends of a terminal that write down what happens to them. */
function fakeTerminal(isTTY = true) {
  const done: string[] = [];
  const input = Object.assign(new EventEmitter(), {
    isTTY,
    setRawMode: (raw: boolean) => void done.push(raw ? 'raw' : 'cooked'),
    resume: () => void done.push('resume'),
    pause: () => void done.push('pause'),
  });
  const output = Object.assign(new EventEmitter(), {
    isTTY,
    columns: 60,
    rows: 3,
    write: (text: string) => void done.push(text),
  });
  const keys: string[] = [];
  const events = { key: (key: string) => void keys.push(key), resized: vi.fn() };
  const open = () => openScreen(input as never, output as never, events);
  return { input, output, done, keys, events, open };
}

describe('the screen', () => {
  test('is none where input or output is no terminal', () => {
    const { open, done } = fakeTerminal(false);
    expect(open()).toBeUndefined();
    expect(done).toEqual([]);
  });

  test('is taken and given back whole, and leaves nobody listening', () => {
    const listening = (): number => process.listenerCount('exit') + process.listenerCount('SIGCONT');
    const before = listening();
    const { open, done, input, output } = fakeTerminal();
    const screen = open();
    expect(done).toEqual(['raw', '\u001b[?1049h\u001b[?25l', 'resume']);
    done.length = 0;
    screen?.close();
    expect(done).toEqual(['pause', '\u001b[?25h\u001b[?1049l', 'cooked']);
    expect([listening(), input.listenerCount('data'), output.listenerCount('resize')]).toEqual([
      before,
      0,
      0,
    ]);
  });

  test('shows no more lines than it has rows, also after it became smaller', () => {
    const { open, done, output, events } = fakeTerminal();
    const screen = open();
    screen?.show(['a', 'b', 'c', 'd']);
    expect(done.at(-1)).toBe('\u001b[Ha\u001b[K\r\nb\u001b[K\r\nc\u001b[K\u001b[J');
    output.rows = 1;
    output.emit('resize');
    expect(events.resized).toHaveBeenCalledTimes(1);
    expect([screen?.columns, screen?.rows]).toEqual([60, 1]);
    screen?.show(['a', 'b']);
    expect(done.at(-1)).toBe('\u001b[Ha\u001b[K\u001b[J');
    screen?.close();
  });

  test('tells keys one by one, and draws nothing once it is closed', () => {
    const { open, done, input, keys } = fakeTerminal();
    const screen = open();
    input.emit('data', Buffer.from('pq'));
    expect(keys).toEqual(['p', 'q']);
    screen?.close();
    done.length = 0;
    screen?.show(['late']);
    screen?.close();
    expect(done).toEqual(['pause']);
  });
});
