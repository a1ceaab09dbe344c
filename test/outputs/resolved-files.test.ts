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
import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import { makePlan } from '../../src/core/policy.ts';
import { renderUplinkConf } from '../../src/core/resolv-conf.ts';
import { resolvConfFile } from '../../src/outputs/resolv-conf-file.ts';
import { type ResolvedFiles, resolvedFiles } from '../../src/outputs/resolved-files.ts';
import type { Files } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import { type Paths, systemPaths } from '../../src/system/paths.ts';
import { decisionOf, EMPTY_PLAN, renderCause } from '../support/decision.ts';
import { OUR_TEXT, realFiles } from '../support/etc.ts';
import { temporaryFolder } from '../support/folder.ts';
import { link, snapshotOf } from '../support/links.ts';
import { type ManualClock, manualClock } from '../support/manual-clock.ts';
import { type Death, mortalFiles } from '../support/mortal-files.ts';
import { refusingFiles } from '../support/refusing-files.ts';
import { until } from '../support/until.ts';

const THEIRS =
  '# This is /run/systemd/resolve/stub-resolv.conf managed by man:systemd-resolved(8).\nnameserver 127.0.0.53\n';
const DECISION = {
  plan: makePlan(snapshotOf([link({ servers: ['192.0.2.53', '192.0.2.54'] })]), DEFAULT_CONFIG),
  time: 0,
  cause: 'a test',
};
const SERVERS = renderUplinkConf(DECISION.plan, DECISION.time);

interface World {
  readonly paths: Paths;
  readonly stub: string;
  readonly uplink: string;
  readonly clock: ManualClock;
  /** The files as a daemon has them that has just decided. */
  names(files?: Files): Promise<ResolvedFiles>;
  /** Whether stub-resolv.conf is the very file that we publish, and resolv.conf the list of servers. */
  whole(): readonly boolean[];
}

/** A machine below a temporary root, with our own file published. */
function world(): World {
  const paths = systemPaths(temporaryFolder('etc', 'run/dnskeeper'));
  writeFileSync(paths.resolvConf, OUR_TEXT);
  const stub = join(paths.resolvedFolder, 'stub-resolv.conf');
  const uplink = join(paths.resolvedFolder, 'resolv.conf');
  const clock = manualClock();
  const inode = (path: string): number | undefined => lstatSync(path, { throwIfNoEntry: false })?.ino;
  return {
    paths,
    stub,
    uplink,
    clock,
    async names(files = realFiles) {
      const names = resolvedFiles({ paths, files, clock, log: silentLog });
      onTestFinished(() => names.close());
      await names.follow(DECISION);
      return names;
    },
    whole: () => [
      inode(stub) !== undefined && inode(stub) === inode(paths.resolvConf),
      existsSync(uplink) && readFileSync(uplink, 'utf8') === SERVERS,
    ],
  };
}

test('our file is found under systemd-resolved’s name as the same inode, and the list of servers beside it', async () => {
  const { names, whole, paths } = world();
  const standing = await names();
  await standing.begin();
  expect(whole()).toEqual([true, true]);
  expect(readdirSync(paths.resolvedFolder).sort()).toEqual(['resolv.conf', 'stub-resolv.conf']);
  expect(lstatSync(paths.resolvedFolder).mode & 0o777).toBe(0o755);
  expect(standing.problem).toBeUndefined();
});

test('whatever stands there is replaced and never followed', async () => {
  const { names, whole, paths, stub, uplink } = world();
  const victim = join(paths.root, 'etc/victim');
  writeFileSync(victim, 'not to be touched');
  mkdirSync(paths.resolvedFolder, { recursive: true });
  symlinkSync(victim, stub);
  symlinkSync(victim, join(paths.resolvedFolder, '.stub-resolv.conf.dnskeeper'));
  writeFileSync(uplink, THEIRS);
  await (await names()).begin();
  expect(whole()).toEqual([true, true]);
  expect(readFileSync(victim, 'utf8')).toBe('not to be touched');
  expect(readdirSync(paths.resolvedFolder).sort()).toEqual(['resolv.conf', 'stub-resolv.conf']);
});

test('they follow what is written, and nothing is touched where nothing was', async () => {
  const { names, whole, paths, stub, uplink } = world();
  const standing = await names();
  const output = resolvConfFile(paths, realFiles, renderCause, () => {}, standing);
  await standing.begin();
  const signal = new AbortController().signal;
  for (const cause of ['one', 'two', 'three']) {
    await output.apply(decisionOf(cause), signal);
    expect(whole()[0], cause).toBe(true);
    expect(readFileSync(stub, 'utf8')).toContain(cause);
    expect(readFileSync(uplink, 'utf8')).toBe(renderUplinkConf(EMPTY_PLAN, 1_700_000_000_000));
  }
  const times = (): readonly bigint[] =>
    [stub, uplink].map((path) => lstatSync(path, { bigint: true }).ctimeNs);
  const before = times();
  await output.apply(decisionOf('three', 1_800_000_000_000), signal);
  expect(times()).toEqual(before);
});

