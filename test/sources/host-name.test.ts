import { expect, onTestFinished, test } from 'vitest';
import type { SourceEvent } from '../../src/core/snapshot.ts';
import { hostSource } from '../../src/sources/host.ts';
import { followHostName } from '../../src/sources/host-name.ts';
import type { PeerSignal } from '../support/bus-peer.ts';
import { fakeBusDaemon } from '../support/fake-bus.ts';
import { until } from '../support/until.ts';

const changed: PeerSignal = {
  path: '/org/freedesktop/hostname1',
  interface: 'org.freedesktop.DBus.Properties',
  member: 'PropertiesChanged',
  signature: 'sa{sv}as',
  body: ['org.freedesktop.hostname1', {}, []],
};

/** A machine whose kernel knows the name that was set last. */
async function machine() {
  const daemon = fakeBusDaemon();
  const hostnamed = daemon.peer();
  await hostnamed.own('org.freedesktop.hostname1');
  const bus = daemon.open();
  onTestFinished(() => bus.close());
  let name = 'laptop\n';
  const hostName = followHostName(bus, () => name);
  await until(() => daemon.rules().some((rule) => rule.includes('hostname1')), 'it listens');
  return {
    hostName,
    rename(to: string): void {
      name = to;
    },
    renameAndTell(to: string): void {
      name = to;
      hostnamed.emit(changed);
    },
  };
}

test('a new name counts as soon as systemd-hostnamed tells of it, and within a second when nobody does', async () => {
  const { hostName, rename, renameAndTell } = await machine();
  const heard: string[] = [];
  hostName.onChange(() => heard.push(hostName.current));
  expect(hostName.current).toBe('laptop');
  renameAndTell('desk');
  await until(() => heard.length === 1, 'the change is told');
  rename('table');
  await until(() => hostName.current === 'table', 'it is seen by who asks');
  expect(heard).toEqual(['desk', 'table']);
});

test('the search line follows the name', async () => {
  const { hostName, renameAndTell } = await machine();
  const told: SourceEvent[] = [];
  const source = hostSource(hostName);
  source.start((event) => told.push(event), new AbortController().signal);
  await until(() => told.length === 1, 'the first name is told');
  renameAndTell('desk.corp.example');
  await until(() => told.length === 2, 'the second name is told');
  expect(told.map((event) => event.kind === 'state' && event.state.host)).toEqual([
    { name: 'laptop', parentIsPublicSuffix: false },
    { name: 'desk.corp.example', parentIsPublicSuffix: false },
  ]);
  await source.close();
  renameAndTell('gone.corp.example');
  await until(() => hostName.current === 'gone.corp.example', 'the third name has come');
  expect(told).toHaveLength(2);
});
