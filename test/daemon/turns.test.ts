import { describe, expect, it } from 'vitest';
import { type Occasion, Turns, type TurnsNeeds } from '../../src/daemon/turns.ts';
import { manualClock } from '../support/manual-clock.ts';

describe('turns', () => {
  it('of what is told before one begins, the first cause from outside is kept, and since when it waits', async () => {
    const { turns, taken, clock } = start();
    turns.wake('the local resolver is bound', 'dnskeeper');
    clock.advance(5);
    turns.wake('Configuration changed', 'networkmanager');
    turns.wake('the link came up', 'kernel');
    await turns.idle();
    expect(taken).toEqual([
      { cause: 'Configuration changed', source: 'networkmanager', since: clock.elapsed() - 5 },
    ]);
  });

  it('what is told while one is under way makes one more, with its own cause', async () => {
    const { turns, taken } = start({
      act: async ({ cause }) => {
        if (cause === 'first') turns.wake('the local resolver is bound', 'dnskeeper');
      },
    });
    turns.wake('first', 'networkmanager');
    await turns.idle();
    expect(taken.map(({ cause }) => cause)).toEqual(['first', 'the local resolver is bound']);
  });

  it('while the files wait, each change is acted on without them, and all of it with them at the end', async () => {
    let pause = 100;
    const withoutFiles: string[] = [];
    const { turns, taken, clock } = start({
      pause: () => pause,
      actWithoutFiles: async ({ cause }) => void withoutFiles.push(cause),
    });
    turns.wake('first', 'networkmanager');
    await turns.idle();
    turns.wake('second', 'networkmanager');
    await turns.idle();
    expect({ withoutFiles, taken }).toEqual({ withoutFiles: ['first', 'first'], taken: [] });
    pause = 0;
    clock.advance(100);
    await turns.settled();
    expect(taken.map(({ cause }) => cause)).toEqual(['first']);
  });

  it('of two that are to come later, the last one comes', async () => {
    const { turns, taken, clock } = start();
    turns.wakeAfter(1000, 'trying again');
    turns.wakeAfter(2000, 'the grace time ended');
    clock.advance(5000);
    await turns.idle();
    expect(taken.map(({ cause }) => cause)).toEqual(['the grace time ended']);
  });

  it('none begins after the end, and nobody waits for one in vain', async () => {
    const stop = new AbortController();
    const { turns, taken, clock } = start({ stop: stop.signal });
    turns.wakeAfter(1000, 'trying again');
    turns.wake('first', 'networkmanager');
    const settled = turns.settled();
    stop.abort();
    await turns.close();
    await settled;
    clock.advance(5000);
    await turns.idle();
    expect(taken).toEqual([]);
  });
});

function start(needs: Partial<TurnsNeeds> = {}) {
  const clock = manualClock();
  const taken: Occasion[] = [];
  const turns = new Turns({
    clock,
    stop: new AbortController().signal,
    pause: () => 0,
    actWithoutFiles: async () => {},
    ...needs,
    act: async (occasion) => {
      taken.push(occasion);
      await needs.act?.(occasion);
    },
  });
  return { turns, taken, clock };
}
