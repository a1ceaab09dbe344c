import { lstatSync, statSync } from 'node:fs';
import {
  appendFile,
  copyFile,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readConfig } from '../../src/core/config.ts';
import { renderNetnsConf } from '../../src/core/netns-conf.ts';
import { parseNetnsName } from '../../src/core/netns-name.ts';
import { makePlan } from '../../src/core/policy.ts';
import { netnsFiles } from '../../src/outputs/netns-files.ts';
import { openFiles } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import { watchFile } from '../../src/system/watch.ts';
import { temporaryFolder } from '../support/folder.ts';
import { link, snapshotOf } from '../support/links.ts';
import { manualClock } from '../support/manual-clock.ts';
import { ODD_FILES } from '../support/odd-files.ts';
import { parseResolvConf } from '../support/parse-resolv-conf.ts';
import { recordingLog } from '../support/recording-log.ts';
import { until } from '../support/until.ts';

const live = new AbortController().signal;
const { config } = readConfig([]);

const decisionFor = (servers: readonly string[], searches: readonly string[] = []) => ({
  plan: makePlan(snapshotOf([link({ servers, searches })]), config),
  time: 0,
  cause: 'a test',
  nameserver: '127.0.0.53',
});

function setUp(names: string[] = ['blue']) {
  const folder = join(temporaryFolder(), 'netns');
  const clock = manualClock();
  const output = netnsFiles({
    folder,
    files: openFiles(undefined),
    names: () => names,
    render: ({ plan, time }, name) => renderNetnsConf(plan, time, name),
    watch: (path, onEvent) => watchFile(path, onEvent, silentLog),
    clock,
    log: recordingLog(),
  });
  onTestFinished(() => output.close());
  const path = (name: string) => join(folder, name, 'resolv.conf');
  const read = (name: string) => readFile(path(name), 'utf8').catch(() => undefined);
  return { output, folder, names, path, read, clock };
}

