import { expect, onTestFinished, test } from 'vitest';
import type { NameState } from '../../src/system/bus-service.ts';
import { systemClock } from '../../src/system/clock.ts';
import { openBus } from '../../src/system/dbus-next-bus.ts';
import { silentLog } from '../../src/system/log.ts';
import { reconnectingBus } from '../../src/system/reconnecting-bus.ts';
import { busServiceContract } from '../contracts/bus-service.ts';
import { connectPeer } from '../support/bus-peer.ts';
import { fakeBusDaemon } from '../support/fake-bus.ts';
import { startPrivateBus } from '../support/private-bus.ts';
import { until } from '../support/until.ts';

busServiceContract('serving by dbus-next on a dbus-daemon', async () => {
  const daemon = await startPrivateBus();
  return {
    open: () => openBus({ address: daemon.address, log: silentLog, clock: systemClock }),
    async ruleCount() {
      const peer = await connectPeer(daemon.address);
      const [rules] = await peer.ask('GetAllMatchRules', 'org.freedesktop.DBus.Debug.Stats');
      await peer.close();
      return Object.values(rules as Record<string, string[]>).flat().length;
    },
    kill: daemon.kill,
    start: daemon.start,
    close: daemon.close,
  };
});

busServiceContract('serving by the fake bus of the tests', async () => {
  const daemon = fakeBusDaemon();
  return {
    open: () => reconnectingBus({ connect: daemon.connect, log: silentLog, clock: systemClock }),
    ruleCount: async () => daemon.rules().length,
    kill: async () => daemon.kill(),
    start: async () => daemon.start(),
    close: async () => daemon.kill(),
  };
});

test('a name that the policy keeps from us is refused with the reason', async () => {
  const daemon = await startPrivateBus({ forbidden: 'org.example.Forbidden' });
  onTestFinished(() => daemon.close());
  const bus = openBus({ address: daemon.address, log: silentLog, clock: systemClock });
  onTestFinished(() => bus.close());
  const states: NameState[] = [];
  bus.own('org.example.Forbidden', {}, (state) => states.push(state));
  await until(() => states.length === 1, 'the bus answered');
  expect(states[0]).toMatchObject({ state: 'refused', reason: expect.stringContaining('AccessDenied') });
});
