import { rmSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { resolvConfFile } from '../../src/outputs/resolv-conf-file.ts';
import { openFiles } from '../../src/system/files.ts';
import { systemPaths } from '../../src/system/paths.ts';
import { decisionOf } from '../support/decision.ts';
import { temporaryFolder } from '../support/folder.ts';

it('knows its own file from one that somebody touched, so that own writes cause no new look', async () => {
  const paths = systemPaths(temporaryFolder());
  const text = { resolvConf: 'nameserver 192.0.2.1\n', upstreamConf: '' };
  const output = resolvConfFile(
    paths,
    openFiles(undefined),
    () => text,
    () => {},
  );
  expect(await output.isIntact()).toBe(false);
  await output.apply(decisionOf('one'), new AbortController().signal);
  expect(await output.isIntact()).toBe(true);
  writeFileSync(paths.resolvConf, 'nameserver 6.6.6.6\n');
  expect(await output.isIntact()).toBe(false);
  await output.apply(decisionOf('one'), new AbortController().signal);
  expect(await output.isIntact()).toBe(true);
  rmSync(paths.resolvConf);
  expect(await output.isIntact()).toBe(false);
});

it('knows a write that comes while it is still at work', async () => {
  const paths = systemPaths(temporaryFolder());
  const text = { resolvConf: 'nameserver 192.0.2.1\n', upstreamConf: '' };
  let overwritten = false;
  const output = resolvConfFile(
    paths,
    openFiles(undefined),
    () => text,
    () => {},
    {
      async follow() {
        if (overwritten) writeFileSync(paths.resolvConf, 'nameserver 6.6.6.6\n');
      },
    },
  );
  await output.apply(decisionOf('one'), new AbortController().signal);
  overwritten = true;
  await output.apply(decisionOf('one'), new AbortController().signal);
  expect(await output.isIntact()).toBe(false);
});
