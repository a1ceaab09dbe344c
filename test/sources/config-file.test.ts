import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatServer } from '../../src/core/server.ts';
import { ConfigFiles, loadConfig } from '../../src/sources/config-file.ts';
import { openFiles } from '../../src/system/files.ts';
import { systemPaths } from '../../src/system/paths.ts';
import { temporaryFolder } from '../support/folder.ts';
import { ODD_FILES } from '../support/odd-files.ts';
import { until } from '../support/until.ts';

const files = openFiles(undefined);
const SERVER = '[dns]\nservers = ["192.0.2.1"]\n';

/** A machine whose own configuration names one server. */
async function machine() {
  const root = temporaryFolder();
  const paths = systemPaths(root);
  mkdirSync(paths.localConfigFolder, { recursive: true });
  writeFileSync(paths.configFile, SERVER);
  const configuration = await ConfigFiles.open(paths, files);
  const servers = () => configuration.current.config.servers.map(formatServer);
  expect(servers()).toEqual(['192.0.2.1']);
  return { root, paths, configuration, servers, dropIn: join(paths.localConfigFolder, '50-odd.toml') };
}

/** A link that leads nowhere is a file that is not there. */
const TOLD = ODD_FILES.filter(({ what }) => what !== 'a link to itself');

/** Texts that are no configuration, as an editor, a disk or an attacker leaves them. */
const BAD_TEXTS: readonly (readonly [string, string | Buffer])[] = [
  ['a program', Buffer.from('\x7fELF\x02\x01\x01\0\0\0', 'latin1')],
  ['a half-written one', '[dns]\nservers = ["192.0.2.9"'],
  ['bytes that are no UTF-8', Buffer.from('[dns]\nservers = ["\xff\xfe"]\n', 'latin1')],
  ['lists within lists without end', `a = ${'['.repeat(20_000)}`],
  ['tables within tables without end', `[${'a.'.repeat(20_000)}a]\n`],
  ['a name that means something to JavaScript', '[__proto__]\nservers = ["192.0.2.9"]\n'],
  ['a server with a line end in it', '[dns]\nservers = ["192.0.2.9\\nnameserver 6.6.6.6"]\n'],
];

describe.each(['the main file', 'a drop-in'])('%s', (which) => {
  it.each(TOLD)('that is $what is told, and the last good configuration stays', async ({ make }) => {
    const { paths, configuration, servers, dropIn } = await machine();
    const path = which === 'a drop-in' ? dropIn : paths.configFile;
    rmSync(path, { force: true });
    make(path);
    const { problems } = await configuration.reload();
    expect(problems).toEqual([
      {
        file: path,
        wanted: 'a readable file of at most 262144 bytes',
        got: expect.stringMatching(/^(?!wanted )[^/]+$/),
      },
    ]);
    expect(servers()).toEqual(['192.0.2.1']);
  });

  it.each(BAD_TEXTS)('that is %s is told, and the last good configuration stays', async (_what, text) => {
    const { paths, configuration, servers, dropIn } = await machine();
    const path = which === 'a drop-in' ? dropIn : paths.configFile;
    writeFileSync(path, text);
    const { problems } = await configuration.reload();
    expect(problems[0]).toMatchObject({ file: path, wanted: expect.any(String), got: expect.any(String) });
    expect(problems[0]?.got.length).toBeLessThan(500);
    expect(servers()).toEqual(['192.0.2.1']);
  });
});

it.each([
  ...BAD_TEXTS.map(([what, text]) => [what, text.toString('latin1')] as const),
  ['a text longer than a file may be', `[dns]\n${'# more\n'.repeat(50_000)}`] as const,
])('a trial of %s is told, and changes nothing', async (_what, text) => {
  const { configuration, servers } = await machine();
  const { problems } = await configuration.try({ name: '50-odd.toml', text });
  expect(problems[0]).toMatchObject({ wanted: expect.any(String), got: expect.any(String) });
  expect(servers()).toEqual(['192.0.2.1']);
  expect(await configuration.keepTried()).toBeUndefined();
});

it('a file that is switched off by a link to /dev/null says nothing', async () => {
  const { configuration, servers, dropIn } = await machine();
  symlinkSync('/dev/null', dropIn);
  expect((await configuration.reload()).problems).toEqual([]);
  expect(servers()).toEqual(['192.0.2.1']);
});

