import { writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { MOST_TEXTS, ownTexts } from '../../src/outputs/own-texts.ts';
import { resolvConfFile } from '../../src/outputs/resolv-conf-file.ts';
import { openFiles } from '../../src/system/files.ts';
import { systemPaths } from '../../src/system/paths.ts';
import { decisionOf } from '../support/decision.ts';
import { temporaryFolder } from '../support/folder.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const go = new AbortController().signal;

it('knows what it was told, byte for byte', () => {
  const own = ownTexts();
  expect(own.isEmpty).toBe(true);
  own.remember(bytes('nameserver 192.0.2.1\n'));
  expect(own.isEmpty).toBe(false);
  expect(own.has(bytes('nameserver 192.0.2.1\n'))).toBe(true);
  expect(own.has(bytes('nameserver 192.0.2.1'))).toBe(false);
  expect(own.has(bytes(''))).toBe(false);
});

it('keeps the last ones; one that came again is not the oldest', () => {
  const own = ownTexts();
  for (let text = 0; text < MOST_TEXTS; text++) own.remember(bytes(`# ${text}`));
  own.remember(bytes('# 0'));
  own.remember(bytes('# new'));
  expect(['# 0', '# 1', '# 2', '# new'].map((text) => own.has(bytes(text)))).toEqual([
    true,
    false,
    true,
    true,
  ]);
  expect(['# 0', '# 2', '# new'].map((text) => own.isLast(bytes(text)))).toEqual([false, false, true]);
});

it('hears what resolv.conf said, also where a text of an earlier run was left in force', async () => {
  const paths = systemPaths(temporaryFolder());
  const text = { resolvConf: '# Written by dnskeeper\nnameserver 192.0.2.1\n', upstreamConf: '' };
  for (const run of ['first', 'second']) {
    const own = ownTexts();
    const output = resolvConfFile(paths, openFiles(undefined), () => text, undefined, undefined, own);
    expect(own.has(bytes(text.resolvConf)), run).toBe(false);
    await output.apply(decisionOf('one'), go);
    expect(own.isLast(bytes(text.resolvConf)), run).toBe(true);
    writeFileSync(paths.resolvConf, 'nameserver 6.6.6.6\n', { flag: 'a' });
    await output.apply(decisionOf('two'), go);
    expect(own.has(bytes(`${text.resolvConf}nameserver 6.6.6.6\n`)), run).toBe(false);
  }
});
