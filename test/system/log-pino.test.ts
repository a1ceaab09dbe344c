import { describe, expect, it } from 'vitest';
import { openLog, stderrIsJournal } from '../../src/system/log-pino.ts';

function collect(priorities: boolean, level: 'debug' | 'info' | 'warn' | 'error' = 'info') {
  const lines: string[] = [];
  const log = openLog({ level, priorities, stream: { write: (line) => void lines.push(line) } });
  return { log, lines };
}

describe('the log', () => {
  it('writes one JSON object a line, with the module of a child', () => {
    const { log, lines } = collect(false);
    log.child('keeper').info({ state: 'held', text: 'a\nb' }, 'taken');
    expect(lines.length).toBe(1);
    expect(lines[0]).toMatch(/^\{.*\}\n$/);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 30,
      module: 'keeper',
      state: 'held',
      msg: 'taken',
    });
  });

  it('puts the priority of each level before the line under journald', () => {
    const { log, lines } = collect(true, 'debug');
    log.error({}, 'e');
    log.warn({}, 'w');
    log.child('x').info({}, 'i');
    log.debug({}, 'd');
    expect(lines.map((line) => line.slice(0, 4))).toEqual(['<3>{', '<4>{', '<6>{', '<7>{']);
  });

  it('changes its level while it runs, children included', () => {
    const { log, lines } = collect(false, 'warn');
    const child = log.child('x');
    child.info({}, 'unheard');
    log.setLevel('debug');
    child.debug({}, 'heard');
    log.child('y').debug({}, 'heard too');
    log.setLevel('error');
    child.warn({}, 'unheard again');
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual(['heard', 'heard too']);
  });

  it('believes JOURNAL_STREAM only when it names standard error', () => {
    expect(stderrIsJournal(undefined)).toBe(false);
    expect(stderrIsJournal('1:1')).toBe(false);
  });
});
