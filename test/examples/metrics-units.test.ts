import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DNSCTL, EXIT } from '../../src/control/command-table.ts';
import { parseCommandLine } from '../../src/system/command-line.ts';
import { temporaryFolder } from '../support/folder.ts';

const text = (name: string): string =>
  readFileSync(join(import.meta.dirname, '../../examples', `dnskeeper-metrics.${name}`), 'utf8');
const setting = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(text('service'))?.[1] ?? '';

describe('the example units for node_exporter', () => {
  test('run dnsctl with options that it has', () => {
    const [program, ...argv] = setting('ExecStart').split(' ');
    expect(program).toBe('/usr/bin/dnsctl');
    expect(parseCommandLine(DNSCTL, argv)).toMatchObject({
      kind: 'run',
      command: 'metrics',
      options: { output: expect.stringMatching(/\.prom$/) },
    });
  });

  test('take it for no failure that the daemon does not run', () => {
    expect(setting('SuccessExitStatus')).toBe(String(EXIT.notRunning));
  });

  test.each(['service', 'timer'])('the %s is understood by systemd without a complaint', (name) => {
    const folder = temporaryFolder();
    for (const each of ['service', 'timer'])
      writeFileSync(
        join(folder, `dnskeeper-metrics.${each}`),
        text(each)
          .replace('/usr/bin/dnsctl', '/bin/true')
          .replace(/^Documentation=.*\n/m, ''),
      );
    const unit = join(folder, `dnskeeper-metrics.${name}`);
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', unit], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([0, '']);
  });
});
