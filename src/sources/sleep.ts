import type { Bus } from '../system/bus.ts';

/** Call `listener` whenever the machine woke from sleep, as logind tells it, until the returned function is called. */
export function onResume(bus: Bus, listener: () => void): () => void {
  return bus.onSignal(
    {
      sender: 'org.freedesktop.login1',
      path: '/org/freedesktop/login1',
      interface: 'org.freedesktop.login1.Manager',
      member: 'PrepareForSleep',
    },
    ({ body: [goingToSleep] }) => {
      if (goingToSleep === false) listener();
    },
  );
}
