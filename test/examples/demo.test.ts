import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseRecordedEvent } from '../../src/core/recording.ts';
import { bareEnvironment } from '../support/bare-environment.ts';

const EXAMPLES = join(import.meta.dirname, '../../examples');

it('the demo shows every step of the recording with its diff and reasons, and ends healthy', () => {
  const shown = execFileSync(process.execPath, [join(EXAMPLES, 'demo.ts')], {
    encoding: 'utf8',
    env: bareEnvironment,
    timeout: 60_000,
  });
  const steps = shown.split(/^== (?=.* ==$)/m).map((part) => part.slice(part.indexOf('\n')));
  const [, first, second, gone, up, down, asleep, awake, status] = steps;
  expect(first).toMatch(/\+nameserver 10\.20\.0\.1\n +why: /);
  expect(second).toMatch(/\+nameserver 10\.30\.0\.1/);
  expect(gone).toMatch(/-nameserver 10\.20\.0\.1/);
  expect(up).toMatch(/\+nameserver 10\.99\.0\.1\n +why: Priority 50, a VPN/);
  expect(down).toMatch(/-nameserver 10\.99\.0\.1/);
  expect(asleep).toMatch(/the grace time ended/);
  expect(awake).toMatch(/\+nameserver 10\.30\.0\.1/);
  expect(status).toMatch(/^\s*Healthy/);
});

it('the recording holds events of a real NetworkManager and nothing that was not wanted', () => {
  const lines = readFileSync(join(EXAMPLES, 'recordings/demo.jsonl'), 'utf8').trimEnd().split('\n');
  for (const line of lines) expect(parseRecordedEvent(line)).toMatchObject({ ok: true });
  expect(lines.join('\n')).toMatch(/"detail":"NetworkManager 1\./);
});
