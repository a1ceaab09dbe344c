import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { SETTERS } from '../../src/standin/link-settings.ts';
import type { NameState, ServiceBus } from '../../src/system/bus-service.ts';
import { systemClock } from '../../src/system/clock.ts';
import { openBus } from '../../src/system/dbus-next-bus.ts';
import { silentLog } from '../../src/system/log.ts';
import { startPrivateBus } from '../support/private-bus.ts';
import { unless } from '../support/root-only.ts';
import { until } from '../support/until.ts';

const PACKAGING = join(import.meta.dirname, '../../packaging');
const BUS_POLICY = join(PACKAGING, 'dbus/dnskeeper.conf');
const POLKIT = join(PACKAGING, 'polkit/io.dnskeeper.resolve1.policy');
const notRoot = process.getuid?.() === 0 ? undefined : 'the policy is about root';

test.skipIf(notRoot)(
  unless(
    notRoot,
    "on a bus with the system's rules root may own systemd-resolved's name, and others may call it",
  ),
  async () => {
    const daemon = await startPrivateBus({ policies: [BUS_POLICY] });
    onTestFinished(() => daemon.close());
    const open = (): ServiceBus => {
      const bus = openBus({ address: daemon.address, log: silentLog, clock: systemClock });
      onTestFinished(() => bus.close());
      return bus;
    };
    const [bus, client] = [open(), open()];
    const states = new Map<string, NameState>();
    for (const name of ['org.freedesktop.resolve1', 'org.freedesktop.resolve2'])
      bus.own(name, {}, (state) => states.set(name, state));
    await until(() => states.size === 2, 'the bus answered');
    expect(states.get('org.freedesktop.resolve1')).toEqual({ state: 'owned' });
    expect(states.get('org.freedesktop.resolve2')?.state, 'and no other name').toBe('refused');
    bus.serve(() => ({ signature: 's', body: ['here'] }));
    const call = { destination: 'org.freedesktop.resolve1', path: '/', interface: 'a.b', member: 'C' };
    await expect(client.call(call)).resolves.toEqual(['here']);
  },
);

test('polkit knows each action that is asked for, and no other', () => {
  const asked = [
    ...Object.values(SETTERS).map(({ action }) => action),
    ...['revert', 'flush-caches', 'reset-statistics', 'reset-server-features'],
  ];
  const known = [
    ...readFileSync(POLKIT, 'utf8').matchAll(/<action id="org\.freedesktop\.resolve1\.([a-z-]+)">/g),
  ];
  expect(known.map(([, action]) => action).sort()).toEqual([...new Set(asked)].sort());
});

test.each([
  ['the bus policy', BUS_POLICY],
  ['the polkit actions', POLKIT],
])('%s is well-formed XML', (_, path) => {
  const text = readFileSync(path, 'utf8');
  const body = text
    .replace(/^<\?xml[^>]*\?>\s*/, '')
    .replace(/<!DOCTYPE[^>]*>\s*/, '')
    .replace(/<!--(?:(?!--).)*-->/gs, '');
  const open: string[] = [];
  const tags = [...body.matchAll(/<(\/?)([a-z_]+)((?: [a-z_]+="[^"<&]*")*)(\/?)>/g)];
  for (const [, closing, name = '', , alone] of tags) {
    if (closing) expect(open.pop()).toBe(name);
    else if (!alone) open.push(name);
  }
  expect(open).toEqual([]);
  expect(
    body.replace(/<(\/?)([a-z_]+)((?: [a-z_]+="[^"<&]*")*)(\/?)>/g, ''),
    'nothing else has angle brackets',
  ).not.toMatch(/[<>&]/);
});

test('only an administrator gets what polkit grants', () => {
  const grants = [...readFileSync(POLKIT, 'utf8').matchAll(/<allow_[a-z]+>([a-z_]+)</g)].map(
    ([, grant]) => grant,
  );
  expect([...new Set(grants)].sort()).toEqual(['auth_admin', 'auth_admin_keep']);
});
