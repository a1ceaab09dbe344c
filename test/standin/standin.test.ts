import { expect, onTestFinished, test } from 'vitest';
import { type Standin, type StandinNeeds, standin } from '../../src/standin/standin.ts';
import type { BusSignal } from '../../src/system/bus.ts';
import type { ServiceBus } from '../../src/system/bus-service.ts';
import { silentLog } from '../../src/system/log.ts';
import { type FakeBusDaemon, fakeBusDaemon } from '../support/fake-bus.ts';
import { type ManualClock, manualClock } from '../support/manual-clock.ts';
import { standinGround, type TestGround } from '../support/standin.ts';
import { until } from '../support/until.ts';

const NAME = 'org.freedesktop.resolve1';
const MANAGER = { destination: NAME, path: '/org/freedesktop/resolve1', interface: `${NAME}.Manager` };

interface World {
  readonly daemon: FakeBusDaemon;
  readonly stand: Standin;
  readonly client: ServiceBus;
  readonly ground: TestGround;
  readonly clock: ManualClock;
  /** Sockets that are served now. */
  readonly sockets: Set<string>;
  /** When settings of links were taken up and left behind. */
  readonly states: string[];
  /** When the files under systemd-resolved's names were made and left to it. */
  readonly files: string[];
  readonly owners: (string | undefined)[];
}

/** A stand-in on a fake bus; `refuse` makes its sockets fail as long as it says so. */
function world(refuse: () => boolean = () => false): World {
  const daemon = fakeBusDaemon();
  const open = (): ServiceBus => {
    const bus = daemon.open();
    onTestFinished(() => bus.close());
    return bus;
  };
  const clock = manualClock();
  const sockets = new Set<string>();
  const states: string[] = [];
  const files: string[] = [];
  const ground = standinGround();
  const serve: StandinNeeds['serve'] = async (socket) => {
    if (refuse()) throw new Error(`${socket} cannot be made`);
    sockets.add(socket);
    return { close: async () => void sockets.delete(socket) };
  };
  const nothing = (): (() => void) => () => {};
  const stand = standin({
    bus: open(),
    ground: {
      ...ground,
      onQuery: nothing,
      onConfiguration: nothing,
      remembered: () => [],
      sinceBootMs: () => 0,
      ownUid: 0,
    },
    serve,
    linkStates: {
      begin: async () => void states.push('begin'),
      end: async () => void states.push('end'),
    },
    resolvedFiles: {
      begin: async () => void files.push('begin'),
      giveWay: async () => void files.push('give way'),
    },
    machineId: () => undefined,
    clock,
    log: silentLog,
  });
  onTestFinished(() => stand.close());
  const client = open();
  const owners: (string | undefined)[] = [];
  client.onOwner(NAME, (owner) => owners.push(owner));
  return { daemon, stand, client, ground, clock, sockets, states, files, owners };
}

const both = ['io.systemd.Resolve', 'io.systemd.Resolve.Monitor'];

test('it takes the name and the sockets when systemd-resolved is absent, and not before it knows', async () => {
  const { stand, sockets, owners, client } = world();
  await until(() => owners.length === 1, 'the bus answered');
  await stand.resolved('unknown');
  expect([stand.standing, sockets.size, owners.at(-1)]).toEqual([false, 0, undefined]);
  await stand.resolved('absent');
  await until(() => owners.at(-1) !== undefined, 'the name is owned');
  expect([stand.standing, [...sockets], stand.problem]).toEqual([true, both, undefined]);
  await expect(client.call({ ...MANAGER, member: 'GetLink', signature: 'i', body: [2] })).resolves.toEqual([
    '/org/freedesktop/resolve1/link/_32',
  ]);
});

test('it lets go of everything when systemd-resolved runs, and takes it again when that has gone', async () => {
  const { stand, sockets, owners } = world();
  await stand.resolved('absent');
  await until(() => owners.at(-1) !== undefined, 'the name is owned');
  await stand.resolved('running');
  await until(() => owners.at(-1) === undefined, 'the name is free');
  expect([stand.standing, sockets.size]).toEqual([false, 0]);
  await stand.resolved('absent');
  await until(() => owners.at(-1) !== undefined, 'the name is owned again');
  expect([...sockets]).toEqual(both);
});

