import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { resolvConfFile } from '../../src/outputs/resolv-conf-file.ts';
import { decisionOf, renderCause } from '../support/decision.ts';
import { type Etc, etc, OUR_TEXT, realFiles } from '../support/etc.ts';
import { noImmutable, noMounts, run, unless } from '../support/root-only.ts';

const HAND_WRITTEN =
  '# mine, and a good deal longer than what dnskeeper will write in its place\nnameserver 198.51.100.1\n';
const go = new AbortController().signal;

/** Mount a file over another one for as long as `act` runs. */
async function mounted(
  source: string,
  target: string,
  act: () => Promise<void>,
  readOnly = false,
): Promise<void> {
  run('mount', '--bind', source, target);
  try {
    if (readOnly) run('mount', '-o', 'remount,bind,ro', target);
    await act();
  } finally {
    run('umount', target);
  }
}

/** A machine like a container: /etc/resolv.conf is a mount of a file that the runtime keeps elsewhere. */
function container(): { machine: Etc; outside: string } {
  const machine = etc('');
  const outside = join(machine.root, 'outside');
  writeFileSync(outside, HAND_WRITTEN);
  return { machine, outside };
}

describe.skipIf(noMounts !== undefined)(unless(noMounts, 'a mounted /etc/resolv.conf'), () => {
  it('is written in place, follows new plans, and gets its bytes back', async () => {
    const { machine, outside } = container();
    await mounted(outside, machine.paths.etcResolvConf, async () => {
      const keeper = machine.keeper();
      await keeper.resolved('absent');
      expect(readFileSync(outside, 'utf8')).toBe(OUR_TEXT);
      expect(keeper.status()).toMatchObject({ state: 'bind-mount', inCharge: 'dnskeeper', degraded: false });
      writeFileSync(machine.paths.resolvConf, `${OUR_TEXT}nameserver 192.0.2.2\n`);
      await keeper.apply(decisionOf('two servers'), go);
      expect(readFileSync(outside, 'utf8')).toBe(`${OUR_TEXT}nameserver 192.0.2.2\n`);
      expect(keeper.status().foreign).toBeUndefined();
      expect(await keeper.release()).toMatchObject({ ok: true });
      expect(readFileSync(outside, 'utf8')).toBe(HAND_WRITTEN);
    });
  });

  it('is known as ours again after a restart with another plan', async () => {
    const { machine, outside } = container();
    await mounted(outside, machine.paths.etcResolvConf, async () => {
      const first = machine.keeper();
      await first.resolved('absent');
      await first.close();
      writeFileSync(machine.paths.resolvConf, `${OUR_TEXT}# later\n`);
      const second = machine.keeper();
      await second.resolved('absent');
      expect(readFileSync(outside, 'utf8')).toBe(`${OUR_TEXT}# later\n`);
      await second.release();
      expect(readFileSync(outside, 'utf8')).toBe(HAND_WRITTEN);
    });
  });

  it('that holds an old text of ours is not taken for an original', async () => {
    const { machine, outside } = container();
    writeFileSync(outside, `${OUR_TEXT}# of a run whose saved original is gone\n`);
    await mounted(outside, machine.paths.etcResolvConf, async () => {
      const keeper = machine.keeper();
      await keeper.resolved('absent');
      expect(keeper.status()).toMatchObject({ state: 'bind-mount', originalSaved: false });
      expect((await keeper.release()).text).toMatch(/no original was saved/);
      expect(readFileSync(outside, 'utf8')).toBe(OUR_TEXT);
    });
  });

  it('is defended like a link', async () => {
    const { machine, outside } = container();
    await mounted(outside, machine.paths.etcResolvConf, async () => {
      const keeper = machine.keeper();
      await keeper.resolved('absent');
      writeFileSync(outside, `${OUR_TEXT}nameserver 8.8.8.8\n`);
      await keeper.check('watch');
      expect(readFileSync(outside, 'utf8')).toBe(OUR_TEXT);
      expect(keeper.status().foreign?.count).toBe(1);
    });
  });

  it.each([
    ['reassert', OUR_TEXT, []],
    ['import', OUR_TEXT, ['resolv-conf.somebody']],
    ['yield', 'nameserver 8.8.8.8\n', []],
  ] as const)('that somebody writes into is dealt with by rule: %s', async (rule, shown, keys) => {
    const { machine, outside } = container();
    machine.foreign = { others: rule, by: {} };
    await mounted(outside, machine.paths.etcResolvConf, async () => {
      const keeper = machine.keeper();
      await keeper.resolved('absent');
      writeFileSync(outside, 'nameserver 8.8.8.8\n');
      await keeper.check('watch');
      expect(readFileSync(outside, 'utf8')).toBe(shown);
      expect([...machine.imported.keys()]).toEqual(keys);
      // What we wrote before is a backup that is put back, also once another plan is in force.
      machine.earlier.remember(Buffer.from(OUR_TEXT));
      writeFileSync(machine.paths.resolvConf, `${OUR_TEXT}# later\n`);
      writeFileSync(outside, OUR_TEXT);
      await keeper.check('watch');
      machine.clock.advance(100);
      await keeper.check('look');
      expect(readFileSync(outside, 'utf8')).toBe(`${OUR_TEXT}# later\n`);
      expect(keeper.status()).toMatchObject({ state: 'bind-mount', degraded: false });
    });
  });

  it('is handed back in place when systemd-resolved starts', async () => {
    const { machine, outside } = container();
    await mounted(outside, machine.paths.etcResolvConf, async () => {
      const keeper = machine.keeper();
      await keeper.resolved('absent');
      await keeper.resolved('running');
      expect(readFileSync(outside, 'utf8')).toBe(HAND_WRITTEN);
    });
  });

  it('is found out by EBUSY where the list of mounts cannot be read', async () => {
    const { machine, outside } = container();
    await mounted(outside, machine.paths.etcResolvConf, async () => {
      const keeper = machine.keeper({ ...realFiles, isMountPoint: async () => false });
      await keeper.resolved('absent');
      expect(readFileSync(outside, 'utf8')).toBe(OUR_TEXT);
      expect(keeper.status().state).toBe('bind-mount');
    });
  });

  it('that is read-only is left alone and said so', async () => {
    const { machine, outside } = container();
    await mounted(
      outside,
      machine.paths.etcResolvConf,
      async () => {
        const keeper = machine.keeper();
        await keeper.resolved('absent');
        expect(readFileSync(outside, 'utf8')).toBe(HAND_WRITTEN);
        expect(keeper.status()).toMatchObject({
          state: 'publish-only',
          degraded: true,
          originalSaved: false,
        });
        expect(keeper.status().reason).toMatch(/read-only mount/);
      },
      true,
    );
  });
});

