import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { resolvConfFile } from '../../src/outputs/resolv-conf-file.ts';
import { type ResolvedFiles, resolvedFiles } from '../../src/outputs/resolved-files.ts';
import type { Files } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import { type Paths, systemPaths } from '../../src/system/paths.ts';
import { decisionOf, renderCause } from '../support/decision.ts';
import { OUR_TEXT, realFiles } from '../support/etc.ts';
import { temporaryFolder } from '../support/folder.ts';
import { type ManualClock, manualClock } from '../support/manual-clock.ts';
import { type Death, mortalFiles } from '../support/mortal-files.ts';
import { refusingFiles } from '../support/refusing-files.ts';
import { until } from '../support/until.ts';

const THEIRS =
  '# This is /run/systemd/resolve/stub-resolv.conf managed by man:systemd-resolved(8).\nnameserver 127.0.0.53\n';
const REAL_SERVERS = OUR_TEXT.replace('192.0.2.1', '192.0.2.53');

interface World {
  readonly paths: Paths;
  readonly stub: string;
  readonly uplink: string;
  readonly clock: ManualClock;
  /** The names as a freshly started daemon has them. */
  names(files?: Files): ResolvedFiles;
  /** Which of the two names are the very files that we publish. */
  shared(): readonly boolean[];
}

/** A machine below a temporary root, with both of our files published. */
function world(): World {
  const paths = systemPaths(temporaryFolder('etc', 'run/dnskeeper'));
  writeFileSync(paths.resolvConf, OUR_TEXT);
  writeFileSync(paths.upstreamConf, REAL_SERVERS);
  const stub = join(paths.resolvedFolder, 'stub-resolv.conf');
  const uplink = join(paths.resolvedFolder, 'resolv.conf');
  const clock = manualClock();
  const inode = (path: string): number | undefined => lstatSync(path, { throwIfNoEntry: false })?.ino;
  return {
    paths,
    stub,
    uplink,
    clock,
    names(files = realFiles) {
      const names = resolvedFiles({ paths, files, clock, log: silentLog });
      onTestFinished(() => names.close());
      return names;
    },
    shared: () => [
      inode(stub) !== undefined && inode(stub) === inode(paths.resolvConf),
      inode(uplink) !== undefined && inode(uplink) === inode(paths.upstreamConf),
    ],
  };
}

test('both files are found under systemd-resolved’s names as the same inodes', async () => {
  const { names, shared, paths } = world();
  const standing = names();
  await standing.begin();
  expect(shared()).toEqual([true, true]);
  expect(readdirSync(paths.resolvedFolder).sort()).toEqual(['resolv.conf', 'stub-resolv.conf']);
  expect(lstatSync(paths.resolvedFolder).mode & 0o777).toBe(0o755);
  expect(standing.problem).toBeUndefined();
});

test('whatever stands there is replaced and never followed', async () => {
  const { names, shared, paths, stub, uplink } = world();
  const victim = join(paths.root, 'etc/victim');
  writeFileSync(victim, 'not to be touched');
  mkdirSync(paths.resolvedFolder, { recursive: true });
  symlinkSync(victim, stub);
  symlinkSync(victim, join(paths.resolvedFolder, '.stub-resolv.conf.dnskeeper'));
  writeFileSync(uplink, THEIRS);
  await names().begin();
  expect(shared()).toEqual([true, true]);
  expect(readFileSync(victim, 'utf8')).toBe('not to be touched');
  expect(readdirSync(paths.resolvedFolder).sort()).toEqual(['resolv.conf', 'stub-resolv.conf']);
});

test('they follow what is written, and nothing is touched where nothing was', async () => {
  const { names, shared, paths, stub, uplink } = world();
  const standing = names();
  const output = resolvConfFile(paths, realFiles, renderCause, () => {}, standing);
  await standing.begin();
  const signal = new AbortController().signal;
  for (const cause of ['one', 'two', 'three']) {
    await output.apply(decisionOf(cause), signal);
    expect(shared(), cause).toEqual([true, true]);
    expect(readFileSync(stub, 'utf8')).toContain(cause);
  }
  const times = (): readonly bigint[] =>
    [stub, uplink].map((path) => lstatSync(path, { bigint: true }).ctimeNs);
  const before = times();
  await output.apply(decisionOf('three'), signal);
  expect(times()).toEqual(before);
});

test('a file that is not written yet gets its name when it is', async () => {
  const { names, shared, paths, uplink } = world();
  await realFiles.remove(paths.upstreamConf);
  const standing = names();
  await standing.begin();
  expect([shared(), existsSync(uplink)]).toEqual([[true, false], false]);
  await realFiles.replace(paths.upstreamConf, Buffer.from(REAL_SERVERS));
  await standing.follow();
  expect(shared()).toEqual([true, true]);
});

