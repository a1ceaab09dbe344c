import { expect, onTestFinished, test } from 'vitest';
import { isRestarting } from '../../src/sources/own-job.ts';
import { fakeBusDaemon } from '../support/fake-bus.ts';

const UNIT = '/org/freedesktop/systemd1/unit/dnskeeper_2eservice';
const JOB = '/org/freedesktop/systemd1/job/7';

/** A service manager whose unit has a job of this type, or none. */
async function busWith(jobType: string | undefined) {
  const daemon = fakeBusDaemon();
  const manager = daemon.peer();
  manager.answer(({ path, member, body }) => {
    if (member === 'GetUnitByPID' && body[0] === 4711) return { signature: 'o', body: [UNIT] };
    const wanted = `${path} ${body[1]}`;
    if (wanted === `${UNIT} Job`) {
      const value = jobType === undefined ? [0, '/'] : [7, JOB];
      return { signature: 'v', body: [{ signature: '(uo)', value }] };
    }
    if (wanted === `${JOB} JobType`) return { signature: 'v', body: [{ signature: 's', value: jobType }] };
    return { error: 'org.freedesktop.systemd1.NoUnitForPID', text: 'no such unit' };
  });
  await manager.own('org.freedesktop.systemd1');
  const bus = daemon.open();
  onTestFinished(() => bus.close());
  return bus;
}

test.each([
  ['restart', true],
  ['stop', false],
  [undefined, false],
])('a job %s of our unit means that the next process comes at once: %s', async (type, restarting) => {
  expect(await isRestarting(await busWith(type), 4711)).toBe(restarting);
});

test('a process that is no service is not restarted', async () => {
  expect(await isRestarting(await busWith('restart'), 1)).toBe(false);
});