describe.skipIf(noMounts !== undefined)(unless(noMounts, 'other mounts'), () => {
  it('a read-only /etc is left alone and said so', async () => {
    const machine = etc(HAND_WRITTEN);
    const folder = join(machine.root, 'etc');
    await mounted(
      folder,
      folder,
      async () => {
        const keeper = machine.keeper();
        await keeper.resolved('absent');
        expect(machine.shown()).toBe(HAND_WRITTEN);
        expect(keeper.status()).toMatchObject({
          state: 'publish-only',
          degraded: true,
          originalSaved: false,
        });
        expect(keeper.status().reason).toMatch(/read-only file system/);
      },
      true,
    );
  });

  it('our own file as a mount point is written in place', async () => {
    const machine = etc();
    const outside = join(machine.root, 'outside');
    writeFileSync(outside, HAND_WRITTEN);
    const { paths } = machine;
    await mounted(outside, paths.resolvConf, async () => {
      const output = resolvConfFile(paths, realFiles, renderCause);
      await output.apply(decisionOf('mounted'), go);
      expect(readFileSync(outside, 'utf8')).toBe(renderCause(decisionOf('mounted')).resolvConf);
      expect(existsSync(join(paths.runtime, '.resolv.conf.dnskeeper'))).toBe(false);
    });
  });
});

describe.skipIf(noImmutable !== undefined)(unless(noImmutable, 'the immutable flag'), () => {
  it('keeps a file as the administrator wants it, until the flag is gone', async () => {
    const machine = etc(HAND_WRITTEN);
    const keeper = machine.keeper();
    run('chattr', '+i', machine.paths.etcResolvConf);
    try {
      await keeper.resolved('absent');
      expect(machine.shown()).toBe(HAND_WRITTEN);
      expect(keeper.status()).toMatchObject({
        state: 'publish-only',
        inCharge: 'the administrator (immutable file)',
        degraded: false,
        originalSaved: false,
      });
      expect(keeper.status().reason).toMatch(/chattr -i/);
    } finally {
      run('chattr', '-i', machine.paths.etcResolvConf);
    }
    expect(await keeper.takeover()).toMatchObject({ ok: true });
  });

  it('on /etc itself is a refusal with its own words', async () => {
    const machine = etc(HAND_WRITTEN);
    const keeper = machine.keeper();
    run('chattr', '+i', join(machine.root, 'etc'));
    try {
      await keeper.resolved('absent');
      expect(machine.shown()).toBe(HAND_WRITTEN);
      expect(keeper.status()).toMatchObject({ state: 'publish-only', degraded: true, originalSaved: false });
      expect(keeper.status().reason).toMatch(/lsattr/);
    } finally {
      run('chattr', '-i', join(machine.root, 'etc'));
    }
  });
});

describe('our own files', () => {
  it.each([
    ['deleted', (path: string) => rmSync(path)],
    ['edited', (path: string) => writeFileSync(path, `${readFileSync(path, 'utf8')}nameserver 8.8.8.8\n`)],
    ['moved away', (path: string) => renameSync(path, `${path}.old`)],
    ['made unreadable', (path: string) => run('chmod', '0600', path)],
    ['blown up', (path: string) => writeFileSync(path, 'x'.repeat(1 << 20))],
  ])('are put right at the next apply when %s', async (_, spoil) => {
    const { paths } = etc();
    const output = resolvConfFile(paths, realFiles, renderCause);
    await output.apply(decisionOf('same'), go);
    spoil(paths.resolvConf);
    await output.apply(decisionOf('same'), go);
    expect(readFileSync(paths.resolvConf, 'utf8')).toBe(renderCause(decisionOf('same')).resolvConf);
    expect((await realFiles.look(paths.resolvConf))?.mode).toBe(0o644);
    expect(output.status().map((file) => file.state)).toEqual(['unchanged', 'written']);
  });

  it('tell what was there before and what is there now', async () => {
    const { paths } = etc();
    const changes: string[][] = [];
    const output = resolvConfFile(paths, realFiles, renderCause, (before, after) =>
      changes.push([before, after]),
    );
    await output.apply(decisionOf('one'), go);
    await output.apply(decisionOf('one', 5), go);
    await output.apply(decisionOf('two'), go);
    const [one, two] = ['one', 'two'].map((cause) => renderCause(decisionOf(cause)).resolvConf);
    expect(changes).toEqual([
      [OUR_TEXT, one],
      [one, two],
    ]);
  });
});
