import { readFileSync, watch } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { PushedLink } from '../../src/core/pushed-links.ts';
import { FLAG } from '../../src/standin/flags.ts';
import { RESOLVE } from '../../src/standin/varlink-descriptions.ts';
import { callVarlink } from '../../src/system/varlink-client.ts';
import { type LiveStandin, liveStandin } from '../support/live-standin.ts';
import { BodyWriter, callBytes, METHOD_RETURN, rawBus } from '../support/raw-bus.ts';
import { addressAnswer, type ScriptedServer, scriptedServer } from '../support/scripted-server.ts';
import { until } from '../support/until.ts';

async function world(): Promise<{ standin: LiveStandin; server: ScriptedServer }> {
  const server = await scriptedServer((asked) => addressAnswer(asked, '192.0.2.1'));
  const standin = await liveStandin(`dns+udp://${server.host}:${server.port}`);
  onTestFinished(() => standin.close());
  return { standin, server };
}

test('a thousand settings in a row: each is answered, the last is in force and in the file, and none is written twice', async () => {
  const { standin } = await world();
  const told: (PushedLink | undefined)[] = [];
  standin.pushed.onChange((ifindex) => told.push(standin.pushed.get(ifindex)));
  let writes = 0;
  const watcher = watch(join(standin.folder, 'netif'), (event, name) => {
    if (event === 'rename' && name === '2') writes++;
  });
  onTestFinished(() => watcher.close());
  const bus = await rawBus(standin.busSocket);
  for (let call = 0; call < 1000; call++) {
    const body = new BodyWriter().uint32(2).array(8, (rows) => {
      rows
        .align(8)
        .uint32(2)
        .uint32(4)
        .bytes(Uint8Array.of(198, 51, 100 + (call >> 8), call & 255));
    });
    const { type, errorName } = await bus.send(
      callBytes({
        destination: 'org.freedesktop.resolve1',
        path: '/org/freedesktop/resolve1',
        interface: 'org.freedesktop.resolve1.Manager',
        member: 'SetLinkDNS',
        signature: 'ia(iay)',
        body: body.take(),
      }),
    );
    expect([type, errorName]).toEqual([METHOD_RETURN, undefined]);
  }
  bus.close();
  expect(told).toHaveLength(1000);
  const last = [198, 51, 103, 231];
  expect(standin.pushed.get(2)?.settings.servers?.map(({ address }) => address.bytes)).toEqual([last]);
  const file = (): string => readFileSync(join(standin.folder, 'netif/2'), 'utf8');
  await until(() => file().includes(`SERVERS=${last.join('.')}`), 'the last is in the file');
  expect(writes).toBeLessThanOrEqual(1000);
}, 90_000);

test('where an answer came from is told, and what a caller forbids is not done', async () => {
  const { standin, server } = await world();
  const ask = async (name: string, flags = 0): Promise<unknown> =>
    callVarlink(
      join(standin.folder, 'io.systemd.Resolve'),
      `${RESOLVE}.ResolveHostname`,
      { name, family: 2, flags },
      { deadlineMs: 15_000 },
    ).then(
      (reply) => reply['flags'],
      (error: { error: string }) => error.error,
    );
  const local = FLAG.dns | FLAG.authenticated | FLAG.confidential | FLAG.synthetic;
  expect(await ask('www.example', FLAG.noNetwork)).toBe(`${RESOLVE}.NoSource`);
  expect(await ask('www.example')).toBe(FLAG.dns | FLAG.fromNetwork);
  expect(await ask('www.example')).toBe(FLAG.dns | FLAG.fromCache);
  expect(await ask('www.example', FLAG.noNetwork)).toBe(FLAG.dns | FLAG.fromCache);
  expect(await ask('www.example', FLAG.noNetwork | FLAG.noCache)).toBe(`${RESOLVE}.NoSource`);
  expect(await ask('www.example', FLAG.noCache)).toBe(FLAG.dns | FLAG.fromNetwork);
  expect(await ask('www.example', FLAG.llmnr4)).toBe(`${RESOLVE}.NoNameServers`);
  expect(await ask('www.example', FLAG.noZone | FLAG.noTrustAnchor)).toBe(FLAG.dns | FLAG.fromCache);
  expect(server.asked).toHaveLength(2);
  expect(await ask('localhost')).toBe(local);
  expect(await ask('localhost', FLAG.noSynthesize)).toBe(`${RESOLVE}.NoNameServers`);
  expect(await ask('printer', FLAG.noSearch)).toBe(`${RESOLVE}.NoNameServers`);
  expect(await ask('printer', FLAG.relaxSingleLabel)).toBe(FLAG.dns | FLAG.fromNetwork);
  for (const internal of [1 << 16, 1 << 17, FLAG.fromCache, FLAG.authenticated])
    expect(await ask('www.example', internal)).toBe('org.varlink.service.InvalidParameter');
});
