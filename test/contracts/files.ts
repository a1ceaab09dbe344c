import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Files } from '../../src/system/files.ts';
import { temporaryFolder } from '../support/folder.ts';
import { ODD_FILES } from '../support/odd-files.ts';

/** What every implementation of Files promises (system/files.ts). */
export function filesContract(name: string, files: Files): void {
  const text = Buffer.from('nameserver 192.0.2.1\n');

  describe(`${name} keeps the contract of files`, () => {
    it('looks at files, links, folders and nothing', async () => {
      const folder = temporaryFolder('sub');
      writeFileSync(join(folder, 'file'), 'abc', { mode: 0o640 });
      symlinkSync('nowhere', join(folder, 'link'));
      expect(await files.look(join(folder, 'file'))).toMatchObject({ kind: 'file', bytes: 3, names: 1 });
      expect(await files.look(join(folder, 'link'))).toMatchObject({ kind: 'link', target: 'nowhere' });
      expect(await files.look(join(folder, 'sub'))).toMatchObject({ kind: 'folder' });
      expect(await files.look('/dev/null')).toMatchObject({ kind: 'other' });
      expect(await files.look(join(folder, 'missing'))).toBeUndefined();
      expect(await files.look(join(folder, 'file/below'))).toBeUndefined();
    });

    it('gives a file another version when it is replaced by the same bytes', async () => {
      const path = join(temporaryFolder(), 'file');
      await files.replace(path, text);
      const before = await files.look(path);
      await files.replace(path, text);
      expect((await files.look(path))?.version).not.toBe(before?.version);
    });

    it('reads through links, and refuses more than was asked for', async () => {
      const folder = temporaryFolder();
      writeFileSync(join(folder, 'file'), text);
      symlinkSync('file', join(folder, 'link'));
      symlinkSync('loop', join(folder, 'loop'));
      expect(await files.read(join(folder, 'link'), text.length)).toEqual(text);
      await expect(files.read(join(folder, 'link'), text.length - 1)).rejects.toMatchObject({ code: 'IO' });
      expect(await files.read(join(folder, 'missing'), 10)).toBeUndefined();
      expect(await files.read(join(folder, 'loop'), 10)).toBeUndefined();
      expect(await files.realPath(join(folder, 'link'))).toBe(join(folder, 'file'));
      expect(await files.realPath(join(folder, 'loop'))).toBeUndefined();
    });

    it('replaces files and links with mode 0644 whatever the umask, and leaves nothing beside them', async () => {
      const folder = temporaryFolder();
      symlinkSync('nowhere', join(folder, 'file'));
      writeFileSync(join(folder, '.file.dnskeeper'), 'left by a killed run');
      const umask = process.umask(0o077);
      try {
        expect(await files.replace(join(folder, 'file'), text)).toBe('replaced');
      } finally {
        process.umask(umask);
      }
      expect(readFileSync(join(folder, 'file'))).toEqual(text);
      expect(lstatSync(join(folder, 'file')).mode & 0o7777).toBe(0o644);
      expect(readdirSync(folder)).toEqual(['file']);
    });

    it('replaces with another mode, durably', async () => {
      const path = join(temporaryFolder(), 'file');
      await files.replace(path, text, { mode: 0o600, durable: true });
      expect(lstatSync(path).mode & 0o7777).toBe(0o600);
    });

    it('leaves nothing beside a target that cannot be replaced, and says what to do', async () => {
      const folder = temporaryFolder('target/sub');
      const attempt = files.replace(join(folder, 'target'), text);
      await expect(attempt).rejects.toMatchObject({
        code: 'IO',
        message: expect.stringMatching(/a folder is in its place/),
      });
      await expect(files.replaceWithLink(join(folder, 'target'), 'x')).rejects.toMatchObject({ code: 'IO' });
      expect(readdirSync(folder)).toEqual(['target']);
    });

    it('carries the code of the system as cause', async () => {
      const path = join(temporaryFolder(), 'missing/file');
      await expect(files.replace(path, text)).rejects.toMatchObject({
        code: 'IO',
        cause: { code: 'ENOENT' },
      });
    });

    it.each(['', 'x', 'x'.repeat(5000)])(
      'overwrites in place, from a text of any length (%#)',
      async (old) => {
        const path = join(temporaryFolder(), 'file');
        writeFileSync(path, old, { mode: 0o600 });
        const inode = lstatSync(path).ino;
        await files.overwrite(path, text);
        expect(readFileSync(path)).toEqual(text);
        expect(lstatSync(path)).toMatchObject({ ino: inode });
        expect(lstatSync(path).mode & 0o7777).toBe(0o600);
      },
    );

    it.each(ODD_FILES.filter(({ what }) => what !== 'a link to itself'))(
      'reads nothing of $what, says what it wanted and got, and is not held up',
      async ({ make }) => {
        const path = join(temporaryFolder(), 'odd');
        make(path);
        await expect(files.read(path, 1 << 20)).rejects.toMatchObject({
          code: 'IO',
          message: expect.stringMatching(/^wanted .*, got .*; /),
        });
      },
    );

    it('reads a link to /dev/null as an empty file', async () => {
      const path = join(temporaryFolder(), 'off');
      symlinkSync('/dev/null', path);
      expect(await files.read(path, 10)).toEqual(Buffer.alloc(0));
    });

    it('replaces a pipe and a link, and writes into neither', async () => {
      const folder = temporaryFolder();
      writeFileSync(join(folder, 'precious'), 'precious');
      symlinkSync('precious', join(folder, 'link'));
      execFileSync('mkfifo', [join(folder, 'pipe')]);
      for (const name of ['link', 'pipe']) {
        await expect(files.overwrite(join(folder, name), text)).rejects.toMatchObject({
          code: 'IO',
          message: expect.stringContaining('is in its place: remove it'),
        });
        await files.replace(join(folder, name), text);
        expect(lstatSync(join(folder, name)).isFile()).toBe(true);
      }
      expect(readFileSync(join(folder, 'precious'), 'utf8')).toBe('precious');
    });

    it('does not make a file that it was to overwrite', async () => {
      const path = join(temporaryFolder(), 'missing');
      await expect(files.overwrite(path, text)).rejects.toMatchObject({ code: 'IO' });
    });

    it('swaps links', async () => {
      const folder = temporaryFolder();
      writeFileSync(join(folder, 'file'), 'x');
      await files.replaceWithLink(join(folder, 'file'), 'one');
      await files.replaceWithLink(join(folder, 'file'), '../two');
      expect(readlinkSync(join(folder, 'file'))).toBe('../two');
      expect(readdirSync(folder)).toEqual(['file']);
    });

    it('gives a file a further name, in the place of whatever is there, and leaves nothing beside it', async () => {
      const folder = temporaryFolder();
      const [one, two] = [join(folder, 'one'), join(folder, 'two')];
      writeFileSync(one, text);
      writeFileSync(join(folder, 'victim'), 'not to be touched');
      symlinkSync('victim', two);
      writeFileSync(join(folder, '.two.dnskeeper'), 'left by a killed run');
      for (let round = 0; round < 2; round++) {
        await files.replaceWithName(two, one);
        expect(lstatSync(two).ino).toBe(lstatSync(one).ino);
        expect(readdirSync(folder)).toEqual(['one', 'two', 'victim']);
      }
      expect((await files.look(two))?.version).toBe((await files.look(one))?.version);
      expect(readFileSync(join(folder, 'victim'), 'utf8')).toBe('not to be touched');
    });

    it('gives no name to a file that is not there, and none in the place of a folder', async () => {
      const folder = temporaryFolder('sub');
      writeFileSync(join(folder, 'one'), text);
      const missing = files.replaceWithName(join(folder, 'one'), join(folder, 'missing'));
      await expect(missing).rejects.toMatchObject({ code: 'IO', cause: { code: 'ENOENT' } });
      await expect(files.replaceWithName(join(folder, 'sub'), join(folder, 'one'))).rejects.toMatchObject({
        code: 'IO',
        cause: { code: 'EISDIR' },
      });
      expect(readdirSync(folder)).toEqual(['one', 'sub']);
      expect(readFileSync(join(folder, 'one'))).toEqual(text);
    });

    it('makes folders with their parents whatever the umask, and lets an existing one be', async () => {
      const folder = temporaryFolder();
      mkdirSync(join(folder, 'old'), { mode: 0o700 });
      const umask = process.umask(0o077);
      try {
        await files.makeFolder(join(folder, 'new/deep'), 0o755);
        await files.makeFolder(join(folder, 'old'), 0o755);
      } finally {
        process.umask(umask);
      }
      expect(lstatSync(join(folder, 'new/deep')).mode & 0o777).toBe(0o755);
      expect(lstatSync(join(folder, 'old')).mode & 0o777).toBe(0o700);
    });

    it('removes files and dangling links, and tells when there was nothing', async () => {
      const folder = temporaryFolder();
      symlinkSync('nowhere', join(folder, 'link'));
      expect(await files.remove(join(folder, 'link'))).toBe(true);
      expect(await files.remove(join(folder, 'link'))).toBe(false);
      expect(readdirSync(folder)).toEqual([]);
    });
  });
}
