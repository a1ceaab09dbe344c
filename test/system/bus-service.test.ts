import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import type { NameState } from '../../src/system/bus-service.ts';
import { systemClock } from '../../src/system/clock.ts';
import { openBus } from '../../src/system/dbus-next-bus.ts';
import { silentLog } from '../../src/system/log.ts';
import { busServiceContract } from '../contracts/bus-service.ts';
import { connectPeer, ruleCountAt } from '../support/bus-peer.ts';
import { fakeBusDaemon } from '../support/fake-bus.ts';
import { startPrivateBus } from '../support/private-bus.ts';
import { until } from '../support/until.ts';

busServiceContract('serving by dbus-next on a dbus-daemon', async () => {
  const daemon = await startPrivateBus();
  return {
    open: () => openBus({ address: daemon.address, log: silentLog, clock: systemClock }),
    ruleCount: () => ruleCountAt(daemon.address),
    kill: daemon.kill,
    start: daemon.start,
    close: daemon.close,
  };
});

busServiceContract('serving by the fake bus of the tests', async () => {
  const daemon = fakeBusDaemon();
  return {
    open: () => daemon.open(),
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

test('a call that is larger than any that makes sense is refused unread, and others are answered', async () => {
  const daemon = await startPrivateBus();
  onTestFinished(() => daemon.close());
  const open = () => {
    const bus = openBus({ address: daemon.address, log: silentLog, clock: systemClock });
    onTestFinished(() => bus.close());
    return bus;
  };
  const [bus, client] = [open(), open()];
  let answered = 0;
  bus.serve(() => {
    answered++;
    return { signature: '', body: [] };
  });
  await until(() => bus.uniqueName !== undefined, 'it is connected');
  const call = { destination: bus.uniqueName ?? '', path: '/', interface: 'org.example.X', member: 'Take' };
  const largest = { ...call, signature: 'as', body: [new Array(2048).fill('n'.repeat(253))] };
  await expect(client.call(largest, { deadlineMs: 15_000 })).resolves.toEqual([]);
  const large = { ...call, signature: 'ay', body: [Buffer.alloc(1 << 20)] };
  // dbus-next takes its time to send so much.
  await expect(client.call(large, { deadlineMs: 15_000 })).rejects.toMatchObject({
    message: expect.stringContaining('LimitsExceeded'),
  });
  await expect(client.call(call)).resolves.toEqual([]);
  expect(answered).toBe(2);
});

test('a call that cannot be read is answered with an error', async () => {
  const daemon = await startPrivateBus();
  onTestFinished(() => daemon.close());
  const bus = openBus({ address: daemon.address, log: silentLog, clock: systemClock });
  onTestFinished(() => bus.close());
  bus.serve(() => ({ signature: '', body: [] }));
  await until(() => bus.uniqueName !== undefined, 'it is connected');
  const peer = await connectPeer(daemon.address);
  onTestFinished(() => peer.close());
  // The index of a descriptor and a number look the same on the wire: only the signature is changed.
  const answer = peer.callPatched(
    {
      destination: bus.uniqueName ?? '',
      path: '/',
      interface: 'a.b',
      member: 'C',
      signature: 'u',
      body: [0],
    },
    (bytes) => {
      bytes.write('h', bytes.indexOf(Buffer.from('\x08\x01g\x00\x01u\x00')) + 5);
    },
  );
  await expect(answer).rejects.toThrow('cannot be read');
});

test('whether somebody may be asked for a password is passed on', async () => {
  const daemon = await startPrivateBus();
  onTestFinished(() => daemon.close());
  const bus = openBus({ address: daemon.address, log: silentLog, clock: systemClock });
  onTestFinished(() => bus.close());
  const seen: boolean[] = [];
  bus.serve(({ interactive }) => {
    seen.push(interactive);
    return { signature: '', body: [] };
  });
  await until(() => bus.uniqueName !== undefined, 'it is connected');
  const call = [`--address=${daemon.address}`, 'call', bus.uniqueName ?? '', '/', 'a.b', 'C'];
  const busctl = promisify(execFile);
  await busctl('busctl', ['--allow-interactive-authorization=yes', ...call], { timeout: 40_000 });
  await busctl('busctl', ['--allow-interactive-authorization=no', ...call], { timeout: 40_000 });
  expect(seen).toEqual([true, false]);
});
