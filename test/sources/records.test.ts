import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { StoredRecord } from '../../src/core/record.ts';
import type { RecordLink } from '../../src/core/record-links.ts';
import type { SourceEvent } from '../../src/core/snapshot.ts';
import { recordsSource } from '../../src/sources/records.ts';
import { silentLog } from '../../src/system/log.ts';
import { recordFolder } from '../../src/system/record-folder.ts';
import { recordPaths } from '../../src/system/record-paths.ts';
import { temporaryFolder } from '../support/folder.ts';
import { storedRecord } from '../support/stored-record.ts';
import { until } from '../support/until.ts';

const record = (key: string, server: string, own: Partial<StoredRecord> = {}): StoredRecord =>
  storedRecord(key, `nameserver ${server}\n`, own);

function listening({ start = true } = {}) {
  const root = temporaryFolder('etc', 'run/dnskeeper');
  const folder = recordFolder(recordPaths(root).folder);
  const links: RecordLink[] = [{ name: 'eth0', ifindex: 2, loopback: false, tunnel: false }];
  const events: SourceEvent[] = [];
  const stop = new AbortController();
  const source = recordsSource({
    root,
    links: () => links,
    networkManagerTells: () => true,
    log: silentLog,
  });
  const begin = (): void => source.start((event) => events.push(event), stop.signal);
  if (start) begin();
  onTestFinished(async () => {
    stop.abort();
    await source.close();
  });
  const told = () =>
    events.flatMap((event) =>
      event.kind === 'state' ? [event.state.links.map((link) => link.servers.join(' ')).join(', ')] : [],
    );
  return { root, folder, links, source, begin, told, events };
}

test('records that waited for the daemon are taken at its start', () => {
  const { folder, begin, told } = listening({ start: false });
  folder.store(record('eth0.dhclient', '192.0.2.1'));
  begin();
  expect(told()).toEqual(['192.0.2.1']);
});

test('it speaks at its start, also with nothing to say', () => {
  const { told, events } = listening();
  expect(told()).toEqual(['']);
  expect(events[0]).toMatchObject({ kind: 'health', health: { state: 'running' } });
});

test('a change of the folder is heard, also when the folder comes later', async () => {
  const { folder, told } = listening();
  folder.store(record('eth0', '192.0.2.1'));
  await until(() => told().at(-1) === '192.0.2.1', 'the record is heard');
  folder.store(record('eth0', '192.0.2.2'));
  await until(() => told().at(-1) === '192.0.2.2', 'the new record is heard');
  folder.remove('eth0');
  await until(() => told().at(-1) === '', 'that it is gone is heard');
});

test('a look tells at once, and the same is told once', () => {
  const { folder, source, told } = listening();
  folder.store(record('eth0', '192.0.2.1'));
  source.look('resolvconf(8) was called');
  source.look('resolvconf(8) was called');
  expect(told()).toEqual(['', '192.0.2.1']);
});

test('updates that are disabled wait until they are enabled', () => {
  const { folder, source, told } = listening();
  folder.setUpdates(false);
  folder.store(record('eth0', '192.0.2.1'));
  source.look('resolvconf(8) was called');
  expect(told()).toEqual(['']);
  folder.setUpdates(true);
  source.look('resolvconf(8) was called');
  expect(told()).toEqual(['', '192.0.2.1']);
});

test('a record goes with its interface, for good', () => {
  const { folder, links, source, told } = listening();
  folder.store(record('eth0', '192.0.2.1', { interface: { name: 'eth0', ifindex: 2 } }));
  folder.store(record('NetworkManager', '192.0.2.1'));
  source.look('resolvconf(8) was called');
  links[0] = { name: 'eth0', ifindex: 5, loopback: false, tunnel: false };
  source.look('a link went away');
  expect(told()).toEqual(['', '192.0.2.1', '']);
  expect(folder.read().set.records.map(({ key }) => key)).toEqual(['NetworkManager']);
});

test('no record is taken away while no link at all is known', () => {
  const { folder, links, source } = listening();
  folder.store(record('eth0', '192.0.2.1', { interface: { name: 'eth0', ifindex: 2 } }));
  links.pop();
  source.look('a link went away');
  expect(folder.read().set.records.map(({ key }) => key)).toEqual(['eth0']);
  expect(source.findings()).toMatchObject([{ severity: 'note', id: 'record-left-out' }]);
});

