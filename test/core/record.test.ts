import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatRecord,
  interfaceOfKey,
  isVanished,
  parseInput,
  parseKey,
  parseRecord,
  type StoredRecord,
} from '../../src/core/record.ts';

describe('keys', () => {
  test.each([
    'eth0',
    'eth0.dhclient',
    'eth0.ip6.dhclient',
    'NetworkManager',
    '000.rdnssd',
    'lo.ipsec',
    'a:b',
    'x'.repeat(200),
  ])('%s is one', (key) => expect(parseKey(key)).toEqual({ ok: true, value: key }));

  test.each([
    ['', 'an empty key'],
    ['../../etc/passwd', '"/", which is not allowed in a key'],
    ['eth0/dhcp', '"/", which is not allowed in a key'],
    ['eth 0', '" ", which is not allowed in a key'],
    ['eth*', '"*", which is not allowed in a key'],
    ['eth\\0', '"\\", which is not allowed in a key'],
    ['.hidden', '".", which is not allowed at the start of a key'],
    ['..', '".", which is not allowed at the start of a key'],
    ['-a', '"-", which is not allowed at the start of a key'],
    ['~root', '"~", which is not allowed at the start of a key'],
    ['eth0\nnameserver', 'a control character, which is not allowed in a key'],
    ['eth\u0000', 'a control character, which is not allowed in a key'],
    ['eth\u202e0', 'a control character, which is not allowed in a key'],
    ['x'.repeat(201), 'a key of 201 bytes; 200 is the most'],
    ['ü'.repeat(101), 'a key of 202 bytes; 200 is the most'],
  ])('%j is none', (key, reason) => expect(parseKey(key)).toEqual({ ok: false, reason }));
});

describe('input', () => {
  test.each<[string, Uint8Array, string]>([
    ['a NUL', Buffer.from('nameserver 192.0.2.1\0'), 'byte 0x00 at offset 20, which no text has'],
    ['a program', Buffer.from('\x7fELF'), 'byte 0x7f at offset 0, which no text has'],
    ['an escape', Buffer.from('\x1b[2J'), 'byte 0x1b at offset 0, which no text has'],
    ['too much', Buffer.alloc(65_537, 'a'), 'more than 65536 bytes'],
  ])('%s is refused', (_, bytes, reason) => expect(parseInput(bytes)).toEqual({ ok: false, reason }));

  test.each([[''], ['\n'], ['nameserver 192.0.2.1'], ['# Größe\r\n\tnameserver 192.0.2.1\n']])(
    '%j is text',
    (text) => expect(parseInput(Buffer.from(text))).toMatchObject({ ok: true }),
  );
});

const STORED: StoredRecord = { key: 'wg0', text: 'nameserver 10.0.0.1', private: false, nosearch: false };

describe('the file of a record', () => {
  test('keeps the input byte for byte, and what came by option', () => {
    const record: StoredRecord = {
      ...STORED,
      text: '\n# dnskeeper: metric=9\nnameserver 10.0.0.1',
      private: true,
      nosearch: true,
      metric: 0,
      exclusive: 1234,
      interface: { name: 'wg0', ifindex: 7 },
    };
    expect(parseRecord('wg0', formatRecord(record))).toEqual(record);
    expect(formatRecord(record)).toMatch(
      /^# dnskeeper: metric=0 private nosearch exclusive=1234 interface=wg0\/7\n\n/,
    );
  });

  test('is read as it was written, whatever the input was', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.boolean(),
        fc.option(fc.nat(), { nil: undefined }),
        (text, own, metric) => {
          const record = { ...STORED, text, private: own, ...(metric === undefined ? {} : { metric }) };
          expect(parseRecord('wg0', formatRecord(record))).toEqual(record);
        },
      ),
    );
  });

  test.each([
    ['written by hand', 'nameserver 192.0.2.1\n', { text: 'nameserver 192.0.2.1\n' }],
    ['cut within the first line', '# dnskeeper: metr', { text: '' }],
    ['with numbers that are none', '# dnskeeper: metric=-1 exclusive=x interface=a/b\nx', { text: 'x' }],
    ['with words of a later version', '# dnskeeper: colour=blue private\nx', { text: 'x', private: true }],
    ['empty', '', { text: '' }],
  ])('%s is a record too', (_, file, wanted) => {
    expect(parseRecord('wg0', file)).toEqual({ key: 'wg0', private: false, nosearch: false, ...wanted });
  });
});

describe('the interface of a key', () => {
  const links = ['lo', 'eth0', 'eth0.100', 'wg0', 'tun0', 'a'].map((name, ifindex) => ({ name, ifindex }));

  test.each([
    ['eth0', 'eth0'],
    ['eth0.dhclient', 'eth0'],
    ['eth0.ip6.dhclient', 'eth0'],
    ['eth0.100', 'eth0.100'],
    ['eth0.100.dhcp', 'eth0.100'],
    ['eth0:1', 'eth0'],
    ['eth0:1.inet', 'eth0'],
    ['tun.wg0', 'wg0'],
    ['tun0.openvpn', 'tun0'],
    ['lo', 'lo'],
    ['lo.ipsec', 'lo'],
    ['lo.dnsmasq.wg0', 'lo'],
    ['lo.wg0', 'wg0'],
    ['tun.lo', 'lo'],
    ['NetworkManager', undefined],
    ['000.rdnssd', undefined],
    ['eth1.dhclient', undefined],
    ['eth', undefined],
    ['', undefined],
    ['...', undefined],
  ])('of %s is %s', (key, name) => expect(interfaceOfKey(key, links)?.name).toBe(name));

  test.each([
    ['the same link', [{ name: 'wg0', ifindex: 7 }], false],
    ['no link', [], true],
    ['the same name at another link', [{ name: 'wg0', ifindex: 9 }], true],
    ['the same number at another name', [{ name: 'wg1', ifindex: 7 }], true],
  ])('with %s a record is stale: %s', (_, present, vanished) => {
    expect(isVanished({ ...STORED, interface: { name: 'wg0', ifindex: 7 } }, present)).toBe(vanished);
    expect(isVanished(STORED, present), 'a key without interface never is').toBe(false);
  });
});
