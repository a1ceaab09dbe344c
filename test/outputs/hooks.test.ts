import { chmod, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Hooks, hooks } from '../../src/outputs/hooks.ts';
import { runHooks } from '../../src/system/hooks.ts';
import { temporaryFolder } from '../support/folder.ts';
import { ODD_FILES } from '../support/odd-files.ts';
import { recordingLog } from '../support/recording-log.ts';
import { until } from '../support/until.ts';

const live = new AbortController().signal;

async function folderWith(programs: Readonly<Record<string, string>>, mode = 0o755): Promise<string> {
  const folder = join(temporaryFolder(), 'hooks.d');
  await mkdir(folder);
  for (const [name, script] of Object.entries(programs)) {
    await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(folder, name), mode);
  }
  return folder;
}

const run = (folder: string, { stdin = '', deadlineMs = 10_000, signal = live } = {}) =>
  runHooks({ folder, stdin, deadlineMs, signal, environment: { DNSKEEPER_CAUSE: 'a test' } });

describe('the programs of a hook folder', () => {
  it('run by name, one after the other, with what changed on standard input', async () => {
    const folder = await folderWith({
      '20-second': 'cat >> ../out; echo "2 $DNSKEEPER_CAUSE" >> ../out',
      '10-first': 'cat >> ../out; echo "1 $PWD" >> ../out',
    });
    const at = (script: string) => script.replaceAll('../out', join(folder, '../out'));
    for (const name of ['10-first', '20-second'])
      await writeFile(join(folder, name), at(await readFile(join(folder, name), 'utf8')));
    expect(await run(folder, { stdin: 'changed\n' })).toEqual([{ name: '10-first' }, { name: '20-second' }]);
    expect(await readFile(join(folder, '../out'), 'utf8')).toBe('changed\n1 /\nchanged\n2 a test\n');
  });

  it('are none where there is no folder', async () => {
    expect(await run('/nonexistent/hooks.d')).toEqual([]);
  });

  it('that fail tell with what, and do not keep the next from running', async () => {
    const folder = await folderWith({
      a: 'echo "no such\tserver" >&2; exit 3',
      b: 'exit 0',
      c: 'kill -9 $$',
    });
    expect(await run(folder)).toEqual([
      { name: 'a', problem: 'it ended with 3: no such?server' },
      { name: 'b' },
      { name: 'c', problem: 'it ended with SIGKILL' },
    ]);
  });

  it('that hang are killed with what they started', async () => {
    const folder = await folderWith({ a: 'sleep 987 & echo $! > "$0.pid"; wait' });
    expect(await run(folder, { deadlineMs: 2000 })).toEqual([
      { name: 'a', problem: 'it took longer than 2 s and was killed' },
    ]);
    const pid = Number(await readFile(join(folder, 'a.pid'), 'utf8'));
    await until(async () => !(await isRunning(pid)), 'the sleep has ended');
  });

  it('that leave a process with our pipe behind are not waited for', async () => {
    const folder = await folderWith({ a: 'sleep 30 & echo $! > "$0.pid"' });
    expect(await run(folder)).toEqual([{ name: 'a' }]);
    process.kill(Number(await readFile(join(folder, 'a.pid'), 'utf8')), 'SIGKILL');
  });

  it('that read nothing of a megabyte, or write without end, end all the same', async () => {
    const folder = await folderWith({ a: 'exit 0', b: 'head -c 10000000 /dev/zero >&2; exit 1' });
    const results = await run(folder, { stdin: 'x'.repeat(1 << 20) });
    expect(results[0]).toEqual({ name: 'a' });
    expect(results[1]?.problem?.length).toBeLessThan(500);
  });

  it('are left alone when others may write them, when they may not be executed, or are none', async () => {
    const folder = await folderWith({ writable: 'exit 0' }, 0o777);
    await writeFile(join(folder, 'README'), 'no program');
    await writeFile(join(folder, 'x.dpkg-old'), 'left over');
    await writeFile(join(folder, '.hidden'), '');
    await mkdir(join(folder, 'folder'));
    await symlink(join(folder, 'nowhere'), join(folder, 'link'));
    expect(await run(folder)).toMatchObject([
      { name: 'README', problem: 'it may not be executed' },
      { name: 'folder', problem: 'it is no file' },
      { name: 'link', problem: expect.stringContaining('ENOENT') },
      { name: 'writable', problem: 'others than its owner may write it' },
    ]);
  });

  it.each(ODD_FILES)('that are $what are told, and the others run', async ({ make }) => {
    const folder = await folderWith({ b: 'exit 0' });
    make(join(folder, 'a'));
    const [odd, other] = await run(folder);
    expect(odd).toEqual({ name: 'a', problem: expect.any(String) });
    expect(other).toEqual({ name: 'b' });
  });

  it('are not run from a folder that others may write into, where a link could name any program', async () => {
    const folder = await folderWith({ a: 'touch "$0.ran"' });
    await chmod(folder, 0o777);
    expect(await run(folder)).toEqual([
      { name: '', problem: 'others than its owner may write the folder, so none of it is run' },
    ]);
    expect(await readdir(folder)).toEqual(['a']);
  });

  it('have names that no list of them can be broken by', async () => {
    const folder = await folderWith({ 'a\nb': 'exit 9', 'c d': 'exit 9', '-e': 'exit 9', e: 'exit 0' });
    expect(await run(folder)).toEqual([{ name: 'e' }]);
  });

  it('end when the daemon ends', async () => {
    const folder = await folderWith({ a: 'echo $$ > "$0.pid"; exec sleep 987', b: 'exit 0' });
    const stop = new AbortController();
    const running = run(folder, { signal: stop.signal });
    await until(
      async () => (await readFile(join(folder, 'a.pid'), 'utf8').catch(() => '')) !== '',
      'it runs',
    );
    stop.abort();
    expect(await running).toEqual([{ name: 'a', problem: 'dnskeeperd ended before it did' }]);
    const pid = Number(await readFile(join(folder, 'a.pid'), 'utf8'));
    await until(async () => !(await isRunning(pid)), 'it has ended');
  });
});