describe('what /etc/resolv.conf said before us', () => {
  const setUp = (...links: readonly string[]) => {
    const root = temporaryFolder('etc', 'run/connman', 'var/lib/dnskeeper/original', ...links);
    const paths = systemPaths(root);
    const fallback = async () => (await loadConfig(paths, files)).config.fallback.map(formatServer);
    const manifest = (value: unknown) =>
      writeFileSync(
        join(paths.original, 'manifest.json'),
        typeof value === 'string' ? value : JSON.stringify(value),
      );
    return { root, paths, fallback, manifest };
  };
  const OLD = 'nameserver 192.0.2.7\n';

  it('is read from the file until we have it, then from the saved original', async () => {
    const { paths, fallback, manifest } = setUp();
    writeFileSync(paths.etcResolvConf, OLD);
    expect(await fallback()).toEqual(['192.0.2.7']);
    rmSync(paths.etcResolvConf);
    symlinkSync(paths.linkText, paths.etcResolvConf);
    expect(await fallback()).toEqual([]);
    writeFileSync(join(paths.original, 'content'), OLD);
    manifest({ kind: 'file', mode: 0o644, uid: 0, gid: 0, bytes: OLD.length });
    expect(await fallback()).toEqual(['192.0.2.7']);
  });

  it.each([
    ['below the root', '/run/connman/resolv.conf'],
    ['beside /etc', '../run/connman/resolv.conf'],
  ])('is read through a link that is there or was there, %s', async (_what, target) => {
    const { root, paths, fallback, manifest } = setUp();
    writeFileSync(join(root, 'run/connman/resolv.conf'), OLD);
    symlinkSync(target, paths.etcResolvConf);
    expect(await fallback()).toEqual(['192.0.2.7']);
    expect((await loadConfig(paths, files)).followed).toBe(join(root, 'run/connman/resolv.conf'));
    manifest({ kind: 'link', target });
    expect(await fallback()).toEqual(['192.0.2.7']);
    manifest({ kind: 'link', target: '../run/systemd/resolve/stub-resolv.conf' });
    expect(await fallback()).toEqual([]);
  });

  it.each(ODD_FILES)('says nothing when it is $what', async ({ make }) => {
    const { paths, fallback, manifest } = setUp();
    make(paths.etcResolvConf);
    expect(await fallback()).toEqual([]);
    manifest({ kind: 'file', mode: 0o644, uid: 0, gid: 0, bytes: 1 });
    make(join(paths.original, 'content'));
    expect(await fallback()).toEqual([]);
  });

  it.each(['', '{', 'null', '[]', '{"kind":"link","target":7}', '\0'])(
    'says nothing when the note of the original is %j',
    async (text) => {
      const { fallback, manifest } = setUp();
      manifest(text);
      expect(await fallback()).toEqual([]);
    },
  );
});

it('where no files were good since the start, what is right in them counts until some are', async () => {
  const { paths } = await machine();
  const slip = join(paths.localConfigFolder, 'slip.toml');
  writeFileSync(slip, '[dns]\nservers = ["192.0.2.1"\n');
  writeFileSync(paths.configFile, '[link]\ntakeover = "never"\n[log]\nlevel = "loud"\n');
  const configuration = await ConfigFiles.open(paths, files);
  expect(configuration.current).toMatchObject({
    neverGood: true,
    problems: [{}, {}],
    config: { servers: [], takeover: 'never', logLevel: 'info' },
  });
  writeFileSync(slip, SERVER);
  expect(await configuration.reload()).toMatchObject({ neverGood: true, config: { servers: [{}] } });
  writeFileSync(paths.configFile, '');
  expect((await configuration.reload()).neverGood).toBeUndefined();
  writeFileSync(slip, '[dns]\n[dns]\n');
  const spoilt = await configuration.reload();
  expect(spoilt).toMatchObject({ config: { servers: [{}] } });
  expect(spoilt.neverGood).toBeUndefined();
});

it('a reading that began before another one never takes its place', async () => {
  const { paths } = await machine();
  const slow = Promise.withResolvers<void>();
  let reads = 0;
  const configuration = await ConfigFiles.open(paths, {
    ...files,
    async read(path, most) {
      const bytes = await files.read(path, most);
      if (path === paths.configFile && ++reads === 2) await slow.promise;
      return bytes;
    },
  });
  const first = configuration.reload();
  await until(() => reads === 2, 'the first reading has the old text');
  writeFileSync(paths.configFile, SERVER.replace('192.0.2.1', '192.0.2.2'));
  const second = configuration.reload();
  await Promise.race([second, turnsOfTheLoop(200)]);
  slow.resolve();
  await Promise.all([first, second]);
  expect(configuration.current.config.servers.map(formatServer)).toEqual(['192.0.2.2']);
});

/** Long enough for a reading that nothing holds up; who relies on it to be passes all the same. */
async function turnsOfTheLoop(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
}

it('a thousand drop-ins, and names that are no text, are read up to a bound', async () => {
  const { configuration, servers, dropIn } = await machine();
  const folder = dirname(dropIn);
  for (let index = 0; index < 1000; index++) writeFileSync(join(folder, `${index}.toml`), '# nothing\n');
  writeFileSync(
    Buffer.concat([Buffer.from(`${folder}/10`), Buffer.from([0xff, 0x0a]), Buffer.from('.toml')]),
    '',
  );
  const { files: read, problems } = await configuration.reload();
  expect(problems).toEqual([]);
  expect(read.length).toBeLessThan(300);
  expect(servers()).toEqual(['192.0.2.1']);
});

it.each(ODD_FILES.filter(({ what }) => what !== 'a folder'))(
  'a folder of drop-ins that is $what is told',
  async ({ make }) => {
    const { paths } = await machine();
    rmSync(paths.localConfigFolder, { recursive: true });
    make(paths.localConfigFolder);
    const { problems } = await loadConfig(paths, files);
    expect(problems).toEqual([
      { file: paths.localConfigFolder, wanted: 'a readable folder', got: expect.any(String) },
    ]);
  },
);