describe('the resolv.conf of a network namespace', () => {
  it.each([
    [
      'the real servers, three at most',
      ['10.0.0.1', '10.0.0.2', 'fd00::3', '10.0.0.4'],
      ['10.0.0.1', '10.0.0.2', 'fd00::3'],
    ],
    ['no server that means another machine there', ['127.0.0.1', '::1', '10.0.0.1'], ['10.0.0.1']],
    ['no server that is bound to a link', ['fe80::1%eth0', '10.0.0.1'], ['10.0.0.1']],
    ['no server that a file cannot say', ['dns+tls://9.9.9.9#dns.quad9.net', '10.0.0.1'], ['10.0.0.1']],
  ])('lists %s', async (_what, servers, listed) => {
    const { output, read } = setUp();
    await output.apply(decisionFor(servers, ['home.example']), live);
    const text = (await read('blue')) ?? '';
    expect(parseResolvConf(text)).toMatchObject({ nameservers: listed, search: ['home.example'] });
    expect(text).toMatch(/^# For the network namespace blue, written by dnskeeper;/);
  });

  it('keeps its inode when it changes, because programs have it mounted', async () => {
    const { output, path, read } = setUp();
    await output.apply(decisionFor(['10.0.0.1']), live);
    const { ino } = statSync(path('blue'));
    await output.apply(decisionFor(['10.0.0.2']), live);
    expect(parseResolvConf((await read('blue')) ?? '').nameservers).toEqual(['10.0.0.2']);
    expect(statSync(path('blue')).ino).toBe(ino);
  });

  it('is not written again when only the time is another', async () => {
    const { output, path } = setUp();
    await output.apply(decisionFor(['10.0.0.1']), live);
    const { mtimeNs } = statSync(path('blue'), { bigint: true });
    await output.apply({ ...decisionFor(['10.0.0.1']), time: 5000 }, live);
    expect(statSync(path('blue'), { bigint: true }).mtimeNs).toBe(mtimeNs);
  });

  it('goes when its name is taken off the list, also after a restart', async () => {
    const { output, names, read, folder } = setUp(['blue', 'red']);
    await output.apply(decisionFor(['10.0.0.1']), live);
    names.pop();
    await output.apply(decisionFor(['10.0.0.1']), live);
    expect([await read('blue'), await read('red')]).toEqual([expect.any(String), undefined]);
    const next = netnsFiles({
      folder,
      files: openFiles(undefined),
      names: () => [],
      render: () => '',
      watch: () => ({ close: async () => {} }),
      clock: manualClock(),
      log: recordingLog(),
    });
    await next.apply(decisionFor(['10.0.0.1']), live);
    expect(await read('blue')).toBeUndefined();
  });

  it('of somebody else is left alone and told about, and the others are kept', async () => {
    const { output, folder, read, path } = setUp(['blue', 'link', 'red']);
    await mkdir(join(folder, 'blue'), { recursive: true });
    await mkdir(join(folder, 'link'));
    await mkdir(join(folder, 'green'));
    await writeFile(path('blue'), 'nameserver 192.0.2.1\n');
    await writeFile(path('green'), 'nameserver 192.0.2.2\n');
    await symlink('../blue/resolv.conf', path('link'));
    await output.apply(decisionFor(['10.0.0.1']), live);
    expect(output.problem).toMatch(/blue\/resolv\.conf is not ours/);
    expect(await read('blue')).toBe('nameserver 192.0.2.1\n');
    expect(await read('green')).toBe('nameserver 192.0.2.2\n');
    expect(await read('red')).toContain('nameserver 10.0.0.1');
  });

  it.each(ODD_FILES)(
    'that is $what is left alone and told about, and the others are kept',
    async ({ make }) => {
      const { output, folder, read, path } = setUp(['blue', 'red']);
      await mkdir(join(folder, 'blue'), { recursive: true });
      make(path('blue'));
      const before = lstatSync(path('blue')).ino;
      for (const servers of [['10.0.0.1'], ['10.0.0.2']]) await output.apply(decisionFor(servers), live);
      expect(output.problem).toMatch(/blue\/resolv\.conf is not ours/);
      expect(lstatSync(path('blue')).ino).toBe(before);
      expect(await read('red')).toContain('nameserver 10.0.0.2');
    },
  );

  it('is not written through a folder that is a link, nor taken away there', async () => {
    const { output, folder, names } = setUp(['blue', 'red']);
    const elsewhere = join(folder, '../elsewhere');
    await mkdir(elsewhere);
    await mkdir(folder);
    await symlink('../elsewhere', join(folder, 'blue'));
    await output.apply(decisionFor(['10.0.0.1']), live);
    expect(output.problem).toMatch(/netns\/blue is no folder of its own/);
    expect(await readdir(elsewhere)).toEqual([]);
    await copyFile(join(folder, 'red/resolv.conf'), join(elsewhere, 'resolv.conf'));
    names.length = 0;
    await output.apply(decisionFor(['10.0.0.1']), live);
    expect(await readdir(elsewhere)).toEqual(['resolv.conf']);
    expect(output.problem).toBeUndefined();
  });

  it.each<[string, (made: ReturnType<typeof setUp>) => Promise<unknown>]>([
    ['it is removed', ({ path }) => rm(path('blue'))],
    ['its folder is removed', ({ folder }) => rm(join(folder, 'blue'), { recursive: true })],
    ['the folder of all is removed', ({ folder }) => rm(folder, { recursive: true })],
    ['it is changed', ({ path }) => appendFile(path('blue'), 'nameserver 6.6.6.6\n')],
    [
      'its folder is swapped for another',
      async ({ folder }) => {
        await mkdir(join(folder, 'new'));
        await rename(join(folder, 'blue'), join(folder, 'old'));
        await rename(join(folder, 'new'), join(folder, 'blue'));
      },
    ],
  ])('is put right when %s', async (_what, spoil) => {
    const made = setUp();
    const { output, read, clock } = made;
    let changes = 0;
    output.onChange(() => {
      changes++;
      void output.apply(decisionFor(['10.0.0.1']), live);
    });
    await output.apply(decisionFor(['10.0.0.1']), live);
    const text = await read('blue');
    await spoil(made);
    await until(() => clock.waiting === 1, 'the change is heard');
    expect(changes).toBe(0); // not at once: two programs may both want it
    clock.advance(1000);
    await until(async () => (await read('blue')) === text, 'it is as it was');
    expect(changes).toBe(1);
  });

  it('is kept as soon as the file that was in its way is removed', async () => {
    const { output, folder, read, path, clock } = setUp();
    await mkdir(join(folder, 'blue'), { recursive: true });
    await writeFile(path('blue'), 'nameserver 192.0.2.1\n');
    output.onChange(() => void output.apply(decisionFor(['10.0.0.1']), live));
    await output.apply(decisionFor(['10.0.0.1']), live);
    expect(output.problem).toMatch(/remove it to have it kept/);
    await rm(path('blue'));
    await until(() => clock.waiting === 1, 'the removal is heard');
    clock.advance(1000);
    await until(async () => (await read('blue'))?.includes('10.0.0.1') === true, 'it is kept');
    expect(output.problem).toBeUndefined();
  });

  it('written by ourselves is no news, and neither is what happens to a name that is no longer ours', async () => {
    const { output, names, path, clock } = setUp();
    let heard = 0;
    const far = watchFile(path('blue'), () => heard++, silentLog);
    onTestFinished(() => far.close());
    for (const server of ['10.0.0.1', '10.0.0.2']) await output.apply(decisionFor([server]), live);
    await until(() => heard > 1, 'a watch of ours has heard of it');
    await new Promise((resolve) => setImmediate(resolve));
    expect(clock.waiting).toBe(0);
    names.pop();
    await output.apply(decisionFor(['10.0.0.2']), live);
    const before = heard;
    await until(async () => {
      await appendFile(path('blue'), '# theirs\n');
      return heard > before;
    }, 'that was heard');
    await new Promise((resolve) => setImmediate(resolve));
    expect(clock.waiting).toBe(0);
  });

  it('that cannot be written is told, and nothing else fails', async () => {
    const { output, folder } = setUp();
    await writeFile(folder, 'a file in the way');
    await output.apply(decisionFor(['10.0.0.1']), live);
    expect(output.problem).toMatch(/^Files of network namespaces: /);
  });

  it.each(['', '.', '..', 'a/b', '../x', 'a\nb', '-x', 'x'.repeat(65)])('has no name such as %j', (name) => {
    expect(parseNetnsName(name).ok).toBe(false);
  });
});
