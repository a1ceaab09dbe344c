import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CONTROL_DESCRIPTION, CONTROL_INTERFACE } from '../../src/control/description.ts';
import { reportOf } from '../../src/control/report.ts';
import { controlInterface } from '../../src/control/service.ts';
import { DnskeeperError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/system/log.ts';
import { serveVarlink, type VarlinkServer } from '../../src/system/varlink.ts';
import { callVarlink, streamVarlink } from '../../src/system/varlink-client.ts';
import type { Peer } from '../../src/system/varlink-interface.ts';
import { type FakeControl, fakeControl } from '../support/fake-control.ts';
import { type ManualClock, manualClock } from '../support/manual-clock.ts';
import { rawSocket } from '../support/raw-socket.ts';
import { degradedStatus, sampleHistory, sampleQuery, sampleStatus } from '../support/sample-status.ts';
import {
  sampleCache,
  sampleNames,
  sampleOutlook,
  sampleStatistics,
  sampleView,
} from '../support/sample-view.ts';
import { until } from '../support/until.ts';
import { readDescription } from '../support/varlink-idl.ts';

const bounds = { deadlineMs: 15_000 };
const description = readDescription(CONTROL_DESCRIPTION);
let folder: string;
let path: string;
let server: VarlinkServer;
let control: FakeControl;
let clock: ManualClock;
let peer: Peer | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'control-'));
  path = join(folder, 'socket');
  control = fakeControl();
  clock = manualClock();
  peer = { uid: 1000, pid: 1 };
  server = await serveVarlink({
    path,
    interfaces: [controlInterface({ control, ownUid: 4242, log: silentLog, clock })],
    info: { vendor: 'v', product: 'p', version: '1', url: '' },
    log: silentLog,
    peerOf: () => peer,
  });
});

afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

const call = (method: string, parameters = {}) =>
  callVarlink(path, `${CONTROL_INTERFACE}.${method}`, parameters, bounds);

describe('the description', () => {
  test('declares every method that is served, and serves every method that is declared', () => {
    const served = controlInterface({ control, ownUid: 0, log: silentLog });
    expect([...description.methods].sort()).toEqual(Object.keys(served.methods).sort());
  });

  test.each([
    ['GetStatus', {}],
    ['GetHistory', {}],
    ['Explain', { name: 'host.corp.example' }],
    ['Query', { name: 'git.office.example', type: 'A' }],
    ['GetStatistics', {}],
  ])('fits what %s replies', async (method, parameters) => {
    expect(description.check(method, await call(method, parameters))).toEqual([]);
  });

  test('fits a degraded status, and a status without optional fields', () => {
    const { lastChange, graceUntil, ...bare } = sampleStatus;
    const { foreign, ...link } = sampleStatus.link;
    for (const status of [degradedStatus, { ...bare, link }]) {
      expect(description.check('GetStatus', { status: reportOf(status) })).toEqual([]);
    }
  });

  test('has no comment inside parentheses, which systemd 255 cannot parse', () => {
    let depth = 0;
    for (const line of CONTROL_DESCRIPTION.split('\n')) {
      if (line.trimStart().startsWith('#')) expect([line, depth]).toEqual([line, 0]);
      else depth += line.split('(').length - line.split(')').length;
    }
  });

  test('is what finds a field that nobody described', () => {
    const status = { ...reportOf(sampleStatus), stray: 1, pid: 'text' };
    expect(description.check('GetStatus', { status })).toEqual([
      'GetStatus.status.stray: not described',
      'GetStatus.status.pid: no int ("text")',
    ]);
  });
});

