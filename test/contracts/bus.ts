import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { Bus, BusSignal } from '../../src/system/bus.ts';
import type { BusPeer } from '../support/bus-peer.ts';
import { until } from '../support/until.ts';

/** A bus daemon with somebody on it, whatever it is made of. */
export interface BusWorld {
  /** A new bus under test. */
  open(): Bus;
  peer(): Promise<BusPeer>;
  /** How many match rules all clients hold. */
  ruleCount(): Promise<number>;
  kill(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

const NAME = 'org.example.Service';
const PATH = '/org/example/service';
const INTERFACE = 'org.example.Service.Things';
const ping = { destination: NAME, path: PATH, interface: INTERFACE, member: 'Ping' };
const changed = { path: PATH, interface: INTERFACE, member: 'Changed' };

/** What every implementation of the Bus port has to hold. */
export function busContract(title: string, makeWorld: () => Promise<BusWorld>): void {
  describe(title, () => {
    let world: BusWorld;
    let bus: Bus;
    beforeEach(async () => {
      const made = await makeWorld();
      onTestFinished(() => made.close());
      world = made;
      const opened = made.open();
      onTestFinished(() => opened.close());
      bus = opened;
    });
    const service = async (): Promise<BusPeer> => {
      const peer = await world.peer();
      await peer.own(NAME);
      return peer;
    };

    test('a call made before the connection stands is answered', async () => {
      const peer = await service();
      peer.answer(({ body }) => ({ signature: 's', body: [`hello ${body[0]}`] }));
      await expect(bus.call({ ...ping, signature: 's', body: ['you'] })).resolves.toEqual(['hello you']);
    });

    test('variants and dicts arrive as plain values', async () => {
      const peer = await service();
      peer.answer(() => ({
        signature: 'a{sv}',
        body: [
          {
            text: { signature: 's', value: 'a' },
            list: {
              signature: 'aa{sv}',
              value: [{ inner: { signature: 'v', value: { signature: 'u', value: 7 } } }],
            },
            bytes: { signature: 'ay', value: new Uint8Array([1, 2]) },
            big: { signature: 't', value: 2n ** 63n },
            pair: { signature: '(ib)', value: [-1, true] },
          },
        ],
      }));
      const [dict] = await bus.call(ping);
      expect({ ...(dict as object) }).toEqual({
        text: 'a',
        list: [{ inner: 7 }],
        bytes: new Uint8Array([1, 2]),
        big: 2n ** 63n,
        pair: [-1, true],
      });
    });

    test('an error reply rejects with its name and text', async () => {
      const peer = await service();
      peer.answer(() => ({ error: 'org.example.Refused', text: 'not today' }));
      await expect(bus.call(ping)).rejects.toMatchObject({
        code: 'BUS',
        message: expect.stringContaining('org.example.Refused: not today'),
      });
    });

    test('a name that nobody owns rejects', async () => {
      await expect(bus.call({ ...ping, destination: 'org.example.Nobody' })).rejects.toMatchObject({
        code: 'BUS',
      });
    });

    test('a peer that never answers meets the deadline', async () => {
      const peer = await service();
      peer.answer(() => 'silent');
      await expect(bus.call(ping, { deadlineMs: 50 })).rejects.toMatchObject({ code: 'DEADLINE' });
    });

    test('a call is given up when its signal aborts, before and while it waits', async () => {
      const peer = await service();
      peer.answer(() => 'silent');
      const abort = new AbortController();
      const call = bus.call(ping, { signal: abort.signal });
      abort.abort();
      await expect(call).rejects.toMatchObject({ code: 'BUS', message: expect.stringContaining('given up') });
      await expect(bus.call(ping, { signal: abort.signal })).rejects.toMatchObject({ code: 'BUS' });
    });

    test.each([
      ['a bad object path in the body', { signature: 'o', body: ['no path'] }],
      ['a NUL in a text', { signature: 's', body: ['a\0b'] }],
      ['a body that does not fit its signature', { signature: 'ss', body: ['one'] }],
      ['a number where a text belongs', { signature: 's', body: [5] }],
      ['a file descriptor', { signature: 'h', body: [0] }],
    ])('%s is refused before it is sent, and the connection stands', async (_, wrong) => {
      const peer = await service();
      peer.answer(() => ({ signature: '', body: [] }));
      await bus.call(ping);
      await expect(bus.call({ ...ping, ...wrong })).rejects.toMatchObject({ code: 'PROTOCOL' });
      expect(bus.connected).toBe(true);
      await expect(bus.call(ping)).resolves.toEqual([]);
    });

    test('calls in flight reject when the bus is killed', async () => {
      const peer = await service();
      let asked = 0;
      peer.answer(() => {
        asked++;
        return 'silent';
      });
      const calls = Promise.allSettled([bus.call(ping), bus.call(ping), bus.call(ping)]);
      await until(() => asked === 3, 'all calls arrived');
      await world.kill();
      for (const outcome of await calls)
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'BUS' } });
      expect(bus.connected).toBe(false);
    });

    test('a call without a bus waits for its deadline and no longer', async () => {
      await world.kill();
      await expect(bus.call(ping, { deadlineMs: 50 })).rejects.toMatchObject({ code: 'DEADLINE' });
    });

    test('signals go on after the sender restarted', async () => {
      const heard: BusSignal[] = [];
      bus.onSignal({ sender: NAME, ...changed }, (signal) => heard.push(signal));
      for (const round of ['first', 'second']) {
        const peer = await service();
        peer.answer(() => ({ signature: '', body: [] }));
        await bus.call(ping);
        peer.emit({ ...changed, signature: 's', body: [round] });
        await until(() => heard.at(-1)?.body[0] === round, `the ${round} signal was heard`);
        expect(heard.at(-1)).toMatchObject({ ...changed, sender: peer.uniqueName, signature: 's' });
        await peer.close();
      }
      expect(heard).toHaveLength(2);
    });

    test('a signal forged by somebody else is ignored, broadcast or addressed to us', async () => {
      const peer = await service();
      const stranger = await world.peer();
      const heard: unknown[] = [];
      const strangers: BusSignal[] = [];
      bus.onSignal({ sender: NAME, ...changed }, ({ body }) => heard.push(body[0]));
      bus.onSignal({ sender: stranger.uniqueName, ...changed }, (signal) => strangers.push(signal));
      let us = '';
      peer.answer(({ sender }) => {
        us = sender;
        return { signature: '', body: [] };
      });
      await bus.call(ping);
      stranger.emit({ ...changed, signature: 's', body: ['forged'] });
      stranger.emit({ ...changed, signature: 's', body: ['forged'], destination: us });
      await until(() => strangers.length === 2, 'the forged signals arrived');
      peer.emit({ ...changed, signature: 's', body: ['true'] });
      await until(() => heard.length > 0, 'the true signal was heard');
      expect(heard).toEqual(['true']);
    });

    test.each([
      ['another path', { ...changed, path: '/org/example/other' }],
      ['another member', { ...changed, member: 'Other' }],
      ['another first argument', { ...changed, signature: 's', body: ['other'] }],
    ])('a signal with %s is not heard', async (_, other) => {
      const peer = await service();
      peer.answer(() => ({ signature: '', body: [] }));
      const heard: BusSignal[] = [];
      bus.onSignal({ sender: NAME, ...changed, arg0: 'wanted' }, (signal) => heard.push(signal));
      await bus.call(ping);
      peer.emit(other);
      peer.emit({ ...changed, signature: 's', body: ['wanted'] });
      await until(() => heard.length > 0, 'the wanted signal was heard');
      expect(heard).toHaveLength(1);
    });

    test('a path namespace takes in everything below it and nothing beside it', async () => {
      const peer = await service();
      peer.answer(() => ({ signature: '', body: [] }));
      const heard: string[] = [];
      bus.onSignal({ sender: NAME, pathNamespace: '/org/example' }, ({ path }) => heard.push(path));
      await bus.call(ping);
      for (const path of ['/org/example2', '/org/example', '/org/example/a/b'])
        peer.emit({ ...changed, path });
      await until(() => heard.length >= 2, 'both were heard');
      expect(heard).toEqual(['/org/example', '/org/example/a/b']);
    });

    test('equal matches share one rule, which goes with the last listener', async () => {
      const peer = await service();
      peer.answer(() => ({ signature: '', body: [] }));
      await bus.call(ping);
      const before = await world.ruleCount();
      const match = { sender: peer.uniqueName, ...changed };
      const first = bus.onSignal(match, () => {});
      const second = bus.onSignal({ ...match }, () => {});
      await bus.call(ping);
      expect(await world.ruleCount()).toBe(before + 1);
      first();
      first();
      await bus.call(ping);
      expect(await world.ruleCount()).toBe(before + 1);
      second();
      await until(async () => (await world.ruleCount()) === before, 'the rule is gone');
    });

    test('300 listeners that come and go leave no rule behind', async () => {
      const peer = await service();
      peer.answer(() => ({ signature: '', body: [] }));
      await bus.call(ping);
      const before = await world.ruleCount();
      for (let round = 0; round < 300; round++) {
        bus.onSignal({ sender: NAME, ...changed, arg0: `n${round % 7}` }, () => {})();
        bus.onOwner(NAME, () => {})();
      }
      await bus.call(ping);
      await until(async () => (await world.ruleCount()) === before, 'no rule is left');
    });

    test('the owner of a name is followed from the first answer on', async () => {
      const told: (string | undefined)[] = [];
      const letGo = bus.onOwner(NAME, (owner) => told.push(owner));
      await until(() => told.length === 1, 'the bus answered');
      const first = await service();
      await until(() => told.length === 2, 'the name was taken');
      await first.close();
      await until(() => told.length === 3, 'the name was given up');
      expect(told).toEqual([undefined, first.uniqueName, undefined]);
      letGo();
      await service();
      const late: (string | undefined)[] = [];
      bus.onOwner(NAME, (owner) => late.push(owner));
      await until(() => late.length === 1, 'a later listener is told too');
      expect(told).toHaveLength(3);
    });

    test('everything comes back after the bus was killed and started again', async () => {
      const connected: boolean[] = [];
      const owners: (string | undefined)[] = [];
      const heard: unknown[] = [];
      bus.onConnected((state) => connected.push(state));
      bus.onOwner(NAME, (owner) => owners.push(owner));
      bus.onSignal({ sender: NAME, ...changed }, ({ body }) => heard.push(body[0]));
      const before = await service();
      await until(() => owners.includes(before.uniqueName), 'the name was taken');
      const rules = await world.ruleCount();
      await world.kill();
      await until(() => !bus.connected, 'the loss was noticed');
      expect(owners.at(-1)).toBeUndefined();
      await world.start();
      const after = await service();
      after.answer(() => ({ signature: '', body: [] }));
      await bus.call(ping);
      await until(() => owners.at(-1) === after.uniqueName, 'the new owner is known');
      after.emit({ ...changed, signature: 's', body: ['again'] });
      await until(() => heard.length > 0, 'signals come again');
      expect(heard).toEqual(['again']);
      expect(connected.slice(-2)).toEqual([false, true]);
      expect(await world.ruleCount()).toBe(rules);
    });

    test('after a reconnection no rule outlives its listeners', async () => {
      const letGo = [
        bus.onOwner(NAME, () => {}),
        bus.onSignal({ sender: NAME, ...changed }, () => {}),
        bus.onSignal(changed, () => {}),
      ];
      await until(() => bus.connected, 'it is connected');
      await world.kill();
      await until(() => !bus.connected, 'the loss was noticed');
      await world.start();
      await until(
        async () => bus.connected && (await world.ruleCount()) === 3,
        'the rules are there again, once',
      );
      for (const end of letGo) end();
      await until(async () => (await world.ruleCount()) === 0, 'no rule is left');
    });

    test('a call made at the very moment of the connection is sent once', async () => {
      const peer = await service();
      let asked = 0;
      peer.answer(() => {
        asked++;
        return { signature: '', body: [] };
      });
      await bus.close();
      const fresh = world.open();
      onTestFinished(() => fresh.close());
      const calls: Promise<unknown>[] = [fresh.call(ping)];
      fresh.onConnected((connected) => {
        if (connected) calls.push(fresh.call(ping));
      });
      await until(() => calls.length === 2, 'it is connected');
      await Promise.all(calls);
      await fresh.call(ping);
      expect(asked).toBe(3);
    });

    test('a listener that throws harms nobody else', async () => {
      const peer = await service();
      peer.answer(() => ({ signature: '', body: [] }));
      const heard: unknown[] = [];
      bus.onSignal({ sender: NAME, ...changed }, () => {
        throw new Error('a faulty listener');
      });
      bus.onSignal({ sender: NAME, ...changed }, ({ body }) => heard.push(body[0]));
      await bus.call(ping);
      peer.emit({ ...changed, signature: 's', body: ['on'] });
      await until(() => heard.length > 0, 'the other listener heard');
      await expect(bus.call(ping)).resolves.toEqual([]);
    });

    test('a closed bus rejects calls and tells nobody anything', async () => {
      const peer = await service();
      peer.answer(() => 'silent');
      const owners: unknown[] = [];
      bus.onOwner(NAME, (owner) => owners.push(owner));
      await until(() => owners.length === 1, 'the owner is known');
      const call = bus.call(ping);
      const rejected = expect(call).rejects.toMatchObject({ code: 'BUS' });
      await bus.close();
      await rejected;
      await expect(bus.call(ping)).rejects.toMatchObject({ code: 'BUS' });
      expect(owners).toHaveLength(1);
    });
  });
}
