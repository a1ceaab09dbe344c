import { describe, expect, it } from 'vitest';
import { DnskeeperError } from '../../src/core/errors.ts';
import { parseServer, type Server } from '../../src/core/server.ts';
import { NoRoomError } from '../../src/resolver/ede.ts';
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

  // Waited 45 seconds in vain once: the pauses grew to 30 seconds, and one probe came to nothing.
  it('is back with the first half a minute after it has recovered, though a probe is lost', async () => {
    const script: Script = { [text(first)]: 'dead', [text(second)]: { after: 2 } };
    const { ask, clock } = choosing(script);
    for (let second_ = 0; second_ < 60; second_++) {
      await ask();
      clock.advance(1000);
    }
    script[text(first)] = { after: 2, lose: 1 };
    const recovered = clock.now();
    while ((await ask()).server !== first && clock.now() - recovered < 120_000) clock.advance(1000);
    expect(clock.now() - recovered).toBeLessThanOrEqual(30_000);
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

  it('each server is told for how long the query has been under way', async () => {
    const { choice, clock, attempt } = choosing({ [text(first)]: 'dead' });
    const started = clock.elapsed();
    const told: number[][] = [];
    const given = choice.ask(
      'eth0',
      [first],
      (server, _signal, _again, waitedMs) => {
        told.push([waitedMs, clock.elapsed() - started]);
        return attempt(server);
      },
      forever,
    );
    given.catch(() => {});
    await passing(clock, 3000);
    expect(told.length).toBeGreaterThan(3);
    expect(told.map(([waitedMs]) => waitedMs)).toEqual(told.map(([, elapsed]) => elapsed));
    expect(told.at(-1)?.[0]).toBeGreaterThan(1500);
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

describe('without room for another question', () => {
  const links = [{ key: 'eth0', servers: [first] }];

  // A server that was silent for a second under load: copies took all places, and the rest was told SERVFAIL.
  it('a copy that finds none costs nothing: the question that is on its way is still answered', async () => {
    const { choice, asked, clock, attempt } = choosing({ [text(first)]: { after: 700 } });
    const answer = choice.ask(
      'eth0',
      [first],
      (server, _signal, again) => (again ? Promise.reject(new NoRoomError('full')) : attempt(server)),
      forever,
    );
    await passing(clock, 700);
    expect((await answer).response.rcode).toBe(NOERROR);
    expect(asked).toEqual([first]);
  });

  it('it is asked as soon as there is some, and nobody is held to be late', async () => {
    const { choice, asked, clock, attempt } = choosing({ [text(first)]: { after: 1 } });
    let room = false;
    const answer = choice.ask(
      'eth0',
      [first],
      (server) => (room ? attempt(server) : Promise.reject(new NoRoomError('full'))),
      forever,
    );
    await passing(clock, 1000);
    expect(asked).toEqual([]);
    expect(choice.report(links)).toMatchObject([{ state: 'new', failures: 0 }]);
    room = true;
    await passing(clock, 1500);
    expect((await answer).response.rcode).toBe(NOERROR);
    expect(choice.report(links)).toMatchObject([{ state: 'good', failures: 0 }]);
  });

  it('it fails in its time when there never is any, and the server is not blamed', async () => {
    const { choice, clock } = choosing({});
    const answer = choice.ask('eth0', [first], () => Promise.reject(new NoRoomError('full')), forever);
    const failed = expect(answer).rejects.toMatchObject({ code: 'DEADLINE', cause: { message: 'full' } });
    await passing(clock, 4500);
    await failed;
    expect(clock.waiting).toBe(0);
    expect(choice.report(links)).toMatchObject([{ state: 'new', failures: 0 }]);
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

async function passing(clock: { advance(ms: number): void }, total: number): Promise<void> {
  for (let ms = 0; ms <= total; ms++) {
    clock.advance(1);
    for (let turn = 0; turn < 4; turn++) await Promise.resolve();
  }
}

const text = (server: Server): string => server.address.bytes.join('.');

const serversIn = (script: Script): readonly Server[] =>
  [first, second, third].filter((server) => script[text(server)] !== undefined);

function responseWith(rcode: number): ResponseFacts {
  const wire = queryWire('www.example.com');
  wire.writeUInt16BE(0x8180 | rcode, 2);
  return must(readResponse(wire));
}