test('a file that is not written yet gets its name when it is', async () => {
  const { names, whole, paths, stub } = world();
  await realFiles.remove(paths.resolvConf);
  const standing = await names();
  await standing.begin();
  expect([whole(), existsSync(stub)]).toEqual([[false, true], false]);
  await realFiles.replace(paths.resolvConf, Buffer.from(OUR_TEXT));
  await standing.follow(DECISION);
  expect(whole()).toEqual([true, true]);
});

test('before anything is decided there is no list of servers', async () => {
  const { paths, clock } = world();
  const standing = resolvedFiles({ paths, files: realFiles, clock, log: silentLog });
  await standing.begin();
  expect(readdirSync(paths.resolvedFolder)).toEqual(['stub-resolv.conf']);
});

test('where we do not stand in nothing is made', async () => {
  const { names, paths } = world();
  const standing = await names();
  await standing.follow(DECISION);
  expect(existsSync(paths.resolvedFolder)).toBe(false);
});

test('systemd-resolved finds the names free, also of what a killed run has left, and keeps its own files', async () => {
  const { names, whole, paths, stub } = world();
  await (await names()).begin();
  writeFileSync(`${stub}.theirs`, THEIRS);
  const standing = await names();
  await standing.giveWay();
  expect(readdirSync(paths.resolvedFolder)).toEqual(['stub-resolv.conf.theirs']);
  writeFileSync(stub, THEIRS);
  await standing.giveWay();
  await standing.follow(DECISION);
  expect(readFileSync(stub, 'utf8')).toBe(THEIRS);
  await standing.begin();
  expect(whole()).toEqual([true, true]);
});

test('when we end the list of real servers stays for whoever reads it, and nothing says that somebody stands in', async () => {
  const { names, paths } = world();
  const standing = await names();
  await standing.begin();
  await standing.close();
  expect(readdirSync(paths.resolvedFolder)).toEqual(['resolv.conf']);
});

test('when we end and /etc/resolv.conf leads through the name, it stays', async () => {
  const { names, paths } = world();
  symlinkSync('../run/systemd/resolve/stub-resolv.conf', paths.etcResolvConf);
  const standing = await names();
  await standing.begin();
  await standing.close();
  expect(readFileSync(paths.etcResolvConf, 'utf8')).toBe(OUR_TEXT);
});

test('when we end after systemd-resolved has come, its files stay', async () => {
  const { names, paths, stub } = world();
  const standing = await names();
  await standing.begin();
  await standing.giveWay();
  writeFileSync(stub, THEIRS);
  await standing.close();
  expect(readdirSync(paths.resolvedFolder)).toEqual(['stub-resolv.conf']);
});

test('what cannot be done is told, keeps nothing else back and is tried again', async () => {
  const { names, whole, clock, stub } = world();
  mkdirSync(stub, { recursive: true });
  const standing = await names();
  await standing.begin();
  expect(whole()).toEqual([false, true]);
  expect(standing.problem).toMatch(/systemd-resolved's names .* a folder is in its place: remove it\.$/);
  rmdirSync(stub);
  clock.advance(1000);
  await until(() => standing.problem === undefined, 'it was tried again');
  expect(whole()).toEqual([true, true]);
});

// Regression: RuntimeDirectory= made /run/dnskeeper a mount of its own, so no link out of it could be made.
test('two mounts below /run are told with what to look at', async () => {
  const { names, stub } = world();
  const standing = await names(refusingFiles(realFiles, stub, 'EXDEV'));
  await standing.begin();
  expect(standing.problem).toContain('EXDEV');
});

test.each<Death>(['before', 'after', 'torn'])(
  'killed %s any step, the next start makes it whole, and a name that was there was never missing',
  async (death) => {
    for (let fatal = 1; ; fatal++) {
      expect(fatal).toBeLessThan(20);
      const { names, whole, paths, stub, uplink } = world();
      await (await names()).begin();
      await realFiles.replace(paths.resolvConf, Buffer.from(`${OUR_TEXT}options edns0\n`));
      await realFiles.replace(uplink, Buffer.from(SERVERS.replace('192.0.2.54', '192.0.2.99')));
      const files = mortalFiles(realFiles, fatal, death);
      await (await names(files)).begin();
      for (const path of [stub, uplink])
        expect(readFileSync(path, 'utf8')).toMatch(/^# Written by dnskeeper[\s\S]*\n$/m);
      await (await names()).begin();
      expect(whole()).toEqual([true, true]);
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
