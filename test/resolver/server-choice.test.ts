import { describe, expect, it } from 'vitest';
import { DnskeeperError } from '../../src/core/errors.ts';
import { parseServer, type Server } from '../../src/core/server.ts';
import { type ResponseFacts, readResponse } from '../../src/resolver/message-read.ts';
import { type ChoicePolicy, ServerChoice } from '../../src/resolver/server-choice.ts';
import { queryWire } from '../support/ask.ts';
import { manualClock } from '../support/manual-clock.ts';
import { must } from '../support/sample-status.ts';

const first = must(parseServer('192.0.2.1'));
const second = must(parseServer('192.0.2.2'));
const third = must(parseServer('192.0.2.3'));
const forever = new AbortController().signal;

const [NOERROR, SERVFAIL, NXDOMAIN, REFUSED] = [0, 2, 3, 5];

describe('strict', () => {
  it('asks the first and nobody else as long as it answers in its time', async () => {
    const { ask, asked } = choosing({ [text(first)]: { after: 10 }, [text(second)]: { after: 1 } });
    for (let i = 0; i < 5; i++) expect((await ask()).server).toBe(first);
    expect(asked).toEqual([first, first, first, first, first]);
  });

  it('a dead first server costs its patience once, and nothing afterwards', async () => {
    const { ask, clock } = choosing({ [text(first)]: 'dead', [text(second)]: { after: 2 } });
    const before = clock.now();
    expect((await ask()).server).toBe(second);
    expect(clock.now() - before).toBeLessThanOrEqual(300);
    for (let i = 0; i < 5; i++) expect((await ask()).tookMs).toBeLessThanOrEqual(5);
  });

  it('goes back to the first when it answers again', async () => {
    const script: Script = { [text(first)]: 'dead', [text(second)]: { after: 2 } };
    const { ask, asked, clock } = choosing(script);
    await ask();
    script[text(first)] = { after: 1 };
    await ask();
    expect(asked.at(-1)).toBe(second);
    clock.advance(1000);
    await ask(); // carries the probe
    expect((await ask()).server).toBe(first);
  });

  it('a dead server gets ever fewer probes', async () => {
    const { ask, asked, clock } = choosing({ [text(first)]: 'dead', [text(second)]: { after: 1 } });
    await ask();
    const before = asked.length;
    for (let second_ = 0; second_ < 60; second_++) {
      clock.advance(1000);
      await ask();
    }
    const probes = asked.slice(before).filter((server) => server === first).length;
    expect(probes).toBeGreaterThan(3);
    expect(probes).toBeLessThan(10);
  });

  it.each([
    ['SERVFAIL', SERVFAIL],
    ['REFUSED', REFUSED],
  ])('%s makes the next one be asked at once', async (_, rcode) => {
    const { ask } = choosing({ [text(first)]: { after: 1, rcode }, [text(second)]: { after: 1 } });
    expect(await ask()).toMatchObject({ server: second, tookMs: 2 });
  });

  it('an unreachable first server is passed over at once', async () => {
    const { ask } = choosing({ [text(first)]: 'unreachable', [text(second)]: { after: 1 } });
    expect(await ask()).toMatchObject({ server: second, tookMs: 1 });
  });

  it('NXDOMAIN is an answer', async () => {
    const { ask, asked } = choosing({
      [text(first)]: { after: 1, rcode: NXDOMAIN },
      [text(second)]: { after: 1 },
    });
    expect((await ask()).response.rcode).toBe(NXDOMAIN);
    expect(asked).toEqual([first]);
  });

  it('when all refuse, the failure that says most is told', async () => {
    const { ask } = choosing({
      [text(first)]: { after: 1, rcode: REFUSED },
      [text(second)]: { after: 1, rcode: SERVFAIL },
      [text(third)]: { after: 1, rcode: REFUSED },
    });
    expect((await ask()).response.rcode).toBe(SERVFAIL);
  });

  it('when all are dead it ends before libc gives up, after a bounded number of tries', async () => {
    const { ask, asked, clock } = choosing({ [text(first)]: 'dead', [text(second)]: 'dead' });
    const before = clock.now();
    await expect(ask()).rejects.toMatchObject({ code: 'DEADLINE' });
    expect(clock.now() - before).toBeLessThanOrEqual(5000);
    expect(asked.length).toBeLessThanOrEqual(12);
    expect(new Set(asked)).toEqual(new Set([first, second]));
  });

  it('a refusal is told once the others have been silent for their time', async () => {
    const { ask, clock } = choosing({ [text(first)]: { after: 1, rcode: REFUSED }, [text(second)]: 'dead' });
    const before = clock.now();
    expect((await ask()).response.rcode).toBe(REFUSED);
    expect(clock.now() - before).toBeLessThanOrEqual(2500);
  });

  it.each([1, 2, 3, 4, 5])('the only server answers although %i packets in a row are lost', async (lose) => {
    const { ask, asked } = choosing({ [text(first)]: { after: 5, lose } }, [first]);
    expect((await ask()).response.rcode).toBe(NOERROR);
    expect(asked.length).toBe(lose + 1);
  });

  it('a word of the server ends its turn: garbage is not asked for again', async () => {
    const { ask, asked } = choosing({ [text(first)]: 'unreachable' });
    await expect(ask()).rejects.toMatchObject({ code: 'DEADLINE' });
    expect(asked).toEqual([first]);
  });

  it('a lost packet to the only server is sent again', async () => {
    const { ask, asked } = choosing({ [text(first)]: { after: 5, lose: 1 } }, [first]);
    expect((await ask()).response.rcode).toBe(NOERROR);
    expect(asked).toEqual([first, first]);
  });
});

