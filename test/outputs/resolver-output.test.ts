import { describe, expect, it } from 'vitest';
import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import { DnskeeperError } from '../../src/core/errors.ts';
import { makePlan } from '../../src/core/policy.ts';
import { resolverOutput, type Wanted } from '../../src/outputs/resolver-output.ts';
import { type ListenAt, type Listener, Reception } from '../../src/resolver/listener.ts';
import type { Answer } from '../../src/resolver/query.ts';
import type { SocketStore } from '../../src/system/listen-fds.ts';
import { silentLog } from '../../src/system/log.ts';
import { queryWire } from '../support/ask.ts';
import { manualClock } from '../support/manual-clock.ts';
import { until } from '../support/until.ts';

const FULL: ListenAt = { host: '127.0.0.53', port: 53, service: 'full' };
const PROXY: ListenAt = { host: '127.0.0.54', port: 53, service: 'proxy' };

describe('the sockets of the resolver', () => {
  it('open only when there is a plan, so that what waits in them is answered and not refused', async () => {
    const { output, events, plan } = standing();
    await output.resolved('absent');
    expect(events).toEqual([]);
    await plan();
    expect(events).toEqual(['open 127.0.0.53', 'open 127.0.0.54', 'close rest']);
    expect(output.status()).toMatchObject({ state: 'bound', nameserver: '127.0.0.53' });
  });

  // Otherwise the files would be written for a plan that the resolver does not follow.
  it('stay as they are when the time for a plan was over before its turn came, which is told', async () => {
    const { output, events, plan } = standing();
    await output.resolved('absent');
    await expect(plan(AbortSignal.abort())).rejects.toMatchObject({ code: 'DEADLINE' });
    expect(events).toEqual([]);
    await output.close();
    await plan(AbortSignal.abort());
  });

  it('stay as they are until it is known whether systemd-resolved runs', async () => {
    const { output, events, plan } = standing();
    await plan();
    output.filesName(undefined);
    expect(events, 'an earlier process may have left some that are wanted').toEqual([]);
    expect(output.status().state).toBe('off');
  });

  it('close when the files name them no more, and those who read them before have asked', async () => {
    const { output, events, clock, bound } = standing();
    await bound();
    output.filesName('127.0.0.53');
    await output.resolved('running');
    expect(output.status()).toMatchObject({ state: 'off', addresses: [] });
    expect(output.status().nameserver).toBeUndefined();
    await until(() => events.includes('forget 127.0.0.54'), 'what no file names is closed');
    expect(events).not.toContain('pause 127.0.0.53');
    expect(output.isOwn('127.0.0.53', 53), 'it is still ours').toBe(true);
    output.filesName(undefined);
    await until(() => clock.waiting === 1, 'it waits for those who have read the file before');
    expect(events).not.toContain('pause 127.0.0.53');
    clock.advance(100);
    await until(() => events.includes('forget 127.0.0.53'), 'it is closed');
    expect(events.filter((event) => event.endsWith('127.0.0.53'))).toEqual([
      'pause 127.0.0.53',
      'close 127.0.0.53',
      'forget 127.0.0.53',
    ]);
    expect(output.isOwn('127.0.0.53', 53)).toBe(false);
  });

  it('close after a deadline where the files cannot be written', async () => {
    const { output, events, clock, bound } = standing();
    await bound();
    await output.resolved('running');
    await until(() => clock.waiting === 1, 'it waits for the files');
    clock.advance(500);
    await until(() => events.includes('forget 127.0.0.53'), 'it is closed');
  });

  it('come new before old ones go, so that some address answers at every moment', async () => {
    const { output, events, clock, bound, plan, places } = standing();
    await bound();
    output.filesName('127.0.0.53');
    places.at = [{ host: '127.0.0.99', port: 53, service: 'full' }];
    await plan();
    expect(events[0]).toBe('open 127.0.0.99');
    expect(events).not.toContain('pause 127.0.0.53');
    expect(output.status().nameserver).toBe('127.0.0.99');
    output.filesName('127.0.0.99');
    await until(() => clock.waiting === 1, 'the old one waits for those who have read the file before');
    clock.advance(100);
    await until(() => events.includes('forget 127.0.0.53'), 'the old one is closed');
  });

  it('that are wanted still stay open over a change of the others', async () => {
    const { events, bound, plan, places } = standing();
    await bound();
    places.at = [FULL];
    await plan();
    await until(() => events.includes('forget 127.0.0.54'), 'the other one is closed');
    expect(events.filter((event) => event.includes('127'))).toEqual([
      'pause 127.0.0.54',
      'close 127.0.0.54',
      'forget 127.0.0.54',
    ]);
  });

  it.each<[string, Partial<ListenAt>]>([
    ['serves TCP alone', { transport: 'tcp' }],
    ['is there for others', { extra: true }],
  ])('no file names an address that %s', async (_, what) => {
    const { output, bound, places } = standing();
    places.at = [{ ...FULL, ...what }];
    await bound();
    expect(output.status()).toMatchObject({ state: 'bound', addresses: ['127.0.0.53:53'] });
    expect(output.status().nameserver).toBeUndefined();
    expect(output.isOwn('127.0.0.53', 53), 'who names it as a server would go round in a circle').toBe(true);
  });

  it('for others that cannot be had cost nothing but themselves, are told, and are tried again', async () => {
    const { output, events, clock, bound, places } = standing();
    places.at = [FULL, { host: '192.0.2.1', port: 53, service: 'full', extra: true }];
    places.refused = '192.0.2.1';
    await bound();
    expect(output.status()).toMatchObject({
      state: 'bound',
      nameserver: '127.0.0.53',
      addresses: ['127.0.0.53:53'],
      unbound: ['EADDRINUSE'],
    });
    places.refused = '';
    clock.advance(60_000);
    await until(() => events.includes('open 192.0.2.1'), 'it is tried again');
    await until(() => output.status().unbound === undefined, 'it is told no more');
    expect(output.status().addresses).toEqual(['127.0.0.53:53', '192.0.2.1:53']);
  });

  it('close first where the same address is to serve something else', async () => {
    const { events, bound, plan, places } = standing();
    await bound();
    places.at = [FULL, { ...PROXY, service: 'full' }];
    await plan();
    expect(events.slice(0, 4)).toEqual([
      'pause 127.0.0.54',
      'close 127.0.0.54',
      'forget 127.0.0.54',
      'open 127.0.0.54',
    ]);
  });

  it('that cannot all be had are all closed, and tried again', async () => {
    const { output, events, clock, places, plan } = standing();
    places.refused = '127.0.0.54';
    await output.resolved('absent');
    await plan();
    await until(() => events.includes('forget 127.0.0.53'), 'the first is closed again');
    expect(output.status().state).toBe('failed');
    places.refused = '';
    clock.advance(1000);
    await until(() => output.status().state === 'bound', 'it is tried again');
  });

  it('of an earlier process close when systemd-resolved has the addresses and our files are written', async () => {
    const { output, events, plan } = standing();
    await plan();
    await output.resolved('running');
    expect(events, 'the file of the earlier process may name them').toEqual([]);
    output.filesName(undefined);
    expect(events).toEqual(['close rest']);
  });

  it('answer what is in flight before they close', async () => {
    const { output, events, reception, answers, bound } = standing();
    await bound();
    let replied = false;
    reception.take(queryWire('www.example'), 'udp', 'full', { key: 'client', local: true }, () => {
      replied = true;
    });
    await output.resolved('running');
    output.filesName(undefined);
    await until(() => events.includes('pause 127.0.0.53'), 'it takes no more');
    expect(events).not.toContain('close 127.0.0.53');
    answers[0]?.({ wire: queryWire('www.example'), origin: { kind: 'local' } } as Answer);
    await until(() => events.includes('close 127.0.0.53'), 'it is closed');
    expect(replied).toBe(true);
  });

  it('are kept by systemd when we end, because it may start us again', async () => {
    const { output, events, bound } = standing();
    await bound();
    output.standDown();
    output.filesName(undefined);
    await output.close();
    expect(events.filter((event) => event.startsWith('forget'))).toEqual([]);
    expect(events.filter((event) => event.startsWith('close 127')).length).toBe(2);
  });
});

