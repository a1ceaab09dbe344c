import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatAddress } from '../../src/core/address.ts';
import { readRouterOptions } from '../../src/core/router-options.ts';
import { dnssl, rdnss } from '../support/netlink-bytes.ts';

const shown = (bytes: Uint8Array) =>
  readRouterOptions(bytes).map(({ kind, lifetime, values }) => [
    kind,
    lifetime,
    ...values.map((value) => (typeof value === 'string' ? value : formatAddress(value))),
  ]);

const altered = (bytes: Buffer, at: number, value: number): Buffer => {
  bytes[at] = value;
  return bytes;
};
/** A DNSSL option whose names are these bytes. */
const names = (...bytes: readonly number[]): Buffer =>
  Buffer.concat([
    Buffer.from([31, 1 + Math.ceil(bytes.length / 8), 0, 0, 0, 0, 0, 60]),
    Buffer.from(bytes),
    Buffer.alloc(-bytes.length & 7),
  ]);

test('servers and domains are read, and other options between them are passed over', () => {
  const bytes = Buffer.concat([
    rdnss(600, '2001:db8::53', 'fe80::1'),
    Buffer.from([3, 1, 0, 0, 0, 0, 0, 0]),
    dnssl(0xffff_ffff, 'home.example', 'a.b.c.example'),
  ]);
  expect(shown(bytes)).toEqual([
    ['servers', 600, '2001:db8::53', 'fe80::1'],
    ['domains', 0xffff_ffff, 'home.example', 'a.b.c.example'],
  ]);
});

test.each<[string, Uint8Array, unknown[]]>([
  ['without length ends the reading', altered(rdnss(60, '2001:db8::53'), 1, 0), []],
  ['longer than it is gives nothing', altered(rdnss(60, '2001:db8::53'), 1, 9), []],
  [
    'cut off within an address has the whole ones',
    altered(rdnss(60, '2001:db8::53', '2001:db8::54'), 1, 4),
    [['servers', 60, '2001:db8::53']],
  ],
  [
    'with servers that nobody can ask',
    rdnss(60, '::', '::1', 'ff02::1', '2001:db8::53'),
    [['servers', 60, '2001:db8::53']],
  ],
  ['with a label that is not there', names(5, 104, 111), [['domains', 60]]],
  ['with a pointer', names(1, 97, 0, 0xc0, 8), [['domains', 60, 'a']]],
  ['with a dot inside a label', names(3, 97, 46, 98, 0, 1, 99, 0), [['domains', 60, 'c']]],
  ['with a line break inside a label', names(3, 97, 10, 98, 0, 1, 99, 0), [['domains', 60, 'c']]],
  ['with a name that does not end', names(1, 97, 1, 98, 1, 99, 1, 100), [['domains', 60]]],
  ['with nothing but zeros', names(0, 0, 0, 0), [['domains', 60]]],
])('an option %s', (_, bytes, wanted) => {
  expect(shown(bytes)).toEqual(wanted);
});

test('whatever bytes come, only names and addresses come out', () => {
  const parts = fc.array(fc.tuple(fc.constantFrom(25, 31, 3), fc.nat(6), fc.uint8Array({ maxLength: 60 })), {
    maxLength: 5,
  });
  fc.assert(
    fc.property(parts, (options) => {
      const bytes = Buffer.concat(
        options.map(([type, length, rest]) => Buffer.from([type, length, ...rest])),
      );
      for (const { kind, values } of readRouterOptions(bytes))
        for (const value of values)
          if (kind === 'domains') expect(value).toMatch(/^[\w-]+(\.[\w-]+)*$/);
          else expect(typeof value === 'string' ? value : value.kind).toMatch(/^(unicast|link-local)$/);
    }),
    { numRuns: 2000 },
  );
});
