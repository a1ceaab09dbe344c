import { symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readPlainFile } from '../../src/system/plain-file.ts';
import { temporaryFolder } from '../support/folder.ts';
import { ODD_FILES } from '../support/odd-files.ts';

const MOST = 100_000;

describe('a plain file', () => {
  test('is read whole, up to the last byte that is allowed', () => {
    const path = join(temporaryFolder(), 'file');
    for (const bytes of [Buffer.alloc(0), Buffer.from('a\0\xff', 'latin1'), Buffer.alloc(MOST, 'x')]) {
      writeFileSync(path, bytes);
      expect(readPlainFile(path, MOST)).toEqual(bytes);
    }
    writeFileSync(path, Buffer.alloc(MOST + 1, 'x'));
    expect(readPlainFile(path, MOST)).toBe(`wanted at most ${MOST} bytes, got more`);
  });

  test('that is not there is no failure, nor one below a file', () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'file'), '');
    expect(readPlainFile(join(folder, 'missing'), MOST)).toBeUndefined();
    expect(readPlainFile(join(folder, 'file/below'), MOST)).toBeUndefined();
  });

  test('of the kernel, which says that it has no length, is read as well', () => {
    expect(String(readPlainFile('/proc/self/status', MOST))).toMatch(/^Name:/);
  });

  test('behind a link is read only where the caller says so', () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'file'), 'text');
    symlinkSync('file', join(folder, 'link'));
    expect(readPlainFile(join(folder, 'link'), MOST)).toBe('wanted a file, got a link');
    expect(readPlainFile(join(folder, 'link'), MOST, 'followed')).toEqual(Buffer.from('text'));
  });
});

test.each(ODD_FILES)('$what is a reason, whether links are followed or not', ({ make }) => {
  const path = join(temporaryFolder(), 'odd');
  make(path);
  for (const links of ['followed', 'refused'] as const)
    expect(readPlainFile(path, MOST, links)).toMatch(/^wanted (a file|at most 100000 bytes), got /);
});

test('a socket is a reason too', async () => {
  const path = join(temporaryFolder(), 'socket');
  const server = createServer().listen(path);
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  expect(readPlainFile(path, MOST)).toBe('wanted to read it, got ENXIO');
});