describe('a systemd-resolved that has gone', () => {
  it('may take some milliseconds to let go of its addresses, which is no failure', async () => {
    const { output, clock, places, plan } = standing();
    await plan();
    await output.resolved('running');
    places.refused = '127.0.0.53';
    const states: string[] = [];
    output.onStatus(({ state }) => states.push(state));
    const told = output.resolved('absent');
    await until(() => clock.waiting === 1, 'it is tried again soon');
    places.refused = '';
    clock.advance(25);
    await told;
    expect(states).toEqual(['bound']);
  });

  it('is a failure when it never lets go', async () => {
    const { output, clock, places, plan } = standing();
    await plan();
    await output.resolved('running');
    places.refused = '127.0.0.53';
    const told = output.resolved('absent');
    for (let waited = 0; waited <= 1000; waited += 25) {
      await until(() => clock.waiting === 1, 'it is tried again soon');
      clock.advance(25);
    }
    await told;
    expect(output.status().state).toBe('failed');
  });
});

describe('a systemd-resolved that is about to start', () => {
  it('gets its addresses before it asks for them, and we get them back when it does not come', async () => {
    const { output, events, clock, bound } = standing();
    await bound();
    const free = output.giveWay();
    await until(() => output.status().state === 'off', 'no file may name us');
    output.filesName(undefined);
    await free;
    expect(events.filter((event) => event.startsWith('forget')).sort()).toEqual([
      'forget 127.0.0.53',
      'forget 127.0.0.54',
    ]);
    clock.advance(10_000);
    await until(() => output.status().state === 'bound', 'they are ours again');
  });

  it('keeps them when it comes', async () => {
    const { output, clock, bound } = standing();
    await bound();
    const free = output.giveWay();
    await until(() => output.status().state === 'off', 'no file may name us');
    output.filesName(undefined);
    await free;
    await output.resolved('running');
    clock.advance(60_000);
    await output.resolved('running');
    expect(output.status().state).toBe('off');
    await output.resolved('absent');
    expect(output.status().state).toBe('bound');
  });
});

