import { mkdirSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  formatProfileChoice,
  type ProfileChoice,
  parseProfileChoice,
} from '../../src/core/profile-choice.ts';
import { Overrides } from '../../src/daemon/overrides.ts';
import { ConfigFiles } from '../../src/sources/config-file.ts';
import { openFiles } from '../../src/system/files.ts';
import { systemPaths } from '../../src/system/paths.ts';
import { temporaryFolder } from '../support/folder.ts';
import { manualClock } from '../support/manual-clock.ts';

const HOUR = 3_600_000;

async function setUp({ first, config = '' }: { first?: ProfileChoice; config?: string } = {}) {
  const root = temporaryFolder();
  const folder = join(root, 'etc/dnskeeper');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.toml'), `${config}\n[[profile]]\nname = "home"\npriority = 20\n`);
  const clock = manualClock();
  const configuration = await ConfigFiles.open(systemPaths(root), openFiles(undefined));
  const causes: string[] = [];
  const saved: (ProfileChoice | undefined)[] = [];
  const overrides = new Overrides({
    clock,
    configuration,
    profileChoice: { first, save: (choice) => void saved.push(choice) },
    changed: async (cause) => void causes.push(cause),
  });
  const file = (name: string) => join(folder, 'conf.d', name);
  return { overrides, clock, configuration, causes, saved, file, folder };
}

describe('a profile chosen by hand', () => {
  it('holds until profiles are automatic again, and is kept', async () => {
    const { overrides, causes, saved } = await setUp();
    expect(await overrides.useProfile('home', undefined)).toEqual({
      ok: true,
      text: 'Profile "home" comes first until "dnsctl profile auto".',
    });
    expect(overrides.told).toEqual({ profileByHand: { name: 'home' } });
    await overrides.useProfile(undefined, undefined);
    expect(overrides.told).toEqual({});
    expect(saved).toEqual([{ name: 'home' }, undefined]);
    expect(causes).toEqual(['profile "home" was chosen by hand', 'profiles are automatic again']);
  });

  it('ends by itself when its time is over', async () => {
    const { overrides, clock, causes, saved } = await setUp();
    await overrides.useProfile('home', HOUR);
    clock.advance(HOUR - 1);
    expect(overrides.profile?.name).toBe('home');
    clock.advance(1);
    expect(overrides.profile).toBeUndefined();
    expect(causes.at(-1)).toBe('the time of profile "home" is over');
    expect(saved.at(-1)).toBeUndefined();
  });

  it('that is not in the configuration is refused, and changes nothing', async () => {
    const { overrides, causes } = await setUp();
    expect(await overrides.useProfile('hotel', undefined)).toEqual({
      ok: false,
      text: 'Wanted a profile of the configuration, got "hotel"; there are "home".',
    });
    expect([overrides.told, causes]).toEqual([{}, []]);
  });

  it('outlives a restart for the time that is left', async () => {
    const { overrides, clock } = await setUp({ first: { name: 'home', until: manualClock().now() + HOUR } });
    expect(overrides.profile?.name).toBe('home');
    clock.advance(HOUR);
    expect(overrides.profile).toBeUndefined();
  });

  it.each([
    ['', undefined],
    ['{', undefined],
    ['null', undefined],
    ['[]', undefined],
    ['{"name":""}', undefined],
    [`{"name":"${'x'.repeat(65)}"}`, undefined],
    ['{"name":"a\\nb"}', undefined],
    ['{"name":["a"]}', undefined],
    ['\u0000\u007fELF', undefined],
    ['{"name":"a"}', { name: 'a' }],
    ['{"name":"a","until":1000}', undefined],
    ['{"name":"a","until":"2000"}', undefined],
    ['{"name":"a","until":1e300}', undefined],
    [formatProfileChoice({ name: 'a', until: 1001 }), { name: 'a', until: 1001 }],
  ])('kept as %j is read as %j', (text, choice) => {
    expect(parseProfileChoice(text, 1000)).toEqual(choice);
  });
});

