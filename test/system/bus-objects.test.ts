import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import type { BusSignal } from '../../src/system/bus.ts';
import type { ObjectTree, ServedInterface } from '../../src/system/bus-interface.ts';
import { introspect } from '../../src/system/bus-introspection.ts';
import { type ObjectServer, serveObjects } from '../../src/system/bus-objects.ts';
import { BusError, type ServiceBus } from '../../src/system/bus-service.ts';
import { systemClock } from '../../src/system/clock.ts';
import { openBus } from '../../src/system/dbus-next-bus.ts';
import { silentLog } from '../../src/system/log.ts';
import { fakeBusDaemon } from '../support/fake-bus.ts';
import { startPrivateBus } from '../support/private-bus.ts';
import { until } from '../support/until.ts';

const NAME = 'org.example.Lamp';
const LAMP = '/org/example/lamp';
const ERROR = 'org.freedesktop.DBus.Error';

/** A lamp with one of everything. */
function lampInterfaces(lamp: { level: number }): readonly ServedInterface[] {
  return [
    {
      table: {
        name: 'org.example.Lamp',
        methods: {
          Dim: { in: [['u', 'level']], out: [['u', 'before']] },
          Break: {},
        },
        properties: {
          Level: { signature: 'u', writable: true, emits: 'value' },
          Colour: { signature: 's', emits: 'invalidation' },
          Maker: { signature: 's', emits: 'constant' },
          Servers: { signature: 'a(iay)', emits: 'nothing' },
        },
        signals: { Burnt: [['s', 'why']] },
      },
      methods: {
        Dim: ([level]) => {
          const before = lamp.level;
          lamp.level = Number(level);
          return [before];
        },
        Break: () => {
          throw new BusError('org.example.Broken', 'it is broken');
        },
      },
      get: {
        Level: () => lamp.level,
        Colour: () => 'warm',
        Maker: () => 'us',
        Servers: () => [[2, Buffer.from([192, 0, 2, 1])]],
      },
      set: {
        Level: (value) => {
          lamp.level = Number(value);
        },
      },
    },
    {
      table: {
        name: 'org.example.Thing',
        methods: {},
        properties: { Weight: { signature: 't', emits: 'nothing' } },
        signals: {},
      },
      methods: {},
      get: { Weight: () => 5n },
    },
  ];
}

function lampTree(lamp: { level: number }): ObjectTree {
  const interfaces = lampInterfaces(lamp);
  const paths = [LAMP, `${LAMP}/bulb/_31`];
  return { interfacesAt: (path) => (paths.includes(path) ? interfaces : undefined), paths: () => paths };
}

async function serving(): Promise<{
  readonly client: ServiceBus;
  readonly server: ObjectServer;
  readonly lamp: { level: number };
  call(
    member: string,
    signature?: string,
    body?: readonly unknown[],
    path?: string,
  ): Promise<readonly unknown[]>;
}> {
  const daemon = fakeBusDaemon();
  const open = (): ServiceBus => {
    const bus = daemon.open();
    onTestFinished(() => bus.close());
    return bus;
  };
  const bus = open();
  const client = open();
  const lamp = { level: 3 };
  const server = serveObjects(bus, lampTree(lamp), { machineId: () => 'f'.repeat(32) });
  const states: string[] = [];
  bus.own(NAME, {}, ({ state }) => states.push(state));
  await until(() => states.length === 1, 'the name is ours');
  return {
    client,
    server,
    lamp,
    call: (qualified, signature = '', body = [], path = LAMP) => {
      const dot = qualified.lastIndexOf('.');
      return client.call({
        destination: NAME,
        path,
        interface: qualified.slice(0, Math.max(0, dot)),
        member: qualified.slice(dot + 1),
        signature,
        body,
      });
    },
  };
}

const PROPERTIES = 'org.freedesktop.DBus.Properties';
const refusedBy = (name: string) => ({ message: expect.stringContaining(name) });

test('a method is answered, with its interface named or left open', async () => {
  const { call } = await serving();
  await expect(call('org.example.Lamp.Dim', 'u', [7])).resolves.toEqual([3]);
  await expect(call('Dim', 'u', [1])).resolves.toEqual([7]);
});

test.each([
  ['another type', 's', ['7']],
  ['no argument', '', []],
  ['one argument too many', 'uu', [7, 7]],
])('a call with %s is refused and changes nothing', async (_, signature, body) => {
  const { call, lamp } = await serving();
  await expect(call('org.example.Lamp.Dim', signature, body)).rejects.toMatchObject(
    refusedBy(`${ERROR}.InvalidArgs`),
  );
  expect(lamp.level).toBe(3);
});

test.each([
  ['an unknown method', 'org.example.Lamp.Explode', LAMP, 'UnknownMethod'],
  ['an unknown interface', 'org.example.Other.Dim', LAMP, 'UnknownMethod'],
  ['a name that every JavaScript object has', 'org.example.Lamp.toString', LAMP, 'UnknownMethod'],
  ['a path that only leads to objects', 'org.example.Lamp.Dim', '/org/example', 'UnknownMethod'],
  ['a path with nothing', 'org.example.Lamp.Dim', '/org/other', 'UnknownObject'],
])('%s is refused', async (_, member, path, error) => {
  const { call } = await serving();
  await expect(call(member, 'u', [7], path)).rejects.toMatchObject(refusedBy(`${ERROR}.${error}`));
});

test('an error of a method keeps its name', async () => {
  const { call } = await serving();
  await expect(call('org.example.Lamp.Break')).rejects.toMatchObject(refusedBy('org.example.Broken'));
});

