import { execFileSync } from 'node:child_process';
import { linkSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatRecordedEvent } from '../../src/core/recording.ts';
import type { SourceEvent } from '../../src/core/snapshot.ts';
import { firstTime, readRecording } from '../../src/sources/replay.ts';
import { silentLog } from '../../src/system/log.ts';
import { openRecording } from '../../src/system/recording-file.ts';
import { temporaryFolder } from '../support/folder.ts';
import { recordingLog } from '../support/recording-log.ts';

const EVENT: SourceEvent = { source: 'host', kind: 'state', cause: 'told', state: { links: [] } };
const LINE = formatRecordedEvent(EVENT, 1);

describe('a recording from anybody', () => {
  it.each([
    ['a time at which adding a pause changes nothing', '1e308'],
    ['a time before 1970', '-1'],
    ['half a millisecond', '0.5'],
    ['a year of five digits', '253402300800000'],
  ])('is refused for %s', async (_, time) => {
    await expect(all(written(`{"time":${time},${LINE.slice(LINE.indexOf('"event"'))}\n`))).rejects.toThrow(
      /:1: .*time: wanted milliseconds/,
    );
  });

  it.each([
    ['a key that would reach the prototype', LINE.replace('"links"', '"__proto__":{"a":1},"links"')],
    ['brackets nested a hundred thousand deep', `{"time":1,"event":${'['.repeat(1e5)}${']'.repeat(1e5)}}`],
  ])('is refused for %s', async (_, line) => {
    await expect(all(written(`${LINE}\n${line}\n`))).rejects.toThrow(/:2: /);
  });

  it('is refused for a line that would only fill the memory', async () => {
    await expect(all(written('x'.repeat(17 << 20)))).rejects.toThrow(/wanted lines of at most/);
  });

  it('is refused when it is a pipe that nobody fills, a device, a folder or missing, instead of waiting', async () => {
    const folder = temporaryFolder();
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    for (const path of [join(folder, 'pipe'), '/dev/zero', folder, join(folder, 'missing')])
      await expect(firstTime(path)).rejects.toThrow('Wanted a recording in the regular file');
  });

  it('is read to its end without a last newline, across chunks and through empty lines', async () => {
    const events = await all(written(`${`${LINE}\n\n`.repeat(2000)}${LINE}`));
    expect(events).toEqual(Array.from({ length: 2001 }, () => ({ time: 1, event: EVENT })));
  });
});

describe('a recording that is written', () => {
  it('is never the one that is replayed, by whatever name', () => {
    const path = written(`${LINE}\n`);
    symlinkSync(path, `${path}.link`);
    linkSync(path, `${path}.hard`);
    for (const name of [path, `${path}.link`, `${path}.hard`])
      expect(() => openRecording(name, silentLog, path)).toThrow('name the same file');
    expect(readFileSync(path, 'utf8')).toBe(`${LINE}\n`);
  });

  it('is readable by its owner only and appended to', () => {
    const path = join(temporaryFolder(), 'new');
    for (const line of ['one', 'two']) {
      const file = openRecording(path, silentLog);
      file.append(line);
      file.close();
    }
    expect(readFileSync(path, 'utf8')).toBe('one\ntwo\n');
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('ends with a warning on a full disk', () => {
    const log = recordingLog();
    const file = openRecording('/dev/full', log);
    file.append('one');
    file.append('two');
    file.close();
    expect(log.lines.filter((line) => line.text.includes('The recording ended: ENOSPC'))).toHaveLength(1);
  });

  it('does not wait for somebody to read a pipe', () => {
    const path = join(temporaryFolder(), 'pipe');
    execFileSync('mkfifo', [path]);
    expect(() => openRecording(path, silentLog)).toThrow('cannot be written');
  });
});

function written(text: string): string {
  const path = join(temporaryFolder(), 'recording.jsonl');
  writeFileSync(path, text);
  return path;
}

async function all(path: string): Promise<unknown[]> {
  const events = [];
  for await (const event of readRecording(path)) events.push(event);
  return events;
}
