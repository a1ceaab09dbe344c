import { expect, test } from 'vitest';
import { linkPath } from '../../src/standin/link-path.ts';
import { levelOfSyslog, syslogLevel } from '../../src/standin/log-level.ts';
import { resolve1Tree } from '../../src/standin/resolve1.ts';
import { LOG_CONTROL_PATH } from '../../src/standin/resolve1-tables.ts';
import { degradedStatus } from '../support/sample-status.ts';
import { standinGround } from '../support/standin.ts';
import { callMethod, readProperty } from '../support/standin-calls.ts';

const bytes = (...values: number[]) => Uint8Array.from(values);

test('servers and domains of all links are the manager’s, each with its link', () => {
  const ground = standinGround();
  expect(readProperty(ground, 'DNS')).toContainEqual([7, 2, bytes(10, 8, 0, 1)]);
  expect(readProperty(ground, 'DNSEx')).toContainEqual([3, 2, bytes(192, 0, 2, 53), 0, '']);
  expect(readProperty(ground, 'Domains')).toEqual(
    expect.arrayContaining([
      [3, 'home.example', false],
      [7, 'office.example', false],
    ]),
  );
});

test('what is pushed is shown at once, before any plan was made of it', async () => {
  const ground = standinGround();
  await callMethod(ground, 'SetLinkDNS', [2, [[2, bytes(192, 0, 2, 77)]]]);
  expect(readProperty(ground, 'DNS')).toContainEqual([2, 2, bytes(192, 0, 2, 77)]);
});

test('the server in use is the first that answers', () => {
  const ground = standinGround();
  expect(readProperty(ground, 'CurrentDNSServer', linkPath(7))).toEqual([2, bytes(10, 8, 0, 1)]);
});

test.each([
  ['ResolvConfMode', 'uplink'],
  ['DNSStubListener', 'yes'],
  ['LLMNRHostname', 'laptop'],
  ['LLMNR', 'no'],
  ['MulticastDNS', 'no'],
  ['DNSSEC', 'no'],
  ['DNSSECSupported', false],
  ['DNSOverTLS', 'no'],
  ['TransactionStatistics', [1n, 20n]],
  ['CacheStatistics', [7n, 8n, 9n]],
  ['CurrentDNSServer', [0, 0, bytes()]],
  ['CurrentDNSServerEx', [0, 0, bytes(), 0, '']],
])('the manager shows %s', (name, value) => {
  expect(readProperty(standinGround(), name)).toEqual(value);
});

test('a resolv.conf that is not ours is foreign', () => {
  expect(readProperty(standinGround({ status: degradedStatus }), 'ResolvConfMode')).toBe('foreign');
});

test('GetLink knows every link, loopback too', async () => {
  const ground = standinGround();
  await expect(callMethod(ground, 'GetLink', [12])).resolves.toEqual(['/org/freedesktop/resolve1/link/_312']);
  await expect(callMethod(ground, 'GetLink', [1])).resolves.toEqual(['/org/freedesktop/resolve1/link/_31']);
  await expect(callMethod(ground, 'GetLink', [5])).rejects.toMatchObject({
    errorName: 'org.freedesktop.resolve1.NoSuchLink',
  });
});

test.each([
  ['FlushCaches', 'flush-caches', 'flush!'],
  ['ResetStatistics', 'reset-statistics', 'reset statistics!'],
  ['ResetServerFeatures', 'reset-server-features', 'forget servers!'],
])('%s is carried out for those who may', async (member, action, done) => {
  const ground = standinGround();
  await expect(callMethod(ground, member, [])).resolves.toEqual([]);
  expect(ground.asked).toEqual([`org.freedesktop.resolve1.${action}`, done]);
});

test.each<[string, readonly unknown[], string]>([
  ['RegisterService', ['id', '%H', '_http._tcp', 80, 0, 0, []], 'org.freedesktop.DBus.Error.NotSupported'],
  ['UnregisterService', ['/org/freedesktop/resolve1/dnssd/x'], 'org.freedesktop.resolve1.NoSuchDnssdService'],
  ['GetDelegate', ['x'], 'org.freedesktop.resolve1.NoSuchDelegate'],
])('%s is answered honestly', async (member, body, errorName) => {
  await expect(callMethod(standinGround(), member, body)).rejects.toMatchObject({ errorName });
});

test('there are no delegates to list', async () => {
  await expect(callMethod(standinGround(), 'ListDelegates', [])).resolves.toEqual([[]]);
});

test('the log level is read by all and set by root, and only to what there is', async () => {
  const ground = standinGround();
  const [log] = resolve1Tree(ground).interfacesAt(LOG_CONTROL_PATH) ?? [];
  const call = { sender: ':1.1' } as never;
  expect(log?.get['LogLevel']?.()).toBe('info');
  await log?.set?.['LogLevel']?.('debug', call);
  expect(log?.get['LogLevel']?.()).toBe('debug');
  await expect(log?.set?.['LogLevel']?.('loud', call)).rejects.toThrow('Invalid log level');
  await expect(log?.set?.['LogTarget']?.('kmsg', call)).rejects.toThrow('journal');
  expect(ground.asked).toEqual(['root', 'root', 'root']);
});

test.each([
  ['emerg', 'error'],
  ['err', 'error'],
  ['warning', 'warn'],
  ['notice', 'info'],
  ['info', 'info'],
  ['debug', 'debug'],
] as const)('the level %s of syslog is our %s', (level, own) => {
  expect(levelOfSyslog(level)).toBe(own);
});

test.each(['err', 'warning', 'info', 'debug'])('the level %s goes there and back', (level) => {
  expect(syslogLevel(levelOfSyslog(level))).toBe(level);
});
