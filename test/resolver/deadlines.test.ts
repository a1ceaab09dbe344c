import { expect, it } from 'vitest';
import { Deadlines, Due } from '../../src/resolver/deadlines.ts';
import { Stop } from '../../src/resolver/stop.ts';
import { manualClock } from '../support/manual-clock.ts';

function underTest() {
  const clock = manualClock();
  const deadlines = new Deadlines(clock, 100);
  const expired: string[] = [];
  const due = (name: string) => dueThat(() => void expired.push(name));
  return { clock, deadlines, expired, due };
}

const dueThat = (expired: () => void): Due =>
  new (class extends Due {
    expired = expired;
  })();

it('each thing expires when its own time is over, and not before', () => {
  const { clock, deadlines, expired, due } = underTest();
  deadlines.add(due('first'));
  clock.advance(60);
  deadlines.add(due('second'));
  clock.advance(39);
  expect(expired).toEqual([]);
  clock.advance(1);
  expect(expired).toEqual(['first']);
  clock.advance(59);
  expect(expired).toEqual(['first']);
  clock.advance(1);
  expect(expired).toEqual(['first', 'second']);
});

it('what was forgotten in time never expires, and one timer serves all', () => {
  const { clock, deadlines, expired, due } = underTest();
  const all = Array.from({ length: 1000 }, (_, i) => due(String(i)));
  for (const one of all) deadlines.add(one);
  expect(clock.waiting).toBe(1);
  for (const one of all) deadlines.delete(one);
  deadlines.add(due('last'));
  clock.advance(100);
  expect(expired).toEqual(['last']);
  expect(clock.waiting).toBe(0);
});

it('what is added by something that expires gets its whole time', () => {
  const { clock, deadlines, expired, due } = underTest();
  deadlines.add(dueThat(() => deadlines.add(due('next'))));
  clock.advance(199);
  expect(expired).toEqual([]);
  clock.advance(1);
  expect(expired).toEqual(['next']);
});

it('nothing expires after clear', () => {
  const { clock, deadlines, expired, due } = underTest();
  deadlines.add(due('one'));
  deadlines.clear();
  clock.advance(1000);
  expect(expired).toEqual([]);
  expect(clock.waiting).toBe(0);
});

it('a stop tells everybody who still listens once, and whoever comes later that it was given', () => {
  const stop = new Stop();
  const told: string[] = [];
  const gone = (): void => void told.push('gone');
  stop.addEventListener('abort', () => void told.push('here'));
  stop.addEventListener('abort', gone);
  stop.removeEventListener('abort', gone);
  expect([stop.aborted, stop.reason]).toEqual([false, undefined]);
  stop.abort();
  stop.abort();
  stop.addEventListener('abort', () => void told.push('late'));
  expect(told).toEqual(['here']);
  expect(stop.aborted).toBe(true);
  expect(stop.reason).toMatchObject({ code: 'DEADLINE' });
});