test('a change of /etc/resolvconf.conf is heard, and what is not done is told', async () => {
  const { root, folder, source, told } = listening();
  folder.store(record('eth0', '192.0.2.1'));
  source.look('resolvconf(8) was called');
  writeFileSync(join(root, 'etc/resolvconf.conf'), 'name_servers=192.0.2.100\n. /etc/other\n');
  await until(() => told().at(-1) === '192.0.2.100, 192.0.2.1', 'the configuration is heard');
  expect(source.findings()).toMatchObject([{ severity: 'warning', id: 'resolvconf-conf' }]);
  expect(source.findings()[0]?.text).toContain('line 2: wanted name="plain text", got `. /etc/other`');
});

test("an administrator's head and tail stand before and behind all records", async () => {
  const { root, folder, source, told } = listening();
  folder.store(record('eth0', '192.0.2.1'));
  source.look('resolvconf(8) was called');
  mkdirSync(join(root, 'etc/resolvconf/resolv.conf.d'), { recursive: true });
  writeFileSync(join(root, 'etc/resolvconf/resolv.conf.d/tail'), '# by hand\nnameserver 192.0.2.99\n');
  await until(() => told().at(-1) === '192.0.2.1, 192.0.2.99', 'the tail is heard');
  writeFileSync(join(root, 'etc/resolv.conf.head'), 'search a.example\nnameserver 192.0.2.11\n');
  await until(() => told().at(-1) === '192.0.2.11, 192.0.2.1, 192.0.2.99', 'the head is heard');
});

test('options of an administrator hold without any record, the last in the file first', async () => {
  const { root, events } = listening();
  mkdirSync(join(root, 'etc/resolvconf/resolv.conf.d'), { recursive: true });
  writeFileSync(join(root, 'etc/resolvconf/resolv.conf.d/head'), 'options ndots:1 rotate\n');
  writeFileSync(join(root, 'etc/resolvconf.conf'), 'resolv_conf_options="ndots:2"\n');
  writeFileSync(join(root, 'etc/resolvconf/resolv.conf.d/base'), 'options ndots:3\n');
  const options = (): readonly string[] => {
    const last = events.at(-1);
    return last?.kind === 'state' ? last.state.links.flatMap((link) => link.options) : [];
  };
  await until(() => options().length === 4, 'all of them are heard');
  expect(options()).toEqual(['ndots:3', 'ndots:2', 'ndots:1', 'rotate']);
});

test("Debian's order of records is heard, and what its resolvconf would run is told", async () => {
  const { root, folder, source, told } = listening();
  folder.store(record('eth0', '192.0.2.1'));
  folder.store(record('tun0', '192.0.2.2'));
  folder.store(record('lo.dnsmasq', '127.0.0.1'));
  source.look('resolvconf(8) was called');
  expect(told().at(-1)).toBe('127.0.0.1, 192.0.2.2, 192.0.2.1');
  const scripts = join(root, 'etc/resolvconf/update.d');
  mkdirSync(scripts, { recursive: true });
  for (const name of ['libc', 'dnsmasq', 'unbound', 'notes.txt'])
    writeFileSync(join(scripts, name), '#!/bin/sh\n');
  for (const name of ['libc', 'dnsmasq']) chmodSync(join(scripts, name), 0o755);
  writeFileSync(join(root, 'etc/resolvconf/interface-order'), 'lo*\neth*\n*\n');
  await until(() => told().at(-1) === '127.0.0.1, 192.0.2.1, 192.0.2.2', 'the order is heard');
  expect(
    source.findings().map(({ severity, id, text }) => [severity, id, text.split(' ', 2).join(' ')]),
  ).toEqual([['warning', 'resolvconf-update-script', 'dnsmasq in']]);
});

test('an /etc/resolvconf.conf that cannot be read is told', () => {
  const { root, source } = listening({ start: false });
  mkdirSync(join(root, 'etc/resolvconf.conf'));
  source.start(() => {}, new AbortController().signal);
  expect(source.findings()[0]?.text).toContain('wanted a file, got something else');
});

test('what is no record in the folder is told', () => {
  const { root, folder, source } = listening();
  folder.store(record('eth0', '192.0.2.1'));
  mkdirSync(join(root, 'run/dnskeeper/records/sub'));
  source.look('resolvconf(8) was called');
  expect(source.findings()[0]?.text).toBe(
    'The resolvconf(8) record sub is not used: wanted a file, got something else.',
  );
});