test('properties are read one by one, by interface, and all at once with an empty interface', async () => {
  const { call } = await serving();
  const get = async (name: string, property: string) =>
    (await call(`${PROPERTIES}.Get`, 'ss', [name, property]))[0];
  const all = async (name: string) => ({
    ...((await call(`${PROPERTIES}.GetAll`, 's', [name]))[0] as object),
  });
  expect(await get('org.example.Lamp', 'Level')).toBe(3);
  expect(await get('', 'Weight')).toBe(5n);
  const lamp = { Level: 3, Colour: 'warm', Maker: 'us', Servers: [[2, new Uint8Array([192, 0, 2, 1])]] };
  expect(await all('org.example.Lamp')).toEqual(lamp);
  expect(await all('')).toEqual({ ...lamp, Weight: 5n });
  expect(await all('org.freedesktop.DBus.Peer')).toEqual({});
});

test.each([
  ['reading an unknown property', 'Get', 'ss', ['org.example.Lamp', 'Smell'], 'UnknownProperty'],
  ['reading of an unknown interface', 'Get', 'ss', ['org.example.Other', 'Level'], 'UnknownProperty'],
  ['reading all of an unknown interface', 'GetAll', 's', ['org.example.Other'], 'UnknownInterface'],
  [
    'writing a read-only property',
    'Set',
    'ssv',
    ['org.example.Lamp', 'Maker', { signature: 's', value: 'them' }],
    'PropertyReadOnly',
  ],
  [
    'writing another type',
    'Set',
    'ssv',
    ['org.example.Lamp', 'Level', { signature: 's', value: '9' }],
    'InvalidArgs',
  ],
])('%s is refused', async (_, member, signature, body, error) => {
  const { call, lamp } = await serving();
  await expect(call(`${PROPERTIES}.${member}`, signature, body)).rejects.toMatchObject(
    refusedBy(`${ERROR}.${error}`),
  );
  expect(lamp.level).toBe(3);
});

test('a writable property is written', async () => {
  const { call, lamp } = await serving();
  await call(`${PROPERTIES}.Set`, 'ssv', ['org.example.Lamp', 'Level', { signature: 'u', value: 9 }]);
  expect(lamp.level).toBe(9);
});

test('changes are told with or without the value, as the table says', async () => {
  const { client, server } = await serving();
  const heard: BusSignal[] = [];
  client.onSignal({ sender: NAME, member: 'PropertiesChanged' }, (signal) => heard.push(signal));
  const owners: unknown[] = [];
  client.onOwner(NAME, (owner) => owners.push(owner));
  await until(() => owners.length === 1, 'the owner is known');
  server.changed(LAMP, 'org.example.Lamp', ['Level', 'Colour']);
  await until(() => heard.length === 1, 'it was heard');
  const [name, values, invalidated] = heard[0]?.body ?? [];
  expect([name, { ...(values as object) }, invalidated]).toEqual([
    'org.example.Lamp',
    { Level: 3 },
    ['Colour'],
  ]);
  expect(heard[0]).toMatchObject({ path: LAMP, interface: PROPERTIES, signature: 'sa{sv}as' });
});

test('Peer is answered on every path', async () => {
  const { call } = await serving();
  await expect(call('org.freedesktop.DBus.Peer.Ping', '', [], '/nothing/here')).resolves.toEqual([]);
  await expect(call('org.freedesktop.DBus.Peer.GetMachineId')).resolves.toEqual(['f'.repeat(32)]);
});

test('introspection names everything and leads from the root to every object', () => {
  const tree = lampTree({ level: 3 });
  expect(introspect(tree, '/')).toContain(' <node name="org"/>\n</node>');
  expect(introspect(tree, LAMP)).toContain(' <node name="bulb"/>\n</node>');
  const text = introspect(tree, `${LAMP}/bulb/_31`);
  expect(text).toContain('<arg type="u" name="level" direction="in"/>');
  expect(text).toContain('<property name="Level" type="u" access="readwrite">');
  expect(text).toContain('EmitsChangedSignal" value="invalidates"');
  expect(text).toContain('<signal name="Burnt">');
});

test('busctl shows the tree, the interfaces, properties and methods of a real bus', async () => {
  const daemon = await startPrivateBus();
  onTestFinished(() => daemon.close());
  const bus = openBus({ address: daemon.address, log: silentLog, clock: systemClock });
  onTestFinished(() => bus.close());
  const lamp = { level: 3 };
  serveObjects(bus, lampTree(lamp), { machineId: () => undefined });
  const states: string[] = [];
  bus.own(NAME, {}, ({ state }) => states.push(state));
  await until(() => states.length === 1, 'the name is ours');
  const busctl = async (...words: string[]): Promise<string> =>
    (await promisify(execFile)('busctl', [`--address=${daemon.address}`, ...words], { timeout: 40_000 }))
      .stdout;
  expect(await busctl('tree', '--list', NAME)).toBe(
    ['/', '/org', '/org/example', LAMP, `${LAMP}/bulb`, `${LAMP}/bulb/_31`, ''].join('\n'),
  );
  const shown = await busctl('introspect', NAME, LAMP);
  expect(shown).toMatch(/^\.Level +property +u +3 +emits-change writable$/m);
  expect(shown).toMatch(/^\.Colour +property +s +"warm" +emits-invalidation$/m);
  expect(shown).toMatch(/^\.Dim +method +u +u +-$/m);
  expect(shown).toMatch(/^\.Burnt +signal +s +- +-$/m);
  expect(await busctl('call', NAME, LAMP, 'org.example.Lamp', 'Dim', 'u', '8')).toBe('u 3\n');
  await busctl('set-property', NAME, LAMP, 'org.example.Lamp', 'Level', 'u', '9');
  expect(lamp.level).toBe(9);
  await expect(busctl('set-property', NAME, LAMP, 'org.example.Lamp', 'Maker', 's', 'them')).rejects.toThrow(
    'not writable',
  );
});
