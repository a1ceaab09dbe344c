import { expect, it } from 'vitest';
import type { ConnectionEvents } from '../../src/system/bus-connection.ts';
import { silentLog } from '../../src/system/log.ts';
import { reconnectingBus } from '../../src/system/reconnecting-bus.ts';
import { manualClock } from '../support/manual-clock.ts';

it("comes back soon after a good connection, also when the machine's clock was set back meanwhile", async () => {
  const clock = manualClock();
  const connections: ConnectionEvents[] = [];
  const bus = reconnectingBus({
    connect(events) {
      connections.push(events);
      return { call: () => () => {}, emit() {}, close: (reason) => events.closed(reason) };
    },
    log: silentLog,
    clock,
  });
  for (const pause of [100, 200, 400, 800]) {
    connections.at(-1)?.closed('a test said so');
    clock.advance(pause);
  }
  expect(connections, 'the pauses have grown').toHaveLength(5);
  connections.at(-1)?.ready(':1.7');
  const { now } = clock;
  clock.now = () => now() - 3_600_000;
  clock.advance(5000);
  connections.at(-1)?.closed('the bus was restarted');
  clock.advance(100);
  expect(connections).toHaveLength(6);
  await bus.close();
});