describe('a systemd-resolved that is about to end while a file names its address', () => {
  it('has what is asked there wait until the address is ours', async () => {
    const { output, events, clock, plan } = standing();
    await output.resolved('running');
    await plan();
    events.length = 0;
    output.standReady();
    output.standReady();
    output.filesName(undefined);
    expect(events).toEqual(['hold 127.0.0.53', 'hold 127.0.0.54']);
    await output.resolved('absent');
    expect(events.slice(2)).toEqual(['open 127.0.0.53', 'open 127.0.0.54', 'close rest']);
    expect(clock.waiting, 'nothing is given up later').toBe(0);
  });

  it('keeps nothing from it when it does not end, or starts again', async () => {
    const { output, events, clock, plan } = standing();
    await output.resolved('running');
    await plan();
    output.standReady();
    events.length = 0;
    clock.advance(10_000);
    expect(events).toEqual(['close rest']);
    output.standReady();
    await output.giveWay();
    expect(events.slice(1)).toEqual(['hold 127.0.0.53', 'hold 127.0.0.54', 'close rest']);
  });

  it('is left alone while the addresses are ours', async () => {
    const { output, events, bound } = standing();
    await bound();
    events.length = 0;
    output.standReady();
    expect(events).toEqual([]);
  });
});

/** An output over sockets that only say what happens to them. */
function standing() {
  const events: string[] = [];
  const clock = manualClock();
  const places = { at: [FULL, PROXY] as readonly ListenAt[], refused: '' };
  const answers: ((answer: Answer) => void)[] = [];
  const reception = new Reception(() => new Promise((resolve) => void answers.push(resolve)), silentLog);
  const sockets: SocketStore = {
    waiting: 0,
    take: () => undefined,
    keep: () => {},
    hold: () => {},
    forget: (host) => void events.push(`forget ${host}`),
    closeRest: () => void events.push('close rest'),
  };
  const output = resolverOutput({
    resolver: {
      apply: () => {},
      servers: () => [],
      portal: () => ({ links: [], relaxed: false }),
      close: () => {},
    } as never,
    reception,
    places: (): Wanted => ({ at: places.at, whyNone: '' }),
    sharesAddresses: () => true,
    listen: async (at): Promise<readonly Listener[]> => {
      if (at.host === places.refused) throw new DnskeeperError('IO', 'EADDRINUSE');
      events.push(`open ${at.host}`);
      return [
        {
          at,
          pause: async () => void events.push(`pause ${at.host}`),
          close: async () => void events.push(`close ${at.host}`),
        },
      ];
    },
    hold: (at) => void events.push(`hold ${at.host}`),
    sockets,
    clock,
    log: silentLog,
  });
  const plan = (signal = new AbortController().signal): Promise<void> =>
    output.apply({ plan: makePlan({}, DEFAULT_CONFIG), time: 0, cause: 'a test' }, signal);
  return {
    output,
    events,
    clock,
    places,
    answers,
    reception,
    plan,
    async bound() {
      await output.resolved('absent');
      await plan();
      events.length = 0;
    },
  };
}
