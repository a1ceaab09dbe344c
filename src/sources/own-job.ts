import type { Bus, BusValue } from '../system/bus.ts';

const SYSTEMD = 'org.freedesktop.systemd1';
/** It is asked while the service ends; a bus that ends as well must not hold us up. */
const DEADLINE_MS = 500;

/** Whether systemd ends this process only to start the next one at once (`systemctl restart`, an upgrade). */
export async function isRestarting(bus: Bus, pid: number): Promise<boolean> {
  try {
    const unit = await called(bus, `/org/freedesktop/systemd1`, 'Manager', 'GetUnitByPID', 'u', [pid]);
    const job = await property(bus, unit, 'Unit', 'Job');
    const path = Array.isArray(job) ? job[1] : undefined;
    // Without a job the path is `/`.
    return path !== '/' && (await property(bus, path, 'Job', 'JobType')) === 'restart';
  } catch {
    return false; // not a service, or nobody there to ask: then we end for good as far as anybody can tell
  }
}

const property = (bus: Bus, path: BusValue, of: string, name: string): Promise<BusValue> =>
  called(bus, path, 'org.freedesktop.DBus.Properties', 'Get', 'ss', [`${SYSTEMD}.${of}`, name]);

async function called(
  bus: Bus,
  path: BusValue,
  of: string,
  member: string,
  signature: string,
  body: readonly BusValue[],
): Promise<BusValue> {
  const call = { destination: SYSTEMD, path: String(path), member, signature, body };
  const named = of.includes('.') ? of : `${SYSTEMD}.${of}`;
  const [value] = await bus.call({ ...call, interface: named }, { deadlineMs: DEADLINE_MS });
  return value;
}
