import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/system/clock.ts';
import { openBus } from '../../src/system/dbus-next-bus.ts';
import { silentLog } from '../../src/system/log.ts';
import { type BusWorld, busContract } from '../contracts/bus.ts';
import { connectPeer, ruleCountAt } from '../support/bus-peer.ts';
import { temporaryFolder } from '../support/folder.ts';
import { startPrivateBus } from '../support/private-bus.ts';
import { recordingLog } from '../support/recording-log.ts';
import { until } from '../support/until.ts';

busContract('dbus-next on a dbus-daemon', async (): Promise<BusWorld> => {
  const daemon = await startPrivateBus();
  return {
    open: () => openBus({ address: daemon.address, log: silentLog, clock: systemClock }),
    peer: () => connectPeer(daemon.address),
    ruleCount: () => ruleCountAt(daemon.address),
    kill: daemon.kill,
    start: daemon.start,
    close: daemon.close,
  };
});

test('a bus that is not there yet is found when it comes', async () => {
  const daemon = await startPrivateBus();
  await daemon.kill();
  const bus = openBus({ address: daemon.address, log: silentLog, clock: systemClock });
  try {
    const told: boolean[] = [];
    bus.onConnected((connected) => told.push(connected));
    await until(() => told.length === 1, 'the state was told');
    expect(told).toEqual([false]);
    await daemon.start();
    await until(() => told.length === 2, 'the bus was found');
    expect(told).toEqual([false, true]);
  } finally {
    await bus.close();
    await daemon.close();
  }
});

test.each(['nonsense', 'unix:nothing=here', 'unix:abstract=/x'])(
  'the address %s is tried without harm',
  async (address) => {
    const log = recordingLog();
    const bus = openBus({ address, log, clock: systemClock });
    await until(
      () => log.lines.filter(({ text }) => text.includes('no connection')).length >= 2,
      'it tried twice',
    );
    expect(bus.connected).toBe(false);
    await bus.close();
  },
);

test('a server that hangs up in the middle of a message is survived', async () => {
  const folder = temporaryFolder();
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.once('data', () => {
      socket.write(`OK ${'0'.repeat(32)}\r\n`);
      // Ten bytes of a header of sixteen, then the end.
      socket.once('data', () => socket.end(Buffer.from('6c010001000000000000', 'hex')));
    });
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(join(folder, 'bus'), resolve));
  const bus = openBus({ address: `unix:path=${join(folder, 'bus')}`, log: silentLog, clock: systemClock });
  await until(() => connections >= 3, 'it came back again and again');
  await bus.close();
  server.close();
});

test('a message with a file descriptor that was never passed is stepped over', async () => {
  const daemon = await startPrivateBus();
  const log = recordingLog();
  const bus = openBus({ address: daemon.address, log, clock: systemClock });
  const peer = await connectPeer(daemon.address);
  try {
    let us = '';
    peer.answer(({ sender }) => {
      us = sender;
      return { signature: '', body: [] };
    });
    await peer.own('org.example.Service');
    const ping = {
      destination: 'org.example.Service',
      path: '/x',
      interface: 'org.example.X',
      member: 'Ping',
    };
    await bus.call(ping);
    // The index of a descriptor and a number look the same on the wire: only the signature is changed.
    const signal = { path: '/x', interface: 'org.example.X', member: 'Odd', signature: 'u', body: [0] };
    peer.emitPatched({ ...signal, destination: us }, (bytes) => {
      const signature = bytes.indexOf(Buffer.from('\x08\x01g\x00\x01u\x00'));
      bytes.write('h', signature + 5);
    });
    await until(() => log.lines.some(({ text }) => text.includes('could not be read')), 'it was noticed');
    await expect(bus.call(ping)).resolves.toEqual([]);
  } finally {
    await bus.close();
    await peer.close();
    await daemon.close();
  }
});