describe('reading is open to every user', () => {
  test('GetStatus gives servers as text', async () => {
    const { status } = (await call('GetStatus')) as {
      status: { plan: { nameservers: { value: string }[] } };
    };
    expect(status.plan.nameservers.map((c) => c.value)).toEqual(['10.8.0.1', '192.0.2.53', '2001:db8::53']);
  });

  // A pipe into nc(1) closes it right after the call, which cannot be told from a hang-up.
  test('Query is answered to who has closed the writing side meanwhile', async () => {
    const answered = Promise.withResolvers<typeof sampleQuery>();
    control.query = (_name, _type, signal) => {
      control.asked.push('query');
      signal.addEventListener('abort', () => answered.reject(signal.reason));
      return answered.promise;
    };
    const client = await rawSocket(path);
    const parameters = { name: 'git.office.example', type: 'A' };
    client.send(`${JSON.stringify({ method: `${CONTROL_INTERFACE}.Query`, parameters })}\0`);
    await until(() => control.asked.includes('query'), 'the query is under way');
    client.socket.end();
    await call('GetStatistics'); // by now the server knows
    answered.resolve(sampleQuery);
    expect(await client.reply(1)).toMatchObject({ parameters: { query: { rcode: sampleQuery.rcode } } });
  });

  test('GetStatus with more tells every new status', async () => {
    const healthy: unknown[] = [];
    for await (const reply of streamVarlink(path, `${CONTROL_INTERFACE}.GetStatus`, {}, bounds)) {
      healthy.push((reply['status'] as { healthy: boolean }).healthy);
      if (healthy.length === 2) break;
      control.publish(degradedStatus);
    }
    expect(healthy).toEqual([true, false]);
    await until(() => control.listeners === 0, 'the listener to be removed');
  });

  test('Monitor tells the status first, then statuses and changes', async () => {
    const seen: string[] = [];
    for await (const reply of streamVarlink(path, `${CONTROL_INTERFACE}.Monitor`, {}, bounds)) {
      expect(description.check('Monitor', reply)).toEqual([]);
      seen.push(...Object.keys(reply));
      if (seen.length === 1) control.change(sampleHistory[1] as (typeof sampleHistory)[0]);
      if (seen.length === 2) control.publish(degradedStatus);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual(['status', 'change', 'status']);
    await until(() => control.listeners === 0, 'the listeners to be removed');
  });

  test('Monitor without more is refused', async () => {
    await expect(call('Monitor')).rejects.toMatchObject({ error: 'org.varlink.service.ExpectedMore' });
  });

  test('GetHistory gives the changes, newest last', async () => {
    expect(await call('GetHistory')).toEqual({ changes: sampleHistory });
  });

  test.each(['a..b', '', 'x'.repeat(300), 'a b', 'ü.example'])('Explain refuses %j', async (name) => {
    await expect(call('Explain', { name })).rejects.toMatchObject({
      error: 'org.varlink.service.InvalidParameter',
      parameters: { parameter: 'name' },
    });
  });
});

describe('names that were asked for', () => {
  test('GetCache is for root, and "." means every name', async () => {
    await expect(call('GetCache', { name: '.' })).rejects.toMatchObject({
      error: 'io.dnskeeper.PermissionDenied',
    });
    peer = { uid: 0, pid: 1 };
    const asked: (string | undefined)[] = [];
    control.resolver = {
      ...sampleView,
      cache(name) {
        asked.push(name);
        return sampleCache;
      },
    };
    for (const name of ['.', 'corp.example']) {
      const reply = await call('GetCache', { name });
      expect(description.check('GetCache', reply)).toEqual([]);
      expect(reply).toEqual({ cache: sampleCache });
    }
    expect(asked).toEqual([undefined, 'corp.example']);
  });

  test.each([
    ['root', 0, true],
    ["the daemon's own user", 4242, true],
    ['another user', 1000, false],
  ])('Top tells them to %s', async (_who, uid, told) => {
    peer = { uid, pid: 1 };
    for await (const reply of streamVarlink(path, `${CONTROL_INTERFACE}.Top`, {}, bounds)) {
      expect(description.check('Top', reply)).toEqual([]);
      expect(reply).toEqual(
        told ? { statistics: sampleStatistics, names: sampleNames } : { statistics: sampleStatistics },
      );
      break;
    }
  });

  test('are kept only while somebody who may see them watches', async () => {
    let watching = 0;
    control.resolver = {
      ...sampleView,
      watchNames() {
        watching++;
        return { report: () => sampleNames, close: () => void watching-- };
      },
    };
    const watch = async (uid: number, wanted: number): Promise<void> => {
      peer = { uid, pid: 1 };
      for await (const _ of streamVarlink(path, `${CONTROL_INTERFACE}.Top`, {}, bounds)) {
        expect(watching).toBe(wanted);
        break;
      }
    };
    await watch(1000, 0);
    await watch(0, 1);
    await until(() => watching === 0, 'the names are let go');
  });

  test('Top tells every second, and nothing once the watcher has gone', async () => {
    peer = { uid: 0, pid: 1 };
    let seen = 0;
    for await (const _ of streamVarlink(path, `${CONTROL_INTERFACE}.Top`, {}, bounds)) {
      seen++;
      if (seen === 4) break;
      await until(() => clock.waiting === 1, 'the next second is waited for');
      clock.advance(1000);
    }
    await until(() => clock.waiting === 0, 'nothing waits any more');
  });

  test('Top without more is refused', async () => {
    await expect(call('Top')).rejects.toMatchObject({ error: 'org.varlink.service.ExpectedMore' });
  });
});

describe('the outlook of a name', () => {
  test('comes with its explanation while the resolver answers', async () => {
    const reply = await call('Explain', { name: 'git.office.example' });
    expect(reply).toMatchObject({ explanation: { live: sampleOutlook } });
    expect(description.check('Explain', reply)).toEqual([]);
  });

  test('does not while it answers nobody', async () => {
    control.publish({ ...sampleStatus, resolver: { ...sampleStatus.resolver, state: 'off' } });
    const { explanation } = (await call('Explain', { name: 'git.office.example' })) as {
      explanation: object;
    };
    expect('live' in explanation).toBe(false);
  });
});

describe('changing', () => {
  test.each(['Reload', 'Takeover', 'Release'])('%s is for root', async (method) => {
    await expect(call(method)).rejects.toMatchObject({
      error: 'io.dnskeeper.PermissionDenied',
      parameters: { wanted: 'root (uid 0) or uid 4242', got: 'uid 1000' },
    });
    expect(control.asked).toEqual([]);
    peer = { uid: 0, pid: 1 };
    expect(await call(method)).toEqual({ ok: true, text: 'Done.' });
    expect(control.asked).toEqual([method.toLowerCase()]);
  });

  test('Flush is for root, and "." means everything', async () => {
    await expect(call('Flush', { name: '.' })).rejects.toMatchObject({
      error: 'io.dnskeeper.PermissionDenied',
    });
    peer = { uid: 0, pid: 1 };
    for (const name of ['.', 'corp.example']) await call('Flush', { name });
    expect(control.asked).toEqual(['flush', 'flush corp.example']);
  });

  test("is for the daemon's own user too", async () => {
    peer = { uid: 4242, pid: 1 };
    expect(await call('Reload')).toEqual({ ok: true, text: 'Done.' });
  });

  test('is refused to a caller whom the kernel did not name', async () => {
    peer = undefined;
    await expect(call('Release')).rejects.toMatchObject({ error: 'io.dnskeeper.PermissionDenied' });
    expect(control.asked).toEqual([]);
  });

  test.each<[string, Record<string, unknown>]>([
    ['a name that leads out of the folder', { name: '../x.toml' }],
    ['a name with a slash', { name: 'a/b.toml' }],
    ['a name with a line end', { name: 'x.toml\n' }],
    ['a name that is hidden', { name: '.x.toml' }],
    ['a name of another kind', { name: 'x.conf' }],
    ['a name without end', { name: `${'x'.repeat(1000)}.toml` }],
    ['no name', { name: 7 }],
    ['no text', { text: ['[log]'] }],
    ['no time', { milliseconds: 0 }],
    ['a time without end', { milliseconds: 1e15 }],
  ])('a configuration to try with %s is refused', async (_what, wrong) => {
    peer = { uid: 0, pid: 1 };
    const good = { name: 'x.toml', text: '[log]\nlevel = "debug"\n', milliseconds: 60_000 };
    await expect(call('Try', { ...good, ...wrong })).rejects.toMatchObject({
      message: expect.stringContaining('InvalidParameter'),
    });
    expect(control.asked).toEqual([]);
    await call('Try', good);
    expect(control.asked).toHaveLength(1);
  });

  test('tells what a command could not do', async () => {
    peer = { uid: 0, pid: 1 };
    control.outcome = async () => ({ ok: false, text: 'No original is saved.' });
    expect(await call('Release')).toEqual({ ok: false, text: 'No original is saved.' });
    control.outcome = () => Promise.reject(new DnskeeperError('IO', 'the disk is full'));
    await expect(call('Release')).rejects.toMatchObject({
      error: 'io.dnskeeper.Failed',
      parameters: { code: 'IO', message: 'the disk is full' },
    });
  });
});
