import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { BusSignal } from '../../src/system/bus.ts';
import {
  BusError,
  type IncomingCall,
  type NameOptions,
  type NameState,
  type ServiceBus,
} from '../../src/system/bus-service.ts';
import { until } from '../support/until.ts';

/** A bus daemon that several of our own connections may stand on. */
export interface ServiceWorld {
  open(): ServiceBus;
  ruleCount(): Promise<number>;
  kill(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

const NAME = 'org.example.Ours';
const ask = { destination: NAME, path: '/org/example', interface: 'org.example.Things', member: 'Ask' };

/** What every implementation of the serving half of the bus port has to hold. */
export function busServiceContract(title: string, makeWorld: () => Promise<ServiceWorld>): void {
  describe(title, () => {
    let world: ServiceWorld;
    let bus: ServiceBus;
    let client: ServiceBus;
    const open = (): ServiceBus => {
      const opened = world.open();
      onTestFinished(() => opened.close());
      return opened;
    };
    const own = (by: ServiceBus, options: NameOptions = {}): { states: string[]; free(): Promise<void> } => {
      const states: string[] = [];
      const free = by.own(NAME, options, ({ state }: NameState) => states.push(state));
      return { states, free };
    };
    beforeEach(async () => {
      world = await makeWorld();
      const { close } = world;
      onTestFinished(() => close());
      bus = open();
      client = open();
    });

    test('a call reaches us with its sender, path, interface, member, signature and body', async () => {
      const calls: IncomingCall[] = [];
      bus.serve((call) => {
        calls.push(call);
        return { signature: 's', body: ['heard'] };
      });
      const { states } = own(bus);
      await until(() => states.length === 1, 'the name is ours');
      await expect(
        client.call({ ...ask, signature: 'ia(iay)', body: [7, [[2, Buffer.from([1])]]] }),
      ).resolves.toEqual(['heard']);
      expect(calls[0]).toMatchObject({
        sender: client.uniqueName,
        path: ask.path,
        interface: ask.interface,
        member: 'Ask',
        signature: 'ia(iay)',
        body: [7, [[2, new Uint8Array([1])]]],
        interactive: false,
      });
    });

    test('a variant that is an argument keeps its signature', async () => {
      const calls: IncomingCall[] = [];
      bus.serve((call) => {
        calls.push(call);
        return { signature: '', body: [] };
      });
      const { states } = own(bus);
      await until(() => states.length === 1, 'the name is ours');
      await client.call({ ...ask, signature: 'sv', body: ['x', { signature: 'as', value: ['a'] }] });
      expect(calls[0]?.body).toEqual(['x', { signature: 'as', value: ['a'] }]);
    });

    test('an error of ours arrives by its name, any other fault without its text', async () => {
      bus.serve(({ member }) => {
        if (member === 'Refuse') throw new BusError('org.example.NotToday', 'come again');
        throw new Error('/secret/path');
      });
      const { states } = own(bus);
      await until(() => states.length === 1, 'the name is ours');
      await expect(client.call({ ...ask, member: 'Refuse' })).rejects.toMatchObject({
        message: expect.stringContaining('org.example.NotToday: come again'),
      });
      const fault = await client.call(ask).catch((error: Error) => error.message);
      expect(fault).toContain('org.freedesktop.DBus.Error.Failed');
      expect(fault).not.toContain('secret');
    });

    test.each([
      ['does not fit its signature', { signature: 'u', body: ['text'] }],
      ['holds a bad object path', { signature: 'o', body: ['nowhere'] }],
    ])('an answer that %s fails that call alone', async (_, wrong) => {
      bus.serve(({ member }) => (member === 'Wrong' ? wrong : { signature: 's', body: ['good'] }));
      const { states } = own(bus);
      await until(() => states.length === 1, 'the name is ours');
      await expect(client.call({ ...ask, member: 'Wrong' })).rejects.toMatchObject({
        message: expect.stringContaining('org.freedesktop.DBus.Error.Failed'),
      });
      await expect(client.call(ask)).resolves.toEqual(['good']);
    });

    test('an answer too large for the bus is refused, and the connection stands', async () => {
      bus.serve(({ member }) => ({
        signature: 'ay',
        body: [Buffer.alloc(member === 'Large' ? 17 << 20 : 1)],
      }));
      const { states } = own(bus);
      await until(() => states.length === 1, 'the name is ours');
      await expect(client.call({ ...ask, member: 'Large' })).rejects.toMatchObject({
        message: expect.stringContaining('LimitsExceeded'),
      });
      await expect(client.call(ask)).resolves.toEqual([new Uint8Array(1)]);
    });

    test('answers may come late and in another order', async () => {
      const waiting = new Map<string, (text: string) => void>();
      bus.serve(async ({ body: [key] }) => {
        const text = await new Promise<string>((resolve) => waiting.set(String(key), resolve));
        return { signature: 's', body: [text] };
      });
      const { states } = own(bus);
      await until(() => states.length === 1, 'the name is ours');
      const calls = ['a', 'b'].map((key) => client.call({ ...ask, signature: 's', body: [key] }));
      await until(() => waiting.size === 2, 'both calls arrived');
      waiting.get('b')?.('second');
      await expect(calls[1]).resolves.toEqual(['second']);
      waiting.get('a')?.('first');
      await expect(calls[0]).resolves.toEqual(['first']);
    });

    test('one caller may have 2048 calls in progress; the next is refused and others are answered', async () => {
      let waiting = 0;
      bus.serve(({ member }) => {
        if (member !== 'Hang') return { signature: '', body: [] };
        waiting++;
        return new Promise(() => {});
      });
      const { states } = own(bus);
      await until(() => states.length === 1, 'the name is ours');
      const greedy = open();
      const hanging: Promise<unknown>[] = [];
      for (let n = 0; n < 2048; n++) hanging.push(greedy.call({ ...ask, member: 'Hang' }).catch(() => {}));
      await until(() => waiting === 2048, 'all of them wait');
      await expect(greedy.call({ ...ask, member: 'Hang' })).rejects.toMatchObject({
        message: expect.stringContaining('LimitsExceeded'),
      });
      await expect(client.call(ask)).resolves.toEqual([]);
      await greedy.close();
      await Promise.all(hanging);
    });

    test('the work for a caller is given up when it leaves the bus', async () => {
      let seen: AbortSignal | undefined;
      bus.serve(({ signal }) => {
        seen = signal;
        return new Promise(() => {});
      });
      const { states } = own(bus);
      await until(() => states.length === 1, 'the name is ours');
      const leaving = open();
      const call = leaving.call(ask).catch(() => {});
      await until(() => seen !== undefined, 'the call arrived');
      expect(seen?.aborted).toBe(false);
      await leaving.close();
      await call;
      await until(() => seen?.aborted === true, 'its work was given up');
    });

    test('nobody serves: a call is refused at once', async () => {
      const stop = bus.serve(() => ({ signature: '', body: [] }));
      const { states } = own(bus);
      await until(() => states.length === 1, 'the name is ours');
      await client.call(ask);
      stop();
      await expect(client.call(ask)).rejects.toMatchObject({
        message: expect.stringContaining('org.freedesktop.DBus.Error.UnknownMethod'),
      });
    });

    test('who serves and stops leaves no match rule behind', async () => {
      await client.call({ ...ask, destination: 'org.example.Nobody' }).catch(() => {});
      const before = await world.ruleCount();
      const stop = bus.serve(() => ({ signature: '', body: [] }));
      await until(async () => (await world.ruleCount()) === before + 1, 'it listens for callers that leave');
      stop();
      stop();
      await until(async () => (await world.ruleCount()) === before, 'it listens no more');
    });

    test('a signal of ours is heard by whom it matches', async () => {
      const heard: BusSignal[] = [];
      const { states } = own(bus);
      await until(() => states.length === 1, 'the name is ours');
      client.onSignal({ sender: NAME, member: 'Changed' }, (signal) => heard.push(signal));
      const known: unknown[] = [];
      client.onOwner(NAME, (owner) => known.push(owner));
      await until(() => known.length === 1, 'its owner is known');
      const signal = { path: '/org/example', interface: 'org.example.Things', signature: 'sa{sv}' };
      bus.emit({ ...signal, member: 'Other', body: ['x', {}] });
      bus.emit({ ...signal, member: 'Changed', body: ['x', { n: { signature: 'u', value: 1 } }] });
      await until(() => heard.length > 0, 'it was heard');
      expect(heard).toHaveLength(1);
      expect(heard[0]).toMatchObject({ sender: bus.uniqueName, member: 'Changed' });
      expect(() => bus.emit({ ...signal, member: 'Changed', body: [] })).toThrow('wanted 2 values');
    });

    describe('names', () => {
      test.each<[string, NameOptions, NameOptions, string[], string[]]>([
        ['the first keeps it and the second is told', {}, {}, ['owned'], ['taken']],
        ['the second waits in the queue', {}, { queue: true }, ['owned'], ['queued']],
        ['nobody is replaced who does not allow it', {}, { replace: true }, ['owned'], ['taken']],
        [
          'who allows it is replaced',
          { allowReplacement: true },
          { replace: true },
          ['owned', 'taken'],
          ['owned'],
        ],
      ])('two want the same name: %s', async (_, firstOptions, secondOptions, firstStates, secondStates) => {
        const first = own(bus, firstOptions);
        await until(() => first.states.length === 1, 'the first was told');
        const second = own(client, secondOptions);
        await until(() => first.states.length === firstStates.length, 'the first knows');
        await until(() => second.states.length === secondStates.length, 'the second knows');
        expect([first.states, second.states]).toEqual([firstStates, secondStates]);
      });

      test('who waits in the queue gets the name when it is given up', async () => {
        const first = own(bus);
        await until(() => first.states.length === 1, 'the first has it');
        const second = own(client, { queue: true });
        await until(() => second.states.length === 1, 'the second waits');
        await first.free();
        await until(() => second.states.length === 2, 'the second has it');
        expect(second.states).toEqual(['queued', 'owned']);
        expect(first.states).toEqual(['owned']);
      });

      test('a name given up is free, and can be had again', async () => {
        const first = own(bus);
        await until(() => first.states.length === 1, 'it is ours');
        await first.free();
        await first.free();
        const again = own(bus);
        await until(() => again.states.length === 1, 'it is ours again');
        expect(again.states).toEqual(['owned']);
      });

      test('one name is asked for once at a time', async () => {
        own(bus);
        expect(() => own(bus)).toThrow('asked for twice');
      });

      test('calls are answered though we called the name while another had it', async () => {
        // dbus-next's own MessageBus remembers that owner and drops every call to us (facts: dependencies.md 1, fault 2).
        client.serve(() => ({ signature: 's', body: ['theirs'] }));
        const theirs = own(client);
        await until(() => theirs.states.length === 1, 'another has it');
        await expect(bus.call(ask)).resolves.toEqual(['theirs']);
        await theirs.free();
        bus.serve(() => ({ signature: 's', body: ['ours'] }));
        const ours = own(bus);
        await until(() => ours.states.length === 1, 'it is ours');
        await expect(client.call(ask)).resolves.toEqual(['ours']);
        await expect(bus.call(ask), 'by ourselves too').resolves.toEqual(['ours']);
      });

      test('after the bus was killed and started again the name is ours and calls are answered', async () => {
        bus.serve(() => ({ signature: 's', body: ['here'] }));
        const { states } = own(bus);
        await until(() => states.length === 1, 'the name is ours');
        const before = bus.uniqueName;
        await world.kill();
        await until(() => states.at(-1) === 'away', 'the loss was noticed');
        expect(bus.uniqueName).toBeUndefined();
        await world.start();
        await until(() => states.at(-1) === 'owned', 'the name is ours again');
        expect(states).toEqual(['owned', 'away', 'owned']);
        expect(before).toBeTypeOf('string');
        await expect(client.call(ask)).resolves.toEqual(['here']);
      });

      test('a name given up without a connection does not come back with the next', async () => {
        const { states, free } = own(bus);
        await until(() => states.length === 1, 'the name is ours');
        await world.kill();
        await until(() => states.at(-1) === 'away', 'the loss was noticed');
        await free();
        await world.start();
        const owners: unknown[] = [];
        client.onOwner(NAME, (owner) => owners.push(owner));
        await until(() => client.connected && bus.connected && owners.length > 0, 'both are back');
        await client.call({ ...ask, destination: 'org.example.Nobody' }).catch(() => {});
        expect(owners.at(-1)).toBeUndefined();
        expect(states).toEqual(['owned', 'away']);
      });
    });
  });
}