describe('a configuration on trial', () => {
  const TEXT = '[log]\nlevel = "debug"\n';

  it('is in force as a drop-in and goes when its time is over', async () => {
    const { overrides, clock, configuration, causes } = await setUp();
    expect(await overrides.tryConfiguration('50-x.toml', TEXT, 60_000)).toMatchObject({ ok: true });
    expect(configuration.current.config.logLevel).toBe('debug');
    expect(overrides.told).toEqual({ trial: { name: '50-x.toml', until: clock.now() + 60_000 } });
    await configuration.reload();
    expect(configuration.current.config.logLevel, 'a reload does not end it').toBe('debug');
    clock.advance(60_000);
    await expect.poll(() => configuration.current.config.logLevel).toBe('info');
    expect([overrides.told, causes]).toEqual([{}, ['50-x.toml is tried', 'the trial of 50-x.toml ended']]);
  });

  it('stands in the place of a drop-in of the same name, and of none after it', async () => {
    const { overrides, configuration, file, folder } = await setUp();
    mkdirSync(join(folder, 'conf.d'));
    await writeFile(file('50-x.toml'), '[dns]\npriority = 5\n');
    await writeFile(file('60-y.toml'), '[log]\nlevel = "error"\n');
    await overrides.tryConfiguration('50-x.toml', TEXT, 60_000);
    expect(configuration.current.config).toMatchObject({ logLevel: 'error', priority: 75 });
    await overrides.endTrial('go back');
    expect(configuration.current.config).toMatchObject({ logLevel: 'error', priority: 5 });
  });

  it('is kept as a file, byte for byte', async () => {
    const { overrides, clock, configuration, file } = await setUp();
    await overrides.tryConfiguration('50-x.toml', TEXT, 60_000);
    expect(await overrides.endTrial('keep')).toEqual({
      ok: true,
      text: `50-x.toml is kept as ${file('50-x.toml')}.`,
    });
    expect(await readFile(file('50-x.toml'), 'utf8')).toBe(TEXT);
    clock.advance(60_000);
    await configuration.reload();
    expect(configuration.current.config.logLevel).toBe('debug');
    expect(await overrides.endTrial('keep')).toEqual({ ok: false, text: 'No configuration is tried.' });
  });

  it('whose time is over while it is being kept is kept', async () => {
    const { overrides, clock, configuration, causes } = await setUp();
    await overrides.tryConfiguration('50-x.toml', TEXT, 60_000);
    const kept = overrides.endTrial('keep');
    clock.advance(60_000);
    expect(await kept).toMatchObject({ ok: true });
    expect(await overrides.endTrial('go back'), 'it is over').toMatchObject({ ok: false });
    expect(causes).toEqual(['50-x.toml is tried', '50-x.toml is kept']);
    expect(configuration.current.config.logLevel).toBe('debug');
  });

  it('is not ended by the time of the one before it', async () => {
    const { overrides, clock, configuration } = await setUp();
    await overrides.tryConfiguration('50-x.toml', TEXT, 60_000);
    const next = overrides.tryConfiguration('60-y.toml', '[dns]\npriority = 5\n', 60_000);
    clock.advance(60_000);
    expect(await next).toMatchObject({ ok: true });
    expect(await overrides.tryConfiguration('70-z.toml', 'x', 1), 'nothing is under way').toMatchObject({
      ok: false,
    });
    expect(overrides.told.trial?.name).toBe('60-y.toml');
    expect(configuration.current.config).toMatchObject({ logLevel: 'info', priority: 5 });
  });

  it('that is wrong changes nothing, nor does it end the one before', async () => {
    const { overrides, configuration } = await setUp();
    await overrides.tryConfiguration('50-x.toml', TEXT, 60_000);
    expect(await overrides.tryConfiguration('60-y.toml', '[log]\nlevel = 1\n', 60_000)).toEqual({
      ok: false,
      text: expect.stringMatching(/60-y\.toml:2: log\.level.*Nothing was changed\.$/),
    });
    expect(overrides.told.trial?.name).toBe('50-x.toml');
    expect(configuration.current).toMatchObject({ problems: [], config: { logLevel: 'debug' } });
  });
});
