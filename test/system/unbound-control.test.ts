import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { unboundControl } from '../../src/system/unbound-control.ts';
import { temporaryFolder } from '../support/folder.ts';

describe('a command to unbound', () => {
  const open: (() => void)[] = [];
  afterEach(() => {
    for (const close of open.splice(0)) close();
  });

  /** Somebody on a control socket who does `answer` with each connection. */
  async function listening(answer: (socket: Socket) => void): Promise<string> {
    const path = join(temporaryFolder(), 'control');
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => {}));
      answer(socket);
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    open.push(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return path;
  }

  it('is one line behind the version, and the answer is all that comes', async () => {
    let heard = '';
    const path = await listening((socket) =>
      socket.once('data', (bytes) => {
        heard = bytes.toString();
        socket.write('version: 1.17.1\n');
        socket.end('verbosity: 1\n');
      }),
    );
    expect(await unboundControl(path, 'status', AbortSignal.timeout(15_000))).toBe(
      'version: 1.17.1\nverbosity: 1\n',
    );
    expect(heard).toBe('UBCT1 status\n');
  });

  it.each<[string, (socket: Socket) => void, string, RegExp]>([
    [
      'that is refused',
      (socket) => socket.end('error no such zone\u001b\n'),
      'PROTOCOL',
      /refused forward_add: error no such zone\?/,
    ],
    [
      'that is answered without end',
      (socket) => void socket.write('x'.repeat(70_000)),
      'PROTOCOL',
      /without end/,
    ],
  ])('%s is an error', async (_, answer, code, text) => {
    const path = await listening(answer);
    const asked = unboundControl(path, 'forward_add . 192.0.2.1', AbortSignal.timeout(15_000));
    await expect(asked).rejects.toMatchObject({ code, message: expect.stringMatching(text) });
  });

  it('that nobody answers is an error in time', async () => {
    const path = await listening(() => {});
    await expect(unboundControl(path, 'status', AbortSignal.timeout(300))).rejects.toMatchObject({
      code: 'DEADLINE',
      message: expect.stringContaining('in time'),
    });
  });

  it('to nobody is an error', async () => {
    const path = join(temporaryFolder(), 'control');
    await expect(unboundControl(path, 'status', AbortSignal.timeout(15_000))).rejects.toMatchObject({
      code: 'IO',
    });
  });
});
