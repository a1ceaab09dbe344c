import { type BusWorld, busContract } from '../contracts/bus.ts';
import { fakeBusDaemon } from '../support/fake-bus.ts';

busContract('the fake bus of the tests', async (): Promise<BusWorld> => {
  const daemon = fakeBusDaemon();
  return {
    open: () => daemon.open(),
    peer: async () => daemon.peer(),
    ruleCount: async () => daemon.rules().length,
    kill: async () => daemon.kill(),
    start: async () => daemon.start(),
    close: async () => daemon.kill(),
  };
});
