import { systemClock } from '../../src/system/clock.ts';
import { silentLog } from '../../src/system/log.ts';
import { reconnectingBus } from '../../src/system/reconnecting-bus.ts';
import { type BusWorld, busContract } from '../contracts/bus.ts';
import { fakeBusDaemon } from '../support/fake-bus.ts';

busContract('the fake bus of the tests', async (): Promise<BusWorld> => {
  const daemon = fakeBusDaemon();
  return {
    open: () => reconnectingBus({ connect: daemon.connect, log: silentLog, clock: systemClock }),
    peer: async () => daemon.peer(),
    ruleCount: async () => daemon.rules().length,
    kill: async () => daemon.kill(),
    start: async () => daemon.start(),
    close: async () => daemon.kill(),
  };
});
