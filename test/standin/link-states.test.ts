import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseAddress } from '../../src/core/address.ts';
import { pushedLinks } from '../../src/sources/pushed-links.ts';
import { type LinkStates, linkStates } from '../../src/standin/link-states.ts';
import { openFiles } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import { temporaryFolder } from '../support/folder.ts';
import { recordingLog } from '../support/recording-log.ts';
import { must } from '../support/sample-status.ts';
import { LINKS } from '../support/standin.ts';
import { until } from '../support/until.ts';

const BY = { name: 'openvpn (pid 812, uid 0)', mirrored: false };
const TUN = { ifindex: 7, interface: 'tun0', tunnel: true };
const servers = (text: string) => ({ servers: [{ address: must(parseAddress(text)), port: 0 }] });

function world(folder = join(temporaryFolder(), 'netif'), log = silentLog) {
  const pushed = pushedLinks(silentLog);
  const states: LinkStates = linkStates({
    folder,
    files: openFiles(undefined),
    pushed,
    links: { all: () => LINKS, byIndex: (ifindex) => LINKS.find((link) => link.ifindex === ifindex) },
    log,
  });
  return { folder, pushed, states };
}

test('what is set is there for the next daemon, and what was taken back is not', async () => {
  const first = world();
  await first.states.begin();
  first.pushed.set(TUN, servers('10.8.0.1'), BY);
  first.pushed.set({ ifindex: 2, interface: 'eth0', tunnel: false }, servers('192.0.2.1'), BY);
  first.pushed.revert(2, BY);
  await first.states.end();
  expect(readdirSync(first.folder)).toEqual(['7']);
  const second = world(first.folder);
  await second.states.begin();
  expect(second.pushed.all()).toEqual([{ ...TUN, settings: servers('10.8.0.1'), by: BY }]);
});

test('a thousand changes at once end as the last of them says', async () => {
  const { folder, pushed, states } = world();
  await states.begin();
  for (let n = 0; n < 1000; n++) pushed.set(TUN, servers(`10.8.${n >> 8}.${n & 255}`), BY);
  await states.end();
  expect(readFileSync(join(folder, '7'), 'utf8')).toContain('SERVERS=10.8.3.231\n');
});

test('what systemd-resolved left takes the place of what we knew before it ran', async () => {
  const { folder, pushed, states } = world();
  await states.begin();
  pushed.set(TUN, servers('10.8.0.1'), BY);
  await states.end();
  writeFileSync(join(folder, '3'), '# This is private data. Do not parse.\nDNSSEC=no\nSERVERS=192.0.2.3\n');
  writeFileSync(join(folder, '7'), '# This is private data. Do not parse.\n');
  await states.begin();
  expect(pushed.all().map((link) => [link.interface, Object.keys(link.settings)])).toEqual([
    ['wlan0', ['servers', 'dnssec']],
  ]);
});

test('files of links that are gone, of loopback and of systemd-networkd’s links are passed over', async () => {
  const { folder, pushed, states } = world();
  mkdirSync(folder, { recursive: true });
  for (const ifindex of [1, 12, 99]) writeFileSync(join(folder, String(ifindex)), 'SERVERS=192.0.2.3\n');
  await states.begin();
  expect(pushed.all()).toEqual([]);
});

// Regression: the kernel gives the number of a link that is gone to the next one that is made.
test('settings of a link are not those of another that has its number now', async () => {
  const first = world();
  await first.states.begin();
  first.pushed.set({ ifindex: 7, interface: 'wg0', tunnel: true }, servers('10.8.0.1'), BY);
  await first.states.end();
  const second = world(first.folder);
  await second.states.begin();
  expect(second.pushed.all()).toEqual([]);
});

// Regression: one file that could not be read kept us from standing in at all.
test('what is no plain file is passed over, and keeps nothing else back', async () => {
  const log = recordingLog();
  const { folder, pushed, states } = world(undefined, log);
  mkdirSync(join(folder, '2'), { recursive: true });
  writeFileSync(join(folder, 'elsewhere'), 'SERVERS=192.0.2.3\n');
  symlinkSync('elsewhere', join(folder, '3'));
  writeFileSync(join(folder, '7'), 'SERVERS=192.0.2.7\n');
  await states.begin();
  expect(pushed.all().map((link) => link.interface)).toEqual(['tun0']);
  pushed.revert(7, BY);
  await states.end();
  writeFileSync(join(folder, '7'), `${'x'.repeat(1 << 20)}\nSERVERS=192.0.2.7\n`);
  await states.begin();
  expect(pushed.all()).toEqual([]);
  expect(log.lines.map(({ text }) => text)).toContain('settings of a link from before cannot be read');
});

test('a folder that cannot be made costs only what it was for', async () => {
  const folder = join(temporaryFolder(), 'netif');
  writeFileSync(folder, 'in the way');
  const log = recordingLog();
  const { pushed, states } = world(folder, log);
  await states.begin();
  pushed.set(TUN, servers('10.8.0.1'), BY);
  await until(() => log.lines.some(({ text }) => text.includes('would not outlive')), 'it was said');
  expect(log.lines.map(({ text }) => text)).toContain('settings of links are not kept');
  expect(pushed.get(7)?.settings).toEqual(servers('10.8.0.1'));
  await states.end();
});

test('nothing is written after the end', async () => {
  const { folder, pushed, states } = world();
  await states.begin();
  await states.end();
  pushed.set(TUN, servers('10.8.0.1'), BY);
  expect(readdirSync(folder)).toEqual([]);
});

test('a file that cannot be written is said, and the setting holds', async () => {
  const log = recordingLog();
  const { folder, pushed, states } = world(undefined, log);
  await states.begin();
  mkdirSync(join(folder, '7', 'in the way'), { recursive: true });
  pushed.set(TUN, servers('10.8.0.1'), BY);
  await until(() => log.lines.some(({ text }) => text.includes('would not outlive')), 'it was said');
  expect(pushed.get(7)?.settings).toEqual(servers('10.8.0.1'));
  await states.end();
});