test('where we do not stand in nothing is made', async () => {
  const { names, paths } = world();
  const standing = names();
  await standing.follow();
  expect(existsSync(paths.resolvedFolder)).toBe(false);
});

test('systemd-resolved finds the names free, also of what a killed run has left, and keeps its own files', async () => {
  const { names, shared, paths, stub } = world();
  await names().begin();
  writeFileSync(`${stub}.theirs`, THEIRS);
  const standing = names();
  await standing.giveWay();
  expect(readdirSync(paths.resolvedFolder)).toEqual(['stub-resolv.conf.theirs']);
  writeFileSync(stub, THEIRS);
  await standing.giveWay();
  await standing.follow();
  expect(readFileSync(stub, 'utf8')).toBe(THEIRS);
  expect(readFileSync(paths.upstreamConf, 'utf8')).toBe(REAL_SERVERS);
  await standing.begin();
  expect(shared()).toEqual([true, true]);
});

test('when we end the list of real servers stays for whoever reads it, and nothing says that somebody stands in', async () => {
  const { names, paths } = world();
  const standing = names();
  await standing.begin();
  await standing.close();
  expect(readdirSync(paths.resolvedFolder)).toEqual(['resolv.conf']);
});

test('when we end and /etc/resolv.conf leads through the name, it stays', async () => {
  const { names, paths } = world();
  symlinkSync('../run/systemd/resolve/stub-resolv.conf', paths.etcResolvConf);
  const standing = names();
  await standing.begin();
  await standing.close();
  expect(readFileSync(paths.etcResolvConf, 'utf8')).toBe(OUR_TEXT);
});

test('when we end after systemd-resolved has come, its files stay', async () => {
  const { names, paths, stub } = world();
  const standing = names();
  await standing.begin();
  await standing.giveWay();
  writeFileSync(stub, THEIRS);
  await standing.close();
  expect(readdirSync(paths.resolvedFolder)).toEqual(['stub-resolv.conf']);
});

test('what cannot be done is told, keeps nothing else back and is tried again', async () => {
  const { names, shared, clock, stub } = world();
  mkdirSync(stub, { recursive: true });
  const standing = names();
  await standing.begin();
  expect(shared()).toEqual([false, true]);
  expect(standing.problem).toMatch(/systemd-resolved's names .* a folder is in its place: remove it\.$/);
  rmdirSync(stub);
  clock.advance(1000);
  await until(() => standing.problem === undefined, 'it was tried again');
  expect(shared()).toEqual([true, true]);
});

// Regression: RuntimeDirectory= made /run/dnskeeper a mount of its own, so no link out of it could be made.
test('two mounts below /run are told with what to look at', async () => {
  const { names, stub } = world();
  const standing = names(refusingFiles(realFiles, stub, 'EXDEV'));
  await standing.begin();
  expect(standing.problem).toContain('EXDEV');
});

test.each<Death>(['before', 'after', 'torn'])(
  'killed %s any step, the next start makes it whole, and a name that was there was never missing',
  async (death) => {
    for (let fatal = 1; ; fatal++) {
      expect(fatal).toBeLessThan(20);
      const { names, shared, paths, stub, uplink } = world();
      await names().begin();
      await realFiles.replace(paths.resolvConf, Buffer.from(`${OUR_TEXT}options edns0\n`));
      await realFiles.replace(paths.upstreamConf, Buffer.from(`${REAL_SERVERS}options edns0\n`));
      const files = mortalFiles(realFiles, fatal, death);
      await names(files).begin();
      for (const path of [stub, uplink])
        expect(readFileSync(path, 'utf8')).toMatch(/^# Written by[\s\S]*\n$/);
      await names().begin();
      expect(shared()).toEqual([true, true]);
      expect(readdirSync(paths.resolvedFolder).sort()).toEqual(['resolv.conf', 'stub-resolv.conf']);
      if (!files.dead) break;
    }
  },
);

test('a file of ours that systemd gave to systemd-resolved’s user is written anew', async () => {
  const { paths } = world();
  let given = false;
  const files: Files = {
    ...realFiles,
    async look(path) {
      const facts = await realFiles.look(path);
      return facts === undefined ? undefined : { ...facts, uid: given ? facts.uid + 1 : facts.uid };
    },
  };
  const output = resolvConfFile(paths, files, renderCause);
  const signal = new AbortController().signal;
  await output.apply(decisionOf('one'), signal);
  const inode = (): number => lstatSync(paths.resolvConf).ino;
  const before = inode();
  await output.apply(decisionOf('one'), signal);
  expect([inode(), await output.isIntact()]).toEqual([before, true]);
  given = true;
  expect(await output.isIntact()).toBe(false);
  await output.apply(decisionOf('one'), signal);
  expect(inode()).not.toBe(before);
});