describe('hooks after changes', () => {
  function setUp(): { readonly made: Hooks; readonly ran: string[]; next(problem?: string): void } {
    const ran: string[] = [];
    let end: (problem?: string) => void = () => {};
    const made = hooks({
      folder: '/etc/dnskeeper/hooks.d',
      log: recordingLog(),
      run(stdin, _cause, signal) {
        ran.push(stdin);
        return new Promise((resolve) => {
          end = (problem) => resolve([problem === undefined ? { name: 'a' } : { name: 'a', problem }]);
          signal.addEventListener('abort', () => resolve([]));
        });
      },
    });
    onTestFinished(() => made.close());
    return { made, ran, next: (problem) => end(problem) };
  }

  it('tell of the latest alone when several came while they ran', async () => {
    const { made, ran, next } = setUp();
    for (const text of ['1', '2', '3', '4']) made.changed(text, 'a test');
    expect(ran).toEqual(['1']);
    next();
    await until(() => ran.length === 2, 'the next run');
    expect(ran).toEqual(['1', '4']);
  });

  it('show what failed until it works again', async () => {
    const { made, ran, next } = setUp();
    made.changed('1', 'a test');
    next('it ended with 1');
    await until(() => made.problem !== undefined, 'it is told');
    expect(made.problem).toBe('The hook /etc/dnskeeper/hooks.d/a failed: it ended with 1.');
    made.changed('2', 'a test');
    await until(() => ran.length === 2, 'the next run');
    next();
    await until(() => made.problem === undefined, 'all is well');
  });

  it('are over when they are closed', async () => {
    const { made, ran } = setUp();
    made.changed('1', 'a test');
    await made.close();
    made.changed('2', 'a test');
    expect(ran).toEqual(['1']);
  });
});

async function isRunning(pid: number): Promise<boolean> {
  // A zombie waits for whoever adopted it; it runs no more.
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return text !== '' && !/\) Z /.test(text);
}
