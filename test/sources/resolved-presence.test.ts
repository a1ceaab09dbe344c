import { expect, onTestFinished, test } from 'vitest';
import type { ResolvedPresence } from '../../src/core/takeover.ts';
import { watchResolved } from '../../src/sources/resolved-presence.ts';
import type { Bus } from '../../src/system/bus.ts';
import { type FakeBusDaemon, fakeBusDaemon } from '../support/fake-bus.ts';
import { until } from '../support/until.ts';

const NAME = 'org.freedesktop.resolve1';

const watching = (daemon: FakeBusDaemon): { bus: Bus; told: ResolvedPresence[]; letGo: () => void } => {
  const bus = daemon.open();
  onTestFinished(() => bus.close());
  const told: ResolvedPresence[] = [];
  return { bus, told, letGo: watchResolved(bus, (presence) => told.push(presence)) };
};

test('systemd-resolved is unknown, then running, then absent, as its name is owned', async () => {
  const daemon = fakeBusDaemon();
  const resolved = daemon.peer();
  await resolved.own(NAME);
  const { told, letGo } = watching(daemon);
  expect(told).toEqual(['unknown']);
  await until(() => told.length === 2, 'the bus answered');
  await resolved.release(NAME);
  await until(() => told.length === 3, 'it stopped');
  expect(told).toEqual(['unknown', 'running', 'absent']);
  letGo();
  await resolved.own(NAME);
  await until(() => daemon.rules().length === 0, 'nothing is watched any more');
  expect(told).toHaveLength(3);
});

test('the name in our own hands is no systemd-resolved', async () => {
  const daemon = fakeBusDaemon();
  const { bus } = watching(daemon);
  const ours = daemon.open();
  onTestFinished(() => ours.close());
  const told: ResolvedPresence[] = [];
  watchResolved(
    bus,
    (presence) => told.push(presence),
    (owner) => owner === ours.uniqueName,
  );
  const owners: (string | undefined)[] = [];
  bus.onOwner(NAME, (owner) => owners.push(owner));
  const free = ours.own(NAME, {}, () => {});
  await until(() => owners.at(-1) !== undefined, 'the name is ours');
  expect(owners.at(-1)).toBe(ours.uniqueName);
  expect(told).toEqual(['unknown', 'absent']);
  await free();
  await daemon.peer().own(NAME);
  await until(() => told.at(-1) === 'running', 'the real one has it');
  expect(told).toEqual(['unknown', 'absent', 'running']);
});

test('without a bus it stays unknown', async () => {
  const daemon = fakeBusDaemon();
  daemon.kill();
  const { bus, told } = watching(daemon);
  const asked: boolean[] = [];
  bus.onConnected((connected) => asked.push(connected));
  await until(() => asked.length > 0, 'the bus was told to be away');
  expect(told).toEqual(['unknown']);
});

test('while the bus is away the last known value stands', async () => {
  const daemon = fakeBusDaemon();
  await daemon.peer().own(NAME);
  const { bus, told } = watching(daemon);
  await until(() => told.at(-1) === 'running', 'it runs');
  daemon.kill();
  await until(() => !bus.connected, 'the bus is away');
  expect(told.at(-1)).toBe('running');
  daemon.start();
  await until(() => told.at(-1) === 'absent', 'the new bus knows it no more');
});
