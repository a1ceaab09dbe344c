import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { ResolvedPresence } from '../../src/core/takeover.ts';
import { followResolved } from '../../src/sources/resolved-presence.ts';
import { fakeBusDaemon } from '../support/fake-bus.ts';
import { temporaryFolder } from '../support/folder.ts';
import { until } from '../support/until.ts';

it('a replay has no systemd-resolved', () => {
  const told: ResolvedPresence[] = [];
  followResolved(undefined, '', true, (presence) => told.push(presence))();
  expect(told).toEqual(['absent']);
});

it.each([
  ['listens', 'running'],
  ['is not there', 'absent'],
] as const)('where no bus answers, its own socket tells: one that %s means %s', async (socket, presence) => {
  const root = temporaryFolder('run/systemd/resolve');
  if (socket === 'listens') {
    const server = createServer().listen(join(root, 'run/systemd/resolve/io.systemd.Resolve'));
    onTestFinished(() => void server.close());
  }
  const daemon = fakeBusDaemon();
  daemon.kill();
  const bus = daemon.open();
  onTestFinished(() => bus.close());
  const told: ResolvedPresence[] = [];
  onTestFinished(followResolved(bus, root, false, (each) => told.push(each)));
  await until(() => told.includes(presence), `it is told as ${presence}`);
  expect(told).toEqual(['unknown', presence]);
});

it('the bus has the last word', async () => {
  const daemon = fakeBusDaemon();
  const bus = daemon.open();
  onTestFinished(() => bus.close());
  const told: ResolvedPresence[] = [];
  onTestFinished(followResolved(bus, temporaryFolder(), false, (each) => told.push(each)));
  await until(() => told.includes('absent'), 'the bus has answered');
  expect(told).toEqual(['unknown', 'absent']);
});
