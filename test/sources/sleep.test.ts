import { expect, onTestFinished, test } from 'vitest';
import { onResume } from '../../src/sources/sleep.ts';
import type { PeerSignal } from '../support/bus-peer.ts';
import { fakeBusDaemon } from '../support/fake-bus.ts';
import { until } from '../support/until.ts';

const prepareForSleep = (goingToSleep: boolean): PeerSignal => ({
  path: '/org/freedesktop/login1',
  interface: 'org.freedesktop.login1.Manager',
  member: 'PrepareForSleep',
  signature: 'b',
  body: [goingToSleep],
});

test('waking up is told, falling asleep is not, and only logind is believed', async () => {
  const daemon = fakeBusDaemon();
  const logind = daemon.peer();
  await logind.own('org.freedesktop.login1');
  const bus = daemon.open();
  onTestFinished(() => bus.close());
  let resumed = 0;
  const letGo = onResume(bus, () => resumed++);
  await until(() => daemon.rules().some((rule) => rule.includes('PrepareForSleep')), 'it listens');
  daemon.peer().emit(prepareForSleep(false));
  logind.emit(prepareForSleep(true));
  logind.emit(prepareForSleep(false));
  await until(() => resumed > 0, 'waking up was told');
  logind.emit(prepareForSleep(true));
  logind.emit(prepareForSleep(false));
  await until(() => resumed > 1, 'and again');
  expect(resumed).toBe(2);
  letGo();
  await until(() => daemon.rules().length === 0, 'nothing is left');
});