test('it gives way before systemd-resolved asks for the name, which that then gets', async () => {
  const { daemon, stand, sockets, states, owners } = world();
  await stand.resolved('absent');
  await until(() => owners.at(-1) !== undefined, 'the name is owned');
  await stand.giveWay();
  expect([sockets.size, states]).toEqual([0, ['begin', 'end']]);
  const real = daemon.peer();
  await real.own(NAME); // throws where somebody has it
  await stand.resolved('running');
  await real.release(NAME);
  await stand.resolved('absent');
  await until(() => owners.at(-1) !== undefined && owners.at(-1) !== real.uniqueName, 'it is ours again');
});

test('its files are there before its name is, and gone before systemd-resolved may start', async () => {
  const { stand, files, owners } = world();
  await until(() => owners.length === 1, 'the bus answered');
  await stand.resolved('absent');
  expect([files, owners.at(-1)]).toEqual([['begin'], undefined]);
  await until(() => owners.at(-1) !== undefined, 'the name is owned');
  await stand.giveWay();
  expect(files).toEqual(['begin', 'give way']);
});

test('what a killed run has left of its files goes when systemd-resolved is found running', async () => {
  const { stand, files } = world();
  await stand.resolved('running');
  expect(files).toEqual(['give way']);
});

test('when it ends itself, whoever reads its files goes on', async () => {
  const { stand, files } = world();
  await stand.resolved('absent');
  await stand.close();
  expect(files).toEqual(['begin']);
});

test('a systemd-resolved that does not come is not waited for for ever', async () => {
  const { stand, clock, sockets, owners } = world();
  await stand.resolved('absent');
  await stand.giveWay();
  expect(sockets.size).toBe(0);
  clock.advance(10_000);
  await until(() => sockets.size === 2 && owners.at(-1) !== undefined, 'all is taken again');
});

test('sockets that cannot be had are a problem that is told and tried again', async () => {
  let refused = true;
  const { stand, clock, owners } = world(() => refused);
  await stand.resolved('absent');
  await until(() => {
    clock.advance(400);
    return stand.problem !== undefined;
  }, 'it is told');
  expect(stand.problem).toContain('io.systemd.Resolve cannot be made');
  expect(stand.standing).toBe(false);
  expect(owners.at(-1)).toBeUndefined();
  refused = false;
  clock.advance(60_000);
  await until(() => owners.at(-1) !== undefined, 'it worked at last');
  expect(stand.problem).toBeUndefined();
});

test('sockets that a systemd-resolved still has while it ends are no problem and are had soon', async () => {
  let refused = true;
  const { stand, clock, owners } = world(() => refused);
  await stand.resolved('absent');
  expect([stand.standing, stand.problem]).toEqual([false, undefined]);
  refused = false;
  clock.advance(25);
  await until(() => owners.at(-1) !== undefined, 'the name is owned');
  expect(stand.problem).toBeUndefined();
});

test('a name that somebody else has is told', async () => {
  const { daemon, stand } = world();
  await daemon.peer().own(NAME);
  await stand.resolved('absent');
  await until(() => stand.problem !== undefined, 'it was told');
  expect(stand.problem).toBe(`Somebody else has the bus name ${NAME}.`);
});

test('changes of the servers are told to the bus, once each and only those', async () => {
  const { stand, client, ground } = world();
  const heard: BusSignal[] = [];
  client.onSignal({ sender: NAME, member: 'PropertiesChanged' }, (signal) => heard.push(signal));
  await stand.resolved('absent');
  const call = { ...MANAGER, member: 'SetLinkDNS', signature: 'ia(iay)' };
  await until(
    () =>
      client.call({ ...MANAGER, member: 'ListDelegates' }).then(
        () => true,
        () => false,
      ),
    'it answers',
  );
  stand.changed();
  await client.call({ ...call, body: [2, [[2, Uint8Array.from([192, 0, 2, 77])]]] });
  stand.changed();
  stand.changed();
  await until(() => heard.length > 0, 'it was told');
  await client.call({ ...MANAGER, member: 'ListDelegates' });
  expect(ground.pushed.all()).toHaveLength(1);
  expect(heard).toHaveLength(1);
  expect(Object.keys(heard[0]?.body[1] as object).sort()).toEqual(['DNS', 'DNSEx']);
  expect(heard[0]).toMatchObject({ path: MANAGER.path, body: [`${NAME}.Manager`, expect.anything(), []] });
});

test('after its end nothing of it is left', async () => {
  const { stand, sockets, owners } = world();
  await stand.resolved('absent');
  await until(() => owners.at(-1) !== undefined, 'the name is owned');
  await stand.close();
  await until(() => owners.at(-1) === undefined, 'the name is free');
  await stand.resolved('absent');
  await stand.giveWay();
  expect([stand.standing, sockets.size]).toEqual([false, 0]);
});