it('fastest: the quickest is asked once all are known', async () => {
  const script = { [text(first)]: { after: 40 }, [text(second)]: { after: 5 }, [text(third)]: { after: 20 } };
  const { ask } = choosing(script, [first, second, third], 'fastest');
  for (let i = 0; i < 3; i++) await ask();
  for (let i = 0; i < 5; i++) expect((await ask()).server).toBe(second);
});

it('fastest: one that was slow once is tried again some day, and kept to if it has become quick', async () => {
  const script: Script = { [text(first)]: { after: 140 }, [text(second)]: { after: 20 } };
  const { ask, clock } = choosing(script, [first, second], 'fastest');
  for (let i = 0; i < 4; i++) await ask();
  script[text(first)] = { after: 1 };
  expect((await ask()).server).toBe(second);
  const chosen = new Set<Server>();
  for (let minute = 0; minute < 20; minute++) {
    clock.advance(60_000);
    script[text(second)] = { after: 20 };
    chosen.add((await ask()).server);
  }
  expect(chosen.has(first)).toBe(true);
  expect((await ask()).server).toBe(first);
});

it('fastest: a dead one is not tried more often for being unknown', async () => {
  const { ask, asked } = choosing(
    { [text(first)]: 'dead', [text(second)]: { after: 5 } },
    [first, second],
    'fastest',
  );
  for (let i = 0; i < 10; i++) expect((await ask()).server).toBe(second);
  expect(asked.filter((server) => server === first).length).toBe(1);
});

it('a query that is given up asks nobody any more', async () => {
  const { choice, asked, clock, attempt } = choosing({ [text(first)]: 'dead', [text(second)]: 'dead' });
  const stop = new AbortController();
  const given = choice.ask('eth0', [first, second], attempt, stop.signal);
  stop.abort();
  await expect(given).rejects.toMatchObject({ code: 'DEADLINE' });
  clock.advance(10_000);
  expect(asked).toEqual([first]);
  expect(clock.waiting).toBe(0);
});

it('a query that was answered elsewhere asks nobody any more, and still hears who was asked', async () => {
  const { choice, asked, clock, attempt } = choosing({ [text(first)]: { after: 400 } });
  const enough = new AbortController();
  const given = choice.ask('eth0', [first], attempt, forever, enough.signal);
  enough.abort();
  await expect(given).rejects.toMatchObject({ code: 'DEADLINE' });
  clock.advance(10_000);
  await Promise.resolve();
  expect(asked).toEqual([first]);
  expect(choice.report([{ key: 'eth0', servers: [first] }])).toMatchObject([{ state: 'good', answers: 1 }]);
});

it('status tells how each did, and forgets servers that are gone', async () => {
  const { ask, choice } = choosing({ [text(first)]: 'dead', [text(second)]: { after: 8 } });
  await ask();
  const links = [{ key: 'eth0', servers: [first, second, third] }];
  expect(choice.report(links)).toMatchObject([
    { link: 'eth0', server: '192.0.2.1', state: 'late', answers: 0, failures: 0 },
    { link: 'eth0', server: '192.0.2.2', state: 'good', roundTripMs: 8, answers: 1, failures: 0 },
    { link: 'eth0', server: '192.0.2.3', state: 'new', answers: 0, failures: 0 },
  ]);
  choice.report([]);
  expect(choice.report(links)[1]).toMatchObject({ state: 'new', answers: 0 });
});

type Behaviour = 'dead' | 'unreachable' | { readonly after: number; readonly rcode?: number; lose?: number };
type Script = Record<string, Behaviour>;

/** Servers that behave as written, in a time of their own; `ask` lets that time pass. */
function choosing(
  script: Script,
  servers: readonly Server[] = serversIn(script),
  policy: ChoicePolicy = 'strict',
) {
  const clock = manualClock();
  // A wall clock that runs backwards, because somebody may set it and nothing here may depend on it.
  const odd = { ...clock, now: () => -clock.now() };
  const choice = new ServerChoice(odd, () => policy);
  const asked: Server[] = [];
  const attempt = (server: Server): Promise<ResponseFacts> => {
    asked.push(server);
    const behaviour = script[text(server)];
    return new Promise((resolve, reject) => {
      if (behaviour === 'unreachable') reject(new Error('no route'));
      else if (behaviour === 'dead' || behaviour === undefined)
        clock.after(2000, () => reject(new DnskeeperError('DEADLINE', 'no answer')));
      else if ((behaviour.lose ?? 0) > 0) behaviour.lose = (behaviour.lose ?? 0) - 1;
      else clock.after(behaviour.after, () => resolve(responseWith(behaviour.rcode ?? NOERROR ?? 0)));
    });
  };
  const ask = async () => {
    let open = true;
    const given = choice.ask('eth0', servers, attempt, forever);
    const done = given.finally(() => {
      open = false;
    });
    done.catch(() => {});
    for (let ms = 0; ms < 20_000; ms++) {
      for (let turn = 0; turn < 4; turn++) await Promise.resolve();
      if (!open) break;
      clock.advance(1);
    }
    return done;
  };
  return { ask, asked, clock, choice, attempt };
}

const text = (server: Server): string => server.address.bytes.join('.');

const serversIn = (script: Script): readonly Server[] =>
  [first, second, third].filter((server) => script[text(server)] !== undefined);

function responseWith(rcode: number): ResponseFacts {
  const wire = queryWire('www.example.com');
  wire.writeUInt16BE(0x8180 | rcode, 2);
  return must(readResponse(wire));
}
